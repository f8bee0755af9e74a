// Constraint::Parse: recursive descent, of bounded depth, that writes the steps of the evaluation
// as it goes.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "common/limits.h"
#include "common/text.h"
#include "search/space/constraint.h"
#include "search/space/space.h"

namespace tunesmith {
namespace {

// What an operand can be, as bits.
constexpr unsigned kNumberBit = 1, kTruthBit = 2, kTextBit = 4, kJsonBit = 8;

unsigned KindOf(const Value& value) {
  if (std::holds_alternative<std::string>(value)) return kTextBit;
  if (std::holds_alternative<JsonValue>(value)) return kJsonBit;
  return std::holds_alternative<bool>(value) ? kTruthBit : kNumberBit;
}

std::string KindText(unsigned kinds) {
  if ((kinds & kNumberBit) != 0) return "a number";
  if ((kinds & kTruthBit) != 0) return "true or false";
  return (kinds & kTextBit) != 0 ? "a word" : "JSON";
}

// A part of the expression: what it can be and, if it is no more than that, which parameter or
// value it is.
struct Operand {
  unsigned kinds = 0;
  size_t begin = 0, end = 0;  // in the text
  std::optional<size_t> parameter;
  std::optional<Value> literal;
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool StartsName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool InName(char c) { return StartsName(c) || IsDigit(c) || c == '.'; }

constexpr std::array<std::string_view, 7> kKeywords = {"and",  "or",    "not", "in",
                                                       "true", "false", "None"};

}  // namespace

class ConstraintParser {
 public:
  ConstraintParser(std::string_view text, const Space& space, Problem* problem)
      : text_(text), space_(space), problem_(problem) {}

  std::optional<Constraint> Parse() {
    if (text_.size() > kConstraintBytesMax) {
      problem_->message = "the constraint has " + std::to_string(text_.size()) +
                          " bytes, the limit is " + std::to_string(kConstraintBytesMax);
      problem_->hint = "split it: all constraints of the list must hold";
      return std::nullopt;
    }
    if (text_.find('\0') != std::string_view::npos || ValidUtf8(text_) != text_) {
      problem_->message = "the constraint has a NUL or is not UTF-8";
      problem_->hint = "write it as layers * batch <= 1024";
      return std::nullopt;
    }
    Skip();
    if (at_ == text_.size()) {
      problem_->message = "the constraint is empty";
      problem_->hint = "write it as layers * batch <= 1024";
      return std::nullopt;
    }
    Operand whole;
    if (!ParseOr(&whole) || !CheckEnd()) return std::nullopt;
    if (!NeedTruth(whole)) return std::nullopt;
    auto& named = out_.parameters_;
    std::sort(named.begin(), named.end());
    named.erase(std::unique(named.begin(), named.end()), named.end());
    if (named.empty()) {
      Fail(0, "it names no parameter, so it is the same for every point",
           "name a parameter of this space, or remove it");
      return std::nullopt;
    }
    out_.text_ = std::string(text_);
    return std::move(out_);
  }

 private:
  using Code = Constraint::Code;

  // Always false, to be returned. Only the first mistake is told.
  bool Fail(size_t at, std::string message, std::string hint) {
    if (!problem_->message.empty()) return false;
    size_t column = 1;
    for (size_t i = 0; i < at; ++i) {
      if ((static_cast<unsigned char>(text_[i]) & 0xC0U) != 0x80) ++column;
    }
    problem_->message = "column " + std::to_string(column) + ": " + std::move(message);
    problem_->hint = std::move(hint);
    return false;
  }

  // A piece of the text for a message.
  std::string Excerpt(size_t begin, size_t end) const {
    constexpr size_t kBytes = 40;
    while (end > begin && text_[end - 1] == ' ') --end;
    if (end - begin <= kBytes) return "\"" + std::string(text_.substr(begin, end - begin)) + "\"";
    end = begin + kBytes;
    while (end > begin && (static_cast<unsigned char>(text_[end]) & 0xC0U) == 0x80) --end;
    return "\"" + std::string(text_.substr(begin, end - begin)) + "...\"";
  }
  std::string Excerpt(const Operand& operand) const { return Excerpt(operand.begin, operand.end); }

  // --- tokens

