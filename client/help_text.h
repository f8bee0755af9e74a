// The words of `-h`, and suggestions for misspelt commands.
#pragma once

#include <string>
#include <vector>

namespace tunesmith {

struct CommandHelp {
  const char* name;
  const char* summary;   // one line
  const char* examples;  // lines, each a command with a comment
};

// In the order of the main help.
const std::vector<CommandHelp>& AllCommandHelp();
const CommandHelp& HelpOf(const std::string& command);

std::string MainHelp();
// `tunesmith help exit-codes`, `help environment`; "" for a topic that there is not.
std::string HelpTopic(const std::string& topic);
// "unknown command "wacth"; did you mean watch?"
std::string UnknownCommand(const std::string& word);

}  // namespace tunesmith
