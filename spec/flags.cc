// Command line flags become the tree that a sweep file would be, so that both have one reader and
// the same messages.
#include <algorithm>

#include "common/text.h"
#include "spec/quick.h"
#include "spec/reader.h"
#include "spec/template.h"

namespace tunesmith {
namespace {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Position of `token` outside quotes and brackets, from `start` on; npos if there is none.
size_t FindOutside(std::string_view text, std::string_view token, size_t start) {
  int depth = 0;
  char quote = '\0';
  for (size_t i = start; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != '\0') {
      if (c == quote) quote = '\0';
      continue;
    }
    if (depth == 0 && text.substr(i).starts_with(token)) return i;
    if (c == '"' || c == '\'') quote = c;
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
  }
  return std::string_view::npos;
}

Node TextNode(std::string_view text) { return ScalarNode(std::string(text), Node::Kind::kText); }
Node PlainNode(std::string_view text) {
  return ScalarNode(std::string(text), PlainScalarKind(text));
}

class FlagReader {
 public:
  explicit FlagReader(FieldLog* log) : log_(log) {}

  // "lr=loguniform(1e-5,1e-1) when opt=sgd" as {lr: {loguniform: [...], when: ...}}, added to
  // `parameters`.
  bool Parameter(std::string_view text, Node* parameters) {
    const size_t equals = text.find('=');
    const std::string name(Trim(text.substr(0, equals == std::string_view::npos ? 0 : equals)));
    if (name.empty()) {
      log_->Add("parameters", "\"" + ValidUtf8(text.substr(0, 60)) + "\" is not a parameter",
                "write lr=loguniform(1e-5,1e-1), bs=choice(32,64) or x=3");
      return false;
    }
    std::string_view value = Trim(text.substr(equals + 1));
    const std::string padded =
        std::string(value) + " ";  // so that a bare "when" at the end is found
    const size_t when = FindOutside(padded, " when ", 0);
    const std::string_view condition =
        when == std::string_view::npos ? "" : Trim(std::string_view(padded).substr(when + 6));
    value = Trim(value.substr(0, when));
    const std::string field = "parameters." + ValidUtf8(name);
    Node node;
    if (!Distribution(value, field, &node)) return false;
    if (when != std::string_view::npos) AddItem(&node, "when", TextNode(condition));
    if (parameters->Find(name) != nullptr) {
      log_->Add(field, "the parameter is given twice", "keep one of them");
      return false;
    }
    AddItem(parameters, name, std::move(node));
    return true;
  }

  // "asha:max_t=27,reduction_factor=3" as {type: asha, max_t: 27, reduction_factor: 3}.
  Node Typed(std::string_view text, const std::string& field) {
    Node node;
    const size_t colon = text.find(':');
    AddItem(&node, "type", TextNode(Trim(text.substr(0, colon))));
    if (colon != std::string_view::npos) Pairs(text.substr(colon + 1), field, &node);
    return node;
  }

  // "gpus=1,labels.zone=a" as {gpus: 1, labels: {zone: a}}.
  void Pairs(std::string_view text, const std::string& field, Node* node) {
    constexpr std::string_view kLabelPrefix = "labels.";
    node->kind = Node::Kind::kMap;
    Node labels;
    labels.kind = Node::Kind::kMap;
    while (!Trim(text).empty()) {
      const size_t comma = FindOutside(text, ",", 0);
      const std::string_view pair = text.substr(0, comma);
      const size_t equals = pair.find('=');
      const std::string key(Trim(pair.substr(0, equals)));
      const bool twice = node->Find(key) != nullptr ||
                         (key.starts_with(kLabelPrefix) && labels.Find(key.substr(kLabelPrefix.size())) != nullptr);
      if (equals == std::string_view::npos || twice) {
        log_->Add(field,
                  "\"" + ValidUtf8(pair.substr(0, 60)) + "\"" +
                      (equals == std::string_view::npos ? " has no '='" : " is given twice"),
                  "write name=value,name=value");
      } else {
        const std::string_view value = Trim(pair.substr(equals + 1));
        const bool is_label = field == "resources" && key.starts_with(kLabelPrefix);
        if (is_label) {
          AddItem(&labels, key.substr(kLabelPrefix.size()), TextNode(value));
        } else {
          AddItem(node, key, key == "warm_start" ? TextNode(value) : PlainNode(value));
        }
      }
      text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    }
    if (!labels.keys.empty()) AddItem(node, "labels", std::move(labels));
  }

