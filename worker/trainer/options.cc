#include "worker/trainer/options.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <variant>

#include "common/text.h"

namespace tunesmith::trainer {
namespace {

using nlohmann::json;

constexpr size_t kLayersMax = 16;
constexpr int64_t kWidthMax = 65'536;

using Member = std::variant<std::string TrainerOptions::*, double TrainerOptions::*,
                            int64_t TrainerOptions::*, std::vector<int64_t> TrainerOptions::*,
                            std::vector<std::string> TrainerOptions::*>;

struct OptionSpec {
  const char* name;
  std::vector<std::string> aliases;
  Member member;
  const char* help;
  double low = 0;         // numbers: smallest allowed value
  double high = 0;        // numbers: largest
  bool low_open = false;  // whether `low` itself is not allowed
  bool high_open = false;
  std::vector<std::string> choices = {};  // text: all allowed values; empty = any
  size_t length = kLayersMax;             // lists: most elements
};

const std::vector<OptionSpec>& Specs() {
  using T = TrainerOptions;
  constexpr double kMany = 1e6;
  static const auto* specs = new std::vector<OptionSpec>{
      {"model", {"builtin"}, &T::model, "what to train", 0, 0, false, false, {"mlp", "lenet"}},
      {"dataset",
       {},
       &T::dataset,
       "what to learn from",
       0,
       0,
       false,
       false,
       {"digits", "csv", "mnist", "cifar10", "synthetic"}},
      {"data",
       {"path", "data_dir", "data_path"},
       &T::data,
       "file (csv, digits) or directory (mnist, cifar10)"},
      {"lr", {"learning_rate"}, &T::lr, "learning rate (0.001; sgd 0.05)", 0, 1000, true},
      {"batch_size", {"batch"}, &T::batch_size, "samples a step, of all ranks together (64)", 1, kMany},
      {"epochs",
       {"num_epoch", "num_epochs"},
       &T::epochs,
       "passes over the data (the scheduler's max_t, else 10)",
       1,
       kMany},
      {"hidden",
       {"width", "widths", "hidden_size", "units"},
       &T::hidden,
       "widths of the hidden layers (mlp 256,128; lenet 120,84)",
       1,
       kWidthMax},
      {"layers",
       {"num_layers", "depth"},
       &T::layers,
       "hidden layers, when hidden is one number (1)",
       1,
       kLayersMax},
      {"channels",
       {},
       &T::channels,
       "lenet: channels of its two convolutions (16,32)",
       1,
       4096,
       false,
       false,
       {},
       2},
      {"dropout",
       {},
       &T::dropout,
       "share of hidden units dropped in training (0)",
       0,
       1,
       false,
       true},
      {"activation",
       {},
       &T::activation,
       "after each hidden layer",
       0,
       0,
       false,
       false,
       {"relu", "tanh", "gelu"}},
      {"optimizer",
       {"optim"},
       &T::optimizer,
       "how to step",
       0,
       0,
       false,
       false,
       {"adam", "adamw", "sgd"}},
      {"momentum", {}, &T::momentum, "sgd: momentum (0)", 0, 1, false, true},
      {"weight_decay", {"wd"}, &T::weight_decay, "weight decay (0)", 0, 100},
      {"seed", {}, &T::seed, "seed of everything random (the trial's)", 0, 9e18},
      {"test_fraction",
       {"test_size"},
       &T::test_fraction,
       "share of rows held out (0.2)",
       0,
       0.9,
       true},
      {"label_column",
       {"label", "target"},
       &T::label_column,
       "csv: name or number of the label's column (the last)"},
      {"header",
       {},
       &T::header,
       "csv: whether the first line names the columns",
       0,
       0,
       false,
       false,
       {"auto", "yes", "no"}},
      {"samples", {"size"}, &T::samples, "synthetic: rows (2000)", 10, 1e7},
      {"classes", {}, &T::classes, "synthetic: classes (10)", 2, 1000},
      {"features", {"dims"}, &T::features, "synthetic: columns (20)", 1, 10'000},
      {"noise", {}, &T::noise, "synthetic: spread around a class centre (1.0)", 0, 1000},
      {"device", {}, &T::device, "where to compute", 0, 0, false, false, {"auto", "cpu", "cuda"}},
      {"checkpoint_every",
       {},
       &T::checkpoint_every,
       "epochs between checkpoints; 0: only when asked to leave (1)",
       0,
       kMany},
      {"mode",
       {},
       &T::mode,
       "on what one trial runs: docs/training.md (single)",
       0,
       0,
       false,
       false,
       {"single", "data_parallel", "model_parallel", "ddp"}},
      {"devices", {}, &T::devices, "data_parallel, model_parallel: where its parts compute"},
      {"batch_per_rank", {}, &T::batch_per_rank, "ddp: samples a step of each rank", 1, kMany},
      {"peer_timeout", {}, &T::peer_timeout, "ddp: seconds to wait for another rank (60)", 0, 86'400, true},
      {"check_ranks",
       {},
       &T::check_ranks,
       "ddp: compare the parameters of all ranks after each epoch",
       0,
       0,
       false,
       false,
       {"no", "yes"}},
  };
  return *specs;
}

// "LearningRate", "learning-rate" and "learning_rate" are one name.
std::string Normal(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c != '_' && c != '-') {
      out += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
  }
  return out;
}

const OptionSpec* FindSpec(std::string_view name) {
  const std::string wanted = Normal(name);
  for (const OptionSpec& spec : Specs()) {
    if (Normal(spec.name) == wanted) return &spec;
    for (const std::string& alias : spec.aliases) {
      if (Normal(alias) == wanted) return &spec;
    }
  }
  return nullptr;
}

std::string Unknown(const std::string& name) {
  std::vector<std::string> names;
  std::vector<std::string> candidates;
  for (const OptionSpec& spec : Specs()) {
    names.push_back(spec.name);
    candidates.push_back(spec.name);
    candidates.insert(candidates.end(), spec.aliases.begin(), spec.aliases.end());
  }
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  const std::string close = ClosestWord(lower, candidates);
  return "unknown option '" + ValidUtf8(name) + "'" +
         (close.empty() ? "; the options are " + Join(names, ", ")
                        : "; did you mean '" + close + "'?");
}

std::string NumberText(double value) {
  std::string text = DoubleText(value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::string Allowed(const OptionSpec& spec) {
  if (!spec.choices.empty()) return "one of " + Join(spec.choices, ", ");
  const bool text = std::holds_alternative<std::string TrainerOptions::*>(spec.member);
  if (text) return "text";
  if (std::holds_alternative<std::vector<std::string> TrainerOptions::*>(spec.member)) {
    return "a list of cpu, cuda or cuda:0, cuda:1 and so on, at most " + std::to_string(spec.length);
  }
  const bool real = std::holds_alternative<double TrainerOptions::*>(spec.member);
  const bool list = std::holds_alternative<std::vector<int64_t> TrainerOptions::*>(spec.member);
  return std::string(real   ? "a number"
                     : list ? "a whole number or a list of them, each"
                            : "a whole number") +
         (spec.low_open ? " above " : " from ") + NumberText(spec.low) +
         (spec.high_open ? " to below " : " to ") + NumberText(spec.high) +
         (list ? ", at most " + std::to_string(spec.length) : "");
}

std::optional<double> RealIn(const json& value, const OptionSpec& spec) {
  if (!value.is_number()) return std::nullopt;
  const double x = value.get<double>();
  if (!std::isfinite(x) || x < spec.low || (spec.low_open && x == spec.low) || x > spec.high ||
      (spec.high_open && x == spec.high)) {
    return std::nullopt;
  }
  return x;
}

// A search space with quniform gives 64.0 for 64.
std::optional<int64_t> IntegerIn(const json& value, const OptionSpec& spec) {
  const std::optional<double> x = RealIn(value, spec);
  if (!x || std::floor(*x) != *x) return std::nullopt;
  return value.is_number_float() ? static_cast<int64_t>(*x) : value.get<int64_t>();
}

// The value as written, for an error message.
std::string Shown(const json& value) {
  constexpr size_t kBytesMax = 100;
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kBytesMax) text = text.substr(0, kBytesMax) + "...";
  return ValidUtf8(text);
}

// Whether brackets are nested too deep to be options. Parsing stands any depth, but copying and
// printing a value recurse.
bool TooDeep(std::string_view text) {
  constexpr int kDepthMax = 16;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size() && depth <= kDepthMax; ++i) {
    const char c = text[i];
    if (quoted && c == '\\') ++i;
    if (c == '"') quoted = !quoted;
    if (!quoted) depth += (c == '[' || c == '{') - (c == ']' || c == '}');
  }
  return depth > kDepthMax;
}

// Text also takes a whole number (label_column: -1) and, for header, true and false.
std::optional<std::string> TextIn(const json& value, const OptionSpec& spec) {
  std::string text;
  if (value.is_string()) {
    text = value.get<std::string>();
  } else if (value.is_boolean()) {
    text = value.get<bool>() ? "yes" : "no";
  } else if (value.is_number_integer() && spec.choices.empty()) {
    text = value.dump();
  } else {
    return std::nullopt;
  }
  if (spec.choices.empty()) return text;
  const auto found = std::find_if(spec.choices.begin(), spec.choices.end(),
                                  [&](const auto& c) { return Normal(c) == Normal(text); });
  if (found == spec.choices.end()) return std::nullopt;
  return *found;
}

std::optional<std::vector<int64_t>> IntegersIn(const json& value, const OptionSpec& spec) {
  std::vector<int64_t> list;
  for (const json& item : value.is_array() ? value : json::array({value})) {
    const std::optional<int64_t> x = IntegerIn(item, spec);
    if (!x) return std::nullopt;
    list.push_back(*x);
  }
  if (list.size() > spec.length) return std::nullopt;
  return list;
}

bool IsDevice(const std::string& name) {
  if (name == "cpu" || name == "cuda") return true;
  const std::string number = name.starts_with("cuda:") ? name.substr(5) : "";
  return !number.empty() && number.size() <= 2 && number.find_first_not_of("0123456789") == std::string::npos;
}

// "cpu,cpu" or ["cpu", "cpu"].
std::optional<std::vector<std::string>> DevicesIn(const json& value, const OptionSpec& spec) {
  std::vector<std::string> list;
  if (value.is_string()) {
    const std::string text = value.get<std::string>() + ",";
    for (size_t at = 0, end; (end = text.find(',', at)) != std::string::npos; at = end + 1) {
      list.push_back(text.substr(at, end - at));
    }
  } else if (value.is_array()) {
    for (const json& item : value) list.push_back(item.is_string() ? item.get<std::string>() : "");
  }
  if (list.empty() || list.size() > spec.length || !std::all_of(list.begin(), list.end(), IsDevice)) {
    return std::nullopt;
  }
  return list;
}

template <typename T>
bool Put(const std::optional<T>& value, T* into) {
  if (value) *into = *value;
  return value.has_value();
}

bool Assign(const json& value, const OptionSpec& spec, TrainerOptions* options) {
  using T = TrainerOptions;
  if (const auto* text = std::get_if<std::string T::*>(&spec.member)) {
    return Put(TextIn(value, spec), &(options->*(*text)));
  }
  if (const auto* real = std::get_if<double T::*>(&spec.member)) {
    return Put(RealIn(value, spec), &(options->*(*real)));
  }
  if (const auto* integer = std::get_if<int64_t T::*>(&spec.member)) {
    return Put(IntegerIn(value, spec), &(options->*(*integer)));
  }
  if (const auto* devices = std::get_if<std::vector<std::string> T::*>(&spec.member)) {
    return Put(DevicesIn(value, spec), &(options->*(*devices)));
  }
  return Put(IntegersIn(value, spec),
             &(options->*std::get<std::vector<int64_t> T::*>(spec.member)));
}

json SettingValue(const std::string& text) {
  json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded() && text.find(',') != std::string::npos) {
    value = json::parse("[" + text + "]", nullptr, false);  // hidden=256,128
  }
  if (value.is_discarded()) value = text;
  return value;
}

// What was given for one option, and how it was spelt there.
struct Given {
  std::string spelling;
  json value;
};
using GivenOptions = std::map<const OptionSpec*, Given>;

class Collector {
 public:
  // `override`: a later value wins; otherwise two spellings of one option are a mistake.
  void Add(const std::string& spelling, std::string_view name, const json& value, bool override) {
    const OptionSpec* spec = FindSpec(name);
    if (spec == nullptr) {
      problems_.push_back(Unknown(spelling));
      return;
    }
    const auto [at, fresh] = given_.try_emplace(spec, Given{spelling, value});
    if (!fresh && override) at->second = {spelling, value};
    if (!fresh && !override) {
      problems_.push_back("'" + at->second.spelling + "' and '" + ValidUtf8(spelling) +
                          "' are the same option; keep one");
    }
  }

