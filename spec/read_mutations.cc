// `scheduler.mutations:` of the sweep file: names of parameters, perhaps with values of their own.
#include <utility>

#include "spec/reader.h"

namespace tunesmith {
namespace {

// lr: {loguniform: [...]}, read as a parameter is.
void ReadDistribution(const std::string& name, const Node& node, const std::string& field, const std::string& section,
                      std::vector<Mutation>* out, FieldLog* log) {
  Node map;
  map.kind = Node::Kind::kMap;
  map.at = node.at;
  AddItem(&map, name, node);
  map.key_positions = {node.at};
  FieldLog parts;
  const ReadParameters read = ReadParameterMap(map, &parts);
  const std::string from = "parameters.";
  for (FileProblem& problem : parts.Take()) {
    if (problem.problem.field.starts_with(from)) {
      problem.problem.field = section + "." + problem.problem.field.substr(from.size());
    }
    log->AddFound(std::move(problem));
  }
  if (!read.broken.empty()) return;
  if (read.parameters.size() != 1 || read.parameters[0].name != name ||
      read.parameters[0].distribution == Distribution::kConstant) {
    return log->Add(field, "here stands " + Describe(node) + ", not values to choose from",
                    "write a list of values, a distribution such as {uniform: [0, 1]}, or nothing: as declared");
  }
  out->push_back({name, Mutation::From::kDistribution, read.parameters[0]});
}

void ReadList(const std::string& name, const Node& node, const std::string& field, std::vector<Mutation>* out,
              FieldLog* log) {
  Mutation mutation{name, Mutation::From::kList, {}};
  mutation.values.name = name;
  mutation.values.distribution = Distribution::kChoice;
  for (const Node& item : node.items) {
    if (!ReadValue(item, field, &mutation.values.options.emplace_back(), log)) return;
  }
  if (node.items.empty()) return log->Add(field, "the list is empty", "name values, or leave the list out");
  out->push_back(std::move(mutation));
}

}  // namespace

std::vector<Mutation> ReadMutations(const Node& node, const std::string& field, FieldLog* log) {
  std::vector<Mutation> mutations;
  if (node.kind == Node::Kind::kList) {
    for (size_t i = 0; i < node.items.size(); ++i) {
      Mutation& mutation = mutations.emplace_back();
      const std::string item = field + "[" + std::to_string(i) + "]";
      log->Note(item, node.items[i].at);
      ReadText(node.items[i], item, &mutation.name, log);
      log->Note(field + "." + mutation.name, node.items[i].at);
    }
    return mutations;
  }
  if (node.kind != Node::Kind::kMap) {
    log->Add(field, "here stands " + Describe(node) + ", neither a list nor an object",
             "write [lr, momentum], or {lr: {loguniform: [1e-4, 1e-1]}, batch: [32, 64]}");
    return mutations;
  }
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const std::string& name = node.keys[i];
    const Node& values = node.items[i];
    const std::string item = field + "." + name;
    log->Note(item, node.key_positions[i]);
    if (values.kind == Node::Kind::kNull) {
      mutations.push_back({.name = name});
    } else if (values.kind == Node::Kind::kList) {
      ReadList(name, values, item, &mutations, log);
    } else {
      ReadDistribution(name, values, item, field, &mutations, log);
    }
  }
  return mutations;
}

}  // namespace tunesmith
