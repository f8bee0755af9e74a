#include "spec/validate.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>

#include "common/limits.h"
#include "common/rng.h"
#include "common/text.h"
#include "spec/json_value.h"
#include "spec/reader.h"
#include "spec/requirement.h"

namespace tunesmith {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int32_t kRetriesMax = 200;  // of one trial; the controller counts them in a byte

std::string Index(const std::string& field, size_t i) {
  return field + "[" + std::to_string(i) + "]";
}

class Validator {
 public:
  explicit Validator(const SweepSpec& spec) : spec_(spec) {}

  Problems Check() {
    CheckName();
    ValidateProgram(spec_, &problems_);
    CheckParameterValues();
    const auto space = Space::Create(spec_.parameters, spec_.constraints, &problems_);
    CheckSearch(space ? &*space : nullptr);
    CheckScheduler();
    if (space) ValidateMutations(spec_, *space, &problems_);
    CheckBudget(space ? space->GridCells() : 1);
    CheckResources();
    CheckCollect();
    if (space) CheckPoints(*space);
    CheckColumns();
    if (problems_.size() > kProblemsMax) {
      problems_.resize(kProblemsMax);
      Add("", "there are more mistakes than these " + std::to_string(kProblemsMax), "");
    }
    return std::move(problems_);
  }

  Problems CheckSchedulerAlone() {
    CheckScheduler();
    return std::move(problems_);
  }

 private:
  void Add(const std::string& field, std::string message, std::string hint) {
    problems_.push_back({field, std::move(message), std::move(hint)});
  }

  // The name becomes the sweep's id: it stands in paths and in "digits/12#1".
  void CheckName() {
    const std::string& name = spec_.name;
    const size_t before = problems_.size();
    ValidateText("name", name, kSweepNameBytesMax, &problems_);
    if (problems_.size() > before) return;
    const bool odd = name.empty() || name.front() == '.' || name.front() == '-' ||
                     std::any_of(name.begin(), name.end(), [](char c) {
                       const auto u = static_cast<unsigned char>(c);
                       return u <= ' ' || u == 0x7f ||
                              std::string_view("/\\#\"'$*?:").find(c) != std::string_view::npos;
                     });
    if (odd) {
      Add("name", name.empty() ? "the sweep has no name" : "\"" + name + "\" cannot name a sweep",
          "use letters, digits, '_', '-' and '.', such as digits-1");
    }
  }

  void CheckParameterValues() {
    for (const Parameter& p : spec_.parameters) {
      const std::string field = "parameters." + p.name.substr(0, kNameBytesMax);
      const std::string options = field + "." + std::string(DistributionName(p.distribution));
      for (const Value& value : p.options) {
        const size_t before = problems_.size();
        // What is not active or not finite is told by the space.
        if (IsActive(value) && !std::holds_alternative<double>(value))
          ValidateValue(options, value, &problems_);
        if (p.distribution != Distribution::kConstant && HasDistributionKey(value)) {
          Add(options, "an object among the values has a key that is the name of a distribution",
              "rename the key, or declare the parts as parameters with `when`");
        }
        if (problems_.size() > before) break;
      }
      for (const Condition& c : p.when) {
        for (const Value& value : c.values) ValidateValue(field + ".when", value, &problems_);
      }
    }
  }

  // A sweep file would read such an object as a branch of the space. In compact JSON a key follows
  // '{' or ','.
  static bool HasDistributionKey(const Value& value) {
    const auto* json = std::get_if<JsonValue>(&value);
    if (json == nullptr || json->text.find('{') == std::string::npos) return false;
    for (int d = 0; d <= static_cast<int>(Distribution::kQNormal); ++d) {
      const std::string key =
          "\"" + std::string(DistributionName(static_cast<Distribution>(d))) + "\":";
      if (json->text.find("{" + key) != std::string::npos ||
          json->text.find("," + key) != std::string::npos)
        return true;
    }
    return false;
  }

  void CheckMetric(const std::string& field, const std::string& metric) {
    ValidateText(field, metric, kNameBytesMax, &problems_);
  }