  // {"optimizer": {"type": "sgd", "momentum": 0.9}}: the group's name stands for its own "type".
  void AddGroup(const std::string& group, const json& members) {
    const std::string own = Normal(group) == "data" ? "dataset" : group;
    const OptionSpec* spec = FindSpec(own);
    const bool known = spec != nullptr &&
                       (std::string(spec->name) == "optimizer" ||
                        std::string(spec->name) == "model" || std::string(spec->name) == "dataset");
    if (!known) {
      problems_.push_back("option '" + ValidUtf8(group) +
                          "' has nested options; only optimizer, model and dataset may");
      return;
    }
    for (const auto& [name, value] : members.items()) {
      const std::string plain = Normal(name);
      const bool names_group = plain == "type" || plain == "name" || plain == "kind";
      Add(group + "/" + name, names_group ? own : name, value, false);
    }
  }

  void AddConfig(std::string_view config) {
    if (TooDeep(config)) {
      problems_.push_back("the configuration is nested more than 16 deep");
      return;
    }
    // An exception never leaves: parse errors are turned into a problem here.
    try {
      const json parsed = json::parse(config, nullptr, true, /*ignore_comments=*/true);
      if (!parsed.is_object()) {
        problems_.push_back(
            "the configuration must be a JSON object of options, such as {\"lr\": 0.01}");
        return;
      }
      for (const auto& [name, value] : parsed.items()) {
        value.is_object() ? AddGroup(name, value) : Add(name, name, value, false);
      }
    } catch (const json::exception& e) {
      problems_.push_back(std::string("the configuration is not JSON: ") + ValidUtf8(e.what()));
    }
  }

