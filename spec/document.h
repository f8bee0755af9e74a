// A sweep file as a tree of nodes with positions, before anything is known about its keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "search/space/value.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

struct Node {
  // What the YAML 1.2 core schema makes of it: 1e-5 is a number; no, yes and on are text; what is
  // quoted is text.
  enum class Kind : uint8_t { kNull, kBool, kInt, kFloat, kText, kList, kMap };
  Kind kind = Kind::kNull;
  Position at;
  std::string text;               // scalars: as written
  std::vector<std::string> keys;  // maps: no key twice
  std::vector<Position> key_positions;
  std::vector<Node> items;  // elements of a list, values of a map

  bool IsScalar() const { return kind < Kind::kList; }
  // The value of a key of a map; nullptr if there is none.
  const Node* Find(std::string_view key) const;
};

// A scalar as it stands in the core schema.
Node::Kind PlainScalarKind(std::string_view text);

// The tree of one YAML document, or of JSON with comments and trailing commas. nullopt and a
// problem if the text is neither or exceeds the limits; a key that stands twice is a problem, but
// the tree has the first and is returned.
std::optional<Node> ParseDocument(std::string_view text, std::vector<FileProblem>* problems);

// Makes a tree by hand, for flags.
Node ScalarNode(std::string text, Node::Kind kind);
void AddItem(Node* map, std::string key, Node value);

// Text of the node in an error message, short.
std::string Describe(const Node& node);

// The value of a scalar, list (kept as JSON) or object (kept as JSON). nullopt and `why` if it has
// none: an integer beyond 64 bits, a number beyond double.
std::optional<Value> NodeValue(const Node& node, std::string* why);

// A number, where a number is due; nullopt for anything else (also for quoted numbers).
std::optional<double> NodeNumber(const Node& node);

}  // namespace tunesmith