 private:
  bool Parse(const std::string& yaml, const std::string& field, Node* out) {
    std::vector<FileProblem> problems;
    auto node = ParseDocument(yaml, &problems);
    for (const FileProblem& p : problems) log_->Add(field, p.problem.message, p.problem.hint);
    if (!node || !problems.empty()) return false;
    *out = std::move(*node);
    return true;
  }

  // "uniform(0,1)" as {uniform: [0, 1]}; anything else as {constant: ...}.
  bool Distribution(std::string_view text, const std::string& field, Node* out) {
    const size_t open = text.find('(');
    const bool call = open != std::string_view::npos && open > 0 && text.ends_with(')') &&
                      std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(open),
                                  [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
    Node value;
    std::string word = "constant";
    if (call) {
      word = text.substr(0, open);
      if (!Parse("[" + std::string(text.substr(open + 1, text.size() - open - 2)) + "]", field,
                 &value))
        return false;
      if (word == "constant" && value.items.size() == 1) value = Node(value.items[0]);
    } else if (text.empty()) {
      log_->Add(field, "the parameter has no distribution",
                "write loguniform(1e-5,1e-1), choice(a,b) or a value");
      return false;
    } else if (std::string_view("[{\"'").find(text.front()) != std::string_view::npos) {
      if (!Parse(std::string(text), field, &value)) return false;
    } else {
      value = PlainNode(text);
    }
    AddItem(out, word, std::move(value));
    return true;
  }

  FieldLog* log_;
};

void Append(FieldLog* log, Problems* problems) {
  for (FileProblem& found : log->Take()) problems->push_back(std::move(found.problem));
}

// The program's words, with ${args} at the end where nothing else hands it the parameters.
Node CommandNode(const QuickFlags& flags) {
  Node list;
  list.kind = Node::Kind::kList;
  bool delivers = flags.params.empty() || flags.args == "none";
  for (const std::string& word : flags.command) {
    std::string why;
    for (const TemplatePiece& piece :
         ParseTemplate(word, &why).value_or(std::vector<TemplatePiece>())) {
      const auto& words = TemplateWords();
      const bool other = std::find(words.begin(), words.end(), piece.text) != words.end() &&
                         piece.text != "config";
      delivers = delivers || (piece.is_name && !other);
    }
    list.items.push_back(TextNode(word));
  }
  if (!delivers) list.items.push_back(TextNode("${args}"));
  return list;
}

Node EnvNode(const std::vector<std::string>& env, FieldLog* log) {
  Node node;
  node.kind = Node::Kind::kMap;
  for (const std::string& text : env) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
      log->Add("env", "\"" + ValidUtf8(text.substr(0, 60)) + "\" has no '='", "write NAME=value");
      continue;
    }
    AddItem(&node, text.substr(0, equals), TextNode(text.substr(equals + 1)));
  }
  return node;
}

Node TextList(const std::vector<std::string>& texts) {
  Node list;
  list.kind = Node::Kind::kList;
  for (const std::string& text : texts) list.items.push_back(TextNode(text));
  return list;
}

// "accuracy:max,latency:min" as its parts; a comma without a goal before it belongs to a name.
std::vector<std::string> SplitMetrics(std::string_view text) {
  std::vector<std::string> parts;
  std::string part;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    part += text.substr(0, comma);
    text = comma == std::string_view::npos ? "" : text.substr(comma + 1);
    const size_t colon = part.rfind(':');
    if (text.empty() || (colon != std::string::npos && GoalFromText(part.substr(colon + 1)))) {
      parts.emplace_back(Trim(part));
      part.clear();
    } else {
      part += ',';
    }
  }
  return parts;
}