  void Skip() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool Sees(std::string_view token) {
    Skip();
    return text_.substr(at_).starts_with(token);
  }
  bool Take(std::string_view token) {
    if (!Sees(token)) return false;
    at_ += token.size();
    return true;
  }
  bool TakeWord(std::string_view word) {
    if (!Sees(word)) return false;
    const size_t end = at_ + word.size();
    if (end < text_.size() && InName(text_[end])) return false;
    at_ = end;
    return true;
  }

  // --- the evaluation

  void Emit(Code code, uint32_t operand, int stack_change) {
    out_.steps_.push_back({code, operand});
    stack_ = static_cast<size_t>(static_cast<int64_t>(stack_) + stack_change);
    out_.stack_max_ = std::max(out_.stack_max_, stack_);
  }
  void EmitLiteral(Value value) {
    out_.literals_.push_back(std::move(value));
    Emit(Code::kLiteral, static_cast<uint32_t>(out_.literals_.size() - 1), 1);
  }

  // --- types

  bool NeedNumber(const Operand& operand) {
    if ((operand.kinds & (kNumberBit | kTruthBit)) != 0) return true;
    return Fail(operand.begin,
                Excerpt(operand) + " is " + KindText(operand.kinds) + ", not a number",
                "compare it with == or in [...]");
  }
  bool NeedTruth(const Operand& operand) {
    if ((operand.kinds & kTruthBit) != 0) return true;
    return Fail(operand.begin,
                Excerpt(operand) + " is " + KindText(operand.kinds) + ", not a condition",
                operand.kinds == kNumberBit ? "compare it with something, such as <= 1024"
                                            : "compare it with something, such as == 'adam'");
  }
  // Both sides of an equality can be equal.
  bool CheckEquality(const Operand& a, const Operand& b) {
    if ((a.kinds & b.kinds) == 0) {
      return Fail(a.begin,
                  Excerpt(a) + " is " + KindText(a.kinds) + " and " + Excerpt(b) + " is " +
                      KindText(b.kinds) + ": they are never equal",
                  "compare values of one kind");
    }
    const Operand& named = a.parameter ? a : b;
    const Operand& value = a.parameter ? b : a;
    if (!named.parameter || !value.literal) return true;
    const size_t i = *named.parameter;
    std::string why;
    if (!space_.ValueCount(i) || space_.Takes(i, *value.literal, &why)) return true;
    std::string hint = "use a value that it can take";
    if (const auto* word = std::get_if<std::string>(&*value.literal)) {
      std::vector<std::string> words;
      for (const Value& option : space_.parameters()[i].options) {
        if (const auto* text = std::get_if<std::string>(&option)) words.push_back(*text);
      }
      const std::string closest = ClosestWord(*word, words);
      if (!closest.empty()) hint = "did you mean '" + closest + "'?";
    }
    return Fail(value.begin,
                "\"" + space_.parameters()[i].name + "\" can never be " +
                    ValueJson(*value.literal).substr(0, 100) + ": " + why,
                hint);
  }

  // --- the grammar, from the loosest to the tightest

  // One level deeper while it lives.
  struct Level {
    explicit Level(size_t* levels) : depth(levels) { ++*depth; }
    ~Level() { --*depth; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    size_t* depth;
  };
  bool TooDeep() {
    if (depth_ <= kConstraintDepthMax) return false;
    Fail(at_, "more than " + std::to_string(kConstraintDepthMax) + " levels of nesting",
         "split it: all constraints of the list must hold");
    return true;
  }

  bool ParseOr(Operand* out) {
    const Level level(&depth_);
    if (TooDeep() || !ParseAnd(out)) return false;
    while (TakeWord("or") || Take("||")) {
      Operand right;
      if (!NeedTruth(*out) || !ParseAnd(&right) || !NeedTruth(right)) return false;
      Emit(Code::kOr, 0, -1);
      Merge(right, kTruthBit, out);
    }
    return true;
  }

  bool ParseAnd(Operand* out) {
    if (!ParseNot(out)) return false;
    while (TakeWord("and") || Take("&&")) {
      Operand right;
      if (!NeedTruth(*out) || !ParseNot(&right) || !NeedTruth(right)) return false;
      Emit(Code::kAnd, 0, -1);
      Merge(right, kTruthBit, out);
    }
    return true;
  }