  void AddSetting(const std::string& setting) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      problems_.push_back("'" + ValidUtf8(setting) + "' is not name=value, such as lr=0.01");
      return;
    }
    const std::string name = setting.substr(0, equals);
    const std::string text = setting.substr(equals + 1);
    if (TooDeep(text)) {
      problems_.push_back("option '" + ValidUtf8(name) + "' is nested more than 16 deep");
      return;
    }
    Add(name, name.substr(name.rfind('/') + 1), SettingValue(text), true);
  }

  const GivenOptions& given() const { return given_; }
  std::vector<std::string>& problems() { return problems_; }

 private:
  GivenOptions given_;
  std::vector<std::string> problems_;
};

void FillDefaults(const OptionDefaults& defaults, TrainerOptions* o) {
  if (o->lr == 0) o->lr = o->optimizer == "sgd" ? 0.05 : 0.001;
  if (o->epochs == 0) o->epochs = defaults.epochs > 0 ? defaults.epochs : 10;
  if (o->seed < 0) o->seed = static_cast<int64_t>(defaults.seed >> 1);
  if (o->hidden.empty()) {
    o->hidden =
        o->model == "lenet" ? std::vector<int64_t>{120, 84} : std::vector<int64_t>{256, 128};
  }
  if (o->hidden.size() == 1 && o->layers > 1) {
    o->hidden.resize(static_cast<size_t>(o->layers), o->hidden[0]);
  }
}

