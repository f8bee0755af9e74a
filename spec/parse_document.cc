// ParseDocument: yaml-cpp's events made into a Node tree. JSON is read as the YAML that it is,
// after its comments and trailing commas are blanked out, so that both forms have one reader and
// exact positions.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cstdint>
#include <sstream>
#include <unordered_map>

#include "common/limits.h"
#include "common/text.h"
#include "spec/document.h"

namespace tunesmith {
namespace {

// Thrown through yaml-cpp by the builder and caught in ParseDocument.
struct Refused {
  FileProblem problem;
};

Position PositionOf(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::vector<FileProblem>* problems) : problems_(problems) {}

  Node& root() { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      Refuse(mark, "a second document begins here", "put one sweep in one file");
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, ScalarNode("", Node::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Refuse(mark, "the alias stands inside what it refers to", "write the value out");
    }
    Node copy = found->second;
    nodes_ += Count(copy);
    Add(mark, 0, std::move(copy));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckTag(mark, tag);
    const bool plain = tag == "?" || tag.empty();
    Add(mark, anchor, ScalarNode(value, plain ? PlainScalarKind(value) : Node::Kind::kText));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    CheckTag(mark, tag);
    Open(mark, anchor, Node::Kind::kList);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    CheckTag(mark, tag);
    Open(mark, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Frame {
    Node node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    bool key_again = false;  // told already; the first one counts
    std::string key;
    Position key_at;
    std::unordered_map<std::string, int> lines;  // of the keys so far
  };

  [[noreturn]] static void Refuse(const YAML::Mark& mark, std::string message, std::string hint) {
    throw Refused{{PositionOf(mark), {"", std::move(message), std::move(hint)}}};
  }

  static void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:str") return;
    Refuse(mark, "the tag " + tag.substr(0, 60) + " is not supported",
           "remove it; quote what is to be text");
  }

  static size_t Count(const Node& node) {
    size_t count = 1;
    for (const Node& item : node.items) count += Count(item);
    return count;
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, Node::Kind kind) {
    if (frames_.size() >= kSweepFileDepthMax) {
      Refuse(mark, "more than " + std::to_string(kSweepFileDepthMax) + " levels of nesting",
             "a sweep file needs about ten");
    }
    if (!frames_.empty() && frames_.back().node.kind == Node::Kind::kMap &&
        !frames_.back().has_key) {
      Refuse(mark, "a key of an object is a list or an object", "use a word as the key");
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.at = PositionOf(mark);
    frame.anchor = anchor;
    frames_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    Insert(frame.anchor, std::move(frame.node));
  }

  void Add(const YAML::Mark& mark, YAML::anchor_t anchor, Node node) {
    if (!frames_.empty() && frames_.back().node.kind == Node::Kind::kMap &&
        !frames_.back().has_key) {
      return AddKey(mark, node);
    }
    node.at = PositionOf(mark);
    Insert(anchor, std::move(node));
  }

  void AddKey(const YAML::Mark& mark, const Node& node) {
    if (!node.IsScalar())
      Refuse(mark, "a key of an object is a list or an object", "use a word as the key");
    Frame& frame = frames_.back();
    frame.has_key = true;
    frame.key = node.text;
    frame.key_at = PositionOf(mark);
    const auto [earlier, fresh] = frame.lines.emplace(frame.key, frame.key_at.line);
    frame.key_again = !fresh;
    if (fresh || problems_->size() > kProblemsMax) return;
    problems_->push_back(
        {frame.key_at,
         {"",
          "the key \"" + frame.key.substr(0, 60) + "\" stands here again, after line " +
              std::to_string(earlier->second),
          "keep one of them"}});
  }

  void Insert(YAML::anchor_t anchor, Node node) {
    if (++nodes_ > kSweepFileNodesMax) {
      throw Refused{{node.at,
                     {"", "more than " + std::to_string(kSweepFileNodesMax) + " values",
                      "use a range instead of a long list, and fewer aliases"}}};
    }
    if (anchor != 0) {
      nodes_ += Count(node);
      anchors_[anchor] = node;
    }
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.kind == Node::Kind::kMap) {
      frame.has_key = false;
      if (frame.key_again) return;
      frame.node.keys.push_back(std::move(frame.key));
      frame.node.key_positions.push_back(frame.key_at);
    }
    frame.node.items.push_back(std::move(node));
  }

  std::vector<FileProblem>* problems_;
  Node root_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Node> anchors_;
  size_t nodes_ = 0;
  int documents_ = 0;
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

FileProblem TextProblem(std::string_view text, size_t at, std::string message, std::string hint) {
  Position position{1, 1};
  for (size_t i = 0; i < at && i < text.size(); ++i) {
    position.column = text[i] == '\n' ? 1 : position.column + 1;
    if (text[i] == '\n') ++position.line;
  }
  return {position, {"", std::move(message), std::move(hint)}};
}

// Whether every byte belongs to text that a person can have typed.
bool CheckText(std::string_view text, std::vector<FileProblem>* problems) {
  if (text.size() > kSweepFileBytesMax) {
    problems->push_back({{},
                         {"",
                          "the file has " + std::to_string(text.size()) + " bytes, the limit is " +
                              std::to_string(kSweepFileBytesMax),
                          "is it a sweep file at all?"}});
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && !IsSpace(text[i])) || c == 0x7f) {
      problems->push_back(TextProblem(
          text, i, "a control character (byte " + std::to_string(c) + "): this is not a text file",
          "a sweep file is YAML or JSON in UTF-8"));
      return false;
    }
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) {
      problems->push_back(TextProblem(text, i, "byte " + std::to_string(c) + " is not UTF-8",
                                      "save the file as UTF-8 text"));
      return false;
    }
    i += length;
  }
  return true;
}

