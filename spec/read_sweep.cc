// The sweep file's sections; parameters have a file of their own.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "common/limits.h"
#include "common/rng.h"
#include "common/text.h"
#include "spec/reader.h"
#include "spec/shell_words.h"
#include "spec/validate.h"

namespace tunesmith {
namespace {

constexpr int64_t kIntMax = std::numeric_limits<int64_t>::max();

class SweepReader {
 public:
  explicit SweepReader(FieldLog* log) : log_(log) {}

  std::optional<SweepSpec> Read(const Node& root) {
    if (root.kind == Node::Kind::kNull) {
      log_->Add("", "the file is empty", "write at least command, parameters, metric and trials");
      return std::nullopt;
    }
    spec_.name = "sweep";
    if (!ReadObject(root, "", Sections(), log_)) return std::nullopt;
    SettleMetric();
    Finish();
    if (!log_->empty()) return std::nullopt;
    return std::move(spec_);
  }

  // The content of a scheduler section, which has no search beside it to take a metric from; perhaps one is lent.
  std::optional<SweepSpec> ReadSchedulerAlone(const Node& section, const Objective* lent) {
    log_->Note("scheduler", section.at);
    if (lent != nullptr) {
      common_metric_ = lent->metric;
      common_goal_ = lent->goal;
    }
    Scheduler(section, "scheduler");
    SettleMetric();
    if (SchedulerMetric(spec_).empty() && spec_.scheduler.type != "fifo") {
      log_->Add("scheduler.metric", "no metric is named, so no trial is better than another",
                "add metric: loss and mode: min");
    }
    for (const Problem& problem : ValidateScheduler(spec_)) log_->AddLate(problem);
    if (!log_->empty()) return std::nullopt;
    return std::move(spec_);
  }

  // A key that only a whole sweep has at its top.
  bool HasSweepKey(const Node& root) {
    const std::vector<KeyReader> sections = Sections();
    return std::any_of(sections.begin(), sections.end(), [&](const KeyReader& section) {
      return std::string_view(section.key) != "metric" && root.Find(section.key) != nullptr;
    });
  }

 private:
  using F = const std::string&;
  using N = const Node&;

  std::vector<KeyReader> Sections() {
    return {
        {"name", [this](N n, F f) { ReadText(n, f, &spec_.name, log_); }},
        {"command", [this](N n, F f) { Command(n, f); }},
        {"trainable", [this](N n, F f) { Trainable(n, f); }},
        {"args", [this](N n, F f) { Args(n, f); }},
        {"workdir", [this](N n, F f) { ReadText(n, f, &spec_.program.workdir, log_); }},
        {"env", [this](N n, F f) { Env(n, f); }},
        {"parameters", [this](N n, F f) { Parameters(n); }},
        {"constraints", [this](N n, F f) { TextOrTexts(n, f, &spec_.constraints); }},
        {"metric", [this](N n, F f) { MetricSection(n, f); }},
        {"metrics", [this](N n, F f) { Metrics(n, f); }},
        {"search", [this](N n, F f) { Search(n, f); }},
        {"scheduler", [this](N n, F f) { Scheduler(n, f); }},
        {"trials",
         [this](N n, F f) {
           Once(f, "budget.trials");
           Trials(n, f);
         }},
        {"max_parallel",
         [this](N n, F f) {
           Once(f, "budget.max_parallel");
           ReadInteger32(n, f, &spec_.budget.max_parallel, log_);
         }},
        {"priority", [this](N n, F f) { ReadInteger32(n, f, &spec_.share.priority, log_); }},
        {"weight", [this](N n, F f) { ReadNumber(n, f, &spec_.share.weight, log_); }},
        {"preemptible", [this](N n, F f) { Preemption(n, f); }},
        {"repeats", [this](N n, F f) { ReadInteger32(n, f, &spec_.repeats, log_); }},
        {"budget", [this](N n, F f) { Budget(n, f); }},
        {"resources", [this](N n, F f) { Resources(n, f); }},
        {"retry", [this](N n, F f) { Retry(n, f); }},
        {"checkpoints", [this](N n, F f) { Checkpoints(n, f); }},
        {"stop", [this](N n, F f) { Stop(n, f); }},
        {"collect", [this](N n, F f) { Collect(n, f); }},
        {"points", [this](N n, F f) { points_ = &n; }},
        {"report", [this](N n, F f) { Report(n, f); }},
        {"ask_tell", [this](N n, F f) { ReadBool(n, f, &spec_.ask_tell, log_); }},
        {"$schema", [](N n, F f) {}},  // for editors
    };
  }

