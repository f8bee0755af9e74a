// Several objectives at once: which trials are best, and how good a set of them is. Pure functions.
//
// A list of n points with k objectives each is a flat list of n * k losses, row by row: smaller is better everywhere,
// and NaN is worse than every number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "search/searcher.h"

namespace tunesmith {

// A row of k losses.
struct LossRows {
  const double* data = nullptr;
  size_t count = 0;
  size_t width = 0;
  const double* operator[](size_t i) const { return data + i * width; }
};

// Losses of values: negated where the goal is the maximum. NaN where a value is missing, or is not a number.
void AppendLosses(const std::vector<double>& values, const std::vector<Goal>& goals, std::vector<double>* losses);

// Whether a is nowhere worse than b and somewhere better.
bool Dominates(const double* a, const double* b, size_t width);

// The rank of each point: 0 if no point dominates it, else one more than the largest rank of a point that does. Equal
// points have equal ranks. n log n comparisons for two objectives; else about n times the number of points of its rank.
std::vector<uint32_t> NonDominationRanks(LossRows rows);

// The volume that the points dominate below the reference point; those that are not below it add nothing. Exact.
// Two objectives cost n log n; for more it is the algorithm of While, Bradstreet and Barone ("A fast way of calculating
// exact hypervolumes", 2012), meant for some dozens of points.
double Hypervolume(LossRows rows, const double* reference);

// What each point alone adds to the volume of all of them.
std::vector<double> HypervolumeContributions(LossRows rows, const double* reference);

// `wanted` points of large common volume: one after the other, each time the one that adds most (1 - 1/e of the best
// set's volume at least); ties go to the earlier one. The indices, in the order in which they were taken.
std::vector<uint32_t> SelectByHypervolume(LossRows rows, const double* reference, size_t wanted);

// One order of all points, the best first: by rank, and within a rank by what a point adds to its rank's volume, each
// objective scaled to its range there; ties go to the earlier one. Where there are many points of a rank and more than
// two objectives, the distance to their neighbours stands in for the volume (the crowding distance of NSGA-II).
// `values` holds one list for each point, as SearcherOptions::goals wants them.
std::vector<uint32_t> ParetoOrder(const std::vector<std::vector<double>>& values, const std::vector<Goal>& goals);

// Scales the objectives to [0, 1] over the points, in place (infinities to the ends, NaN to 1), and gives the reference
// point that suits such rows: a little beyond the worst.
std::vector<double> ScaleToUnit(std::vector<double>* losses, size_t width);

}  // namespace tunesmith