Node CollectNode(const std::vector<std::string>& collect) {
  Node list;
  list.kind = Node::Kind::kList;
  for (const std::string& text : collect) {
    if (text == "auto" || text == "json") {
      list.items.push_back(TextNode(text));
    } else {
      AddItem(&list.items.emplace_back(), "regex", TextNode(text));
    }
  }
  return list;
}

}  // namespace

std::optional<Parameter> ParseParameterFlag(std::string_view text, Problems* problems) {
  FieldLog log;
  Node map;
  ReadParameters read;
  if (FlagReader(&log).Parameter(text, &map)) read = ReadParameterMap(map, &log);
  const bool good = log.empty() && read.parameters.size() == 1;
  if (log.empty() && !good)
    log.Add("parameters", "one flag declares one parameter", "give each part a flag of its own");
  Append(&log, problems);
  if (!good) return std::nullopt;
  return std::move(read.parameters[0]);
}

std::optional<SweepSpec> SpecFromFlags(const QuickFlags& flags, Problems* problems) {
  FieldLog log;
  FlagReader reader(&log);
  Node root;
  root.kind = Node::Kind::kMap;
  const auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) AddItem(&root, key, TextNode(value));
  };
  text("name", flags.name);
  text("args", flags.args);
  text("workdir", flags.workdir);
  if (const auto metrics = SplitMetrics(flags.metric); metrics.size() > 1) {
    AddItem(&root, "metrics", TextList(metrics));
  } else {
    text("metric", flags.metric);
  }
  if (!flags.command.empty()) AddItem(&root, "command", CommandNode(flags));
  if (!flags.params.empty()) {
    Node parameters;
    parameters.kind = Node::Kind::kMap;
    for (const std::string& param : flags.params) reader.Parameter(param, &parameters);
    AddItem(&root, "parameters", std::move(parameters));
  }
  if (!flags.constraints.empty()) {
    AddItem(&root, "constraints", TextList(flags.constraints));
  }
  if (!flags.search.empty() || !flags.require.empty()) {
    Node search;
    search.kind = Node::Kind::kMap;
    if (!flags.search.empty()) search = reader.Typed(flags.search, "search");
    if (!flags.require.empty()) AddItem(&search, "require", TextList(flags.require));
    AddItem(&root, "search", std::move(search));
  }
  if (!flags.scheduler.empty())
    AddItem(&root, "scheduler", reader.Typed(flags.scheduler, "scheduler"));
  if (!flags.trials.empty()) AddItem(&root, "trials", PlainNode(flags.trials));
  if (!flags.repeats.empty()) AddItem(&root, "repeats", PlainNode(flags.repeats));
  if (!flags.max_parallel.empty()) AddItem(&root, "max_parallel", PlainNode(flags.max_parallel));
  if (!flags.priority.empty()) AddItem(&root, "priority", PlainNode(flags.priority));
  if (!flags.weight.empty()) AddItem(&root, "weight", PlainNode(flags.weight));
  const auto add_pairs = [&](const std::string& text, const char* section) {
    if (text.empty()) return;
    Node node;
    reader.Pairs(text, section, &node);
    AddItem(&root, section, std::move(node));
  };
  add_pairs(flags.stop, "stop");
  add_pairs(flags.budget, "budget");
  add_pairs(flags.resources, "resources");
  if (!flags.env.empty()) AddItem(&root, "env", EnvNode(flags.env, &log));
  if (!flags.collect.empty()) AddItem(&root, "collect", CollectNode(flags.collect));
  auto spec = ReadSweep(root, &log);
  Append(&log, problems);
  return spec;
}

}  // namespace tunesmith