  // `trials` and `budget.trials` are one thing.
  void Once(F field, const std::string& canonical) {
    if (const auto [earlier, fresh] = given_.emplace(canonical, field); !fresh) {
      log_->Add(field, "the same is said by " + earlier->second, "keep one of them");
    } else if (field != canonical) {
      log_->NoteAs(canonical, field);
    }
  }

  void Command(N n, F f) {
    if (n.kind == Node::Kind::kList) return ReadTextList(n, f, &spec_.program.command, log_);
    std::string text, why, hint;
    ReadText(n, f, &text, log_);
    if (text.empty()) return;
    auto words = SplitWords(text, &why, &hint);
    if (!words) return log_->Add(f, why, hint);
    spec_.program.command = std::move(*words);
  }

  void Trainable(N n, F f) {
    ProgramSpec& program = spec_.program;
    if (n.kind == Node::Kind::kText) return ReadText(n, f, &program.builtin, log_);
    ReadObject(n, f, {{"builtin", [&](N m, F g) { ReadText(m, g, &program.builtin, log_); }}}, log_,
               [&](F key, N m, F g) {
                 Value value;
                 if (ReadValue(m, g, &value, log_))
                   program.options.emplace_back(key, std::move(value));
               });
    if (n.kind == Node::Kind::kMap && n.Find("builtin") == nullptr) {
      log_->Add(f, "which built-in trainable?", "write trainable: {builtin: mlp, dataset: digits}");
    }
  }

  void Args(N n, F f) {
    if (n.kind == Node::Kind::kMap) {
      ReadObject(n, f, {{"style", [&](N m, F g) { Args(m, g); }}}, log_);
      return;
    }
    std::string text;
    ReadText(n, f, &text, log_);
    if (const auto style = ArgStyleFromName(text)) {
      spec_.program.args = *style;
    } else if (!text.empty()) {
      const std::string closest = ClosestWord(text, ArgStyleNames());
      log_->Add(f, "there is no argument style \"" + text.substr(0, 60) + "\"",
                closest.empty() ? "use one of " + Join(ArgStyleNames(), ", ")
                                : "did you mean \"" + closest + "\"?");
    }
  }

  void Env(N n, F f) {
    ReadObject(n, f, {}, log_, [&](F key, N m, F g) {
      std::string value;
      if (m.kind != Node::Kind::kNull) ReadText(m, g, &value, log_);
      spec_.program.env.emplace_back(key, std::move(value));
    });
    std::sort(spec_.program.env.begin(), spec_.program.env.end());  // it has no order
  }

  void Parameters(N n) {
    ReadParameters read = ReadParameterMap(n, log_);
    spec_.parameters = std::move(read.parameters);
    broken_ = std::move(read.broken);
  }

  // A list of texts; one text needs no list.
  void TextOrTexts(N n, F f, std::vector<std::string>* out) {
    if (n.kind == Node::Kind::kList) return ReadTextList(n, f, out, log_);
    log_->Note(f + "[0]", n.at);
    ReadText(n, f + "[0]", &out->emplace_back(), log_);
  }