  void CheckSearch(const Space* space) {
    const SearchSpec& search = spec_.search;
    if (search.metric.empty()) {
      Add("search.metric", "no metric is named, so no trial is better than another",
          "add metric: {name: loss, mode: min}");
    }
    CheckMetric("search.metric", search.metric);
    CheckObjectives();
    CheckRequirements();
    for (const auto& [name, value] : search.options) {
      ValidateText("search." + name.substr(0, kNameBytesMax), name, kNameBytesMax, &problems_);
      ValidateValue("search." + name.substr(0, kNameBytesMax), value, &problems_);
    }
    CheckWarmStart();
    for (size_t i = 0; i < search.options.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        if (search.options[k].first == search.options[i].first) {
          return Add("search." + search.options[i].first, "the option is given twice",
                     "keep one of them");
        }
      }
    }
    // Without a sound space the searcher can still judge its own options.
    Problems found;
    MakeSearcher(SearcherOptionsOf(spec_, search.seed.value_or(0)),
                 space != nullptr ? *space : Space(), &found);
    for (Problem& problem : found) {
      if (space != nullptr || problem.field.starts_with("search"))
        problems_.push_back(std::move(problem));
    }
  }

  void CheckObjectives() {
    const auto& objectives = spec_.search.objectives;
    if (objectives.empty()) return;
    const std::string field = "search.metrics";
    if (objectives.size() < 2 || objectives.size() > kObjectivesMax) {
      return Add(field, std::to_string(objectives.size()) + " is not a number of objectives",
                 objectives.size() < 2 ? "give at least two, or one as metric: loss:min"
                                       : "give at most " + std::to_string(kObjectivesMax));
    }
    if (objectives[0].metric != spec_.search.metric || objectives[0].goal != spec_.search.goal) {
      Add("search.metric", "it is not the first of search.metrics", "leave it out");
    }
    for (size_t i = 0; i < objectives.size(); ++i) {
      const std::string& metric = objectives[i].metric;
      if (metric.empty()) Add(Index(field, i), "no metric is named", "write accuracy:max");
      CheckMetric(Index(field, i), metric);
      for (size_t k = 0; k < i; ++k) {
        if (objectives[k].metric != metric) continue;
        Add(Index(field, i), "the metric \"" + ValidUtf8(metric.substr(0, 60)) + "\" is named twice",
            "name each once");
        break;
      }
    }
  }

  void CheckRequirements() {
    const auto& texts = spec_.search.require;
    if (texts.size() > kRequirementsMax) {
      return Add("search.require",
                 std::to_string(texts.size()) + " are more than the limit of " +
                     std::to_string(kRequirementsMax),
                 "keep those that matter");
    }
    for (size_t i = 0; i < texts.size(); ++i) {
      std::string why, hint;
      if (!ParseRequirement(texts[i], &why, &hint)) Add(Index("search.require", i), why, hint);
    }
  }

  // Whether the sweeps exist, only the controller knows.
  void CheckWarmStart() {
    const std::vector<std::string>& ids = spec_.search.warm_start;
    if (!ids.empty() && !spec_.search.objectives.empty()) {
      return Add("search.warm_start", "a search with several metrics starts from nothing",
                 "leave it out, or follow one metric");
    }
    if (ids.size() > kWarmStartSweepsMax) {
      return Add("search.warm_start",
                 std::to_string(ids.size()) + " sweeps are more than the limit of " +
                     std::to_string(kWarmStartSweepsMax),
                 "name those that are most alike");
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      ValidateText("search.warm_start", ids[i], kNameBytesMax, &problems_);
      if (ids[i].empty())
        Add("search.warm_start", "the sweep has no name", "name a sweep; tunesmith ls lists them");
      if (std::find(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(i), ids[i]) !=
          ids.begin() + static_cast<std::ptrdiff_t>(i))
        Add("search.warm_start", "the sweep is named twice", "keep one of them");
    }
  }