  bool ParseNot(Operand* out) {
    Skip();
    const size_t begin = at_;
    if (!TakeWord("not") && (Sees("!=") || !Take("!"))) return ParseComparison(out);
    const Level level(&depth_);
    if (TooDeep() || !ParseNot(out) || !NeedTruth(*out)) return false;
    Emit(Code::kNot, 0, 0);
    Become(begin, kTruthBit, out);
    return true;
  }

  std::optional<Code> TakeComparison() {
    static constexpr std::pair<std::string_view, Code> kSigns[] = {
        {"==", Code::kEqual},        {"!=", Code::kUnequal}, {"<=", Code::kLessEqual},
        {">=", Code::kGreaterEqual}, {"<", Code::kLess},     {">", Code::kGreater},
        {"=", Code::kEqual},
    };
    for (const auto& [sign, code] : kSigns) {
      if (Take(sign)) return code;
    }
    return std::nullopt;
  }

  bool ParseComparison(Operand* out) {
    if (!ParseSum(out)) return false;
    if (const auto code = TakeComparison()) {
      Operand right;
      if (!ParseSum(&right)) return false;
      if (*code == Code::kEqual || *code == Code::kUnequal) {
        if (!CheckEquality(*out, right)) return false;
      } else if (!NeedNumber(*out) || !NeedNumber(right)) {
        return false;
      }
      Emit(*code, 0, -1);
      Merge(right, kTruthBit, out);
    } else if (TakeWord("in")) {
      if (!ParseList(out)) return false;
    } else if (TakeWord("not")) {
      if (!TakeWord("in"))
        return Fail(at_, "\"not\" without \"in\"", "write it as optimizer not in ['sgd']");
      if (!ParseList(out)) return false;
      Emit(Code::kNot, 0, 0);
    } else {
      return true;
    }
    const size_t at = at_;
    if (TakeComparison()) {
      return Fail(at, "comparisons cannot be chained",
                  "join two of them by \"and\": 1 < layers and layers < 5");
    }
    return true;
  }

  // What follows "in": *out is looked for, and becomes the truth of it.
  bool ParseList(Operand* out) {
    const char close = Take("[") ? ']' : Take("(") ? ')' : '\0';
    if (close == '\0')
      return Fail(at_, "no list after \"in\"", "write it as optimizer in ['sgd', 'adam']");
    const std::string_view end(&close, 1);
    uint32_t count = 0;
    Operand member;
    while (!Take(end)) {
      if (!ParseSum(&member) || !CheckEquality(*out, member)) return false;
      ++count;
      if (!Take(",") && !Sees(end))
        return Fail(at_, "a list is not closed, or a ',' is missing",
                    "write it as ['sgd', 'adam']");
    }
    if (count == 0) return Fail(at_, "the list is empty", "give at least one value");
    Emit(Code::kIn, count, -static_cast<int>(count));
    Become(out->begin, kTruthBit, out);
    return true;
  }

  bool ParseSum(Operand* out) {
    if (!ParseProduct(out)) return false;
    for (;;) {
      const Code code = Take("+") ? Code::kAdd : Take("-") ? Code::kSubtract : Code::kLiteral;
      if (code == Code::kLiteral) return true;
      Operand right;
      if (!NeedNumber(*out) || !ParseProduct(&right) || !NeedNumber(right)) return false;
      Emit(code, 0, -1);
      Merge(right, kNumberBit, out);
    }
  }

  bool ParseProduct(Operand* out) {
    if (!ParseUnary(out)) return false;
    for (;;) {
      if (Sees("//")) return Fail(at_, "there is no \"//\"", "write floor(a / b)");
      const Code code = Take("*")   ? Code::kMultiply
                        : Take("/") ? Code::kDivide
                        : Take("%") ? Code::kModulo
                                    : Code::kLiteral;
      if (code == Code::kLiteral) return true;
      Operand right;
      if (!NeedNumber(*out) || !ParseUnary(&right) || !NeedNumber(right)) return false;
      Emit(code, 0, -1);
      Merge(right, kNumberBit, out);
    }
  }

  bool ParseUnary(Operand* out) {
    Skip();
    const size_t begin = at_;
    const bool minus = Take("-");
    if (!minus && !Take("+")) return ParsePower(out);
    const Level level(&depth_);
    if (TooDeep() || !ParseUnary(out) || !NeedNumber(*out)) return false;
    std::optional<Value> literal;
    if (out->literal) literal = (minus ? -1 : 1) * ValueNumber(*out->literal);
    if (minus) Emit(Code::kNegate, 0, 0);
    Become(begin, kNumberBit, out);
    out->literal = literal;
    return true;
  }