  // "accuracy:max".
  static std::optional<Goal> TakeGoal(std::string* text) {
    const size_t colon = text->rfind(':');
    const auto goal = colon == std::string::npos
                          ? std::nullopt
                          : GoalFromText(std::string_view(*text).substr(colon + 1));
    if (goal) text->resize(colon);
    return goal;
  }

  void Metrics(N n, F f) {
    if (!metrics_field_.empty()) {
      return log_->Add(f, "the same is said by " + metrics_field_, "keep one of them");
    }
    metrics_field_ = f;
    if (f != "search.metrics") log_->NoteAs("search.metrics", f);
    if (n.kind != Node::Kind::kList) {
      return log_->Add(f, "here stands " + Describe(n) + ", not a list",
                       "write metrics: [accuracy:max, latency:min]");
    }
    for (size_t i = 0; i < n.items.size(); ++i) {
      const std::string field = f + "[" + std::to_string(i) + "]";
      log_->Note(field, n.items[i].at);
      if (f != "search.metrics") log_->NoteAs("search.metrics[" + std::to_string(i) + "]", field);
      Objective& objective = spec_.search.objectives.emplace_back();
      std::optional<Goal> goal;
      if (n.items[i].IsScalar()) {
        ReadText(n.items[i], field, &objective.metric, log_);
        goal = TakeGoal(&objective.metric);
      } else {
        ReadObject(n.items[i], field,
                   {{"name", [&](N m, F g) { ReadText(m, g, &objective.metric, log_); }},
                    {"mode", [&](N m, F g) { GoalOf(m, g, &goal); }},
                    {"goal", [&](N m, F g) { GoalOf(m, g, &goal); }}},
                   log_);
      }
      if (goal) {
        objective.goal = *goal;
      } else if (!objective.metric.empty() && !goal_keys_.contains(field + ".mode")) {
        log_->Add(field, "is a small or a large " + objective.metric + " good?",
                  "write " + objective.metric + ":min or " + objective.metric + ":max");
      }
    }
  }

  void GoalOf(N n, F f, std::optional<Goal>* out) {
    Goal goal = Goal::kMin;
    if (ReadGoal(n, f, &goal, log_)) *out = goal;
    goal_keys_.insert(f.substr(0, f.rfind('.')) + ".mode");
  }

  void MetricSection(N n, F f) {
    if (n.IsScalar()) {
      std::string text;
      ReadText(n, f, &text, log_);
      const auto goal = TakeGoal(&text);
      common_metric_ = text;
      common_goal_ = goal;
      common_name_field_ = common_goal_field_ = f;
      return;
    }
    ReadObject(n, f,
               {{"name", [&](N m, F g) { ReadText(m, g, &common_metric_, log_); }},
                {"mode", [&](N m, F g) { GoalOf(m, g, &common_goal_); }},
                {"goal", [&](N m, F g) { GoalOf(m, g, &common_goal_); }}},
               log_);
    common_name_field_ = f + ".name";
    common_goal_field_ = f + ".mode";
  }

  void Search(N n, F f) {
    SearchSpec& search = spec_.search;
    if (n.kind == Node::Kind::kText) return ReadText(n, f, &search.type, log_);
    ReadObject(n, f,
               {{"type", [&](N m, F g) { ReadText(m, g, &search.type, log_); }},
                {"metric", [&](N m, F g) { ReadText(m, g, &search.metric, log_); }},
                {"metrics", [&](N m, F g) { Metrics(m, g); }},
                {"require", [&](N m, F g) { TextOrTexts(m, g, &search.require); }},
                {"mode", [&](N m, F g) { GoalOf(m, g, &search_goal_); }},
                {"goal", [&](N m, F g) { GoalOf(m, g, &search_goal_); }},
                {"warm_start",
                 [&](N m, F g) {
                   if (m.kind == Node::Kind::kList)
                     return ReadTextList(m, g, &search.warm_start, log_);
                   ReadText(m, g, &search.warm_start.emplace_back(), log_);
                 }},
                {"seed", [&](N m, F g) { Seed(m, g); }}},
               log_, [&](F key, N m, F g) {
                 Value value;
                 if (ReadValue(m, g, &value, log_))
                   search.options.emplace_back(key, std::move(value));
               });
  }

