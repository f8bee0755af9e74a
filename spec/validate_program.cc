#include <algorithm>
#include <cctype>
#include <map>

#include "common/limits.h"
#include "common/text.h"
#include "spec/template.h"
#include "spec/validate.h"

namespace tunesmith {
namespace {

const std::vector<std::string>& Builtins() {
  static const auto* names = new std::vector<std::string>{"mlp", "lenet"};
  return *names;
}

// The built-in trainables match names without regard to case, '_' and '-'.
std::string LooseName(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '_' && c != '-') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

class ProgramValidator {
 public:
  ProgramValidator(const SweepSpec& spec, Problems* problems) : spec_(spec), problems_(problems) {
    for (const Parameter& p : spec.parameters) names_.push_back(p.name);
  }

  void Check() {
    const ProgramSpec& program = spec_.program;
    ValidateText("workdir", program.workdir, kPathBytesMax, problems_);
    CheckEnv();
    const bool command = !program.command.empty(), builtin = !program.builtin.empty();
    if (command && builtin) {
      Add("trainable", "both a command and a built-in trainable are given", "keep one of them");
    } else if (spec_.ask_tell && (command || builtin)) {
      Add(command ? "command" : "trainable",
          "nothing would start it: with ask_tell other programs run the trials",
          "remove it, or remove ask_tell");
    } else if (!spec_.ask_tell && !command && !builtin) {
      Add("command", "there is nothing to run",
          "add command: [python3, train.py, \"${args}\"], or trainable: {builtin: mlp}");
    }
    if (command) CheckCommand();
    if (builtin || !program.options.empty()) CheckBuiltin();
  }

 private:
  void Add(const std::string& field, std::string message, std::string hint) {
    problems_->push_back({field, std::move(message), std::move(hint)});
  }

  bool IsParameter(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }

  // Notes which names the text uses.
  void CheckTemplate(const std::string& field, const std::string& text, bool args_allowed) {
    ValidateText(field, text, kArgumentBytesMax, problems_);
    std::string why;
    const auto pieces = ParseTemplate(text, &why);
    if (!pieces) return Add(field, why, "write ${NAME}, or $${ for the characters themselves");
    for (const TemplatePiece& piece : *pieces) {
      if (!piece.is_name) continue;
      const auto& words = TemplateWords();
      const bool word = std::find(words.begin(), words.end(), piece.text) != words.end();
      // A misspelt name was meant to deliver something, too.
      if (IsParameter(piece.text) || !word || piece.text == "config") delivers_ = true;
      if (IsParameter(piece.text) && (word || piece.text == "args")) {
        Add(field, "${" + piece.text + "} names both a parameter and something of the trial",
            "rename the parameter, or pass it by ${args} alone");
      }
      if (IsParameter(piece.text) || word) continue;
      if (piece.text == "args") {
        if (!args_allowed) {
          Add(field, "${args} can only stand in the command", "name the parameter, such as ${lr}");
        } else if (pieces->size() > 1) {
          Add(field, "${args} has to stand alone, since it becomes several arguments",
              "make it an element of its own: \"${args}\"");
        }
      } else {
        Unknown(field, piece.text);
      }
    }
  }

  void Unknown(const std::string& field, const std::string& name) {
    std::vector<std::string> known = names_;
    known.insert(known.end(), TemplateWords().begin(), TemplateWords().end());
    known.emplace_back("args");
    const std::string closest = ClosestWord(name, known);
    Add(field, "${" + name.substr(0, 60) + "} names no parameter",
        closest.empty() ? "declare the parameter, or use one of ${args}, ${" +
                              Join(TemplateWords(), "}, ${") + "}"
                        : "did you mean ${" + closest + "}?");
  }

  void CheckEnv() {
    std::map<std::string, int> seen;
    for (const auto& [name, value] : spec_.program.env) {
      const std::string field = "env." + name.substr(0, kNameBytesMax);
      if (name.empty() || name.size() > kNameBytesMax || name.find('=') != std::string::npos) {
        Add(field, "this cannot be the name of an environment variable",
            "use letters, digits and '_'");
      } else if (name.starts_with("TUNESMITH_")) {
        Add(field, "names that begin with TUNESMITH_ are set for every trial", "use another name");
      } else if (++seen[name] == 2) {
        Add(field, "the variable is given twice", "keep one of them");
      }
      ValidateText(field, name, kNameBytesMax, problems_);
      CheckTemplate(field, value, /*args_allowed=*/false);
    }
  }

