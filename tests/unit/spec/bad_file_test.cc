#include <chrono>

#include "common/limits.h"
#include "tests/unit/spec/read.h"

namespace tunesmith {
namespace {

struct Bad {
  const char* what;
  const char* text;      // of the file, after kHead unless `whole`
  const char* expected;  // FormatProblem of the first problem
  bool whole = false;
};

// Four lines that are right.
constexpr char kHead[] =
    "trainable: mlp\nmetric: {name: loss, mode: min}\ntrials: 3\nsearch: random\n";

constexpr Bad kBad[] = {
    {"an unknown key", "sheduler: asha\n",
     "f:5: sheduler: unknown key \"sheduler\" (did you mean \"scheduler\"?)"},
    {"another tuner's key", "num_samples: 3\n",
     "f:5: num_samples: unknown key \"num_samples\" (did you mean \"trials\"?)"},
    {"an unknown key inside", "resources:\n  cpus: 1\n  gpu: 1\n",
     "f:7: resources.gpu: unknown key \"gpu\" (did you mean \"gpus\"?)"},
    {"a misspelt distribution", "parameters:\n  x: 1\n  lr: {unifrom: [0, 1]}\n",
     "f:7: parameters.lr.unifrom: unknown distribution \"unifrom\" (did you mean \"uniform\"?)"},
    {"another tuner's distribution", "parameters: {lr: {values: [0, 1]}}\n",
     "f:5: parameters.lr.values: unknown distribution \"values\" (use choice: [...])"},
    {"bounds as keys", "parameters: {lr: {min: 0, max: 1}}\n",
     "f:5: parameters.lr.min: unknown distribution \"min\" (use uniform: [lower, upper], or "
     "loguniform, or randint for integers)"},
    {"two distributions", "parameters:\n  lr:\n    uniform: [0, 1]\n    choice: [1]\n",
     "f:8: parameters.lr.choice: two distributions, uniform and choice (keep one of them)"},
    {"an empty choice", "parameters:\n  x: {choice: []}\n",
     "f:6: parameters.x.choice: the list of values is empty (give at least one value)"},
    {"reversed bounds", "parameters:\n  x: {uniform: [2, 1]}\n",
     "f:6: parameters.x.uniform: lower bound 2 is above the upper bound 1 (swap them: [1, 2])"},
    {"a log bound of 0", "parameters:\n  x: {loguniform: [0, 1]}\n",
     "f:6: parameters.x.loguniform: lower bound 0 must be greater than 0 (use uniform, or a small "
     "bound such as 1e-6)"},
    {"a quoted bound", "parameters:\n  x: {uniform: [\"1e-5\", 1]}\n",
     "f:6: parameters.x.uniform: here stands the text \"1e-5\", not a number (remove the quotes)"},
    {"a missing bound", "parameters:\n  x: {uniform: [1]}\n",
     "f:6: parameters.x.uniform: uniform takes 2 numbers, not 1 (write uniform: [lower, upper])"},
    {"a step too many", "parameters:\n  x: {uniform: [0, 1, 0.1]}\n",
     "f:6: parameters.x.uniform: uniform takes 2 numbers, not 3 (use quniform for a step, or write "
     "uniform: [lower, upper])"},
    {"a parameter without anything", "parameters:\n  x:\n",
     "f:6: parameters.x: the parameter has no distribution (write {uniform: [0, 1]}, or a value)"},
    {"when on nothing",
     "parameters:\n  opt: {choice: [sgd]}\n  x: {uniform: [0, 1], when: {opti: sgd}}\n",
     "f:7: parameters.x.when: there is no parameter \"opti\" (did you mean \"opt\"?)"},
    {"when on a value that cannot be",
     "parameters:\n  opt: {choice: [sgd, adam]}\n  x: {uniform: [0, 1], when: {opt: sdg}}\n",
     "f:7: parameters.x.when: \"opt\" can never be \"sdg\": \"sdg\" is not one of its 2 values "
     "(\"sgd\", \"adam\") (did you mean \"sgd\"?)"},
    {"a metric without a goal", "trainable: mlp\ntrials: 3\nmetrics:\n  - loss:min\n  - accuracy\n",
     "f:5: metrics[1]: is a small or a large accuracy good? (write accuracy:min or accuracy:max)", true},
    {"a wrong requirement", "trainable: mlp\ntrials: 3\nmetric: loss:min\nsearch:\n  require: [a < 3, b = 4]\n",
     "f:5: search.require[1]: \"b = 4\" has no <, <=, > or >= (a measured number hardly ever equals a given one)",
     true},
    {"one of several metrics", "trainable: mlp\ntrials: 3\nmetrics: [loss:min]\n",
     "f:3: metrics: 1 is not a number of objectives (give at least two, or one as metric: loss:min)", true},
    {"a metric twice", "trainable: mlp\ntrials: 3\nmetrics: [loss:min, loss:max]\n",
     "f:3: metrics[1]: the metric \"loss\" is named twice (name each once)", true},
    {"a metric and metrics", "metrics: [loss:min, acc:max]\n",
     "f:2: metric.name: metrics names the metrics already (keep one of them)"},
    {"asha without a metric of its own",
     "trainable: mlp\ntrials: 3\nmetrics: [loss:min, acc:max]\nscheduler: {type: asha, max_t: 9}\n",
     "f:4: scheduler.metric: the search has several metrics, and asha compares trials by one (name it: metric: loss)",
     true},
    {"a constraint on nothing", "parameters: {lr: {uniform: [0, 1]}}\nconstraints:\n  - lr < 0.5\n  - rl > 0.1\n",
     "f:8: constraints[1]: column 1: there is no parameter \"rl\" (did you mean \"lr\"?)"},
    {"a constraint that is no condition", "parameters: {lr: {uniform: [0, 1]}}\nconstraints: lr\n",
     "f:6: constraints[0]: column 1: \"lr\" is a number, not a condition (compare it with something, such as <= 1024)"},
    {"a constraint that is an object", "constraints: {a: 1}\n",
     "f:5: constraints[0]: here stands an object, not text (write text)"},
    {"constraints that no point meets", "parameters: {n: {randint: [0, 9]}}\nconstraints: [n < 9, n > 8]\n",
     "f:6: constraints[1]: no point of the space meets \"n > 8\" (relax it, or widen the ranges of its parameters)"},
    {"a point that a constraint forbids",
     "parameters: {n: {randint: [0, 9]}}\nconstraints: [n < 5]\npoints: [{n: 4}, {n: 7}]\n",
     "f:7: points[1].n: the constraint \"n < 5\" is not met (change the values, or leave one of them out)"},
    {"when with or",
     "parameters:\n  opt: {choice: [a, b]}\n  x: {uniform: [0, 1], when: opt == a or opt == b}\n",
     "f:7: parameters.x.when: conditions cannot be joined by \"or\" (list the values: optimizer in "
     "[sgd, rmsprop])"},
    {"branches that look alike", "parameters:\n  h: {choice: [{w: {uniform: [0, 1]}}, {v: 1}]}\n",
     "f:6: parameters.h.choice: nothing tells these objects apart (give each a key with a "
     "different constant, such as `type`, or use `when`)"},
    {"branches that clash",
     "parameters:\n  h: {choice: [{type: a, w: {uniform: [0, 1]}}, {type: b, w: {uniform: [0, "
     "2]}}]}\n",
     "f:6: parameters.h/w: two branches declare \"h/w\" differently (give them different names, or "
     "use `when`)"},
    {"a nameless distribution in a list", "parameters:\n  h: {choice: [{uniform: [0, 1]}, 3]}\n",
     "f:6: parameters.h.choice: a distribution among the values has no name of its own (write "
     "objects of named parameters: choice: "
     "[{type: a, w: {uniform: [0, 1]}}, {type: b}])"},
    {"a number beyond 64 bits", "parameters:\n  x: {choice: [99999999999999999999]}\n",
     "f:6: parameters.x.choice: the integer 99999999999999999999 does not fit in 64 bits (quote it "
     "to pass it as text)"},
    {"yes for true", "resources: {gpus_optional: yes}\n",
     "f:5: resources.gpus_optional: here stands the text \"yes\", not true or false (write true)"},
    {"a fraction above one GPU", "resources: {gpus: 1.5}\n",
     "f:5: resources.gpus: 1.5 is neither whole nor below 1 (use 2)"},
    {"no amount of memory", "resources: {gpus: 1, gpu_memory: 16 giraffes}\n",
     "f:5: resources.gpu_memory: here stands the text \"16 giraffes\", not an amount of memory (write 16GiB, 16GB or "
     "512MiB)"},
    {"memory without a GPU", "resources: {gpu_memory: 16GiB}\n",
     "f:5: resources.gpu_memory: no GPU is asked for (set resources.gpus as well, or leave gpu_memory out)"},
    {"a label that is a list", "resources: {labels: {zone: [a]}}\n",
     "f:5: resources.labels.zone: here stands a list of 1, not a label's value (write key: value)"},
    {"no such placement", "resources: {placement: tight}\n",
     "f:5: resources.placement: there is no placement \"tight\" (write pack (where it leaves the least over) or spread "
     "(the emptiest worker))"},
    {"CPUs that are not shared out evenly", "resources: {ranks: 2, cpus: 3}\n",
     "f:5: resources.cpus: 3 are not shared out evenly over 2 ranks (use cpus_per_rank)"},
    {"GPUs that are not shared out evenly", "resources: {ranks: 2, gpus: 0.5}\n",
     "f:5: resources.gpus: 0.5 are not shared out evenly over 2 ranks (use gpus_per_rank)"},
    {"too many CPUs in all", "resources: {ranks: 4000, cpus_per_rank: 2000000}\n",
     "f:5: resources.cpus_per_rank: 2147483647 is out of range (use 1 to 4096)"},
    {"no ranks", "resources: {ranks: 0}\n", "f:5: resources.ranks: 0 is out of range (use 1 to 4096)"},
    {"two ways to say one thing", "resources: {ranks: 2, gpus: 2, gpus_per_rank: 1}\n",
     "f:5: resources.gpus_per_rank: the same is said by resources.gpus (keep one of them)"},
    {"a list for an object", "resources: [1]\n",
     "f:5: resources: here stands a list of 1, not an object (write \"key: value\" lines; the keys "
     "are gpus, gpus_per_rank, gpus_optional, cpus, cpus_per_rank, ranks, gpu_memory, labels, placement)"},
    {"no room for checkpoints", "checkpoints: {max_gb: 0}\n",
     "f:5: checkpoints.max_gb: no room of that size can be kept (use gigabytes, more than 0 and at most 1000000, or "
     "leave it out: no limit)"},
    {"more retries than can be counted", "retry: {lost: 300}\n",
     "f:5: retry.lost: 300 is more than 200 (use 0 to 10; what fails that often fails again)"},
    {"a wrong time span", "stop: {grace: soon}\n",
     "f:5: stop.grace: here stands the text \"soon\", not a time span (write 60s, 30m, 8h or "
     "1h30m)"},
    {"an unknown scheduler", "scheduler: {type: ahsa}\n",
     "f:5: scheduler.type: unknown scheduler \"ahsa\" (did you mean asha?)"},
    {"a median of nothing", "scheduler: {type: median, min_samples_required: 0}\n",
     "f:5: scheduler.min_samples_required: 0 is less than 1 (give the number of other trials that a "
     "median needs, e.g. 3)"},
    {"Optuna's word for it", "scheduler: {type: median, n_min_trials: 2}\n",
     "f:5: scheduler.n_min_trials: unknown key \"n_min_trials\" (did you mean "
     "\"min_samples_required\"?)"},
    {"a part of a step", "scheduler: {type: median, grace_period: 2.5}\n",
     "f:5: scheduler.grace_period: 2.5 is not a whole number of steps (use 3, or compat: ray, where "
     "a fraction is allowed)"},
    {"the scheduler's goal missing", "scheduler: {type: asha, metric: acc}\n",
     "f:5: scheduler.mode: is a small or a large acc good? (add mode: min, or mode: max)"},
    {"the scheduler's goal against the searcher's", "scheduler: {type: asha, mode: max}\n",
     "f:5: scheduler.mode: the scheduler follows the searcher's metric loss, but the other way "
     "(name the scheduler's own metric too)"},
    {"a regex that does not compile", "collect:\n  - json\n  - {regex: 'loss=(?<loss>x)'}\n",
     "f:7: collect[1].regex: the regex does not compile: invalid perl operator: (?< (name a group "
     "by (?P<loss>...))"},
    {"a regex without a metric", "collect: [{regex: '(?P<step>x)'}]\n",
     "f:5: collect[0].regex: no group is named, so it finds no metric (name a group by the metric: "
     "loss=(?P<loss>\\S+))"},
    {"a point outside the space",
     "parameters: {x: {uniform: [0, 1]}}\npoints:\n  - {x: 0.5}\n  - {x: 2}\n",
     "f:8: points[1].x: 2 is not below the upper bound 1.0 (exclusive) (give a value that the "
     "parameter can take)"},
    {"a point of no parameter", "parameters: {lr: {uniform: [0, 1]}}\npoints: [{rl: 0.5}]\n",
     "f:6: points[0].rl: the space has no parameter \"rl\" (did you mean \"lr\"?)"},
    {"a column of no parameter",
     "parameters: {lr: {uniform: [0, 1]}}\nreport:\n  parameters: [rl]\n",
     "f:7: report.parameters[0]: there is no parameter \"rl\" (did you mean \"lr\"?)"},
    {"the same key twice", "parameters:\n  x: 1\n  x: 2\n",
     "f:7: the key \"x\" stands here again, after line 6 (keep one of them)"},
    {"both a command and a trainable", "command: [a]\n",
     "f:1: trainable: both a command and a built-in trainable are given (keep one of them)"},
    {"a sweep to start from that is named twice",
     "trainable: mlp\nmetric: loss:min\ntrials: 3\nsearch: {type: random, warm_start: [a, b, a]}\n",
     "f:4: search.warm_start: the sweep is named twice (keep one of them)", true},
    {"no name of a sweep to start from",
     "trainable: mlp\nmetric: loss:min\ntrials: 3\nsearch:\n  type: random\n  warm_start: ''\n",
     "f:6: search.warm_start: the sweep has no name (name a sweep; tunesmith ls lists them)", true},
    {"no run at all", "repeats: 0\n",
     "f:5: repeats: 0 is not between 1 and 100 (use 3 to 10 for a noisy objective, or leave it out)"},
    {"more runs than the limit",
     "trainable: mlp\nmetric: loss:min\nsearch: random\ntrials: 5000000\nparameters: {x: {uniform: [0, 1]}}\n"
     "repeats: 100\n",
     "f:6: repeats: 5000000 points of 100 trials each are more than the limit of 10000000 (use fewer points or fewer "
     "repeats)",
     true},
    {"the budget said twice", "budget: {trials: 3}\n",
     "f:5: budget.trials: the same is said by trials (keep one of them)"},
    {"two metrics", "parameters: {lr: {uniform: [0, 1]}}\nscheduler: {type: asha, max_t: 0}\n",
     "f:6: scheduler.max_t: 0 is out of range (use an integer from 1 to 9223372036854775807)"},
    {"an option that the searcher does not have",
     "parameters: {lr: {uniform: [0, 1]}}\nbudget: {wall: -5s}\n",
     "f:6: budget.wall: here stands the text \"-5s\", not a time span (write 60s, 30m, 8h or "
     "1h30m)"},

    {"a searcher of numbers alone",
     "trainable: mlp\ntrials: 3\nmetric: loss:min\nsearch: cmaes\nparameters:\n  act: {choice: [relu, tanh]}\n",
     "f:6: parameters.act.choice: cmaes searches numbers, and choice has none (set the search type to auto, or give a "
     "range)",
     true},
    {"a misspelt compatibility",
     "trainable: mlp\ntrials: 3\nmetric: loss:min\nparameters: {x: {uniform: [0, 1]}}\n"
     "search:\n  type: tpe\n  compat: hyperotp\n",
     "f:7: search.compat: \"hyperotp\" is not hyperopt (did you mean \"hyperopt\"?)", true},
    {"a number out of range for the searcher",
     "trainable: mlp\ntrials: 3\nmetric: loss:min\nparameters: {x: {uniform: [0, 1]}}\n"
     "search: {type: cmaes, sigma: 2}\n",
     "f:5: search.sigma: 2 is not a number from 0.001 to 1.0 (leave it out for 0.3)", true},
    {"no metric", "trainable: mlp\ntrials: 3\n",
     "f: search.metric: no metric is named, so no trial is better than another (add metric: {name: "
     "loss, mode: min})",
     true},
    {"no goal", "trainable: mlp\ntrials: 3\nmetric:\n  name: acc\n",
     "f:3: metric.mode: is a small or a large acc good? (add mode: min, or mode: max)", true},
    {"no budget", "trainable: mlp\nmetric: loss:min\n",
     "f: budget.trials: no budget is given (add trials: 50)", true},
    {"no trials", "trainable: mlp\nmetric: loss:min\ntrials: 0\n",
     "f:3: trials: 0 is out of range (use an integer from 1 to 10000000)", true},
    {"nothing to run", "metric: loss:min\ntrials: 3\n",
     "f: command: there is nothing to run (add command: [python3, train.py, \"${args}\"], or "
     "trainable: {builtin: mlp})",
     true},
    {"an unknown name in the command",
     "metric: loss:min\ntrials: 3\nparameters: {lr: {uniform: [0, 1]}}\ncommand:\n  - a\n  - "
     "--lr=${lrr}\n",
     "f:6: command[1]: ${lrr} names no parameter (did you mean ${lr}?)", true},
    {"an unknown name in the environment",
     "metric: loss:min\ntrials: 3\ncommand: a ${trial}\nenv:\n  LR: ${lr}\n",
     "f:5: env.LR: ${lr} names no parameter (declare the parameter, or use one of ${args}, "
     "${trial}, ${sweep}, ${attempt}, ${seed}, "
     "${config}, ${checkpoint_dir})",
     true},
    {"parameters that reach nobody",
     "metric: loss:min\ntrials: 3\nparameters: {lr: {uniform: [0, 1]}}\ncommand: [a, b]\n",
     "f:4: command: no parameter reaches the program (add \"${args}\", or ${NAME} for single ones; "
     "if it reads the file that TUNESMITH_CONFIG "
     "names, say args: none)",
     true},
    {"args inside a word",
     "metric: loss:min\ntrials: 3\nparameters: {lr: {uniform: [0, 1]}}\ncommand: [a, \"x "
     "${args}\"]\n",
     "f:4: command[1]: ${args} has to stand alone, since it becomes several arguments (make it an "
     "element of its own: \"${args}\")",
     true},
    {"two parameters of one flag",
     "metric: loss:min\ntrials: 3\ncommand: a ${args}\nparameters:\n  a.b: {uniform: [0, 1]}\n  a: "
     "{b: {uniform: [0, 1]}}\n",
     "f:6: parameters.a/b: the flag --a.b is already that of \"a.b\" (rename one of them)", true},
    {"a flag that the command gives too",
     "metric: loss:min\ntrials: 3\ncommand: a --lr=3 ${args}\nparameters: {lr: {uniform: [0, "
     "1]}}\n",
     "f:3: command[1]: --lr is given here and by ${args} (remove it here, or remove the parameter "
     "\"lr\")",
     true},
    {"a shell's pipe",
     "metric: loss:min\ntrials: 3\ncommand: a ${args} | tee log\nparameters: {lr: {uniform: [0, "
     "1]}}\n",
     "f:3: command: no shell runs the command, so \"|\" would be an argument (write command: [sh, "
     "-c, \"...\"] if you want a shell)",
     true},
    {"an option given twice to a trainable",
     "metric: loss:min\ntrials: 3\ntrainable:\n  builtin: mlp\n  learning_rate: 1\nparameters:\n  "
     "LearningRate: {uniform: [0, 1]}\n",
     "f:7: parameters.LearningRate: the trainable's option is already given by "
     "trainable.learning_rate (keep one of them)",
     true},
    {"a parameter that the trainable's name fixes",
     "metric: loss:min\ntrials: 3\ntrainable: mlp\nparameters:\n  model: {choice: [mlp, lenet]}\n",
     "f:5: parameters.model: the trainable's option is already given by trainable.builtin (keep "
     "one of them)",
     true},
    {"a name of two things",
     "metric: loss:min\ntrials: 3\nparameters: {seed: {randint: [1, 9]}}\ncommand: a "
     "--seed=${seed}\n",
     "f:4: command[1]: ${seed} names both a parameter and something of the trial (rename the "
     "parameter, or pass it by ${args} alone)",
     true},
    {"an unknown trainable", "metric: loss:min\ntrials: 3\ntrainable: lenett\n",
     "f:3: trainable.builtin: there is no built-in trainable \"lenett\" (did you mean \"lenet\"?)",
     true},
    {"an unknown style", "metric: loss:min\ntrials: 3\ncommand: a\nargs: gnuu\n",
     "f:4: args: there is no argument style \"gnuu\" (did you mean \"gnu\"?)", true},
    {"a word for preemption that is none", "metric: loss:min\ntrials: 3\ncommand: a\npreemptible: yes\n",
     "f:4: preemptible: \"yes\" does not say when trials may be preempted (use checkpoint (those that have named "
     "one), always or never)",
     true},
    {"a priority beyond all", "metric: loss:min\ntrials: 3\ncommand: a\npriority: 1000001\n",
     "f:4: priority: 1000001 is not between -1000000 and 1000000 (use 0 for an ordinary sweep, more for an urgent "
     "one, less for one that can wait)",
     true},
    {"a weight of nothing", "metric: loss:min\ntrials: 3\ncommand: a\nweight: 0\n",
     "f:4: weight: 0.0 is not above 0 and at most 1e+06 (use 1 for an ordinary sweep, 2 for twice its share)", true},
    {"an empty file", "",
     "f: the file is empty (write at least command, parameters, metric and trials)", true},
    {"only text", "hello",
     "f: here stands the text \"hello\", not an object (write \"key: value\" lines; the keys are "
     "name, command, trainable, "
     "args, workdir, env, parameters, constraints, metric, metrics, search, scheduler, trials, max_parallel, "
     "priority, weight, preemptible, repeats, budget, "
     "resources, retry, checkpoints, stop, collect, points, report, "
     "ask_tell, $schema)",
     true},
    {"a tab", "parameters:\n\tx: 1\n", "f:2: the line is indented with a tab (YAML wants spaces)",
     true},
    {"an open bracket", "parameters: {x: [1, 2\ntrials: 3\n",
     "f:2: a '[' is not closed, or a ',' is missing", true},
    {"a colon too many", "name: a: b\n",
     "f:1: a ':' where no key can stand (check the indentation, and quote text that holds ': ')",
     true},
    {"two documents", "trials: 3\n---\ntrials: 4\n",
     "f:2: a second document begins here (put one sweep in one file)", true},
    {"a tag", "name: !!python/object x\n",
     "f:1: the tag tag:yaml.org,2002:python/object is not supported (remove it; quote what is to "
     "be text)",
     true},
    {"a list as a key", "? [a, b]\n: 1\n",
     "f:1: a key of an object is a list or an object (use a word as the key)", true},
    {"a recursive alias", "a: &a [*a]\n",
     "f:1: the alias stands inside what it refers to (write the value out)", true},
    {"bytes that are not UTF-8", "name: \xff\xfe\n",
     "f:1: byte 255 is not UTF-8 (save the file as UTF-8 text)", true},
    {"a program",
     "trials: 3\n\x7f"
     "ELF\x02\x01",
     "f:2: a control character (byte 127): this is not a text file (a sweep file is YAML or JSON "
     "in UTF-8)",
     true},
    {"an endless comment", "{\n/* here",
     "f:2: the comment that begins here does not end (end it with */)", true},
};

// What is wrong with a scheduler of Population Based Training, in the last line of a file that is right else.
TEST(BadFileTest, PbtSaysWhatIsWrong) {
  const std::string head = std::string(kHead) + "parameters: {epochs: 5, lr: {loguniform: [1e-4, 1e-1]}, "
                                                "opt: {choice: [sgd, adam]}}\nscheduler: {type: pbt, ";
  const auto told = [&](const std::string& options) {
    const auto problems = ReadBad(head + options + "}\n");
    return problems.empty() ? std::string() : FormatProblem("f", problems[0]);
  };
  EXPECT_EQ(told("max_t: 9"),
            "f:6: scheduler.perturbation_interval: it is not said when trials are compared "
            "(add perturbation_interval: 5, in steps; a trial should save a checkpoint as often)");
  EXPECT_EQ(told("perturbation_interval: 2.5"),
            "f:6: scheduler.perturbation_interval: here stands 2.5, not an integer (write an integer)");
  EXPECT_EQ(told("perturbation_interval: 5, quantile_fraction: 0.7"),
            "f:6: scheduler.quantile_fraction: 0.7 is not between 0 and 0.5 "
            "(use 0.25: the worst quarter takes over from the best quarter)");
  EXPECT_EQ(told("perturbation_interval: 5, perturbation_factors: 2"),
            "f:6: scheduler.perturbation_factors: here stands 2, not a list of numbers (write [1.2, 0.8])");
  EXPECT_EQ(told("perturbation_interval: 5, mutations: [lr, op]"),
            "f:6: scheduler.mutations.op: there is no parameter of this name (did you mean opt?)");
  EXPECT_EQ(told("perturbation_interval: 5, mutations: [epochs]"),
            "f:6: scheduler.mutations.epochs: the parameter is constant "
            "(give it a distribution in parameters, or leave it out)");
  EXPECT_EQ(told("perturbation_interval: 5, mutations: {opt: [sgd, lamb]}"),
            "f:6: scheduler.mutations.opt: its parameter does not take every value: \"lamb\" is not one of its 2 "
            "values (\"sgd\", \"adam\") (use values that it takes)");
  EXPECT_EQ(told("perturbation_interval: 5, mutations: {lr: {unifrom: [0, 1]}}"),
            "f:6: scheduler.mutations.lr.unifrom: unknown distribution \"unifrom\" (did you mean \"uniform\"?)");
  EXPECT_EQ(told("perturbation_interval: 5, compat: ray"),
            "f:6: scheduler.mutations: compat: ray perturbs what it is told to (hyperparam_mutations), and nothing is "
            "named (add mutations: [lr])");
  EXPECT_EQ(told("perturbation_interval: 5, compat: ray, mutations: [opt]"),
            "f:6: scheduler.mutations.opt: with compat: ray a value that is not from a list is multiplied, and not all "
            "of these are numbers (give its values as a list)");
  EXPECT_EQ(told("perturbation_interval: 5}\nrepeats: 2\nreport: {metrics: [loss]"),
            "f:7: repeats: pbt changes the point of a trial as it runs, and repeats are trials of one point "
            "(leave repeats out, or use another scheduler)");
  EXPECT_EQ(told("perturbation_interval: 5}\ncheckpoints: {store: false"),
            "f:7: checkpoints.store: pbt hands checkpoints from trial to trial, through the copies that the controller "
            "keeps (leave it out, or use another scheduler)");
  const auto other = ReadBad(std::string(kHead) + "parameters: {lr: {uniform: [0, 1]}}\n"
                                                  "scheduler: {type: asha, quantile_fraction: 0.3}\n");
  ASSERT_EQ(other.size(), 1U) << Lines(other);
  EXPECT_EQ(other[0].problem.field, "scheduler.type");
}

TEST(BadFileTest, EachMistakeHasLineFieldReasonAndFix) {
  for (const Bad& bad : kBad) {
    const auto problems =
        ReadBad(bad.whole ? std::string(bad.text) : kHead + std::string(bad.text));
    ASSERT_FALSE(problems.empty()) << bad.what;
    EXPECT_EQ(FormatProblem("f", problems[0]), bad.expected) << bad.what << "\n" << Lines(problems);
    EXPECT_LE(problems.size(), 2U) << bad.what << "\n" << Lines(problems);
  }
}

TEST(BadFileTest, EveryMistakeOfAFileIsToldAtOnceInItsOrder) {
  const auto problems = ReadBad(R"(nmae: x
command: [python3, train.py, "${args}"]
parameters:
  lr: {logunifrom: [1e-5, 1e-1]}
  n: {randint: [5, 1]}
  m: {uniform: [0, 1], when: {opt: sgd}}
metric: {name: loss, mode: smallest}
scheduler: {type: asha, grace_period: 0}
trials: many
)");
  std::vector<std::string> at;
  for (const FileProblem& p : problems)
    at.push_back(std::to_string(p.at.line) + " " + p.problem.field);
  EXPECT_EQ(at, (std::vector<std::string>{"1 nmae", "4 parameters.lr.logunifrom",
                                          "5 parameters.n.randint", "6 parameters.m.when",
                                          "7 metric.mode", "8 scheduler.grace_period", "9 trials"}))
      << Lines(problems);
}

TEST(BadFileTest, WhatDependsOnABrokenPartIsNotBlamed) {
  const auto problems = ReadBad(R"(trainable: mlp
parameters:
  opt: {chioce: [sgd, adam]}
  momentum: {uniform: [0, 1], when: {opt: sgd}}
metric: loss:min
trials: 3
points: [{opt: sgd, momentum: 0.5}]
constraints: [opt == 'sgd' or momentum < 0.5]
report: {parameters: [opt]}
)");
  ASSERT_EQ(problems.size(), 1U) << Lines(problems);
  EXPECT_EQ(problems[0].problem.field, "parameters.opt.chioce");
}

// A minute's worth of reading would be a hang to a user; the limits end it in well under a second
// of work.
TEST(BadFileTest, BombsAndGarbageEndQuicklyWithAReason) {
  EXPECT_EQ(ReadBad(std::string(10 << 20, 'x'))[0].problem.message,
            "the file has 10485760 bytes, the limit is 1048576");
  EXPECT_EQ(ReadBad("a: " + std::string(50, '[') + std::string(50, ']'))[0].problem.message,
            "more than 40 levels of nesting");
  for (const char* open :
       {"[", "{", "- ", "? ", ": ", "&a ", "{\"a\":", "\"", "'", "|", "#", "\n", "*"}) {
    std::string many;
    while (many.size() + 10 < kSweepFileBytesMax) many += open;
    EXPECT_NE(ReadBad(many)[0].problem.message, "") << open;
  }
  std::string laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    laughs += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i)
      laughs += std::string(i > 0 ? "," : "") + "*" + static_cast<char>(c - 1);
    laughs += "]\n";
  }
  EXPECT_EQ(ReadBad(laughs)[0].problem.message, "more than 500000 values");
  std::string keys;
  for (int i = 0; keys.size() < kSweepFileBytesMax - 20; ++i)
    keys += "k" + std::to_string(i) + ": 1\n";
  EXPECT_EQ(ReadBad(keys).size(), kProblemsMax + 1);
  std::string same;
  while (same.size() < kSweepFileBytesMax - 20) same += "k: 1\n";
  EXPECT_EQ(ReadBad(same).size(), kProblemsMax + 1);
}

TEST(BadFileTest, AGrpcRequestIsCheckedByTheSameRules) {
  SweepSpec spec;
  spec.program.command = {"a", "${lr}"};
  spec.search.options = {{"x", std::nan("")}};
  spec.parameters = {Parameter{.name = "x",
                               .distribution = Distribution::kChoice,
                               .options = {JsonValue{"[1, 2]"}},
                               .when = {}}};
  std::vector<std::string> fields;
  for (const Problem& problem : Validate(spec)) fields.push_back(problem.field);
  EXPECT_EQ(fields,
            (std::vector<std::string>{"name", "command[1]", "parameters.x.choice", "search.metric",
                                      "search.x", "search.x", "budget.trials"}));
}

}  // namespace
}  // namespace tunesmith