  void Seed(N n, F f) {
    uint64_t seed = 0;
    const char* end = n.text.data() + n.text.size();
    const auto result = std::from_chars(n.text.data(), end, seed);
    if (n.kind != Node::Kind::kInt || result.ec != std::errc{} || result.ptr != end) {
      return log_->Add(f, "here stands " + Describe(n) + ", not a seed",
                       "use an integer from 0 to 2^64 - 1");
    }
    spec_.search.seed = seed;
  }

  void Scheduler(N n, F f) {
    SchedulerSpec& s = spec_.scheduler;
    if (n.kind == Node::Kind::kText) return ReadText(n, f, &s.type, log_);
    ReadObject(
        n, f,
        {{"type", [&](N m, F g) { ReadText(m, g, &s.type, log_); }},
         {"metric", [&](N m, F g) { ReadText(m, g, &s.metric, log_); }},
         {"mode", [&](N m, F g) { GoalOf(m, g, &scheduler_goal_); }},
         {"goal", [&](N m, F g) { GoalOf(m, g, &scheduler_goal_); }},
         {"max_t", [&](N m, F g) { ReadInteger(m, g, 1, kIntMax, &s.max_t, log_); }},
         {"grace_period", [&](N m, F g) { ReadNumber(m, g, &s.grace_period, log_); }},
         {"reduction_factor",
          [&](N m, F g) {
            ReadNumber(m, g, &s.reduction_factor.emplace(2), log_);
          }},
         {"brackets", [&](N m, F g) { ReadInteger32(m, g, &s.brackets, log_); }},
         {"min_samples_required", [&](N m, F g) { ReadInteger32(m, g, &s.min_samples_required, log_); }},
         {"stop_last_trials", [&](N m, F g) { ReadBool(m, g, &s.stop_last_trials, log_); }},
         {"perturbation_interval",
          [&](N m, F g) { ReadInteger(m, g, 1, kIntMax, &s.pbt.perturbation_interval, log_); }},
         {"burn_in_period", [&](N m, F g) { ReadInteger(m, g, 0, kIntMax, &s.pbt.burn_in_period, log_); }},
         {"quantile_fraction", [&](N m, F g) { ReadNumber(m, g, &s.pbt.quantile_fraction, log_); }},
         {"resample_probability", [&](N m, F g) { ReadNumber(m, g, &s.pbt.resample_probability, log_); }},
         {"perturbation_factors", [&](N m, F g) { Factors(m, g); }},
         {"mutations", [&](N m, F g) { s.pbt.mutations = ReadMutations(m, g, log_); }},
         {"synch", [&](N m, F g) { ReadBool(m, g, &s.pbt.synch, log_); }},
         {"variant", [&](N m, F g) { Variant(m, g); }},
         {"compat", [&](N m, F g) { Compat(m, g); }}},
        log_);
  }

  void Factors(N n, F f) {
    std::vector<double>& factors = spec_.scheduler.pbt.perturbation_factors;
    factors.clear();
    if (n.kind != Node::Kind::kList) {
      return log_->Add(f, "here stands " + Describe(n) + ", not a list of numbers", "write [1.2, 0.8]");
    }
    for (const Node& item : n.items) ReadNumber(item, f, &factors.emplace_back(1), log_);
  }

  void Variant(N n, F f) {
    std::string text;
    ReadText(n, f, &text, log_);
    spec_.scheduler.promotion = text == "promotion";
    if (!text.empty() && text != "promotion" && text != "stopping") {
      log_->Add(f, "there is no variant \"" + text.substr(0, 60) + "\"",
                "use stopping, where the worst trials of a rung stop, or promotion, where the best of it go on");
    }
  }

