#include "worker/trainer/rank_place.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "common/text.h"

namespace tunesmith::trainer {
namespace {

constexpr int kRanksMax = 4096;

class VariableReader {
 public:
  explicit VariableReader(const std::function<std::string(const char*)>& environment) : environment_(environment) {}

  std::string Text(const char* name) {
    std::string text = environment_(name);
    if (text.empty()) missing_.push_back(name);
    return text;
  }

  int Number(const char* name, int low, int high) {
    const std::string text = Text(name);
    int value = low;
    if (text.empty()) return value;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
      Problem(std::string(name) + " is '" + ValidUtf8(text.substr(0, 40)) + "'; it must be a whole number from " +
              std::to_string(low) + " to " + std::to_string(high));
      value = low;
    }
    return value;
  }

  void Problem(std::string text) { problems_.push_back(std::move(text)); }

  Status Verdict() {
    if (!missing_.empty()) {
      Problem("mode ddp finds no " + Join(missing_, ", ") +
              " in the environment; start every rank with the variables that torchrun sets, or use mode single");
    }
    return problems_.empty() ? OkStatus() : InvalidArgument(Join(problems_, "\n"));
  }

 private:
  const std::function<std::string(const char*)>& environment_;
  std::vector<std::string> missing_;
  std::vector<std::string> problems_;
};

}  // namespace

StatusOr<RankPlace> ReadRankPlace(const std::function<std::string(const char*)>& environment) {
  VariableReader reader(environment);
  RankPlace place;
  place.size = reader.Number("WORLD_SIZE", 1, kRanksMax);
  place.rank = reader.Number("RANK", 0, kRanksMax - 1);
  place.local_size = reader.Number("LOCAL_WORLD_SIZE", 1, kRanksMax);
  place.local_rank = reader.Number("LOCAL_RANK", 0, kRanksMax - 1);
  place.address = reader.Text("MASTER_ADDR");
  place.port = static_cast<uint16_t>(reader.Number("MASTER_PORT", 1, 65'535));
  TS_RETURN_IF_ERROR(reader.Verdict());
  if (place.rank >= place.size) {
    reader.Problem("RANK is " + std::to_string(place.rank) + " but WORLD_SIZE is " + std::to_string(place.size) +
                   "; ranks count from 0 to WORLD_SIZE - 1");
  }
  if (place.local_rank >= place.local_size || place.local_size > place.size) {
    reader.Problem("LOCAL_RANK is " + std::to_string(place.local_rank) + ", LOCAL_WORLD_SIZE " +
                   std::to_string(place.local_size) + " and WORLD_SIZE " + std::to_string(place.size) +
                   "; each must be below, or at most, the next");
  }
  TS_RETURN_IF_ERROR(reader.Verdict());
  place.store_is_there = environment("TORCHELASTIC_USE_AGENT_STORE") == "True";
  if (place.store_is_there) {
    const std::string attempt = environment("TORCHELASTIC_RESTART_COUNT");
    place.store_prefix = "/worker/attempt_" + (attempt.empty() ? "0" : attempt);
  }
  return place;
}

RowShare ShareOf(int64_t rows, int rank, int size) {
  const int64_t each = rows / size;
  const int64_t more = rows % size;  // the first `more` ranks have one row more
  const int64_t begin = rank * each + std::min<int64_t>(rank, more);
  return {begin, begin + each + (rank < more ? 1 : 0)};
}

}  // namespace tunesmith::trainer
