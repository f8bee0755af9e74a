// Sweeps and trials for tests.
#pragma once

#include <string>

#include "tunesmith/v1/tuning_service.pb.h"

namespace tunesmith {

// loss (min) over lr, asha up to 9; budget of `target` trials.
inline v1::Sweep MakeSweep(const std::string& id, v1::Sweep::State state, int64_t target = 4) {
  v1::Sweep sweep;
  sweep.set_id(id);
  sweep.set_state(state);
  sweep.mutable_create_time()->set_seconds(1'000);
  v1::SweepSpec* spec = sweep.mutable_spec();
  spec->set_name(id);
  for (const char* word : {"python3", "train.py", "${args}"})
    spec->mutable_program()->add_command(word);
  v1::ParameterSpec* lr = spec->add_parameters();
  lr->set_name("lr");
  lr->mutable_loguniform()->set_lo(1e-5);
  lr->mutable_loguniform()->set_hi(0.1);
  spec->mutable_search()->set_type("tpe");
  spec->mutable_search()->set_metric("loss");
  spec->mutable_search()->set_goal(v1::GOAL_MIN);
  spec->mutable_scheduler()->set_type("asha");
  spec->mutable_scheduler()->set_max_t(9);
  spec->mutable_budget()->set_trials(target);
  sweep.mutable_counts()->set_target(target);
  sweep.add_metric_names("loss");
  return sweep;
}

// lr = 0.1 / (number + 1); started at 1000 s, ended 10 s later where the state says so.
inline v1::Trial MakeTrial(uint32_t number, v1::Trial::State state, int64_t step = 0,
                           double loss = 0) {
  v1::Trial trial;
  trial.set_sweep("digits");
  trial.set_number(number);
  trial.set_state(state);
  v1::NamedValue* lr = trial.add_parameters();
  lr->set_name("lr");
  lr->mutable_value()->set_double_value(0.1 / (number + 1));
  if (state == v1::Trial::PENDING) return trial;
  trial.mutable_start_time()->set_seconds(1'000);
  v1::Attempt* attempt = trial.add_attempts();
  attempt->set_number(1);
  attempt->set_state(v1::Attempt::RUNNING);
  attempt->set_worker("lab-01");
  const bool ended = state >= v1::Trial::COMPLETED;
  if (ended) trial.mutable_end_time()->set_seconds(1'010);
  if (step == 0) return trial;
  trial.set_last_step(step);
  trial.set_measurements(step);
  v1::MetricValue* metric = trial.add_last_metrics();
  metric->set_name("loss");
  metric->set_value(loss);
  trial.set_best_value(loss);
  trial.set_best_step(step);
  return trial;
}

inline v1::WatchSweepResponse Snapshot(const v1::Sweep& sweep,
                                       const std::vector<v1::Trial>& trials) {
  v1::WatchSweepResponse response;
  response.set_snapshot(true);
  response.set_snapshot_complete(true);
  *response.mutable_sweep() = sweep;
  for (const v1::Trial& trial : trials) *response.add_trials() = trial;
  return response;
}

inline v1::WatchSweepResponse Delta(const std::vector<v1::Trial>& trials) {
  v1::WatchSweepResponse response;
  for (const v1::Trial& trial : trials) *response.add_trials() = trial;
  return response;
}

inline v1::WatchSweepResponse Delta(const v1::Sweep& sweep) {
  v1::WatchSweepResponse response;
  *response.mutable_sweep() = sweep;
  return response;
}

}  // namespace tunesmith
