#include "search/insight/sample.h"

#include <algorithm>
#include <utility>

#include "common/rng.h"

namespace tunesmith::insight {

namespace {

constexpr uint64_t kStreamChoice = 0x494e5343;

}  // namespace

size_t TrialsMax(size_t parameters) {
  constexpr size_t kMost = 2'000, kLeast = 250, kCells = 250'000;
  return std::clamp(kCells / std::max<size_t>(1, parameters), kLeast, kMost);
}

std::vector<uint32_t> ChooseTrials(std::vector<Candidate> candidates, Goal goal, size_t limit, uint64_t seed) {
  if (candidates.size() > limit) {
    const auto best = static_cast<std::ptrdiff_t>(limit / 4);
    std::partial_sort(candidates.begin(), candidates.begin() + best, candidates.end(),
                      [goal](const Candidate& a, const Candidate& b) {
                        if (a.completed != b.completed) return a.completed;
                        if (a.value != b.value) return (a.value < b.value) == (goal == Goal::kMin);
                        return a.trial < b.trial;
                      });
    // The rest in an order of their own, whatever the sort left.
    std::sort(candidates.begin() + best, candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.trial < b.trial; });
    Rng rng = Rng::ForLabels({seed, candidates.size(), kStreamChoice});
    for (size_t i = static_cast<size_t>(best); i < limit; ++i) {
      std::swap(candidates[i], candidates[i + rng.Below(candidates.size() - i)]);
    }
    candidates.resize(limit);
  }
  std::vector<uint32_t> trials;
  trials.reserve(candidates.size());
  for (const Candidate& candidate : candidates) trials.push_back(candidate.trial);
  std::sort(trials.begin(), trials.end());
  return trials;
}

}  // namespace tunesmith::insight
