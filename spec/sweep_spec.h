// What a user asks for: one sweep, as plain data. A sweep file, command line flags and a gRPC request all become this
// struct; it is checked in one place (Validate) and journaled as it is.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/problem.h"
#include "schedulers/scheduler.h"
#include "search/searcher.h"
#include "search/space/space.h"

namespace tunesmith {

// How parameters reach a command where it says ${args}.
enum class ArgStyle : uint8_t {
  kGnu,        // --lr=0.1
  kSpaced,     // --lr 0.1
  kHydra,      // lr=0.1
  kSingleDash, // -lr 0.1
  kNone,       // ${args} gives nothing; the program reads ${lr}, the environment or TUNESMITH_CONFIG
};

// "gnu", "spaced", "hydra", "single-dash", "none" as in the sweep file.
std::string_view ArgStyleName(ArgStyle style);
std::optional<ArgStyle> ArgStyleFromName(std::string_view name);
std::vector<std::string> ArgStyleNames();

// What a trial runs: either a command or a built-in trainable.
struct ProgramSpec {
  // argv, never a shell. Elements may hold ${args} (alone: expands to one element per parameter), ${NAME} (a
  // parameter), ${trial}, ${sweep}, ${attempt}, ${seed}, ${config}, ${checkpoint_dir}, and $$ for a dollar sign.
  std::vector<std::string> command;
  ArgStyle args = ArgStyle::kGnu;
  std::string workdir;                             // absolute; "" = a folder of the attempt's own
  std::vector<std::pair<std::string, std::string>> env;  // values may hold ${NAME}

