#include "schedulers/fifo.h"

#include <string>

namespace tunesmith {
namespace {

class Fifo final : public Scheduler {
 public:
  explicit Fifo(int64_t max_t) : max_t_(max_t) {}

  void AddTrial(uint32_t trial, int32_t bracket) override {}
  Verdict Decide(const TrialReport& report) const override {
    Verdict verdict;
    if (report.value) verdict.value = *report.value;
    if (max_t_ > 0 && report.step >= max_t_) {
      verdict.action = Action::kStop;
      verdict.reason = Reason::kReachedMax;
    }
    return verdict;
  }
  Verdict DecideFinal(const TrialReport& last) const override { return {}; }
  void Apply(uint32_t trial, const Verdict& verdict) override {}
  void RemoveTrial(uint32_t trial) override {}
  std::vector<RungStatus> Rungs() const override { return {}; }

 private:
  const int64_t max_t_;  // 0: no limit
};

}  // namespace

std::unique_ptr<Scheduler> MakeFifo(const SchedulerOptions& options, Problems* problems) {
  if (options.max_t < 0) {
    problems->push_back({"scheduler.max_t", std::to_string(options.max_t) + " is less than 1",
                         "give the last step of a trial, or leave max_t out for no limit"});
    return nullptr;
  }
  return std::make_unique<Fifo>(options.stop_last_trials ? options.max_t : 0);
}

}  // namespace tunesmith