  void CheckScheduler() {
    if (spec_.search.objectives.size() > 1 && spec_.scheduler.metric.empty() &&
        spec_.scheduler.type != "fifo") {
      Add("scheduler.metric",
          "the search has several metrics, and " + spec_.scheduler.type.substr(0, 60) + " compares trials by one",
          "name it: metric: " + ValidUtf8(spec_.search.metric.substr(0, 60)));
    }
    CheckMetric("scheduler.metric", spec_.scheduler.metric);
    const SchedulerOptions options = SchedulerOptionsOf(spec_, 0);
    if (spec_.scheduler.promotion && spec_.scheduler.type != "asha") {
      Add("scheduler.variant", "promotion is a variant of asha, not of " + spec_.scheduler.type,
          "use type: asha, or leave the variant out");
    } else if (Pauses(options) && spec_.ask_tell) {
      Add(spec_.scheduler.promotion ? "scheduler.variant" : "scheduler.type",
          "with ask_tell other programs run the trials, and none could be paused and go on",
          spec_.scheduler.promotion ? "use variant: stopping, or remove ask_tell" : "use asha, or remove ask_tell");
    }
    if (spec_.scheduler.type == "bohb") CheckBohb();
    CheckPbt();
    MakeScheduler(options, &problems_);
  }

  void CheckPbt() {
    const std::string& type = spec_.scheduler.type;
    if (type != "pbt") {
      if (spec_.scheduler.pbt == PbtOptions()) return;
      return Add("scheduler.type",
                 "perturbation_interval, burn_in_period, quantile_fraction, resample_probability, "
                 "perturbation_factors, mutations and synch are options of pbt, not of " + type.substr(0, 60),
                 "use type: pbt, or leave them out");
    }
    if (!spec_.checkpoints.store) {
      Add("checkpoints.store",
          "pbt hands checkpoints from trial to trial, through the copies that the controller keeps",
          "leave it out, or use another scheduler");
    }
    if (spec_.repeats > 1) {
      Add("repeats", "pbt changes the point of a trial as it runs, and repeats are trials of one point",
          "leave repeats out, or use another scheduler");
    }
  }

  // It is HyperBand with points of a model that learns from rungs.
  void CheckBohb() {
    const std::string& type = spec_.search.type;
    const bool hyperopt = std::any_of(spec_.search.options.begin(), spec_.search.options.end(),
                                      [](const auto& option) { return option.first == "compat"; });
    if (type == "random" || type == "sobol" || type == "grid" || type == "cmaes" || (type == "tpe" && hyperopt)) {
      Add("scheduler.type", "bohb takes its points from a model that learns from rungs, and " + type +
                                (hyperopt ? " with compat: hyperopt" : "") + " does not",
          "use search: auto, gp or tpe, or scheduler: hyperband");
    } else if (spec_.repeats > 1) {
      Add("scheduler.type",
          "bohb takes its points from a model that learns from rungs, and with repeats it learns of none",
          "leave repeats out, or use scheduler: hyperband");
    }
  }

  void CheckBudget(uint64_t grid_cells) {
    const BudgetSpec& b = spec_.budget;
    if (b.trials <= 0) {
      Add("budget.trials",
          b.trials == 0 ? "no budget is given" : std::to_string(b.trials) + " trials cannot be run",
          "add trials: 50");
    } else if (b.trials > kTrialsPerSweepMax ||
               grid_cells > static_cast<uint64_t>(kTrialsPerSweepMax / b.trials)) {
      Add("budget.trials",
          std::to_string(b.trials) + " trials" +
              (grid_cells > 1 ? " of " + std::to_string(grid_cells) + " grid cells each" : "") +
              " are more than the limit of " + std::to_string(kTrialsPerSweepMax),
          grid_cells > 1 ? "make the grid smaller, or use choice" : "use fewer");
    }
    CheckRepeats(grid_cells);
    NotNegative("budget.wall", b.wall_ms);
    NotNegative("budget.failures", b.failures);
    const Problems share = ValidateShare(spec_.share, b.max_parallel);
    problems_.insert(problems_.end(), share.begin(), share.end());
    CheckGpuHours();
    CheckStop();
    CheckRetries("retry.failed", spec_.retry.failed);
    CheckRetries("retry.lost", spec_.retry.lost);
    NotNegative("checkpoints.max_gb", spec_.checkpoints.max_bytes);
    constexpr int64_t kPetabyte = 1'000'000'000'000'000;
    if (spec_.checkpoints.max_bytes > kPetabyte) {
      Add("checkpoints.max_gb", "more than 1000000 gigabytes", "leave it out: no limit");
    }
    NotNegative("stop.grace", spec_.stop_grace_ms);
    if (spec_.stop_grace_ms > kDayMs) {
      Add("stop.grace", DurationText(spec_.stop_grace_ms) + " is more than a day",
          "use 10s to 10m");
    }
  }