  void Compat(N n, F f) {
    std::string text;
    ReadText(n, f, &text, log_);
    spec_.scheduler.compat_ray = text == "ray";
    if (!text.empty() && text != "ray" && text != "none") {
      log_->Add(f, "there is no compatibility with \"" + text.substr(0, 60) + "\"",
                "use ray, or leave it out");
    }
  }

  void Preemption(N n, F f) {
    std::string text;
    ReadText(n, f, &text, log_);
    if (text.empty()) return;
    if (const auto preemptible = PreemptibleFromName(text)) {
      spec_.share.preemptible = *preemptible;
    } else {
      log_->Add(f, "\"" + text.substr(0, 60) + "\" does not say when trials may be preempted",
                "use checkpoint (those that have named one), always or never");
    }
  }

  void Trials(N n, F f) { ReadInteger(n, f, 1, kTrialsPerSweepMax, &spec_.budget.trials, log_); }

  void Budget(N n, F f) {
    BudgetSpec& b = spec_.budget;
    ReadObject(n, f,
               {{"trials",
                 [&](N m, F g) {
                   Once(g, g);
                   Trials(m, g);
                 }},
                {"wall", [&](N m, F g) { ReadDuration(m, g, &b.wall_ms, log_); }},
                {"failures",
                 [&](N m, F g) { ReadInteger(m, g, 0, kTrialsPerSweepMax, &b.failures, log_); }},
                {"max_parallel",
                 [&](N m, F g) {
                   Once(g, g);
                   ReadInteger32(m, g, &b.max_parallel, log_);
                 }},
                {"gpu_hours", [&](N m, F g) { ReadNumber(m, g, &b.gpu_hours, log_); }}},
               log_);
  }

  void Resources(N n, F f) {
    ResourceSpec& r = spec_.resources;
    std::optional<int32_t> cpus, cpus_per_rank, gpus_per_rank;
    const auto one_of = [&](const std::string& canonical, std::optional<int32_t>* value) {
      return [this, canonical, value](N m, F g) {
        Once(g, canonical);
        ReadInteger32(m, g, &value->emplace(1), log_);
      };
    };
    ReadObject(n, f,
               {{"gpus",
                 [&](N m, F g) {
                   Once(g, "resources.gpus");
                   ReadNumber(m, g, &r.gpus, log_);
                 }},
                {"gpus_per_rank", one_of("resources.gpus", &gpus_per_rank)},
                {"gpus_optional", [&](N m, F g) { ReadBool(m, g, &r.gpus_optional, log_); }},
                {"cpus", one_of("resources.cpus", &cpus)},
                {"cpus_per_rank", one_of("resources.cpus", &cpus_per_rank)},
                {"ranks", [&](N m, F g) { ReadInteger32(m, g, &r.ranks, log_); }},
                {"gpu_memory", [&](N m, F g) { ReadSize(m, g, &r.gpu_memory_bytes, log_); }},
                {"labels",
                 [&](N m, F g) {
                   ReadObject(m, g, {}, log_, [&](const std::string& key, const Node& value, const std::string& h) {
                     // Numbers and the like are labels as they are written.
                     if (!value.IsScalar() || value.kind == Node::Kind::kNull) {
                       log_->Add(h, "here stands " + Describe(value) + ", not a label's value", "write key: value");
                     } else {
                       r.labels[key] = value.text;
                     }
                   });
                 }},
                {"placement",
                 [&](N m, F g) {
                   std::string word;
                   ReadText(m, g, &word, log_);
                   if (word == "spread") {
                     r.placement = Placement::kSpread;
                   } else if (!word.empty() && word != "pack") {
                     log_->Add(g, "there is no placement \"" + word + "\"",
                               "write pack (where it leaves the least over) or spread (the emptiest worker)");
                   }
                 }}},
               log_);
    // All together; what is out of range is said later.
    const auto of_all = [&](int32_t per_rank) {
      const int64_t all = int64_t{per_rank} * std::max(1, r.ranks);
      return static_cast<int32_t>(std::clamp<int64_t>(all, std::numeric_limits<int32_t>::min(),
                                                      std::numeric_limits<int32_t>::max()));
    };
    r.cpus = cpus.value_or(of_all(cpus_per_rank.value_or(1)));
    if (gpus_per_rank) r.gpus = of_all(*gpus_per_rank);
  }