bool LooksLikeJson(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && IsSpace(text[i])) ++i;
  text.remove_prefix(i);
  return text.starts_with('{') || text.starts_with("//") || text.starts_with("/*");
}

// Makes JSON with comments and trailing commas into YAML of the same lines: comments, trailing
// commas and tabs become spaces; a surrogate pair (\ud83d\ude00), which YAML does not have, becomes
// \U0001f600.
class JsonScrubber {
 public:
  explicit JsonScrubber(std::string_view text) : out_(text) {}

  // nullopt if a comment does not end; `at` is then its start.
  std::optional<std::string> Scrub(size_t* at) {
    for (size_t i = 0; i < out_.size();) {
      const char c = out_[i];
      if (c == '"' || c == '\'') {
        comma_ = std::string::npos;
        i = SkipString(i);
      } else if (c == '/' && i + 1 < out_.size() && (out_[i + 1] == '/' || out_[i + 1] == '*')) {
        *at = i;
        if (i > 0 && out_[i - 1] == ':') {
          i += 2;  // an unquoted address: http://
        } else if (!BlankComment(&i)) {
          return std::nullopt;
        }
      } else {
        if ((c == '}' || c == ']') && comma_ != std::string::npos) out_[comma_] = ' ';
        if (!IsSpace(c)) comma_ = c == ',' ? i : std::string::npos;
        if (c == '\t') out_[i] = ' ';
        ++i;
      }
    }
    return std::move(out_);
  }

 private:
  bool BlankComment(size_t* i) {
    const bool line = out_[*i + 1] == '/';
    size_t end = out_.find(line ? "\n" : "*/", *i + 2);
    if (end == std::string::npos && !line) return false;
    end = end == std::string::npos ? out_.size() : line ? end : end + 2;
    for (; *i < end; ++*i) {
      if (out_[*i] != '\n') out_[*i] = ' ';
    }
    return true;
  }

  std::optional<unsigned> Hex4(size_t i) const {
    if (out_.compare(i, 2, "\\u") != 0 || i + 6 > out_.size()) return std::nullopt;
    unsigned value = 0;
    for (size_t k = i + 2; k < i + 6; ++k) {
      const char c = out_[k];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return std::nullopt;
      value = value * 16 + static_cast<unsigned>(digit);
    }
    return value;
  }

