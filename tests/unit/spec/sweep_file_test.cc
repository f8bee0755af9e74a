#include <cmath>
#include <fstream>
#include <sstream>

#include "spec/reader.h"
#include "spec/requirement.h"
#include "tests/unit/spec/read.h"

namespace tunesmith {
namespace {

// Parameters in an otherwise good file.
std::vector<Parameter> ReadParametersOf(const std::string& yaml) {
  return ReadGood("trainable: mlp\nmetric: loss:min\ntrials: 3\nparameters:\n" + yaml).parameters;
}

const Parameter& Named(const std::vector<Parameter>& parameters, const std::string& name) {
  for (const Parameter& p : parameters) {
    if (p.name == name) return p;
  }
  ADD_FAILURE() << "no parameter " << name;
  static const Parameter none;
  return none;
}

std::string Example(const std::string& name) {
  std::ifstream file(std::string(TUNESMITH_SOURCE_DIR) + "/examples/digits/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(SweepFileTest, TheNotesOwnSweepSaysWhatTheNoteSays) {
  const SweepSpec spec = ReadGood(Example("note.yaml"));
  EXPECT_EQ(spec.program.builtin, "mlp");
  ASSERT_EQ(spec.parameters.size(), 3U);
  EXPECT_EQ(spec.parameters[0].name, "NUM_EPOCH");
  EXPECT_EQ(spec.parameters[0].options, (std::vector<Value>{int64_t{4}, int64_t{5}, int64_t{6},
                                                            int64_t{7}, int64_t{8}, int64_t{9}}));
  EXPECT_EQ(spec.parameters[1].distribution, Distribution::kUniform);
  EXPECT_EQ(spec.parameters[1].lo, 0.0001);
  EXPECT_EQ(spec.parameters[1].hi, 0.001);
  EXPECT_EQ(spec.search.type, "tpe");
  EXPECT_EQ(spec.search.metric, "accuracy");
  EXPECT_EQ(spec.search.goal, Goal::kMax);
  EXPECT_EQ(spec.scheduler.type, "asha");
  EXPECT_EQ(SchedulerMetric(spec), "loss");
  EXPECT_EQ(SchedulerOptionsOf(spec, 1).goal, Goal::kMin);
  EXPECT_EQ(spec.scheduler.max_t, 9);
  EXPECT_EQ(spec.scheduler.reduction_factor, 2);
  EXPECT_EQ(spec.budget.trials, 10);
  EXPECT_EQ(spec.resources, (ResourceSpec{1, true, 1}));
  EXPECT_EQ(spec.parameter_columns,
            (std::vector<std::string>{"NUM_EPOCH", "LearningRate", "BatchSize"}));
  EXPECT_EQ(spec.metric_columns, (std::vector<std::string>{"accuracy", "loss"}));
}

TEST(SweepFileTest, TheOtherExamplesAreGood) {
  const SweepSpec large = ReadGood(Example("large.yaml"));
  EXPECT_EQ(large.budget.trials, 60);
  const Parameter& momentum = Named(large.parameters, "momentum");
  ASSERT_EQ(momentum.when.size(), 1U);
  EXPECT_EQ(momentum.when[0].on, "optimizer");
  EXPECT_EQ(large.parameters[momentum.when[0].parent].name, "optimizer");
  const SweepSpec script = ReadGood(Example("script.yaml"));
  EXPECT_EQ(script.program.command.back(), "${args}");
  EXPECT_EQ(script.program.workdir, ".");
}

TEST(SweepFileTest, EveryFileOfTheReferenceIsGood) {
  std::ifstream file(std::string(TUNESMITH_SOURCE_DIR) + "/docs/sweep-file.md");
  std::string line, block;
  bool inside = false;
  int blocks = 0;
  while (std::getline(file, line)) {
    if (inside && line == "```") {
      ReadGood(block);
      ++blocks;
      inside = false;
    } else if (line == "```yaml") {
      inside = true;
      block.clear();
    } else if (inside) {
      block += line + "\n";
    }
  }
  EXPECT_GE(blocks, 4);
}

TEST(SweepFileTest, EveryKeyIsRead) {
  const SweepSpec spec = ReadGood(R"(
name: all
command: [python3, train.py, "${args}", --out, "${checkpoint_dir}/x"]
args: {style: single-dash}
workdir: /srv/work
env: {LR: "${lr}", A: 1}
parameters: {lr: {loguniform: [1e-5, 1e-1]}}
constraints: [lr < 0.09, "1e-4 < `lr` or lr < 2e-5"]
search: {type: tpe, seed: 18446744073709551615, startup_trials: 12}
scheduler: {type: asha, metric: acc, mode: max, max_t: 9, grace_period: 1, reduction_factor: 2, brackets: 1, min_samples_required: 5, compat: ray, stop_last_trials: false}
budget: {trials: 10, wall: 1h30m, failures: 20, gpu_hours: 2.5}
max_parallel: 4
resources: {gpus: 0.5, gpus_optional: true, cpus: 2}
report: {parameters: [lr], metrics: [loss, acc]}
metric: {name: loss, goal: minimize}
collect: [{regex: 'epoch (?P<step>\d+).*loss=(?P<loss>\S+)'}, json, auto]
retry: {failed: 1, lost: 7}
stop: {grace: 60s, max_steps: 8, plateau: {metric: acc, std: 0.1, num_results: 3, grace_period: 2}, target: 0.5}
points: [{lr: 1e-3}]
)");
  EXPECT_EQ(spec.program.args, ArgStyle::kSingleDash);
  EXPECT_EQ(spec.program.workdir, "/srv/work");
  EXPECT_EQ(spec.program.env,
            (std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"LR", "${lr}"}}));
  EXPECT_EQ(spec.constraints, (std::vector<std::string>{"lr < 0.09", "1e-4 < `lr` or lr < 2e-5"}));
  EXPECT_EQ(spec.search.metric, "loss");
  EXPECT_EQ(spec.search.goal, Goal::kMin);
  EXPECT_EQ(spec.search.seed, UINT64_MAX);
  EXPECT_EQ(spec.search.options,
            (std::vector<std::pair<std::string, Value>>{{"startup_trials", int64_t{12}}}));
  EXPECT_EQ(spec.scheduler.goal, Goal::kMax);
  EXPECT_TRUE(spec.scheduler.compat_ray);
  EXPECT_EQ(spec.scheduler.min_samples_required, 5);
  EXPECT_FALSE(spec.scheduler.stop_last_trials);
  EXPECT_EQ(spec.budget, (BudgetSpec{10, 5'400'000, 20, 4, 2.5}));
  EXPECT_EQ(spec.resources, (ResourceSpec{0.5, true, 2}));
  EXPECT_EQ(spec.collect.size(), 3U);
  EXPECT_EQ(spec.collect[0].kind, CollectRule::Kind::kRegex);
  EXPECT_EQ(spec.retry, (RetrySpec{1, 7}));
  EXPECT_EQ(spec.stop_grace_ms, 60'000);
  EXPECT_EQ(spec.stop.max_steps, 8);
  EXPECT_EQ(spec.stop.plateau, (PlateauSpec{"acc", 0.1, 3, 2}));
  EXPECT_EQ(spec.stop.target, 0.5);
  EXPECT_EQ(spec.points[0][0].second, Value(1e-3));
}

TEST(SweepFileTest, MutationsAreNamesOrNamesWithValues) {
  const std::string head =
      "trainable: mlp\nmetric: loss:min\ntrials: 4\nparameters: {lr: {loguniform: [1e-4, 1e-1]}, "
      "batch: {choice: [32, 64, 128]}, drop: {uniform: [0, 1]}}\n";
  const auto read = [&](const std::string& mutations) {
    return ReadGood(head + "scheduler: {type: pbt, perturbation_interval: 5, mutations: " + mutations + "}\n")
        .scheduler.pbt.mutations;
  };
  const auto names = read("[drop, lr]");
  ASSERT_EQ(names.size(), 2U);
  EXPECT_EQ(names[0], (Mutation{.name = "drop"}));
  EXPECT_EQ(names[1].name, "lr");
  const auto valued = read("{lr: {uniform: [1e-3, 1e-2]}, batch: [32, 64], drop: }");
  ASSERT_EQ(valued.size(), 3U);
  EXPECT_EQ(valued[0].from, Mutation::From::kDistribution);
  EXPECT_EQ(valued[0].values.distribution, Distribution::kUniform);
  EXPECT_EQ(valued[0].values.lo, 1e-3);
  EXPECT_EQ(valued[1].from, Mutation::From::kList);
  EXPECT_EQ(valued[1].values.options, (std::vector<Value>{int64_t{32}, int64_t{64}}));
  EXPECT_EQ(valued[2].from, Mutation::From::kOwn);
}

TEST(SweepFileTest, OneConstraintNeedsNoList) {
  const SweepSpec spec = ReadGood(R"(
trainable: mlp
parameters: {a: {randint: [0, 9]}, b: {randint: [0, 9]}}
constraints: a * b <= 20
metric: loss:min
trials: 3
)");
  EXPECT_EQ(spec.constraints, (std::vector<std::string>{"a * b <= 20"}));
}

TEST(SweepFileTest, SeveralMetricsAndRequirementsAreRead) {
  const char* const forms[] = {"metrics: [accuracy:max, {name: 'lat:min', mode: min}]\n"
                               "search: {require: [mem < 8e9, lat<=20]}",
                               "search: {metrics: [accuracy:max, 'lat:min:min'], require: [mem < 8e9, lat<=20]}"};
  for (const char* form : forms) {
    const SweepSpec spec = ReadGood("trainable: mlp\ntrials: 3\n" + std::string(form));
    EXPECT_EQ(spec.search.objectives,
              (std::vector<Objective>{{"accuracy", Goal::kMax}, {"lat:min", Goal::kMin}}));
    EXPECT_EQ(spec.search.metric, "accuracy");
    EXPECT_EQ(spec.search.goal, Goal::kMax);
    EXPECT_EQ(spec.search.require, (std::vector<std::string>{"mem < 8e9", "lat<=20"}));
    EXPECT_EQ(SearcherOptionsOf(spec, 1).goals, (std::vector<Goal>{Goal::kMax, Goal::kMin}));
  }
  const SweepSpec scheduled = ReadGood(
      "trainable: mlp\ntrials: 3\nmetrics: [accuracy:max, lat:min]\n"
      "scheduler: {type: asha, metric: lat}");
  EXPECT_EQ(SchedulerGoal(scheduled), Goal::kMin);
  EXPECT_EQ(ReadGood("trainable: mlp\ntrials: 3\nmetric: a:max\nsearch: {require: b > -1e-3}").search.require,
            (std::vector<std::string>{"b > -1e-3"}));
}

TEST(RequirementTest, IsAMetricAComparisonAndANumber) {
  std::string why, hint;
  using Op = Requirement::Op;
  EXPECT_EQ(ParseRequirement("val/acc >= -0.5", &why, &hint), (Requirement{"val/acc", Op::kGreaterEqual, -0.5}));
  EXPECT_EQ(ParseRequirement(" `a b`<1e3 ", &why, &hint), (Requirement{"a b", Op::kLess, 1000}));
  EXPECT_EQ(ParseRequirement("a > +2", &why, &hint), (Requirement{"a", Op::kGreater, 2}));
  for (const char* bad : {"", "a", "a == 3", "a <", "< 3", "a < b", "a < inf", "a < nan", "20 >= a",
                          "0 < a < 4", "a < 3s"}) {
    why.clear();
    EXPECT_FALSE(ParseRequirement(bad, &why, &hint)) << bad;
    EXPECT_NE(why, "") << bad;
    EXPECT_NE(hint, "") << bad;
  }
  EXPECT_EQ(hint, "write it as latency_ms <= 20");
  ParseRequirement("20 >= a", &why, &hint);
  EXPECT_EQ(hint, "write the metric first: latency_ms <= 20");
}

TEST(RequirementTest, TheExcessIsAShareOfTheLimit) {
  const Requirement upper{"a", Requirement::Op::kLessEqual, 20}, lower{"a", Requirement::Op::kGreaterEqual, -4};
  EXPECT_EQ(ExcessOf(upper, 20), 0);
  EXPECT_EQ(ExcessOf(upper, -1e300), 0);
  EXPECT_EQ(ExcessOf(upper, 25), 0.25);
  EXPECT_EQ(ExcessOf(lower, -4), 0);
  EXPECT_EQ(ExcessOf(lower, -5), 0.25);
  EXPECT_EQ(ExcessOf(upper, std::nan("")), 1);
  EXPECT_GT(ExcessOf({"a", Requirement::Op::kLess, 20}, 20), 0);
  EXPECT_EQ(ExcessOf({"a", Requirement::Op::kLess, 0}, 1), 1e12);
  EXPECT_EQ(ExcessOf(upper, HUGE_VAL), 1e12);
}

TEST(SweepFileTest, PlainScalarsFollowYaml12) {
  const auto p = ReadParametersOf(R"(
  a: {choice: [no, yes, on, off, 1e-5, 0x10, 0o17, true, "1e-5", '5', 1_000, 12:30, .5, +3, 2024-01-01, null]}
)");
  const std::vector<Value> expected = {
      "no",   "yes", "on",    "off",   1e-5, int64_t{16}, int64_t{15},  true,
      "1e-5", "5",   "1_000", "12:30", 0.5,  int64_t{3},  "2024-01-01", JsonValue{"null"}};
  EXPECT_EQ(p[0].options, expected);
}

TEST(SweepFileTest, EveryDistributionIsRead) {
  const auto p = ReadParametersOf(R"(
  a: {uniform: [0, 1]}
  b: {quniform: [0, 1, 0.25]}
  c: {loguniform: [1e-4, 1]}
  d: {qloguniform: [1e-4, 1e-1, 1e-4]}
  e: {randint: [1, 10]}
  f: {qrandint: [2, 10, 2]}
  g: {lograndint: [1, 10]}
  h: {qlograndint: [2, 10, 2]}
  i: {normal: [0, 1]}
  j: {qnormal: [0, 1, 0.5]}
  k: {constant: [1, 2]}
  l: 3
  m: [1, {x: y}]
  n: {choice: [a, {x: [1, 2]}]}
  o: {qrandint: [1, 5]}
)");
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(p[i].name, std::string(1, static_cast<char>('a' + i)));
  EXPECT_EQ(p[1].q, 0.25);
  EXPECT_EQ(p[3].distribution, Distribution::kQLogUniform);
  EXPECT_EQ(p[9].q, 0.5);
  EXPECT_EQ(p[10].options[0], Value(JsonValue{"[1,2]"}));
  EXPECT_EQ(p[11].options[0], Value(int64_t{3}));
  EXPECT_EQ(p[12].options[0], Value(JsonValue{R"([1,{"x":"y"}])"}));
  EXPECT_EQ(p[13].options[1], Value(JsonValue{R"({"x":[1,2]})"}));
  EXPECT_EQ(p[14].q, 1);
  EXPECT_EQ(ReadParametersOf("  a: {grid: [1, 2]}\nsearch: grid\n").at(0).distribution,
            Distribution::kGrid);
}

TEST(SweepFileTest, ConditionsHaveThreeForms) {
  const auto p = ReadParametersOf(R"(
  optimizer: {choice: [sgd, adam, rmsprop]}
  layers: {randint: [1, 5]}
  a: {uniform: [0, 1], when: {optimizer: sgd}}
  b: {uniform: [0, 1], when: {optimizer: [sgd, rmsprop], layers: {">": 2, "<=": 3}}}
  c: {uniform: [0, 1], when: "optimizer != 'adam' and layers >= 2 and optimizer in [sgd, \"adam\"]"}
  d: {uniform: [0, 1], when: [layers < 3, {optimizer: {not in: [sgd]}}]}
)");
  const auto text = [&](const char* name) {
    std::string out;
    for (const Condition& c : Named(p, name).when) {
      out += c.on + "/" + std::to_string(static_cast<int>(c.op));
      for (const Value& value : c.values) out += " " + ValueText(value);
      out += "; ";
    }
    return out;
  };
  EXPECT_EQ(text("a"), "optimizer/0 sgd; ");
  EXPECT_EQ(text("b"), "optimizer/0 sgd rmsprop; layers/4 2; layers/3 3; ");
  EXPECT_EQ(text("c"), "optimizer/1 adam; layers/5 2; optimizer/0 sgd adam; ");
  EXPECT_EQ(text("d"), "layers/2 3; optimizer/1 sgd; ");
}

TEST(SweepFileTest, GroupsAreFlattenedAndTheirConditionsMayNameNeighbours) {
  const auto p = ReadParametersOf(R"(
  use: {choice: [true, false]}
  layer:
    when: {use: true}
    size: {choice: [1, 2]}
    bias: 7
    act:
      name: {choice: [relu, prelu]}
      slope: {uniform: [0, 1], when: {name: prelu, size: 2}}
)");
  ASSERT_EQ(p.size(), 5U);
  EXPECT_EQ(p[1].name, "layer/size");
  EXPECT_EQ(p[2].name, "layer/bias");
  const Parameter& slope = Named(p, "layer/act/slope");
  ASSERT_EQ(slope.when.size(), 3U);
  EXPECT_EQ(slope.when[0].on, "use");
  EXPECT_EQ(slope.when[1].on, "layer/act/name");
  EXPECT_EQ(slope.when[2].on, "layer/size");
}

TEST(SweepFileTest, AChoiceOfObjectsWithDistributionsIsAChoiceOfBranches) {
  const auto p = ReadParametersOf(R"(
  head: {choice: [{type: a, w: {uniform: [0, 1]}, depth: {randint: [1, 3]}}, {type: b, depth: {randint: [1, 3]}}, {type: c, k: 5}]}
)");
  ASSERT_EQ(p.size(), 4U);
  EXPECT_EQ(p[0].name, "head/type");
  EXPECT_EQ(p[0].options, (std::vector<Value>{"a", "b", "c"}));
  EXPECT_EQ(Named(p, "head/w").when[0].values, (std::vector<Value>{"a"}));
  EXPECT_EQ(Named(p, "head/depth").when[0].values, (std::vector<Value>{"a", "b"}));
  EXPECT_EQ(Named(p, "head/k").options[0], Value(int64_t{5}));
}

TEST(SweepFileTest, JsonWithCommentsAndTrailingCommasIsRead) {
  const SweepSpec spec = ReadGood(R"(// a comment with "quotes" and a {
{
	"name": "j", /* tabs
	are fine */ "command": ["a//b", "${args}", "\ud83d\ude00\/\u00e9"],
	"parameters": {"lr": {"uniform": [1e-5, 1E-1,],},},
	"metric": {"name":"loss","mode":"min"},
	"trials":3, // the end
}
)");
  EXPECT_EQ(spec.program.command,
            (std::vector<std::string>{"a//b", "${args}", "\xF0\x9F\x98\x80/\xC3\xA9"}));
  EXPECT_EQ(spec.parameters[0].hi, 0.1);
  EXPECT_EQ(spec.budget.trials, 3);
}

TEST(SweepFileTest, AnchorsAreWrittenOutAndAByteOrderMarkIsSkipped) {
  const SweepSpec spec = ReadGood(
      "\xEF\xBB\xBF"
      "trainable: mlp\nmetric: loss:min\ntrials: 3\nparameters:\n  a: &r {uniform: [0, 1]}\n  b: "
      "*r\n");
  EXPECT_EQ(spec.parameters[1].name, "b");
  EXPECT_EQ(spec.parameters[1].hi, 1);
}

TEST(SweepFileTest, ACommandMayBeOneLine) {
  const SweepSpec spec = ReadGood(
      "command: python3 'my train.py' --a \"b c\" ${args}\nparameters: {lr: {uniform: [0, "
      "1]}}\nmetric: loss:min\ntrials: 1\n");
  EXPECT_EQ(spec.program.command,
            (std::vector<std::string>{"python3", "my train.py", "--a", "b c", "${args}"}));
}

TEST(SweepFileTest, TheSchedulerFollowsTheSearchersMetricUnlessItNamesItsOwn) {
  const std::string head =
      "trainable: mlp\nparameters: {lr: {uniform: [0, 1]}}\nmetric: acc:max\ntrials: 1\n";
  SweepSpec spec = ReadGood(head + "scheduler: asha\n");
  EXPECT_EQ(SchedulerMetric(spec), "acc");
  EXPECT_EQ(SchedulerOptionsOf(spec, 9).goal, Goal::kMax);
  EXPECT_EQ(SchedulerOptionsOf(spec, 9).seed, 9U);
  spec = ReadGood(head + "scheduler: {type: asha, metric: acc}\n");
  EXPECT_EQ(SchedulerOptionsOf(spec, 9).goal, Goal::kMax);
  spec = ReadGood(head + "scheduler: {type: asha, metric: loss, mode: min}\n");
  EXPECT_EQ(SchedulerOptionsOf(spec, 9).goal, Goal::kMin);
}

TEST(SweepFileTest, ATrueListOfAHundredThousandChoicesIsRead) {
  std::string list = "  a: {choice: [0";
  for (int i = 1; i < 100'000; ++i) list += "," + std::to_string(i);
  EXPECT_EQ(ReadParametersOf(list + "]}\n")[0].options.size(), 100'000U);
}

TEST(SweepFileTest, AmountsOfMemoryAreReadInEveryUnit) {
  const std::pair<const char*, int64_t> amounts[] = {{"16GiB", int64_t{16} << 30}, {"16 GB", 16'000'000'000},
                                                     {"1.5GiB", 3 << 29},          {"512MiB", 512 << 20},
                                                     {"1000", 1000},               {"2TiB", int64_t{2} << 40},
                                                     {"0", 0},                     {"7kB", 7000}};
  for (const auto& [text, bytes] : amounts) EXPECT_EQ(SizeFromText(text), bytes) << text;
  for (const char* text : {"", "GiB", "-1GiB", "16gib", "16 GiB x", "1e3", "9000TiB", "nan"}) {
    EXPECT_EQ(SizeFromText(text), std::nullopt) << text;
  }
  EXPECT_EQ(SizeText(int64_t{16} << 30), "16GiB");
  EXPECT_EQ(SizeText(16'000'000'000), "16GB");
  EXPECT_EQ(SizeText(12345), "12345B");
  for (int64_t bytes = 1; bytes < int64_t{1} << 52; bytes = bytes * 3 + 1) {
    EXPECT_EQ(SizeFromText(SizeText(bytes)), bytes);
  }
}

TEST(SweepFileTest, ResourcesMayAskForMemoryLabelsAndPlacement) {
  const SweepSpec spec = ReadGood(
      "trainable: mlp\nparameters: {x: {uniform: [0, 1]}}\nmetric: loss:min\ntrials: 3\n"
      "resources: {gpus: 2, gpu_memory: 16 GiB, labels: {zone: a, rack: 7}, placement: spread}\n");
  EXPECT_EQ(spec.resources.gpu_memory_bytes, int64_t{16} << 30);
  EXPECT_EQ(spec.resources.labels, (std::map<std::string, std::string>{{"zone", "a"}, {"rack", "7"}}));
  EXPECT_EQ(spec.resources.placement, Placement::kSpread);
}

TEST(SweepFileTest, RanksShareOutWhatATrialHas) {
  const auto read = [](const std::string& resources) {
    return ReadGood("trainable: mlp\nparameters: {x: {uniform: [0, 1]}}\nmetric: loss:min\ntrials: 3\nresources: " +
                    resources + "\n")
        .resources;
  };
  EXPECT_EQ(read("{cpus: 3}").ranks, 1);
  const ResourceSpec four = read("{ranks: 4}");
  EXPECT_EQ(four.ranks, 4);
  EXPECT_EQ(four.cpus, 4) << "one each";
  EXPECT_EQ(four.gpus, 0);
  const ResourceSpec all = read("{ranks: 4, cpus: 8, gpus: 4}");
  EXPECT_EQ(read("{cpus_per_rank: 2, gpus_per_rank: 1, ranks: 4}"), all) << "in any order";
  EXPECT_EQ(all.cpus, 8);
  EXPECT_EQ(all.gpus, 4);
  EXPECT_EQ(read("{cpus_per_rank: 2}").cpus, 2);
}

}  // namespace
}  // namespace tunesmith
