// The explore step of Population Based Training (Jaderberg et al. 2017, "Population Based Training of Neural Networks",
// section 4.1.2, appendix A): the point of a better trial, perturbed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/rng.h"
#include "search/space/space.h"

namespace tunesmith {

// A parameter that is perturbed.
struct Mutation {
  enum class From : uint8_t {
    kOwn,           // values of the parameter as it is declared
    kList,          // one of values.options, in their order
    kDistribution,  // drawn from `values`
  };
  std::string name;
  From from = From::kOwn;
  Parameter values = {};  // its name is the parameter's
  friend bool operator==(const Mutation&, const Mutation&) = default;
};

struct PbtOptions {
  int64_t perturbation_interval = 0;      // steps between two judgements of a trial; 0 = none given
  int64_t burn_in_period = 0;             // steps before the first one
  double quantile_fraction = 0.25;        // of the trials: the worst take over from the best; 0 to 0.5
  double resample_probability = 0.25;     // that a value is drawn anew, not perturbed
  std::vector<double> perturbation_factors = {1.2, 0.8};  // of which one is drawn
  std::vector<Mutation> mutations = {};   // empty: every searched parameter that has no condition
  bool synch = false;                     // all wait for each other at each judgement
  friend bool operator==(const PbtOptions&, const PbtOptions&) = default;
};

// The mutations that hold, given the space: those of the options, or the default ones.
std::vector<Mutation> MutationsOf(const Space& space, const PbtOptions& options);

// Near `point`, which lies in the space. What is not mutated stays. With resample_probability a value is drawn anew, as
// declared or from the mutation's own values; else a number is multiplied by one of the factors and a value of a list
// is replaced by one of its neighbours, the ends being their own neighbours. Parameters that become active by it are
// drawn, others lose their value.
//
// By default the result lies in the space: bounds hold, numbers fall on their steps, an integer or a step changes by
// one at least, options of a choice are a list, and 0, which no factor changes, is drawn anew. Where constraints are
// not met it is tried again, kExploreTries times in all, and then `point` is the result.
//
// With `as_ray` values are Ray Tune's (tune/schedulers/pbt.py, _explore): a number may leave its bounds and its steps,
// one of a choice that is not given as a list is multiplied too, and integers are cut. Only constraints are minded.
Point Explore(const Space& space, const PbtOptions& options, bool as_ray, const Point& point, Rng* rng);
constexpr int kExploreTries = 20;

}  // namespace tunesmith