  bool ParsePower(Operand* out) {
    if (!ParseAtom(out)) return false;
    if (Sees("^")) return Fail(at_, "there is no \"^\"", "write a ** b for a power");
    if (!Take("**")) return true;
    const Level level(&depth_);
    Operand right;
    if (TooDeep() || !NeedNumber(*out) || !ParseUnary(&right) || !NeedNumber(right)) return false;
    Emit(Code::kPower, 0, -1);
    Merge(right, kNumberBit, out);
    return true;
  }

  bool ParseAtom(Operand* out) {
    Skip();
    const size_t begin = at_;
    *out = {.kinds = 0, .begin = begin, .end = begin, .parameter = {}, .literal = {}};
    if (at_ == text_.size()) return Fail(at_, "something is missing at the end", "");
    const char c = text_[at_];
    if (Take("(")) {
      if (!ParseOr(out)) return false;
      if (!Take(")")) return Fail(begin, "the parenthesis is not closed", "add a ')'");
      out->begin = begin;
      out->end = at_;
      return true;
    }
    if (c == '\'' || c == '"') return ParseText(c, out);
    if (IsDigit(c) || (c == '.' && at_ + 1 < text_.size() && IsDigit(text_[at_ + 1])))
      return ParseNumber(out);
    if (c == '`') {
      const size_t close = text_.find('`', at_ + 1);
      if (close == std::string_view::npos)
        return Fail(begin, "the backquote is not closed", "add a '`'");
      at_ = close + 1;
      return Name(text_.substr(begin + 1, close - begin - 1), out);
    }
    if (!StartsName(c)) return FailAtom(begin);
    while (at_ < text_.size() && InName(text_[at_])) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (Sees("(") && !IsKeyword(word)) return ParseFunction(word, begin, out);
    at_ = begin + word.size();
    if (!space_.Find(word)) {
      if (word == "true" || word == "True") return Literal(Value(true), out);
      if (word == "false" || word == "False") return Literal(Value(false), out);
      if (IsKeyword(word)) return FailAtom(begin);
    }
    return Name(word, out);
  }

  static bool IsKeyword(std::string_view word) {
    return std::find(kKeywords.begin(), kKeywords.end(), word) != kKeywords.end();
  }

  bool FailAtom(size_t begin) {
    return Fail(begin, "no value at " + Excerpt(begin, text_.size()),
                "write a parameter, a number, a 'word', or an expression in parentheses");
  }

  bool Literal(Value value, Operand* out) {
    out->kinds = KindOf(value);
    out->end = at_;
    out->literal = value;
    EmitLiteral(std::move(value));
    return true;
  }

  bool ParseText(char quote, Operand* out) {
    const size_t begin = at_++;
    std::string word;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) return Literal(Value(std::move(word)), out);
      word += c == '\\' && at_ < text_.size() ? text_[at_++] : c;
    }
    return Fail(begin, "the quoted word is not closed", std::string("add a ") + quote);
  }

  bool ParseNumber(Operand* out) {
    double number = 0;
    const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
    const size_t begin = at_;
    at_ = static_cast<size_t>(result.ptr - text_.data());
    if (result.ec != std::errc()) {
      return Fail(begin, "the number " + Excerpt(begin, at_) + " is out of range",
                  "use a number that a double can hold");
    }
    if (at_ < text_.size() && InName(text_[at_])) {
      size_t end = at_;
      while (end < text_.size() && InName(text_[end])) ++end;
      return Fail(begin, Excerpt(begin, end) + " is neither a number nor a name",
                  "write numbers like 8e9, and put other names into backquotes");
    }
    return Literal(Value(number), out);
  }

