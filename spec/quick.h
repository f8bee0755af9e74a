// A sweep without a file: what the flags of `tunesmith run` say, made into the same SweepSpec.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/problem.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// The texts as the user gave them. "" or an empty list: the flag was not given, and the sweep
// file's default holds.
struct QuickFlags {
  std::string name;
  std::vector<std::string>
      params;             // "lr=loguniform(1e-5,1e-1)", "momentum=uniform(0.5,0.99) when opt=sgd"
  std::vector<std::string> constraints;  // "layers * batch <= 1024"
  std::string metric;     // "loss:min", "accuracy:max"; several: "accuracy:max,latency:min"
  std::vector<std::string> require;  // "latency <= 20"
  std::string search;     // "tpe", "tpe:startup_trials=10,seed=7"
  std::string scheduler;  // "asha", "asha:max_t=27,reduction_factor=3,metric=loss,mode=min"
  std::string trials;     // "50"
  std::string max_parallel;  // "4"
  std::string priority;      // "10"
  std::string weight;        // "2"
  std::string repeats;       // "3"
  std::string stop;          // "max_steps=100,plateau=0.001,target=0.1"
  std::string budget;        // "wall=8h,failures=5,gpu_hours=16"
  std::string resources;     // "gpus=1,cpus=2,gpu_memory=16GiB,labels.zone=a,placement=spread"
  std::string args;          // "gnu", "hydra", ...
  std::string workdir;
  std::vector<std::string> env;      // "LR=${lr}"
  std::vector<std::string> collect;  // "auto", "json", or a regex with named groups
  // What stands after "--". Where it has no ${args} and no ${NAME}, ${args} is appended, unless
  // `args` is "none".
  std::vector<std::string> command;
};

// The validated spec, or nullopt and what is wrong. Fields of the problems are the sweep file's
// ("parameters.lr.uniform", "scheduler.max_t"), so that one table explains both.
std::optional<SweepSpec> SpecFromFlags(const QuickFlags& flags, Problems* problems);

}  // namespace tunesmith