  std::string builtin;                             // "mlp", "lenet"; "" if `command` is given
  std::vector<std::pair<std::string, Value>> options;    // the fixed options of a built-in trainable
  friend bool operator==(const ProgramSpec&, const ProgramSpec&) = default;
};

// Where measurements come from, tried on every line in this order. The SDK's channel is always open.
struct CollectRule {
  enum class Kind : uint8_t {
    kAuto,   // JSON objects, `name=value` and `name: value` pairs on stdout
    kJson,   // JSON objects on stdout only
    kRegex,  // RE2 with named groups: (?P<loss>...); a group named step or epoch is the step
  };
  Kind kind = Kind::kAuto;
  std::string regex;
  friend bool operator==(const CollectRule&, const CollectRule&) = default;
};

// One of several.
struct Objective {
  std::string metric;
  Goal goal = Goal::kMin;
  friend bool operator==(const Objective&, const Objective&) = default;
};

struct SearchSpec {
  std::string type = "auto";
  std::string metric;
  Goal goal = Goal::kMin;
  std::vector<Objective> objectives;  // several: two at least, `metric` and `goal` being the first; empty: one
  std::vector<std::string> require;   // METRIC OP NUMBER (requirement.h): what a trial has to meet to count
  std::optional<uint64_t> seed;  // the controller draws one if absent, and journals it
  std::vector<std::pair<std::string, Value>> options;
  std::vector<std::string> warm_start;  // ids of earlier sweeps on the same controller, whose trials it starts from
  friend bool operator==(const SearchSpec&, const SearchSpec&) = default;
};

struct SchedulerSpec {
  std::string type = "fifo";
  std::string metric;            // "" = the searcher's
  Goal goal = Goal::kMin;
  int64_t max_t = 0;             // 0 = not given: the type's own
  double grace_period = 1;
  std::optional<double> reduction_factor = {};  // the type's own if absent
  int32_t brackets = 1;
  int32_t min_samples_required = 3;
  bool stop_last_trials = true;
  bool promotion = false;        // asha: pause at rungs and let the best go on
  bool compat_ray = false;
  PbtOptions pbt = {};
  friend bool operator==(const SchedulerSpec&, const SchedulerSpec&) = default;
};

enum class Placement : uint8_t { kPack, kSpread };

struct ResourceSpec {
  double gpus = 0;               // whole numbers, or a fraction below 1 to share one device
  // Where no worker has a GPU, run on the CPU instead of waiting for one.
  bool gpus_optional = false;
  int32_t cpus = 1;              // of all ranks together, as `gpus` are
  int64_t gpu_memory_bytes = 0;  // that each device must have at least, used or not; 0 = any
  std::map<std::string, std::string> labels = {};  // that the worker must have
  Placement placement = Placement::kPack;          // where it fits most tightly, or on the emptiest worker
  int32_t ranks = 1;             // processes of a trial, with torchrun's variables
  friend bool operator==(const ResourceSpec&, const ResourceSpec&) = default;
};

struct BudgetSpec {
  int64_t trials = 0;            // required: number of points (times the grid's cells for random with grids)
  int64_t wall_ms = 0;           // 0 = no limit
  int64_t failures = 0;          // give up after so many failed trials; 0 = never
  int32_t max_parallel = 0;      // 0 = as many as fit
  double gpu_hours = 0;          // of all attempts, each its GPUs times its time; 0 = no limit
  friend bool operator==(const BudgetSpec&, const BudgetSpec&) = default;
};

// Whether trials may be sent back to the queue for a sweep of higher priority.
enum class Preemptible : uint8_t {
  kCheckpoint,  // those that have named a checkpoint, from which they go on
  kNever,
  kAlways,      // others too, which begin anew
};
// "checkpoint", "never", "always" as in the sweep file.
const char* PreemptibleName(Preemptible preemptible);
std::optional<Preemptible> PreemptibleFromName(std::string_view name);

// What the sweep gets of the workers beside other sweeps.
struct ShareSpec {
  int32_t priority = 0;          // the higher one goes first
  double weight = 1;             // among equals: of what there is, in proportion
  Preemptible preemptible = Preemptible::kCheckpoint;
  friend bool operator==(const ShareSpec&, const ShareSpec&) = default;
};

// A trial whose metric has stopped to change has completed.
struct PlateauSpec {
  std::string metric;            // "" = the searcher's
  double std = 0.01;             // less than this standard deviation of the last num_results values is no change
  int32_t num_results = 4;
  int32_t grace_period = 4;      // values before the first look
  friend bool operator==(const PlateauSpec&, const PlateauSpec&) = default;
};

// What ends trials, or the sweep, whatever the scheduler says. It is asked BEFORE the scheduler.
struct StopSpec {
  int64_t max_steps = 0;         // a trial that reports this step has completed; 0 = no limit
  std::optional<PlateauSpec> plateau = {};
  std::optional<double> target = {};  // of the searcher's metric: a trial that is as good ends the sweep
  friend bool operator==(const StopSpec&, const StopSpec&) = default;
};

struct RetrySpec {
  int32_t failed = 0;            // more attempts after the program failed
  int32_t lost = 5;              // more attempts after machine trouble
  friend bool operator==(const RetrySpec&, const RetrySpec&) = default;
};

// Of which checkpoints the controller keeps copies, so that a trial can go on on any worker.
struct CheckpointSpec {
  bool store = true;             // keep copies at all
  bool keep_best = true;         // of each trial the best one too, not the last one alone
  bool keep_stopped = false;     // also of trials that were stopped early
  int64_t max_bytes = 0;         // of all copies of the sweep; 0 = no limit
  friend bool operator==(const CheckpointSpec&, const CheckpointSpec&) = default;
};

struct SweepSpec {
  std::string name;
  ProgramSpec program;
  std::vector<Parameter> parameters;
  std::vector<std::string> constraints;              // over the parameters; every point meets all (constraint.h)
  SearchSpec search;
  SchedulerSpec scheduler;
  BudgetSpec budget;
  ResourceSpec resources;
  ShareSpec share;
  RetrySpec retry;
  CheckpointSpec checkpoints;
  StopSpec stop;
  std::vector<CollectRule> collect;                  // empty = one kAuto
  int64_t stop_grace_ms = 10'000;                    // SIGTERM to SIGKILL
  std::vector<std::vector<std::pair<std::string, Value>>> points;  // run these first; missing parameters are drawn
  std::vector<std::string> parameter_columns;        // for the table; empty = all
  std::vector<std::string> metric_columns;           // empty = the declared metrics, then others as they appear
  // Each point is run so many times, with different seeds, and judged by the mean: for noisy objectives.
  int32_t repeats = 1;
  bool ask_tell = false;                             // trials are run by programs that ask; nothing is dispatched
  friend bool operator==(const SweepSpec&, const SweepSpec&) = default;
};

// The scheduler's metric and goal, which default to the searcher's.
const std::string& SchedulerMetric(const SweepSpec& spec);
Goal SchedulerGoal(const SweepSpec& spec);

const std::string& PlateauMetric(const SweepSpec& spec);  // with stop.plateau

// The last step of a trial, by the scheduler or by stop.max_steps; 0 = no limit.
int64_t LastStepOf(const SweepSpec& spec);

// What Explain says, with the name of the metric that the verdict is about.
std::string ExplainVerdict(const SweepSpec& spec, const Verdict& verdict);

SearcherOptions SearcherOptionsOf(const SweepSpec& spec, uint64_t seed);
SchedulerOptions SchedulerOptionsOf(const SweepSpec& spec, uint64_t seed);

// Everything that is wrong with the spec, all at once: names, space, searcher and scheduler options, metric named,
// budget present, program present (unless ask_tell), regexes compile, points inside the space, resources sensible.
// Fields are paths of the sweep file ("parameters.lr.loguniform", "scheduler.max_t", "points[2].lr",
// "constraints[0]").
Problems Validate(const SweepSpec& spec);

// What is wrong with a share or a limit of trials at once, which may change while the sweep runs.
Problems ValidateShare(const ShareSpec& share, int32_t max_parallel);

// Canonical JSON of the spec: what `show -o json`, exports and the journal hold. Parse(ToJson(spec)) == spec.
std::string SweepSpecToJson(const SweepSpec& spec);

// A position in a sweep file, counted from 1.
struct Position {
  int line = 0;
  int column = 0;
};

struct FileProblem {
  Position at;       // line 0: no place to point at
  Problem problem;
};

// Reads a sweep file: YAML 1.2, or JSON with comments and trailing commas. On success the spec has passed Validate.
// On failure `problems` is not empty and names line, field, reason and fix; nothing is thrown, whatever the bytes are.
std::optional<SweepSpec> ParseSweepFile(std::string_view text, std::vector<FileProblem>* problems);

// Reads the scheduler that a file describes: a sweep file, one whose only key is `scheduler`, or one with the content
// of that section. The last two name their metric, unless there is `lent`, which is taken where they name none. Of the
// spec only what SchedulerOptionsOf and SchedulerMetric take, and the seed, mean something.
std::optional<SweepSpec> ParseSchedulerFile(std::string_view text, std::vector<FileProblem>* problems,
                                            const Objective* lent = nullptr);

// One `--param NAME=DISTRIBUTION(...)` of the command line, e.g. "lr=loguniform(1e-5,1e-1)", "bs=choice(32,64)",
// "momentum=uniform(0.5,0.99) when optimizer=sgd".
// Conditions name their parents (Condition::on).
std::optional<Parameter> ParseParameterFlag(std::string_view text, Problems* problems);

// "sweep.yaml:12: parameters.lr.loguniform: lower bound 0 must be greater than 0 (use ...)".
std::string FormatProblem(const std::string& file, const FileProblem& problem);

}  // namespace tunesmith
