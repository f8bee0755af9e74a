// Points that meet the constraints: drawing them, and telling whether there are any.
//
// Constraints that share parameters, or parents of them, form a block. A block is redrawn until its
// constraints hold, which gives exactly the prior given the constraints, at the price of one block
// and not of all together. Where that takes too long a local search changes one or two values at a
// time towards what the constraints miss, and a walk over points that hold blurs where it came
// from.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/limits.h"
#include "common/text.h"
#include "search/space/enumeration.h"
#include "search/space/space.h"

namespace tunesmith {
namespace {

constexpr int kDraws = 1'000;        // of a block in a sample
constexpr int kRepairSteps = 2'000;  // of a block in a sample
// When a space is made: together 100,000 points or more.
constexpr int kFirstDraws = 50'000;
constexpr int kFirstRepairs = 25;
constexpr int kFirstRepairSteps = 2'000;
constexpr int64_t kFirstSteps = 2'000'000;
constexpr size_t kImpossibleMax = 3;  // told at most: finding out takes a while

std::string Excerpt(const std::string& text) {
  constexpr size_t kBytes = 60;
  return text.size() <= kBytes ? text : ValidUtf8(text.substr(0, kBytes)) + "...";
}

}  // namespace

bool Space::Feasible(const Point& point) const {
  return std::all_of(constraints_.begin(), constraints_.end(),
                     [&](const Constraint& c) { return c.Holds(point); });
}

bool Space::MeetsAt(size_t place, const Point& point) const {
  if (ending_.empty()) return true;
  const auto& ending = ending_[place];
  return std::all_of(ending.begin(), ending.end(),
                     [&](size_t c) { return constraints_[c].Holds(point); });
}

bool Space::Meets(const Block& block, const Point& point) const {
  return std::all_of(block.constraints.begin(), block.constraints.end(),
                     [&](size_t c) { return constraints_[c].Holds(point); });
}

Value Space::DrawWith(size_t i, const Point& pinned, Rng* rng) const {
  return !pinned.empty() && IsActive(pinned[i]) ? pinned[i] : SampleParameter(i, rng);
}

// How much the block misses in all: below 1 for each constraint, and 1 for each required value that
// is not active.
double Space::Miss(const Block& block, const Point& required, const Point& point) const {
  double sum = 0;
  for (const size_t c : block.constraints) {
    const double miss = constraints_[c].Miss(point);
    sum += std::isfinite(miss) ? miss / (1 + miss) : (miss > 0 ? 1 : 0);
  }
  if (required.empty()) return sum;
  for (const size_t i : block.parameters) {
    if (IsActive(required[i]) && !IsActive(point[i])) sum += 1;
  }
  return sum;
}

// Draws parameter `changed` of the block anew, and what becomes active by that.
void Space::Redraw(const Block& block, size_t changed, const Point& pinned, Rng* rng,
                   Point* point) const {
  for (const size_t i : block.parameters) {
    Value& value = (*point)[i];
    if (!Active(i, *point)) {
      value = Value();
    } else if (i == changed || !IsActive(value)) {
      value = DrawWith(i, pinned, rng);
    }
  }
}

// A local search from *point for one that meets the block's constraints and in which the `required`
// values are active.
bool Space::Repair(const Block& block, const Point& pinned, const Point& required, int steps,
                   Rng* rng, Point* point) const {
  double miss = Miss(block, required, *point);
  Point next;
  for (int step = 0; step < steps && miss > 0; ++step) {
    next = *point;
    const uint64_t kind = rng->Below(4);  // one value of a failing constraint, two of them, or any
    const size_t start = rng->Below(block.constraints.size());
    const Constraint* failing = nullptr;
    for (size_t k = 0; k < block.constraints.size() && failing == nullptr; ++k) {
      const size_t c = block.constraints[(start + k) % block.constraints.size()];
      if (!constraints_[c].Holds(*point)) failing = &constraints_[c];
    }
    const bool any = kind == 0 || failing == nullptr;
    const auto& from = any ? block.parameters : failing->parameters();
    for (int changes = kind == 3 ? 2 : 1; changes > 0; --changes) {
      Redraw(block, from[rng->Below(from.size())], pinned, rng, &next);
    }
    const double next_miss = Miss(block, required, next);
    if (next_miss > miss && rng->Below(50) != 0) continue;
    miss = next_miss;
    std::swap(*point, next);
  }
  return miss == 0;
}

// Steps from point to point that hold, one or two values at a time.
void Space::Walk(const Block& block, const Point& pinned, Rng* rng, Point* point) const {
  Point next;
  for (size_t step = 0; step < 10 * block.parameters.size(); ++step) {
    next = *point;
    for (uint64_t changes = 1 + rng->Below(2); changes > 0; --changes) {
      Redraw(block, block.parameters[rng->Below(block.parameters.size())], pinned, rng, &next);
    }
    if (Meets(block, next)) std::swap(*point, next);
  }
}

bool Space::DrawBlock(const Block& block, const Point& pinned, int draws, Rng* rng,
                      Point* point) const {
  for (int n = draws; n > 0; --n) {
    for (const size_t i : block.parameters) {
      (*point)[i] = Active(i, *point) ? DrawWith(i, pinned, rng) : Value();
    }
    if (Meets(block, *point)) return true;
  }
  return false;
}

// Whether the pinned values alone violate a constraint, whatever the others are.
bool Space::PinnedInVain(const Point& pinned) const {
  if (pinned.empty()) return false;
  return std::any_of(constraints_.begin(), constraints_.end(), [&](const Constraint& c) {
    const auto& named = c.parameters();
    return std::all_of(
               named.begin(), named.end(),
               [&](size_t i) { return IsActive(pinned[i]) && parameters_[i].when.empty(); }) &&
           !c.Holds(pinned);
  });
}

std::optional<Point> Space::SampleWith(const Point& pinned, Rng* rng) const {
  if (PinnedInVain(pinned)) return std::nullopt;
  Point point(size());
  for (const Block& block : blocks_) {
    if (DrawBlock(block, pinned, block.rare ? 1 : kDraws, rng, &point)) continue;
    if (!Repair(block, pinned, {}, kRepairSteps, rng, &point)) {
      const bool free =
          std::none_of(block.parameters.begin(), block.parameters.end(),
                       [&](size_t i) { return !pinned.empty() && IsActive(pinned[i]); });
      if (!free) return std::nullopt;
      for (const size_t i : block.parameters) point[i] = block.known[i];
    }
    Walk(block, pinned, rng, &point);
  }
  for (const size_t i : order_) {
    if (!in_block_.empty() && in_block_[i]) continue;
    if (Active(i, point)) point[i] = DrawWith(i, pinned, rng);
  }
  return point;
}

Point Space::Sample(Rng* rng) const {
  // Without pinned values there is a point: Create has seen one.
  return std::move(*SampleWith({}, rng));
}

bool Space::MeetGiven(const Point& given, Rng* rng, Point* point) const {
  Block whole;
  whole.parameters = order_;
  whole.constraints.resize(constraints_.size());
  std::iota(whole.constraints.begin(), whole.constraints.end(), size_t{0});
  return Repair(whole, given, given, 10 * kRepairSteps, rng, point);
}

// The block that these constraints need: their parameters and the parents of those, in sample
// order.
Space::Block Space::MakeBlock(std::vector<size_t> constraints) const {
  std::vector<bool> needed(size(), false);
  for (const size_t c : constraints) {
    for (const size_t i : constraints_[c].parameters()) needed[i] = true;
  }
  for (size_t k = order_.size(); k-- > 0;) {  // children before parents
    if (!needed[order_[k]]) continue;
    for (const Condition& c : parameters_[order_[k]].when) needed[c.parent] = true;
  }
  Block block;
  block.constraints = std::move(constraints);
  for (const size_t i : order_) {
    if (needed[i]) block.parameters.push_back(i);
  }
  return block;
}

// Finds block->known. On failure *every_point says whether every point was tried.
bool Space::FindKnown(Block* block, bool* every_point) const {
  Rng rng = Rng::ForLabels({0x636f6e73U, block->constraints[0], block->constraints.size()});
  block->known = Point(size());
  if (DrawBlock(*block, {}, kFirstDraws, &rng, &block->known)) return true;
  block->rare = true;
  for (int n = 0; n < kFirstRepairs; ++n) {
    if (Repair(*block, {}, {}, kFirstRepairSteps, &rng, &block->known)) return true;
    DrawBlock(*block, {}, 1, &rng, &block->known);
  }
  // All of a finite block, the other parameters at one value. The space's other constraints must
  // not interfere.
  *every_point = std::all_of(block->parameters.begin(), block->parameters.end(),
                             [&](size_t i) { return ValueCount(i).has_value(); });
  if (!*every_point) return false;
  Space alone;
  for (const size_t i : block->parameters) {
    Parameter p = parameters_[i];
    for (Condition& c : p.when) {
      c.parent = static_cast<size_t>(
          std::find(block->parameters.begin(), block->parameters.end(), c.parent) -
          block->parameters.begin());
    }
    alone.by_name_.emplace_back(p.name, alone.parameters_.size());
    alone.order_.push_back(alone.parameters_.size());
    alone.values_.push_back(values_[i]);
    alone.parameters_.push_back(std::move(p));
  }
  std::sort(alone.by_name_.begin(), alone.by_name_.end());
  for (const size_t c : block->constraints) {
    Problem none;
    alone.constraints_.push_back(*Constraint::Parse(constraints_[c].text(), alone, &none));
  }
  alone.FindEnding();
  int64_t steps = kFirstSteps;
  const auto first = Enumeration(alone, {}).First(&rng, &steps);
  *every_point = steps > 0;
  if (!first) return false;
  for (size_t k = 0; k < first->size(); ++k) block->known[block->parameters[k]] = (*first)[k];
  return true;
}

// Which constraints end at which place of the sample order.
void Space::FindEnding() {
  if (constraints_.empty()) return;
  std::vector<size_t> place(size());
  for (size_t k = 0; k < order_.size(); ++k) place[order_[k]] = k;
  ending_.assign(size(), {});
  for (size_t c = 0; c < constraints_.size(); ++c) {
    size_t last = 0;
    for (const size_t i : constraints_[c].parameters()) last = std::max(last, place[i]);
    ending_[last].push_back(c);
  }
}

void Space::AddConstraints(const std::vector<std::string>& texts, Problems* problems) {
  const size_t before = problems->size();
  if (texts.size() > kConstraintsMax) {
    problems->push_back({"constraints",
                         std::to_string(texts.size()) + " constraints are more than the limit of " +
                             std::to_string(kConstraintsMax),
                         "join some of them by \"and\""});
    return;
  }
  for (size_t c = 0; c < texts.size(); ++c) {
    Problem problem;
    problem.field = "constraints[" + std::to_string(c) + "]";
    if (auto constraint = Constraint::Parse(texts[c], *this, &problem)) {
      constraints_.push_back(std::move(*constraint));
    } else {
      problems->push_back(std::move(problem));
    }
  }
  if (problems->size() > before) return;
  FindEnding();
  const auto impossible = [&](std::string field, const std::string& which, bool every_point) {
    problems->push_back({std::move(field),
                         every_point ? "no point of the space meets " + which
                                     : "none of 100,000 points meets " + which,
                         every_point
                             ? "relax it, or widen the ranges of its parameters"
                             : "relax it, or declare its parameters so that more points do"});
  };
  for (size_t c = 0; c < constraints_.size() && problems->size() < before + kImpossibleMax; ++c) {
    Block block = MakeBlock({c});
    bool every_point = false;
    if (FindKnown(&block, &every_point)) continue;
    impossible("constraints[" + std::to_string(c) + "]", "\"" + Excerpt(texts[c]) + "\"",
               every_point);
  }
  if (problems->size() > before) return;
  MakeBlocks();
  for (Block& block : blocks_) {
    bool every_point = false;
    if (FindKnown(&block, &every_point)) continue;
    std::vector<std::string> names;
    for (const size_t c : block.constraints)
      names.push_back("constraints[" + std::to_string(c) + "]");
    impossible("constraints", Join(names, ", ") + " together", every_point);
    if (problems->size() >= before + kImpossibleMax) return;
  }
}

// Joins constraints whose blocks share a parameter.
void Space::MakeBlocks() {
  std::vector<size_t> root(constraints_.size());
  std::iota(root.begin(), root.end(), size_t{0});
  const auto find = [&](size_t c) {
    while (root[c] != c) c = root[c] = root[root[c]];
    return c;
  };
  std::vector<size_t> owner(size(), constraints_.size());
  for (size_t c = 0; c < constraints_.size(); ++c) {
    for (const size_t i : MakeBlock({c}).parameters) {
      if (owner[i] == constraints_.size()) owner[i] = c;
      root[find(c)] = find(owner[i]);
    }
  }
  in_block_.assign(size(), false);
  for (size_t c = 0; c < constraints_.size(); ++c) {
    if (find(c) != c) continue;
    std::vector<size_t> members;
    for (size_t k = 0; k < constraints_.size(); ++k) {
      if (find(k) == c) members.push_back(k);
    }
    blocks_.push_back(MakeBlock(std::move(members)));
    for (const size_t i : blocks_.back().parameters) in_block_[i] = true;
  }
}

}  // namespace tunesmith
