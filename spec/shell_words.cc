#include "spec/shell_words.h"

namespace tunesmith {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool IsShellSyntax(std::string_view word) {
  for (const char* token : {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1", "&>"}) {
    if (word == token) return true;
  }
  return false;
}

}  // namespace

std::optional<std::vector<std::string>> SplitWords(std::string_view text, std::string* why,
                                                   std::string* hint) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false, quoted = false;
  char quote = '\0';
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    if (quote != '\0') {
      if (i == text.size()) {
        *why = std::string("the quote ") + quote + " is not closed";
        *hint = "close it, or write the command as a list";
        return std::nullopt;
      }
      const bool escaped = quote == '"' && c == '\\' && i + 1 < text.size() &&
                           (text[i + 1] == '"' || text[i + 1] == '\\');
      if (c == quote) {
        quote = '\0';
      } else {
        word += escaped ? text[++i] : c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = quoted = true;
    } else if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      in_word = quoted = true;
    } else if (!IsSpace(c)) {
      word += c;
      in_word = true;
    } else if (in_word) {
      if (!quoted && IsShellSyntax(word)) {
        *why = "no shell runs the command, so \"" + word + "\" would be an argument";
        *hint = "write command: [sh, -c, \"...\"] if you want a shell";
        return std::nullopt;
      }
      words.push_back(std::move(word));
      word.clear();
      in_word = quoted = false;
    }
  }
  return words;
}

}  // namespace tunesmith