// Checks options against each other, and says which have no effect.
void CheckTogether(const GivenOptions& given, TrainerOptions* o,
                   std::vector<std::string>* problems) {
  const auto has = [&](const char* name) { return given.contains(FindSpec(name)); };
  if (o->layers > 0 && static_cast<size_t>(o->layers) != o->hidden.size()) {
    problems->push_back("layers is " + std::to_string(o->layers) + " but hidden lists " +
                        std::to_string(o->hidden.size()) + " widths; give one of the two");
  }
  if (o->channels.size() != 2) problems->push_back("channels needs two numbers, such as [16, 32]");
  if (o->dataset == "csv" && o->data.empty()) {
    problems->push_back("dataset csv needs the path of a file: data=table.csv");
  }
  const auto unused = [&](const char* name, bool used, const std::string& by) {
    if (has(name) && !used) o->notes.push_back(std::string(name) + " has no effect with " + by);
  };
  unused("momentum", o->optimizer == "sgd", o->optimizer);
  unused("channels", o->model == "lenet", o->model);
  const bool own_test_files = o->dataset == "mnist" || o->dataset == "cifar10";
  unused("test_fraction", !own_test_files, o->dataset);
  for (const char* name : {"label_column", "header"}) unused(name, o->dataset == "csv", o->dataset);
  for (const char* name : {"samples", "classes", "features", "noise"}) {
    unused(name, o->dataset == "synthetic", o->dataset);
  }
  unused("data", o->dataset != "synthetic", o->dataset);

  const bool parts = o->mode == "data_parallel" || o->mode == "model_parallel";
  if (parts && o->devices.size() < 2) {
    problems->push_back("mode " + o->mode + " needs two devices or more: devices=cpu,cpu or devices=cuda:0,cuda:1");
  }
  if (has("batch_size") && has("batch_per_rank")) {
    problems->push_back("batch_size counts the rows of all ranks and batch_per_rank those of one; give one of the two");
  }
  unused("devices", parts, "mode " + o->mode);
  if (parts) unused("device", false, "mode " + o->mode + ", which takes devices");
  for (const char* name : {"batch_per_rank", "peer_timeout", "check_ranks"}) {
    unused(name, o->mode == "ddp", "mode " + o->mode);
  }
}

}  // namespace