  bool ParseFunction(std::string_view name, size_t begin, Operand* out) {
    static constexpr std::pair<std::string_view, Code> kFunctions[] = {
        {"min", Code::kMin},     {"max", Code::kMax},   {"abs", Code::kAbs},
        {"log", Code::kLog},     {"exp", Code::kExp},   {"sqrt", Code::kSqrt},
        {"floor", Code::kFloor}, {"ceil", Code::kCeil}, {"round", Code::kRound},
    };
    const auto* const known = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                           [&](const auto& f) { return f.first == name; });
    if (known == std::end(kFunctions)) {
      std::vector<std::string> names;
      for (const auto& f : kFunctions) names.emplace_back(f.first);
      const std::string closest = ClosestWord(name, names);
      return Fail(begin, "there is no function " + Excerpt(begin, begin + name.size()),
                  closest.empty() ? "the functions are " + Join(names, ", ")
                                  : "did you mean \"" + closest + "\"?");
    }
    Take("(");
    uint32_t count = 0;
    while (!Take(")")) {
      if (!ParseOr(out) || !NeedNumber(*out)) return false;
      ++count;
      if (!Take(",") && !Sees(")"))
        return Fail(at_, "a parenthesis is not closed, or a ',' is missing", "");
    }
    const bool several = known->second == Code::kMin || known->second == Code::kMax;
    if (count == 0 || (count > 1 && !several)) {
      return Fail(begin,
                  std::string(name) + " takes " + (several ? "at least one number" : "one number") +
                      ", not " + std::to_string(count),
                  several ? "write it as min(a, b)" : "write it as " + std::string(name) + "(a)");
    }
    Emit(known->second, count, several ? 1 - static_cast<int>(count) : 0);
    Become(begin, kNumberBit, out);
    return true;
  }

  bool Name(std::string_view name, Operand* out) {
    const auto found = space_.Find(name);
    if (!found) return FailName(name, out->begin);
    const Parameter& p = space_.parameters()[*found];
    out->end = at_;
    out->parameter = *found;
    if (HasOptions(p.distribution)) {
      for (const Value& option : p.options) out->kinds |= KindOf(option);
    } else {
      out->kinds = kNumberBit;
    }
    out_.parameters_.push_back(*found);
    Emit(Code::kParameter, static_cast<uint32_t>(*found), 1);
    return true;
  }

  bool FailName(std::string_view name, size_t begin) {
    std::vector<std::string> names;
    std::string hint;
    for (const Parameter& p : space_.parameters()) {
      names.push_back(p.name);
      // "head/width" without backquotes is a quotient.
      const bool whole = text_.substr(begin).starts_with(p.name) && p.name.size() > name.size();
      if (whole) hint = "write `" + p.name + "` with backquotes";
    }
    if (hint.empty()) {
      const std::string closest = ClosestWord(name, names);
      if (!closest.empty()) hint = "did you mean \"" + closest + "\"?";
    }
    if (hint.empty()) hint = QuoteHint(name);
    return Fail(begin, "there is no parameter \"" + std::string(name.substr(0, 100)) + "\"",
                hint.empty() ? "name a parameter of this space, or put a word into quotes" : hint);
  }

  // For a word of some choice that stands without quotes, and for a group's member without its
  // group.
  std::string QuoteHint(std::string_view name) const {
    const std::string member = "/" + std::string(name);
    for (const Parameter& p : space_.parameters()) {
      if (p.name.ends_with(member)) return "write `" + p.name + "`, with its group";
      for (const Value& option : p.options) {
        const auto* const word = std::get_if<std::string>(&option);
        if (word != nullptr && *word == name) return "write '" + *word + "' with quotes";
      }
    }
    return "";
  }

  bool CheckEnd() {
    Skip();
    if (at_ == text_.size()) return true;
    if (Sees(")") || Sees("]")) {
      return Fail(at_, Excerpt(at_, at_ + 1) + " closes nothing", "remove it");
    }
    return Fail(at_, Excerpt(at_, text_.size()) + " cannot follow here",
                "join conditions by \"and\" or \"or\"");
  }

  // *out, from `begin` up to here, has become the result of an operator.
  void Become(size_t begin, unsigned kinds, Operand* out) const {
    *out = {.kinds = kinds, .begin = begin, .end = at_, .parameter = {}, .literal = {}};
  }
  void Merge(const Operand& right, unsigned kinds, Operand* out) const {
    *out = {.kinds = kinds, .begin = out->begin, .end = right.end, .parameter = {}, .literal = {}};
  }

  const std::string_view text_;
  const Space& space_;
  Problem* const problem_;
  Constraint out_;
  size_t at_ = 0;
  size_t depth_ = 0;
  size_t stack_ = 0;
};

std::optional<Constraint> Constraint::Parse(std::string_view text, const Space& space,
                                            Problem* problem) {
  return ConstraintParser(text, space, problem).Parse();
}

}  // namespace tunesmith