  void Retry(N n, F f) {
    ReadObject(n, f,
               {{"failed", [&](N m, F g) { ReadInteger32(m, g, &spec_.retry.failed, log_); }},
                {"lost", [&](N m, F g) { ReadInteger32(m, g, &spec_.retry.lost, log_); }}},
               log_);
  }

  void Checkpoints(N n, F f) {
    CheckpointSpec& c = spec_.checkpoints;
    double max_gb = 0;
    ReadObject(n, f,
               {{"store", [&](N m, F g) { ReadBool(m, g, &c.store, log_); }},
                {"keep_best", [&](N m, F g) { ReadBool(m, g, &c.keep_best, log_); }},
                {"keep_stopped", [&](N m, F g) { ReadBool(m, g, &c.keep_stopped, log_); }},
                {"max_gb",
                 [&](N m, F g) {
                   ReadNumber(m, g, &max_gb, log_);
                   if (max_gb > 0 && max_gb <= 1e6) {
                     c.max_bytes = std::llround(max_gb * 1e9);
                   } else {
                     log_->Add(g, "no room of that size can be kept",
                               "use gigabytes, more than 0 and at most 1000000, or leave it out: no limit");
                   }
                 }}},
               log_);
  }

  void Stop(N n, F f) {
    StopSpec& stop = spec_.stop;
    ReadObject(n, f,
               {{"grace", [&](N m, F g) { ReadDuration(m, g, &spec_.stop_grace_ms, log_); }},
                {"max_steps", [&](N m, F g) { ReadInteger(m, g, 1, kIntMax, &stop.max_steps, log_); }},
                {"plateau", [&](N m, F g) { Plateau(m, g); }},
                {"target", [&](N m, F g) { ReadNumber(m, g, &stop.target.emplace(0), log_); }}},
               log_);
  }

  // `plateau: 0.001` is short for `plateau: {std: 0.001}`.
  void Plateau(N n, F f) {
    PlateauSpec& plateau = spec_.stop.plateau.emplace();
    if (n.kind != Node::Kind::kMap) return ReadNumber(n, f, &plateau.std, log_);
    ReadObject(n, f,
               {{"metric", [&](N m, F g) { ReadText(m, g, &plateau.metric, log_); }},
                {"std", [&](N m, F g) { ReadNumber(m, g, &plateau.std, log_); }},
                {"num_results", [&](N m, F g) { ReadInteger32(m, g, &plateau.num_results, log_); }},
                {"grace_period", [&](N m, F g) { ReadInteger32(m, g, &plateau.grace_period, log_); }}},
               log_);
  }

  void Collect(N n, F f) {
    if (n.kind != Node::Kind::kList) return CollectOne(n, f);
    for (size_t i = 0; i < n.items.size(); ++i) {
      const std::string field = f + "[" + std::to_string(i) + "]";
      log_->Note(field, n.items[i].at);
      CollectOne(n.items[i], field);
    }
  }

  void CollectOne(N n, F f) {
    CollectRule rule;
    if (n.kind == Node::Kind::kMap) {
      rule.kind = CollectRule::Kind::kRegex;
      ReadObject(n, f, {{"regex", [&](N m, F g) { ReadText(m, g, &rule.regex, log_); }}}, log_);
    } else if (n.text == "json") {
      rule.kind = CollectRule::Kind::kJson;
    } else if (n.text != "auto") {
      return log_->Add(f, "here stands " + Describe(n) + ", not a way to read metrics",
                       "use auto, json or {regex: 'loss=(?P<loss>\\S+)'}");
    }
    spec_.collect.push_back(std::move(rule));
  }