  void CheckGpuHours() {
    const double hours = spec_.budget.gpu_hours;
    if (hours == 0) return;
    if (!(hours > 0) || std::isinf(hours)) {
      Add("budget.gpu_hours", DoubleText(hours) + " is not a number of hours", "use a number above 0, e.g. 8");
    } else if (spec_.resources.gpus == 0 || spec_.ask_tell) {
      Add("budget.gpu_hours",
          spec_.ask_tell ? "with ask_tell no GPU is given to a trial" : "trials use no GPU (resources.gpus)",
          "use budget.wall, or set resources: {gpus: 1}");
    }
  }

  void CheckStop() {
    const StopSpec& stop = spec_.stop;
    if (stop.max_steps < 0 || stop.max_steps > kReportStepMax) {
      Add("stop.max_steps", std::to_string(stop.max_steps) + " is not between 1 and 2^53",
          "give the last step of a trial, or leave it out");
    }
    if (stop.target && !std::isfinite(*stop.target)) {
      Add("stop.target", DoubleText(*stop.target) + " is not a value to be reached", "give a number");
    } else if (stop.target && !spec_.search.objectives.empty()) {
      Add("stop.target", "the search has several metrics", "leave it out, or follow one metric");
    }
    if (!stop.plateau) return;
    CheckMetric("stop.plateau.metric", stop.plateau->metric);
    if (!(stop.plateau->std > 0) || std::isinf(stop.plateau->std)) {
      Add("stop.plateau.std", DoubleText(stop.plateau->std) + " is not above 0, so nothing is below it",
          "give the standard deviation below which a metric stands still, e.g. 0.001");
    }
    if (stop.plateau->num_results < 2 || stop.plateau->num_results > kPlateauResultsMax) {
      Add("stop.plateau.num_results",
          std::to_string(stop.plateau->num_results) + " is not between 2 and " + std::to_string(kPlateauResultsMax),
          "use 4 to 10");
    }
    NotNegative("stop.plateau.grace_period", stop.plateau->grace_period);
  }

  void CheckRepeats(uint64_t grid_cells) {
    if (spec_.repeats < 1 || spec_.repeats > kRepeatsMax) {
      return Add("repeats", std::to_string(spec_.repeats) + " is not between 1 and " + std::to_string(kRepeatsMax),
                 "use 3 to 10 for a noisy objective, or leave it out");
    }
    const uint64_t points = static_cast<uint64_t>(std::max<int64_t>(spec_.budget.trials, 0)) * grid_cells;
    const auto most = static_cast<uint64_t>(kTrialsPerSweepMax);
    if (spec_.repeats > 1 && points <= most && points * static_cast<uint64_t>(spec_.repeats) > most) {
      Add("repeats",
          std::to_string(points) + " points of " + std::to_string(spec_.repeats) +
              " trials each are more than the limit of " + std::to_string(kTrialsPerSweepMax),
          "use fewer points or fewer repeats");
    }
  }

  void NotNegative(const std::string& field, int64_t value) {
    if (value < 0) Add(field, std::to_string(value) + " is negative", "use 0 or more");
  }

  void CheckRetries(const std::string& field, int32_t value) {
    NotNegative(field, value);
    if (value > kRetriesMax) {
      Add(field, std::to_string(value) + " is more than " + std::to_string(kRetriesMax),
          "use 0 to 10; what fails that often fails again");
    }
  }