StatusOr<TrainerOptions> ParseOptions(std::string_view config,
                                      const std::vector<std::string>& settings,
                                      const OptionDefaults& defaults) {
  Collector collector;
  if (!config.empty()) collector.AddConfig(config);
  for (const std::string& setting : settings) collector.AddSetting(setting);
  std::vector<std::string>& problems = collector.problems();

  TrainerOptions options;
  for (const auto& [spec, given] : collector.given()) {
    if (!Assign(given.value, *spec, &options)) {
      problems.push_back("option '" + ValidUtf8(given.spelling) + "' is " + Shown(given.value) +
                         "; it must be " + Allowed(*spec));
    }
  }
  if (problems.empty()) {
    FillDefaults(defaults, &options);
    CheckTogether(collector.given(), &options, &problems);
  }
  if (!problems.empty()) return InvalidArgument(Join(problems, "\n"));
  return options;
}

StatusOr<std::string> ConfigWithSettings(std::string_view config, const std::vector<std::string>& settings) {
  json merged = config.empty() ? json::object() : json::parse(config, nullptr, /*allow_exceptions=*/false);
  if (!merged.is_object() || TooDeep(config)) {
    return InvalidArgument("the configuration must be a JSON object of parameters, such as {\"lr\": 0.01}");
  }
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return InvalidArgument("'" + ValidUtf8(setting) + "' is not name=value, such as lr=0.01");
    }
    // Within the groups of its name that are there; a name with slashes is as good where they are not.
    json* place = &merged;
    std::string name = setting.substr(0, equals);
    for (size_t slash; (slash = name.find('/')) != std::string::npos; name.erase(0, slash + 1)) {
      const auto group = place->find(name.substr(0, slash));
      if (group == place->end() || !group->is_object()) break;
      place = &*group;
    }
    (*place)[name] = SettingValue(setting.substr(equals + 1));
  }
  return merged.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string OptionsHelp() {
  std::string out = "Options (in the configuration file, or with --set name=value):\n";
  for (const OptionSpec& spec : Specs()) {
    std::string name = "  " + std::string(spec.name);
    name.resize(std::max<size_t>(name.size() + 1, 20), ' ');
    out += name + spec.help + "; " + Allowed(spec);
    if (!spec.aliases.empty()) out += "; also " + Join(spec.aliases, ", ");
    out += '\n';
  }
  return out;
}

std::string OptimizerText(const TrainerOptions& options) {
  std::string text = options.optimizer + " lr=" + DoubleText(options.lr) +
                     " weight_decay=" + DoubleText(options.weight_decay);
  if (options.optimizer == "sgd") text += " momentum=" + DoubleText(options.momentum);
  return text;
}

}  // namespace tunesmith::trainer
