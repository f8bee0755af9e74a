// How the TPE searcher sees a point: one number per parameter on a common scale.
#pragma once

#include <cstdint>
#include <vector>

#include "search/space/space.h"

namespace tunesmith::tpe {

enum class Kind : uint8_t {
  kFixed,        // one value: nothing to model
  kCategorical,  // the index of the option
  kLattice,      // few ordered values: the index of the value
  kFineLattice,  // many ordered values: the centre of the value's cell in [0, 1]
  kContinuous,   // the place in [0, 1); of a normal parameter, its quantile
};

// Ordered values up to this count get exact masses from a table of all pairs; beyond it a cell is
// so much narrower than a kernel (bandwidths are above 0.05) that density times width is the mass.
constexpr uint64_t kLatticeValuesMax = 32;

struct Dim {
  Kind kind = Kind::kFixed;
  bool conditional = false;  // may be inactive
  bool parent = false;       // conditions of others look at its value
  uint64_t values = 0;       // of all but kContinuous
  double lo = 0, span = 1;  // coding of ordered values: u = (t(x) - lo) / span, t = log or identity
  bool log = false, normal = false;
  std::vector<double> centres;  // kLattice: u of each value
  std::vector<double> edges;    // kLattice: cell k is [edges[k], edges[k + 1]]; 0 first, 1 last
};

// Codes of a point; NaN where a parameter is inactive.
using Codes = std::vector<double>;

// Immutable. Integers and steps lie on a range widened by half a step at both ends, so that every
// value has a cell; log ones on the logarithm of that (Optuna's rule).
class Coding {
 public:
  explicit Coding(const Space& space);  // which must outlive it

  size_t size() const { return dims_.size(); }
  const std::vector<Dim>& dims() const { return dims_; }

  double Encode(size_t i, const Value& value) const;
  // The value of a code; that of a continuous one lies in the parameter's bounds.
  Value Decode(size_t i, double code) const;
  // The code of the value whose cell holds u in [0, 1) (ordered kinds), and the width of that cell
  // (1 if continuous).
  double Snap(size_t i, double u) const;
  double CellWidth(size_t i, double code) const;
  // Density of the prior at a code: uniform on [0, 1], by cells; 1 / values for categorical ones.
  double Prior(size_t i, double code) const;
  // A draw from it.
  double SamplePrior(size_t i, Rng* rng) const;

 private:
  double Forward(const Dim& dim, double x) const;  // x to u
  double Backward(const Dim& dim, double u) const;
  uint64_t CellOf(size_t i, double u) const;  // index of the value

  const Space& space_;
  std::vector<Dim> dims_;
};

}  // namespace tunesmith::tpe