  // Position after the string that begins at i.
  size_t SkipString(size_t i) {
    const char quote = out_[i++];
    while (i < out_.size() && out_[i] != quote) {
      if (out_[i] != '\\' || quote == '\'') {
        ++i;
        continue;
      }
      const auto high = Hex4(i);
      const auto low = high && *high >= 0xd800 && *high < 0xdc00 ? Hex4(i + 6) : std::nullopt;
      if (low && *low >= 0xdc00 && *low < 0xe000) {
        const unsigned code = 0x10000 + ((*high - 0xd800) << 10U) + (*low - 0xdc00);
        char escape[16];
        std::snprintf(escape, sizeof(escape), "\\U%08x", code);
        out_.replace(i, 12, escape);
        i += 10;
      } else {
        i += 2;
      }
    }
    return i + 1;
  }

  std::string out_;
  size_t comma_ = std::string::npos;  // the last thing seen, if that is a comma
};

// The first line up to `line` that is indented with a tab; 0 if none is.
int TabIndentedLine(std::string_view text, int line) {
  size_t start = 0;
  for (int n = 1; n <= line && start < text.size(); ++n) {
    size_t i = start;
    while (i < text.size() && text[i] == ' ') ++i;
    if (i < text.size() && text[i] == '\t') return n;
    start = text.find('\n', start);
    if (start == std::string_view::npos) break;
    ++start;
  }
  return 0;
}

FileProblem SyntaxProblem(std::string_view text, bool json, const YAML::Exception& error) {
  FileProblem problem{PositionOf(error.mark), {"", error.msg, ""}};
  const int tab_line = json ? 0 : TabIndentedLine(text, problem.at.line);
  if (tab_line > 0) {
    problem.at = {tab_line, 1};
    problem.problem.message = "the line is indented with a tab";
    problem.problem.hint = "YAML wants spaces";
  } else if (error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW ||
             error.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW) {
    problem.problem.message = error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW
                                  ? "a '{' is not closed, or a ',' is missing"
                                  : "a '[' is not closed, or a ',' is missing";
  } else if (error.msg == YAML::ErrorMsg::MAP_VALUE) {
    problem.problem.message = "a ':' where no key can stand";
    problem.problem.hint = "check the indentation, and quote text that holds ': '";
  } else if (error.msg == YAML::ErrorMsg::END_OF_MAP || error.msg == YAML::ErrorMsg::END_OF_SEQ) {
    problem.problem.message = "the line does not fit the lines above it";
    problem.problem.hint = "check its indentation";
  } else if (error.msg == YAML::ErrorMsg::UNKNOWN_TOKEN) {
    problem.problem.message = "a character that cannot begin a value";
    problem.problem.hint = "quote text that begins with @, ` or %";
  }
  return problem;
}

}  // namespace

std::optional<Node> ParseDocument(std::string_view text, std::vector<FileProblem>* problems) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (!CheckText(text, problems)) return std::nullopt;
  const bool json = LooksLikeJson(text);
  std::string yaml(text);
  if (json) {
    size_t at = 0;
    auto scrubbed = JsonScrubber(text).Scrub(&at);
    if (!scrubbed) {
      problems->push_back(
          TextProblem(text, at, "the comment that begins here does not end", "end it with */"));
      return std::nullopt;
    }
    yaml = std::move(*scrubbed);
  }
  TreeBuilder builder(problems);
  try {
    std::istringstream stream(yaml);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return std::move(builder.root());
  } catch (const Refused& refused) {
    problems->push_back(refused.problem);
  } catch (const YAML::Exception& error) {
    problems->push_back(SyntaxProblem(text, json, error));
  } catch (const std::exception& error) {
    problems->push_back({{}, {"", std::string("the file cannot be read: ") + error.what(), ""}});
  }
  return std::nullopt;
}

}  // namespace tunesmith