  void CheckResources() {
    const ResourceSpec& r = spec_.resources;
    const double gpus = r.gpus;
    if (!(gpus >= 0 && gpus <= kDevicesPerTrialMax)) {
      Add("resources.gpus", DoubleText(gpus) + " is out of range",
          "use 0, a fraction such as 0.5, or 1 to " + std::to_string(kDevicesPerTrialMax));
    } else if (gpus > 1 && gpus != std::floor(gpus)) {
      Add("resources.gpus", DoubleText(gpus) + " is neither whole nor below 1",
          "use " + std::to_string(static_cast<int>(std::ceil(gpus))));
    }
    if (r.gpu_memory_bytes < 0) {
      Add("resources.gpu_memory", "is negative", "write 16GiB, or leave it out: any GPU will do");
    } else if (r.gpu_memory_bytes > 0 && gpus == 0) {
      Add("resources.gpu_memory", "no GPU is asked for", "set resources.gpus as well, or leave gpu_memory out");
    }
    if (r.labels.size() > kLabelsMax) {
      Add("resources.labels", std::to_string(r.labels.size()) + " labels are too many",
          "use at most " + std::to_string(kLabelsMax));
    }
    for (const auto& [key, value] : r.labels) {
      if (key.empty() || key.size() > kNameBytesMax || value.size() > kNameBytesMax) {
        Add("resources.labels", "a key has 1 to " + std::to_string(kNameBytesMax) + " bytes, a value at most as many",
            "use the words that workers were started with: tunesmith-worker --label KEY=VALUE");
        break;
      }
    }
    const bool placed = !r.labels.empty() || r.placement != Placement::kPack || r.gpu_memory_bytes != 0;
    if (spec_.ask_tell && placed) {
      Add("resources", "with ask_tell clients run the trials, and no worker is chosen",
          "leave out gpu_memory, labels and placement");
    }
    if (r.cpus < 1 || r.cpus > kDevicesPerTrialMax) {
      Add("resources.cpus", std::to_string(r.cpus) + " is out of range",
          "use 1 to " + std::to_string(kDevicesPerTrialMax));
    }
    CheckRanks();
  }

  // Each rank gets the same share.
  void CheckRanks() {
    const ResourceSpec& r = spec_.resources;
    if (r.ranks < 1 || r.ranks > kDevicesPerTrialMax) {
      return Add("resources.ranks", std::to_string(r.ranks) + " is out of range",
                 "use 1 to " + std::to_string(kDevicesPerTrialMax));
    }
    if (r.ranks == 1) return;
    if (spec_.ask_tell) {
      return Add("resources.ranks", "with ask_tell clients run the trials", "leave it out");
    }
    const std::string of = " are not shared out evenly over " + std::to_string(r.ranks) + " ranks";
    if (r.cpus % r.ranks != 0) Add("resources.cpus", std::to_string(r.cpus) + of, "use cpus_per_rank");
    if (std::fmod(r.gpus, r.ranks) != 0) Add("resources.gpus", DoubleText(r.gpus) + of, "use gpus_per_rank");
  }

  void CheckCollect() {
    if (spec_.collect.size() > kCollectRulesMax) {
      return Add("collect",
                 std::to_string(spec_.collect.size()) + " rules are more than the limit of " +
                     std::to_string(kCollectRulesMax),
                 "join them by | in one regex");
    }
    for (size_t i = 0; i < spec_.collect.size(); ++i) {
      const CollectRule& rule = spec_.collect[i];
      if (rule.kind == CollectRule::Kind::kRegex)
        CheckRegex(Index("collect", i) + ".regex", rule.regex);
    }
  }

  void CheckRegex(const std::string& field, const std::string& text) {
    const size_t before = problems_.size();
    ValidateText(field, text, kRegexBytesMax, &problems_);
    if (problems_.size() > before) return;
    re2::RE2::Options options;
    options.set_log_errors(false);
    const re2::RE2 regex(text, options);
    if (!regex.ok()) {
      const bool angle = text.find("(?<") != std::string::npos;
      return Add(
          field, "the regex does not compile: " + ValidUtf8(regex.error()),
          angle ? "name a group by (?P<loss>...)" : "see RE2's syntax; quote it in single quotes");
    }
    const auto& groups = regex.NamedCapturingGroups();
    const bool metric = std::any_of(groups.begin(), groups.end(), [](const auto& group) {
      return group.first != "step" && group.first != "epoch";
    });
    if (!metric)
      Add(field, "no group is named, so it finds no metric",
          "name a group by the metric: loss=(?P<loss>\\S+)");
  }

