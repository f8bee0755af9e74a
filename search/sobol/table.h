// Primitive polynomials and initial direction numbers of the Sobol sequence.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tunesmith::sobol {

constexpr size_t kTableDims = 1024;

struct Polynomial {
  uint32_t coefficients = 1;          // bit k: of x^k
  int degree = 0;                     // 0 of the first dimension alone, which is van der Corput's sequence
  const uint16_t* numbers = nullptr;  // m_1 .. m_degree
};

Polynomial PolynomialOf(size_t dim);  // dim < kTableDims

}  // namespace tunesmith::sobol
