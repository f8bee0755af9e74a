// What the searchers share: reading their options, and the labels of their random streams.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "search/searcher.h"

namespace tunesmith {

// Third label of Rng::ForLabels({seed, trial, stream}), so that no two uses of a seed share
// numbers.
constexpr uint64_t kStreamRandom = 0x52414e44, kStreamTpe = 0x545045, kStreamReservoir = 0x52455356,
                   kStreamSobol = 0x534f424f, kStreamCmaes = 0x434d41,
                   kStreamCmaesRestart = 0x434d4152, kStreamHyperopt = 0x485950,
                   kStreamAuto = 0x4155544f, kStreamForest = 0x464f5245,
                   kStreamEarlier = 0x4541524c, kStreamCost = 0x434f5354;

// Whether the space has no `grid` parameters, for searchers that do not run them; each is a problem.
bool RefuseGrid(const std::string& type, const Space& space, Problems* problems);

// Reads the options of a searcher one by one and refuses what nobody asked for.
class OptionReader {
 public:
  OptionReader(const SearcherOptions& options, Problems* problems);

  // The integer option `name` within [lo, hi], or `fallback` if it is not given; a wrong one is a
  // problem.
  int64_t Integer(std::string_view name, int64_t lo, int64_t hi, int64_t fallback);
  // The same for any number, and for one of `words`.
  double Number(std::string_view name, double lo, double hi, double fallback);
  std::string Word(std::string_view name, const std::vector<std::string>& words, const std::string& fallback);
  // Call after the last option: tells options that were not read. Whether all options were right.
  bool Done();

 private:
  // The option of that name, which is known from now on; nullptr if it is not given.
  const Value* Find(std::string_view name);
  void Refuse(std::string_view name, const Value& value, const std::string& why, const std::string& hint);

  const SearcherOptions& options_;
  Problems* problems_;
  std::vector<std::string> known_;
  bool good_ = true;
};

}  // namespace tunesmith
