// The search space: declared parameters in a tree of conditions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/problem.h"
#include "common/rng.h"
#include "common/status.h"
#include "search/space/constraint.h"
#include "search/space/value.h"

namespace tunesmith {

// Ranges and inclusiveness are Ray Tune's (tune/search/sample.py).
enum class Distribution : uint8_t {
  kConstant,     // options[0], always
  kChoice,       // one of `options`, each as likely
  kGrid,         // every one of `options`: the cross product of all grids is run `trials` times (random, grid)
  kUniform,      // real in [lo, hi)
  kQUniform,     // real, uniform in [lo, hi], rounded half-even to a multiple of q; both ends inclusive, ends half mass
  kLogUniform,   // exp(uniform[ln lo, ln hi)), lo > 0
  kQLogUniform,  // the same rounded to a multiple of q; hi inclusive
  kRandInt,      // integer in [lo, hi)
  kQRandInt,     // integer multiple of q in [lo, hi], each as likely; with q = 1 hi is exclusive, as in Ray
  kLogRandInt,   // floor(exp(uniform[ln lo, ln hi))), integer in [lo, hi)
  kQLogRandInt,  // the same rounded to a multiple of q in [lo, hi]; with q = 1 hi is exclusive
  kNormal,       // normal(mean, sd)
  kQNormal,      // the same rounded to a multiple of q
};

// "uniform", "qloguniform", ... as in the sweep file.
std::string_view DistributionName(Distribution distribution);
std::optional<Distribution> DistributionFromName(std::string_view name);
// Whether values of the distribution are integers (int64_t), given that it is not over options.
bool IsInteger(Distribution distribution);
bool HasOptions(Distribution distribution);  // constant, choice, grid
bool IsLog(Distribution distribution);

// Holds when the parent is active and its value compares so. `parent` is an index into the space's parameters.
// Whoever has only the name sets `on`, and Space::Create finds the index; after Create both are right.
struct Condition {
  enum class Op : uint8_t { kIn, kNotIn, kLess, kLessEqual, kGreater, kGreaterEqual };
  size_t parent = 0;
  Op op = Op::kIn;
  std::vector<Value> values;  // one value for the comparisons
  std::string on;             // name of the parent; "": `parent` says it
  friend bool operator==(const Condition&, const Condition&) = default;
};

struct Parameter {
  std::string name;  // levels of a nested parameter joined by '/': "optimizer/momentum"
  Distribution distribution = Distribution::kConstant;
  double lo = 0, hi = 0;         // bounds; integers are exact up to 2^53
  double q = 0;                  // step of the quantised ones
  double mean = 0, sd = 1;       // normal, qnormal
  std::vector<Value> options;    // constant, choice, grid
  std::vector<Condition> when;   // active only if all hold
  friend bool operator==(const Parameter&, const Parameter&) = default;
};

// Immutable after Create. Parameters keep the declared order; SampleOrder() visits parents before children.
class Space {
 public:
  Space() = default;  // no parameters: one point, the empty one

  // Checks everything (names, bounds, options, conditions: unknown parent, cycle, a value that the parent can never
  // take) and appends what is wrong to `problems` with fields "parameters.NAME.DISTRIBUTION", "parameters.NAME.when".
  // nullopt if anything was wrong.
  static std::optional<Space> Create(std::vector<Parameter> parameters, Problems* problems) {
    return Create(std::move(parameters), {}, problems);
  }
  // With constraints (search/space/constraint.h), all of which every point has to meet. Also checks that some point
  // does: of 100,000 draws and steps of a search, and, in a space that is finite and small, of all. Problems have the
  // fields "constraints[2]" or "constraints".
  static std::optional<Space> Create(std::vector<Parameter> parameters, const std::vector<std::string>& constraints,
                                     Problems* problems);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  size_t size() const { return parameters_.size(); }
  const std::vector<size_t>& SampleOrder() const { return order_; }
  // Index by name; nullopt if there is none.
  std::optional<size_t> Find(std::string_view name) const;

  // Whether parameter i is active, given the values of its parents in `point`.
  bool Active(size_t i, const Point& point) const;

  const std::vector<Constraint>& constraints() const { return constraints_; }
  // Whether the point meets the constraints. Nothing else is checked.
  bool Feasible(const Point& point) const;
  // The same for the constraints whose last parameter in SampleOrder() stands at `place`.
  bool MeetsAt(size_t place, const Point& point) const;

  // One draw from the prior given the constraints, parents first. Where fewer than one in some 1,000 draws meets the
  // constraints it is only near that distribution; it always meets them.
  Point Sample(Rng* rng) const;
  // The same where active parameters have the values that they have in `pinned` (which may be empty: none). nullopt if
  // no such point was found.
  std::optional<Point> SampleWith(const Point& pinned, Rng* rng) const;
  Value SampleParameter(size_t i, Rng* rng) const;
  // The value below which the share u of the draws of parameter i falls, u in [0, 1); options count in their order.
  Value ValueAtQuantile(size_t i, double u) const;

