#include "search/tpe/coding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/exact_math.h"

namespace tunesmith::tpe {

Coding::Coding(const Space& space) : space_(space), dims_(space.size()) {
  for (size_t i = 0; i < dims_.size(); ++i) {
    const Parameter& p = space_.parameters()[i];
    Dim& dim = dims_[i];
    dim.conditional = !p.when.empty();
    for (const Condition& c : p.when) dims_[c.parent].parent = true;
    dim.log = IsLog(p.distribution);
    const auto count = space_.ValueCount(i);
    dim.values = count.value_or(0);
    if (count == 1u) continue;
    if (HasOptions(p.distribution)) {
      dim.kind = Kind::kCategorical;
      continue;
    }
    if (!count) {
      dim.kind = Kind::kContinuous;
      dim.normal =
          p.distribution == Distribution::kNormal || p.distribution == Distribution::kQNormal;
      if (dim.normal) continue;
      dim.lo = dim.log ? PortableLog(p.lo) : p.lo;
      dim.span = (dim.log ? PortableLog(p.hi) : p.hi) - dim.lo;
      continue;
    }
    dim.kind = *count <= kLatticeValuesMax ? Kind::kLattice : Kind::kFineLattice;
    const double first = ValueNumber(space_.ValueAt(i, 0));
    const double last = ValueNumber(space_.ValueAt(i, *count - 1));
    const double half = (ValueNumber(space_.ValueAt(i, 1)) - first) / 2;
    dim.lo = dim.log ? PortableLog(first - half) : first - half;
    dim.span = (dim.log ? PortableLog(last + half) : last + half) - dim.lo;
    if (dim.kind != Kind::kLattice) continue;
    for (uint64_t k = 0; k < *count; ++k) {
      const double x = ValueNumber(space_.ValueAt(i, k));
      dim.centres.push_back(Forward(dim, x));
      dim.edges.push_back(k == 0 ? 0.0 : Forward(dim, x - half));
    }
    dim.edges.push_back(1.0);
  }
}

double Coding::Forward(const Dim& dim, double x) const {
  if (dim.span == 0) return 0.5;  // bounds that differ, but not their logarithms
  return ((dim.log ? PortableLog(x) : x) - dim.lo) / dim.span;
}

double Coding::Backward(const Dim& dim, double u) const {
  const double t = dim.lo + u * dim.span;
  return dim.log ? PortableExp(t) : t;
}

uint64_t Coding::CellOf(size_t i, double u) const {
  const Dim& dim = dims_[i];
  if (dim.kind == Kind::kLattice) {
    const auto it = std::upper_bound(dim.edges.begin() + 1, dim.edges.end() - 1, u);
    return static_cast<uint64_t>(it - dim.edges.begin()) - 1;
  }
  const double first = ValueNumber(space_.ValueAt(i, 0));
  const double step = ValueNumber(space_.ValueAt(i, 1)) - first;
  const double k = std::nearbyint((Backward(dim, u) - first) / step);
  return static_cast<uint64_t>(std::clamp(k, 0.0, static_cast<double>(dim.values - 1)));
}

double Coding::Encode(size_t i, const Value& value) const {
  if (!IsActive(value)) return std::numeric_limits<double>::quiet_NaN();
  const Dim& dim = dims_[i];
  switch (dim.kind) {
    case Kind::kFixed:
      return 0;
    case Kind::kCategorical:
    case Kind::kLattice:
      return static_cast<double>(space_.IndexOf(i, value).value_or(0));
    case Kind::kFineLattice:
      return std::clamp(Forward(dim, ValueNumber(value)), 0.0, 1.0);
    case Kind::kContinuous:
      break;
  }
  if (dim.normal) {
    const Parameter& p = space_.parameters()[i];
    return NormalCdf((ValueNumber(value) - p.mean) / p.sd);
  }
  return std::clamp(Forward(dim, ValueNumber(value)), 0.0, 1.0);
}

Value Coding::Decode(size_t i, double code) const {
  const Dim& dim = dims_[i];
  const Parameter& p = space_.parameters()[i];
  switch (dim.kind) {
    case Kind::kFixed:
      return space_.ValueAt(i, 0);
    case Kind::kCategorical:
    case Kind::kLattice:
      return space_.ValueAt(i, static_cast<uint64_t>(code));
    case Kind::kFineLattice:
      return space_.ValueAt(i, CellOf(i, code));
    case Kind::kContinuous:
      break;
  }
  if (dim.normal) {
    const double u = std::clamp(code, 0x1p-53, 1 - 0x1p-53);
    const double x = p.mean + p.sd * NormalQuantile(u);
    return p.distribution == Distribution::kQNormal ? space_.Quantise(i, x) : x;
  }
  return std::clamp(Backward(dim, code), p.lo, std::nextafter(p.hi, p.lo));
}

double Coding::Snap(size_t i, double u) const {
  const Dim& dim = dims_[i];
  if (dim.kind == Kind::kContinuous) return u;
  const uint64_t k = CellOf(i, u);
  return dim.kind == Kind::kLattice ? static_cast<double>(k) : Encode(i, space_.ValueAt(i, k));
}

double Coding::CellWidth(size_t i, double code) const {
  const Dim& dim = dims_[i];
  if (dim.kind == Kind::kLattice) {
    const auto k = static_cast<size_t>(code);
    return dim.edges[k + 1] - dim.edges[k];
  }
  if (dim.kind != Kind::kFineLattice) return 1;
  if (!dim.log) return 1.0 / static_cast<double>(dim.values);
  const double x = ValueNumber(space_.ValueAt(i, CellOf(i, code)));
  const double half = (ValueNumber(space_.ValueAt(i, 1)) - ValueNumber(space_.ValueAt(i, 0))) / 2;
  return Forward(dim, x + half) - Forward(dim, x - half);
}

double Coding::Prior(size_t i, double code) const {
  const Dim& dim = dims_[i];
  if (dim.kind == Kind::kFixed) return 1;
  if (dim.kind == Kind::kCategorical) return 1.0 / static_cast<double>(dim.values);
  return CellWidth(i, code);
}

double Coding::SamplePrior(size_t i, Rng* rng) const {
  const Dim& dim = dims_[i];
  if (dim.kind == Kind::kFixed) return 0;
  if (dim.kind == Kind::kCategorical) return static_cast<double>(rng->Below(dim.values));
  return Snap(i, rng->Uniform());
}

}  // namespace tunesmith::tpe