  void Report(N n, F f) {
    ReadObject(
        n, f,
        {{"parameters", [&](N m, F g) { ReadTextList(m, g, &spec_.parameter_columns, log_); }},
         {"metrics", [&](N m, F g) { ReadTextList(m, g, &spec_.metric_columns, log_); }}},
        log_);
  }

  // Points are read last, when the names of parameters are known.
  void Points(N n) {
    if (n.kind != Node::Kind::kList) {
      return log_->Add("points", "here stands " + Describe(n) + ", not a list",
                       "write - {lr: 0.001} lines");
    }
    for (size_t i = 0; i < n.items.size(); ++i) {
      const std::string field = "points[" + std::to_string(i) + "]";
      log_->Note(field, n.items[i].at);
      PointValues(n.items[i], field, "", &spec_.points.emplace_back());
    }
  }

  void PointValues(N n, F field, const std::string& prefix,
                   std::vector<std::pair<std::string, Value>>* out) {
    ReadObject(n, field, {}, log_, [&](F key, N m, F) {
      const std::string name = prefix + key;
      const std::string path = field + "." + key;
      const bool known = std::any_of(spec_.parameters.begin(), spec_.parameters.end(),
                                     [&](const Parameter& p) { return p.name == name; });
      if (m.kind == Node::Kind::kMap && !known) return PointValues(m, path, name + "/", out);
      log_->Note(field.substr(0, field.find(']') + 1) + "." + name, m.at);
      Value value;
      if (!broken_.contains(name) && ReadValue(m, path, &value, log_))
        out->emplace_back(name, std::move(value));
    });
  }

  // `metric:` fills what `search:` leaves out; a goal is never guessed.
  void SettleMetric() {
    SearchSpec& search = spec_.search;
    SchedulerSpec& scheduler = spec_.scheduler;
    if (!search.objectives.empty()) {
      if (!search.metric.empty() || !common_metric_.empty()) {
        log_->Add(search.metric.empty() ? common_name_field_ : "search.metric",
                  metrics_field_ + " names the metrics already", "keep one of them");
      }
      search.metric = search.objectives[0].metric;
      search_goal_ = search.objectives[0].goal;
    } else if (search.metric.empty() && !common_metric_.empty()) {
      search.metric = common_metric_;
      log_->NoteAs("search.metric", common_name_field_);
      if (!search_goal_ && common_goal_) {
        search_goal_ = common_goal_;
        log_->NoteAs("search.mode", common_goal_field_);
      }
    } else if (!common_metric_.empty() && common_metric_ != search.metric) {
      log_->Add(common_name_field_, "search.metric is another one, \"" + search.metric + "\"",
                "name the metric once");
    }
    if (!search_goal_ && common_metric_ == search.metric) search_goal_ = common_goal_;
    if (search_goal_) {
      search.goal = *search_goal_;
    } else if (!search.metric.empty()) {
      AskForGoal(common_metric_.empty() ? "search.mode" : common_goal_field_, search.metric);
    }
    if (scheduler.metric.empty()) {
      if (scheduler_goal_ && search_goal_ && *scheduler_goal_ != search.goal) {
        log_->Add(
            "scheduler.mode",
            "the scheduler follows the searcher's metric " + search.metric + ", but the other way",
            "name the scheduler's own metric too");
      }
    } else if (scheduler_goal_) {
      scheduler.goal = *scheduler_goal_;
    } else if (const auto known = KnownGoal(scheduler.metric)) {
      scheduler.goal = *known;
    } else {
      AskForGoal("scheduler.mode", scheduler.metric);
    }
  }