  // The values that parameter i can take when it is active, in order, if there are finitely many (2^53 at most).
  // Normal ones have no end. A quantised value is the decimal number that a person would write (0.3, not 0.1 * 3).
  std::optional<uint64_t> ValueCount(size_t i) const;
  Value ValueAt(size_t i, uint64_t index) const;  // index < ValueCount(i)
  // nullopt if the value is not among them. Numbers compare as SameValue does.
  std::optional<uint64_t> IndexOf(size_t i, const Value& value) const;
  // Whether the value lies in the set of parameter i; why_not (may be null) says what it misses.
  bool Takes(size_t i, const Value& value, std::string* why_not) const;
  // The value as parameter i has it (1 as 1.0, 0.30000000000000004 as 0.3); nullopt if it does not take it.
  std::optional<Value> Typed(size_t i, const Value& value) const;
  // The nearest multiple of q, of a quantised real distribution, within the bounds.
  double Quantise(size_t i, double x) const;

  // Number of distinct points, or nullopt if infinite, above 2^53, or in a web of conditions too dense to count (then
  // there are more than 10^5). Grid and choice count alike. With constraints also nullopt if there are more than 10^5
  // points without them.
  std::optional<uint64_t> Cardinality() const;
  // Number of cells of the cross product of the `grid` parameters (1 without any; saturates at 2^62).
  uint64_t GridCells() const;

  // Whether the point has exactly the active parameters, each value lies in its set, and the constraints are met.
  // why_not may be null.
  bool Contains(const Point& point, std::string* why_not) const;

  // Completes a user's partial assignment (by name): given values are checked and brought to the parameter's type (1 to
  // 1.0), the rest is drawn from the prior so that what was given is active and the constraints are met. Fields of the
  // problems are the names.
  std::optional<Point> Complete(const std::vector<std::pair<std::string, Value>>& given, Rng* rng,
                                Problems* problems) const;

 private:
  // What ValueAt and IndexOf need to know of a parameter.
  struct Values {
    bool finite = false;
    uint64_t count = 0;
    int64_t first = 0;         // integers: the lowest; quantised: the lowest multiple
    double numerator = 0;      // q = numerator / denominator where q is a short decimal number, else q / 1
    double denominator = 1;
    std::vector<std::pair<uint64_t, uint32_t>> by_hash;  // of options: (hash, index), sorted
  };
  static Values MakeValues(const Parameter& parameter);
  double Multiple(size_t i, double k) const;  // k times q
  bool Holds(const Condition& condition, const Point& point) const;
  // Constraints that have to be looked at together: see feasible.cc.
  struct Block {
    std::vector<size_t> constraints;
    std::vector<size_t> parameters;  // theirs and the parents of those, in sample order
    Point known;                     // values of these parameters that meet the constraints
    bool rare = false;               // draws hardly ever do
  };
  void AddConstraints(const std::vector<std::string>& texts, Problems* problems);
  void FindEnding();
  Block MakeBlock(std::vector<size_t> constraints) const;
  void MakeBlocks();
  bool FindKnown(Block* block, bool* every_point) const;
  bool Meets(const Block& block, const Point& point) const;
  double Miss(const Block& block, const Point& required, const Point& point) const;
  Value DrawWith(size_t i, const Point& pinned, Rng* rng) const;
  void Redraw(const Block& block, size_t changed, const Point& pinned, Rng* rng, Point* point) const;
  bool DrawBlock(const Block& block, const Point& pinned, int draws, Rng* rng, Point* point) const;
  bool Repair(const Block& block, const Point& pinned, const Point& required, int steps, Rng* rng, Point* point) const;
  void Walk(const Block& block, const Point& pinned, Rng* rng, Point* point) const;
  bool PinnedInVain(const Point& pinned) const;
  bool MeetGiven(const Point& given, Rng* rng, Point* point) const;
  std::optional<uint64_t> CountFeasible() const;
  std::optional<uint64_t> CountAll() const;
  bool TryComplete(const Point& given, Rng* rng, Point* out) const;
  uint64_t CountTree(size_t i, const std::vector<std::vector<size_t>>& children) const;
  uint64_t CountWeb(const std::vector<size_t>& component) const;

  std::vector<Parameter> parameters_;
  std::vector<size_t> order_;
  std::vector<Values> values_;
  std::vector<std::pair<std::string, size_t>> by_name_;  // sorted
  std::vector<Constraint> constraints_;
  std::vector<std::vector<size_t>> ending_;  // by place of the sample order: constraints; empty without any
  std::vector<Block> blocks_;
  std::vector<bool> in_block_;  // empty without constraints

  friend class SpaceBuilder;
};

}  // namespace tunesmith
