#include "tests/sim/options.h"

#include "common/rng.h"

namespace tunesmith::sim {

namespace {

// From a stream of their own, so that the faults above are those that a seed always had.
void DrawLaterFaults(SimOptions* o) {
  constexpr uint64_t kStreamFaults = 0x6661756c74;
  Rng rng = Rng::ForLabels({o->seed, kStreamFaults});
  const auto coin = [&](double p) { return rng.Uniform() < p; };
  const auto seconds = [&](int64_t lo, int64_t hi) { return Seconds(rng.IntInclusive(lo, hi)); };
  if (coin(0.4)) o->one_way_every = seconds(20, 120);
  if (coin(0.4)) o->stall_every = seconds(20, 120);
  if (coin(0.4)) o->late = 0.5;
  if (coin(0.4)) o->controller_restart_every = seconds(20, 120);
  if (coin(0.3)) o->store_full_every = seconds(20, 120);
  if (coin(0.3)) o->unknown_records = 0.05;
  if (coin(0.3)) o->inventory_lies = 0.2;
  if (coin(0.4)) o->worker_restart_every = seconds(20, 120);
  if (coin(0.3)) o->spool_full_every = seconds(20, 120);
  if (coin(0.4)) o->clock_skew = coin(0.5) ? Seconds(5) : Seconds(3 * 3'600);
  if (o->clock_skew.ms > 0 && coin(0.5)) o->clock_jump_every = seconds(20, 120);
  if (coin(0.3)) o->trial_floods = 0.1;
}

}  // namespace

SimOptions DrawOptions(uint64_t seed, Faults faults) {
  constexpr uint64_t kStreamOptions = 0x6f7074;
  Rng rng = Rng::ForLabels({seed, kStreamOptions});
  const auto coin = [&](double p) { return rng.Uniform() < p; };
  const auto seconds = [&](int64_t lo, int64_t hi) { return Seconds(rng.IntInclusive(lo, hi)); };
  SimOptions o;
  o.seed = seed;
  o.workers = static_cast<int>(rng.IntInclusive(1, 4));
  o.sweeps = static_cast<int>(rng.IntInclusive(1, 4));
  o.ask_clients = static_cast<int>(rng.IntInclusive(1, 3));
  o.faults_for = seconds(60, 300);
  o.delay_ms_mean = coin(0.5) ? 2 : rng.IntInclusive(5, 300);
  if (coin(0.5)) o.break_every = seconds(5, 60);
  if (coin(0.5)) o.partition_every = seconds(20, 120);
  if (coin(0.5)) o.reply_lost = 0.2;
  if (coin(0.5)) o.request_lost = 0.2;
  if (coin(0.6)) o.controller_crash_every = seconds(5, 90);
  o.crash_before_append = coin(0.7);
  o.crash_in_append = coin(0.7);
  o.crash_in_release = coin(0.7);
  o.down_max = coin(0.5) ? Seconds(2) : Seconds(40);
  o.disk_full = coin(0.3);
  if (coin(0.5)) o.worker_crash_every = seconds(20, 120);
  o.worker_loses_spool = coin(0.3);
  if (coin(0.4)) o.suggestion_max = Seconds(5);
  if (coin(0.4)) o.worker_repeats = 0.1;
  if (coin(0.4)) o.worker_lies = 0.05;
  if (coin(0.7)) o.user_action_every = seconds(5, 40);
  if (coin(0.5)) o.trial_crashes = 0.2;
  if (coin(0.4)) o.trial_hangs = 0.1;
  if (coin(0.4)) o.trial_not_a_number = 0.2;
  if (coin(0.4)) o.trial_doubles = 0.2;
  if (coin(0.4)) o.trial_start_fails = coin(0.2) ? 0.9 : 0.1;
  if (coin(0.4)) o.trial_ignores_term = 0.3;
  o.real_agent = coin(0.75);
  if (coin(0.7)) o.trial_checkpoints = 0.7;
  if (coin(0.4)) o.checkpoint_lost = 0.3;
  if (coin(0.5)) o.device_late = 0.3;
  if (faults == Faults::kAll) DrawLaterFaults(&o);
  return o;
}

SimOptions DrawFleet(uint64_t seed, int workers, Faults faults) {
  SimOptions o = DrawOptions(seed, faults);
  o.workers = workers;
  o.trials_max = 3 * workers;
  return o;
}

SimOptions FleetHour(uint64_t seed, int workers) {
  SimOptions o;
  o.seed = seed;
  o.workers = workers;
  o.sweeps = 8;
  o.trials_max = 4 * workers;
  o.faults_for = Seconds(3'600);
  o.epoch_min = Seconds(20);
  o.epoch_max = Seconds(60);
  o.break_every = Seconds(1'800);
  o.partition_every = Seconds(3'600);
  o.worker_crash_every = Seconds(3'600);
  o.controller_crash_every = Seconds(600);
  o.user_action_every = Seconds(120);
  o.trial_crashes = 0.05;
  o.trial_hangs = 0.01;
  o.trial_not_a_number = 0.05;
  o.trial_checkpoints = 0.7;
  return o;
}

std::string Describe(const SimOptions& o) {
  std::string text;
  const auto number = [&](const char* name, double value) {
    if (value == 0) return;
    std::string digits = std::to_string(value);
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
    text += std::string(text.empty() ? "" : " ") + name + "=" + digits;
  };
  number("workers", o.workers);
  number("sweeps", o.sweeps);
  number("ask_clients", o.ask_clients);
  number("trials_max", static_cast<double>(o.trials_max));
  number("faults_for_s", static_cast<double>(o.faults_for.ms) / 1000);
  number("delay_ms_mean", static_cast<double>(o.delay_ms_mean));
  number("break_every_s", static_cast<double>(o.break_every.ms) / 1000);
  number("partition_every_s", static_cast<double>(o.partition_every.ms) / 1000);
  number("one_way_every_s", static_cast<double>(o.one_way_every.ms) / 1000);
  number("stall_every_s", static_cast<double>(o.stall_every.ms) / 1000);
  number("late", o.late);
  number("reply_lost", o.reply_lost);
  number("request_lost", o.request_lost);
  number("controller_crash_every_s", static_cast<double>(o.controller_crash_every.ms) / 1000);
  number("crash_before_append", o.crash_before_append);
  number("crash_in_append", o.crash_in_append);
  number("crash_in_release", o.crash_in_release);
  number("down_max_s", static_cast<double>(o.down_max.ms) / 1000);
  number("disk_full", o.disk_full);
  number("controller_restart_every_s", static_cast<double>(o.controller_restart_every.ms) / 1000);
  number("store_full_every_s", static_cast<double>(o.store_full_every.ms) / 1000);
  number("worker_restart_every_s", static_cast<double>(o.worker_restart_every.ms) / 1000);
  number("spool_full_every_s", static_cast<double>(o.spool_full_every.ms) / 1000);
  number("clock_skew_s", static_cast<double>(o.clock_skew.ms) / 1000);
  number("clock_jump_every_s", static_cast<double>(o.clock_jump_every.ms) / 1000);
  number("unknown_records", o.unknown_records);
  number("inventory_lies", o.inventory_lies);
  number("trial_floods", o.trial_floods);
  number("worker_crash_every_s", static_cast<double>(o.worker_crash_every.ms) / 1000);
  number("real_agent", o.real_agent);
  number("worker_loses_spool", o.worker_loses_spool);
  number("worker_repeats", o.worker_repeats);
  number("worker_lies", o.worker_lies);
  number("device_late", o.device_late);
  number("suggestion_max_ms", static_cast<double>(o.suggestion_max.ms));
  number("user_action_every_s", static_cast<double>(o.user_action_every.ms) / 1000);
  number("trial_crashes", o.trial_crashes);
  number("trial_hangs", o.trial_hangs);
  number("trial_not_a_number", o.trial_not_a_number);
  number("trial_doubles", o.trial_doubles);
  number("trial_start_fails", o.trial_start_fails);
  number("trial_ignores_term", o.trial_ignores_term);
  number("trial_checkpoints", o.trial_checkpoints);
  number("checkpoint_lost", o.checkpoint_lost);
  return text;
}

}  // namespace tunesmith::sim
