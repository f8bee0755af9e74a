// What a fuzz target demands; the process ends where it does not hold.
#pragma once

#include <cstdlib>
#include <iostream>
#include <string>

namespace tunesmith {

inline void Check(bool condition, const std::string& message) {
  if (condition) return;
  std::cerr << "not true: " << message << std::endl;
  std::abort();
}

template <typename T>
void CheckEqual(const T& found, const T& expected, const std::string& what) {
  if (found == expected) return;
  std::cerr << what << ": " << found << " is not " << expected << std::endl;
  std::abort();
}

}  // namespace tunesmith