  void CheckPoints(const Space& space) {
    Rng rng(0);
    for (size_t i = 0; i < spec_.points.size(); ++i) {
      const std::string field = Index("points", i);
      const size_t before = problems_.size();
      for (const auto& [name, value] : spec_.points[i]) {
        ValidateValue(field + "." + name.substr(0, kNameBytesMax), value, &problems_);
      }
      if (problems_.size() > before) continue;
      Problems found;
      space.Complete(spec_.points[i], &rng, &found);
      for (Problem& problem : found) {
        problem.field =
            field + (problem.field.empty() ? "" : "." + problem.field.substr(0, kNameBytesMax));
        problems_.push_back(std::move(problem));
      }
    }
  }

  void CheckColumns() {
    std::vector<std::string> names;
    for (const Parameter& p : spec_.parameters) names.push_back(p.name);
    for (size_t i = 0; i < spec_.parameter_columns.size(); ++i) {
      const std::string& column = spec_.parameter_columns[i];
      if (std::find(names.begin(), names.end(), column) != names.end()) continue;
      const std::string closest = ClosestWord(column, names);
      Add(Index("report.parameters", i),
          "there is no parameter \"" + ValidUtf8(column.substr(0, 60)) + "\"",
          closest.empty() ? "name a parameter" : "did you mean \"" + closest + "\"?");
    }
    for (size_t i = 0; i < spec_.metric_columns.size(); ++i) {
      ValidateText(Index("report.metrics", i), spec_.metric_columns[i], kNameBytesMax, &problems_);
    }
  }

  const SweepSpec& spec_;
  Problems problems_;
};

struct StyleName {
  std::string_view name;
  ArgStyle style;
};
constexpr StyleName kStyles[] = {{"gnu", ArgStyle::kGnu},
                                 {"spaced", ArgStyle::kSpaced},
                                 {"hydra", ArgStyle::kHydra},
                                 {"single-dash", ArgStyle::kSingleDash},
                                 {"none", ArgStyle::kNone}};

}  // namespace

std::string_view ArgStyleName(ArgStyle style) { return kStyles[static_cast<size_t>(style)].name; }

std::optional<ArgStyle> ArgStyleFromName(std::string_view name) {
  for (const StyleName& style : kStyles) {
    if (style.name == name) return style.style;
  }
  return std::nullopt;
}

std::vector<std::string> ArgStyleNames() {
  std::vector<std::string> names;
  for (const StyleName& style : kStyles) names.emplace_back(style.name);
  return names;
}

const char* PreemptibleName(Preemptible preemptible) {
  switch (preemptible) {
    case Preemptible::kCheckpoint: return "checkpoint";
    case Preemptible::kNever: return "never";
    case Preemptible::kAlways: return "always";
  }
  return "?";
}

std::optional<Preemptible> PreemptibleFromName(std::string_view name) {
  for (const Preemptible one : {Preemptible::kCheckpoint, Preemptible::kNever, Preemptible::kAlways}) {
    if (name == PreemptibleName(one)) return one;
  }
  return std::nullopt;
}

Problems ValidateShare(const ShareSpec& share, int32_t max_parallel) {
  Problems problems;
  if (share.priority < -kPriorityMax || share.priority > kPriorityMax) {
    problems.push_back({"priority",
                        std::to_string(share.priority) + " is not between " + std::to_string(-kPriorityMax) + " and " +
                            std::to_string(kPriorityMax),
                        "use 0 for an ordinary sweep, more for an urgent one, less for one that can wait"});
  }
  if (!(share.weight > 0) || share.weight > kWeightMax) {
    problems.push_back({"weight", DoubleText(share.weight) + " is not above 0 and at most " + ShortText(kWeightMax),
                        "use 1 for an ordinary sweep, 2 for twice its share"});
  }
  if (max_parallel < 0) {
    problems.push_back({"budget.max_parallel", std::to_string(max_parallel) + " is negative",
                        "use 1 or more; 0: as many as fit"});
  }
  return problems;
}