  // Of one of the searcher's metrics.
  std::optional<Goal> KnownGoal(const std::string& metric) const {
    if (metric == spec_.search.metric) return spec_.search.goal;
    for (const Objective& objective : spec_.search.objectives) {
      if (objective.metric == metric) return objective.goal;
    }
    return std::nullopt;
  }

  void AskForGoal(F field, const std::string& metric) {
    if (goal_keys_.contains(field)) return;  // given, and wrong
    log_->Add(field, "is a small or a large " + metric + " good?",
              field == "metric" ? "write " + metric + ":min or " + metric + ":max"
                                : "add mode: min, or mode: max");
  }

  // Validates what was read, without the parts that had problems of their own.
  void Finish() {
    if (points_ != nullptr) Points(*points_);
    SweepSpec checked = spec_;
    if (!broken_.empty()) {
      checked.constraints.clear();
      for (Parameter& p : checked.parameters) {
        std::erase_if(p.when, [&](const Condition& c) { return broken_.contains(c.on); });
      }
    }
    for (const Problem& problem : Validate(checked)) log_->AddLate(problem);
    if (!log_->empty()) return;
    Problems none;
    spec_.parameters = Space::Create(std::move(spec_.parameters), &none)->parameters();
  }

  FieldLog* log_;
  SweepSpec spec_;
  std::set<std::string> broken_;              // parameters
  std::map<std::string, std::string> given_;  // canonical field -> the field that gave it
  std::set<std::string> goal_keys_;
  std::string metrics_field_;                 // "metrics" or "search.metrics" where it is given
  std::string common_metric_, common_name_field_, common_goal_field_;
  std::optional<Goal> common_goal_, search_goal_, scheduler_goal_;
  const Node* points_ = nullptr;
};

}  // namespace

std::optional<SweepSpec> ReadSweep(const Node& root, FieldLog* log) {
  return SweepReader(log).Read(root);
}

std::optional<SweepSpec> ReadSchedulerOf(const Node& root, FieldLog* log, const Objective* lent) {
  SweepReader reader(log);
  if (root.kind != Node::Kind::kMap) return reader.Read(root);
  const Node* section = root.Find("scheduler");
  if (section != nullptr && root.keys.size() == 1) return reader.ReadSchedulerAlone(*section, lent);
  if (root.keys.empty() || reader.HasSweepKey(root)) return reader.Read(root);
  return reader.ReadSchedulerAlone(root, lent);
}

namespace {

template <typename Reader>
std::optional<SweepSpec> ParseWith(Reader reader, std::string_view text,
                                   std::vector<FileProblem>* problems) {
  std::vector<FileProblem> syntax;
  const auto root = ParseDocument(text, &syntax);
  FieldLog log;
  for (FileProblem& problem : syntax) log.AddFound(std::move(problem));
  auto spec = root ? reader(*root, &log) : std::nullopt;
  for (FileProblem& problem : log.Take()) problems->push_back(std::move(problem));
  return spec;
}

}  // namespace

std::optional<SweepSpec> ParseSweepFile(std::string_view text, std::vector<FileProblem>* problems) {
  return ParseWith(ReadSweep, text, problems);
}

std::optional<SweepSpec> ParseSchedulerFile(std::string_view text, std::vector<FileProblem>* problems,
                                            const Objective* lent) {
  return ParseWith([lent](const Node& root, FieldLog* log) { return ReadSchedulerOf(root, log, lent); }, text,
                   problems);
}

std::string FormatProblem(const std::string& file, const FileProblem& problem) {
  std::string out = file;
  if (problem.at.line > 0) out += ":" + std::to_string(problem.at.line);
  out += ": ";
  if (!problem.problem.field.empty()) out += problem.problem.field + ": ";
  out += problem.problem.message;
  if (!problem.problem.hint.empty()) out += " (" + problem.problem.hint + ")";
  return out;
}

}  // namespace tunesmith