  void CheckCommand() {
    const ProgramSpec& program = spec_.program;
    if (program.command.size() > kArgumentsMax) {
      return Add("command",
                 std::to_string(program.command.size()) + " arguments are more than the limit of " +
                     std::to_string(kArgumentsMax),
                 "put them into a file");
    }
    if (program.command[0].empty())
      Add("command[0]", "the program has no name", "write [python3, train.py, \"${args}\"]");
    bool args = false;
    for (size_t i = 0; i < program.command.size(); ++i) {
      CheckTemplate("command[" + std::to_string(i) + "]", program.command[i],
                    /*args_allowed=*/true);
      args = args || program.command[i] == "${args}";
    }
    if (program.args != ArgStyle::kNone && args) CheckFlags();
    if (!spec_.parameters.empty() && !delivers_ && program.args != ArgStyle::kNone) {
      Add("command", "no parameter reaches the program",
          "add \"${args}\", or ${NAME} for single ones; if it reads the file that TUNESMITH_CONFIG "
          "names, say args: none");
    }
  }

  // Where ${args} stands, each parameter has a flag of its own that the command does not give
  // already.
  void CheckFlags() {
    std::map<std::string, std::string> owners;
    for (const std::string& name : names_) {
      const std::string flag = FlagName(spec_.program.args, name);
      if (const auto [owner, fresh] = owners.emplace(flag, name); !fresh && owner->second != name) {
        Add("parameters." + name,
            "the flag " + flag + " is already that of \"" + owner->second + "\"",
            "rename one of them");
      }
    }
    for (size_t i = 1; i < spec_.program.command.size(); ++i) {
      const std::string& word = spec_.program.command[i];
      const auto owner = owners.find(word.substr(0, word.find('=')));
      const bool flag_like =
          spec_.program.args != ArgStyle::kHydra || word.find('=') != std::string::npos;
      if (owner == owners.end() || !flag_like) continue;
      Add("command[" + std::to_string(i) + "]", owner->first + " is given here and by ${args}",
          "remove it here, or remove the parameter \"" + owner->second + "\"");
    }
  }

  void CheckBuiltin() {
    const ProgramSpec& program = spec_.program;
    if (std::find(Builtins().begin(), Builtins().end(), program.builtin) == Builtins().end()) {
      const std::string closest = ClosestWord(program.builtin, Builtins());
      Add("trainable.builtin",
          "there is no built-in trainable \"" + program.builtin.substr(0, 60) + "\"",
          closest.empty() ? "use one of " + Join(Builtins(), ", ")
                          : "did you mean \"" + closest + "\"?");
    }
    // By loose name: the field that gives it. The program reads `builtin` as its option "model".
    std::map<std::string, std::string> seen = {{"model", "trainable.builtin"},
                                               {"builtin", "trainable.builtin"}};
    for (const auto& [name, value] : program.options) {
      const std::string field = "trainable." + name.substr(0, kNameBytesMax);
      ValidateText(field, name, kNameBytesMax, problems_);
      ValidateValue(field, value, problems_);
      if (!seen.emplace(LooseName(name), field).second)
        Add(field, "the option is given twice", "keep one of them");
    }
    for (const std::string& name : names_) {
      const std::string field = "parameters." + name;
      const auto [earlier, fresh] = seen.emplace(LooseName(name), field);
      if (!fresh && earlier->second != field) {
        Add(field, "the trainable's option is already given by " + earlier->second,
            "keep one of them");
      }
    }
  }

  const SweepSpec& spec_;
  Problems* problems_;
  std::vector<std::string> names_;
  bool delivers_ = false;
};

}  // namespace

void ValidateProgram(const SweepSpec& spec, Problems* problems) {
  ProgramValidator(spec, problems).Check();
}

}  // namespace tunesmith