void ValidateText(const std::string& field, const std::string& text, size_t bytes_max,
                  Problems* problems) {
  if (text.size() > bytes_max) {
    problems->push_back({ValidUtf8(field),
                         std::to_string(text.size()) + " bytes are more than the limit of " +
                             std::to_string(bytes_max),
                         "shorten it"});
  } else if (text.find('\0') != std::string::npos || ValidUtf8(text) != text) {
    problems->push_back({ValidUtf8(field), "the text has a NUL or is not UTF-8", "use plain text"});
  }
}

void ValidateValue(const std::string& field, const Value& value, Problems* problems) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    ValidateText(field, *text, kArgumentBytesMax, problems);
  } else if (const auto* json = std::get_if<JsonValue>(&value)) {
    ValidateText(field, json->text, kArgumentBytesMax, problems);
    if (CanonicalJson(json->text) != json->text) {
      problems->push_back(
          {field, "the value " + ValidUtf8(json->text.substr(0, 60)) + " is not compact JSON",
           "write it without blanks"});
    }
  } else if (!IsActive(value)) {
    problems->push_back({field, "the value is missing", "write null for JSON's null"});
  } else if (const auto* number = std::get_if<double>(&value);
             number != nullptr && !std::isfinite(*number)) {
    problems->push_back({field, "the value " + DoubleText(*number) + " is not finite",
                         "write it as text: \"" + DoubleText(*number) + "\""});
  }
}

const std::string& SchedulerMetric(const SweepSpec& spec) {
  return spec.scheduler.metric.empty() ? spec.search.metric : spec.scheduler.metric;
}

Goal SchedulerGoal(const SweepSpec& spec) {
  return spec.scheduler.metric.empty() ? spec.search.goal : spec.scheduler.goal;
}

const std::string& PlateauMetric(const SweepSpec& spec) {
  return spec.stop.plateau->metric.empty() ? spec.search.metric : spec.stop.plateau->metric;
}

int64_t LastStepOf(const SweepSpec& spec) {
  const int64_t by_scheduler = MaxTOf(SchedulerOptionsOf(spec, 0));
  const int64_t by_rule = spec.stop.max_steps;
  return by_scheduler == 0 || by_rule == 0 ? std::max(by_scheduler, by_rule) : std::min(by_scheduler, by_rule);
}

std::string ExplainVerdict(const SweepSpec& spec, const Verdict& verdict) {
  if (verdict.reason == Reason::kPlateau) return Explain(verdict, PlateauMetric(spec), spec.search.goal);
  if (verdict.reason == Reason::kTarget) return Explain(verdict, spec.search.metric, spec.search.goal);
  return Explain(verdict, SchedulerMetric(spec), SchedulerGoal(spec));
}

SearcherOptions SearcherOptionsOf(const SweepSpec& spec, uint64_t seed) {
  SearcherOptions options;
  options.type = spec.search.type;
  options.goal = spec.search.goal;
  for (const Objective& objective : spec.search.objectives) options.goals.push_back(objective.goal);
  options.seed = seed;
  options.trials = spec.budget.trials;
  options.options = spec.search.options;
  return options;
}

SchedulerOptions SchedulerOptionsOf(const SweepSpec& spec, uint64_t seed) {
  const SchedulerSpec& s = spec.scheduler;
  return {.type = s.type,
          .goal = SchedulerGoal(spec),
          .seed = seed,
          .max_t = s.max_t,
          .grace_period = s.grace_period,
          .reduction_factor = s.reduction_factor,
          .brackets = s.brackets,
          .min_samples_required = s.min_samples_required,
          .stop_last_trials = s.stop_last_trials,
          .promotion = s.promotion,
          .compat_ray = s.compat_ray,
          .pbt = s.pbt};
}

Problems Validate(const SweepSpec& spec) { return Validator(spec).Check(); }

Problems ValidateScheduler(const SweepSpec& spec) { return Validator(spec).CheckSchedulerAlone(); }

}  // namespace tunesmith
