// Conditions: "optimizer == 'sgd' and layers > 2".
#include <algorithm>
#include <array>
#include <cctype>

#include "spec/reader.h"

namespace tunesmith {
namespace {

constexpr std::array<std::string_view, 6> kOperators = {"in", "not in", "<", "<=", ">", ">="};

// Cuts the text into words, quoted texts, operators and brackets.
class WhenParser {
 public:
  explicit WhenParser(std::string_view text) : text_(text) {}

  bool Parse(std::vector<Condition>* out, std::string* why, std::string* hint) {
    why_ = why;
    hint_ = hint;
    Skip();
    if (at_ == text_.size())
      return Fail("the condition is empty", "write it as optimizer == 'sgd'");
    for (;;) {
      Condition condition;
      if (!ParseOne(&condition)) return false;
      out->push_back(std::move(condition));
      Skip();
      if (at_ == text_.size()) return true;
      if (TakeWord("and") || Take("&&")) continue;
      if (TakeWord("or") || Take("||")) {
        return Fail("conditions cannot be joined by \"or\"",
                    "list the values: optimizer in [sgd, rmsprop]");
      }
      return Fail("\"" + Rest() + "\" cannot follow a condition", "join conditions by \"and\"");
    }
  }

 private:
  bool Fail(std::string why, std::string hint) {
    *why_ = std::move(why);
    *hint_ = std::move(hint);
    return false;
  }
  std::string Rest() const { return std::string(text_.substr(at_, 40)); }

  void Skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n'))
      ++at_;
  }
  bool Take(std::string_view token) {
    Skip();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  static bool InWord(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           static_cast<unsigned char>(c) >= 0x80 ||
           std::string_view("_./+-").find(c) != std::string_view::npos;
  }
  bool TakeWord(std::string_view word) {
    Skip();
    const std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(word) || (rest.size() > word.size() && InWord(rest[word.size()])))
      return false;
    at_ += word.size();
    return true;
  }

  // A bare word or a quoted text ('' or \" inside as usual).
  bool Word(std::string* out, bool* quoted) {
    Skip();
    *quoted = at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"');
    out->clear();
    if (!*quoted) {
      while (at_ < text_.size() && InWord(text_[at_])) *out += text_[at_++];
      return !out->empty();
    }
    const char quote = text_[at_++];
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return true;
      if (c == '\\' && at_ < text_.size()) {
        *out += text_[at_++];
      } else {
        *out += c;
      }
    }
    return false;
  }

  bool ParseValue(Value* out) {
    std::string word;
    bool quoted = false;
    if (!Word(&word, &quoted)) {
      return Fail(
          at_ < text_.size() ? "no value at \"" + Rest() + "\"" : "a value is missing at the end",
          "write a number, true, false, a word or a quoted text");
    }
    std::string why;
    const auto value =
        NodeValue(ScalarNode(word, quoted ? Node::Kind::kText : PlainScalarKind(word)), &why);
    if (!value) return Fail(why, "use a smaller number");
    *out = *value;
    return true;
  }

  bool ParseList(std::vector<Value>* out) {
    const char close = Take("[") ? ']' : Take("(") ? ')' : '\0';
    if (close == '\0')
      return Fail("no list after \"in\"", "write it as optimizer in [sgd, rmsprop]");
    const std::string_view end(&close, 1);
    while (!Take(end)) {
      if (!ParseValue(&out->emplace_back())) return false;
      if (!Take(",") && !text_.substr(at_).starts_with(end)) {
        return Fail("a list is not closed, or a ',' is missing at \"" + Rest() + "\"", "");
      }
    }
    return true;
  }

  bool ParseOne(Condition* out) {
    Skip();
    if (Take("(") || TakeWord("not") || Take("!")) {
      return Fail("a condition begins with the name of a parameter",
                  "write it as optimizer != 'sgd'");
    }
    bool quoted = false;
    if (!Word(&out->on, &quoted) || out->on.empty()) {
      return Fail("no parameter is named at \"" + Rest() + "\"", "write it as optimizer == 'sgd'");
    }
    Skip();
    if (TakeWord("not")) {
      out->op = Condition::Op::kNotIn;
      if (!TakeWord("in"))
        return Fail("\"not\" without \"in\"", "write it as optimizer not in [sgd]");
      return ParseList(&out->values);
    }
    if (TakeWord("in")) return ParseList(&out->values);
    using Op = Condition::Op;
    static constexpr std::pair<std::string_view, Op> kSigns[] = {
        {"==", Op::kIn},  {"!=", Op::kNotIn},  {"<=", Op::kLessEqual}, {">=", Op::kGreaterEqual},
        {"<", Op::kLess}, {">", Op::kGreater}, {"=", Op::kIn},
    };
    const auto sign = std::find_if(std::begin(kSigns), std::end(kSigns),
                                   [&](const auto& s) { return Take(s.first); });
    if (sign == std::end(kSigns)) {
      return Fail("no comparison after \"" + out->on.substr(0, 40) + "\"",
                  "use ==, !=, <, <=, >, >= or in [...]");
    }
    out->op = sign->second;
    return ParseValue(&out->values.emplace_back());
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string* why_ = nullptr;
  std::string* hint_ = nullptr;
};

}  // namespace

std::string_view OperatorText(Condition::Op op) { return kOperators[static_cast<size_t>(op)]; }

bool ParseWhen(std::string_view text, std::vector<Condition>* out, std::string* why,
               std::string* hint) {
  return WhenParser(text).Parse(out, why, hint);
}

}  // namespace tunesmith
