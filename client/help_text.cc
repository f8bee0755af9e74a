#include "client/help_text.h"

#include "common/check.h"
#include "common/text.h"

namespace tunesmith {
namespace {

constexpr char kExitCodes[] = R"(Exit codes
    0  done; a sweep that was waited for has finished
    1  error
    2  wrong usage, or a wrong sweep file or report
    3  the sweep has finished and no trial succeeded
    5  the controller can't be reached
  124  --timeout has passed
  130  interrupted by Ctrl-C or SIGTERM
)";

constexpr char kEnvironment[] = R"(Environment
  TUNESMITH_SERVER          HOST:PORT of the controller; "local" = this machine's own state
  TUNESMITH_HOME            folder of this machine's own state (default ~/.local/share/tunesmith)
  TUNESMITH_TLS_CA, TUNESMITH_TLS_CERT, TUNESMITH_TLS_KEY
                            PEM files: authority of the controller; certificate and key of this client
  NO_COLOR, CLICOLOR_FORCE  no colour; colour even where stdout is no terminal
  COLUMNS, LINES            size where no terminal says it

Flags win over the environment, the environment over the file ~/.config/tunesmith/config, which has lines
"KEY = VALUE" with the keys server, data_dir, tls, tls_ca, tls_cert and tls_key.
)";

}  // namespace

const std::vector<CommandHelp>& AllCommandHelp() {
  static const auto* all = new std::vector<CommandHelp>{
      {"run", "Run a sweep and watch it to its end",
       "tunesmith run sweep.yaml\n"
       "tunesmith run --param 'lr=loguniform(1e-5,1e-1)' --param 'bs=choice(32,64)' \\\n"
       "              --metric loss:min --trials 50 -- python3 train.py\n"
       "tunesmith run --resume digits                 # go on with an interrupted sweep\n"
       "tunesmith --server lab:7070 run sweep.yaml    # on a controller; Ctrl-C detaches"},
      {"submit", "Start a sweep on a controller and return its id",
       "tunesmith --server lab:7070 submit sweep.yaml"},
      {"watch", "Follow a sweep to its end",
       "tunesmith watch digits\n"
       "tunesmith watch digits -o jsonl    # an event on each line"},
      {"ls", "List sweeps, newest first", "tunesmith ls\ntunesmith ls -q    # ids only"},
      {"show", "Everything about a sweep or a trial",
       "tunesmith show digits\n"
       "tunesmith show digits 12    # attempts, measurements and verdicts of trial 12"},
      {"best", "The best trial of a sweep",
       "tunesmith best digits\n"
       "python3 train.py $(tunesmith best digits -o args)"},
      {"importance", "Which parameters matter, and where their good values lie",
       "tunesmith importance digits\n"
       "tunesmith importance digits -o json    # with the predicted metric along every parameter"},
      {"trials", "List the trials of a sweep",
       "tunesmith trials digits --best-first --limit 10\n"
       "tunesmith trials digits --state failed\n"
       "tunesmith trials digits -o jsonl | jq .parameters"},
      {"logs", "The output of a trial",
       "tunesmith logs digits 12\n"
       "tunesmith logs digits 12 -f             # until it ends\n"
       "tunesmith logs digits 12 --tail 4k --attempt 1"},
      {"why", "Why a trial stopped, waits or failed, and what happens next",
       "tunesmith why digits 12\n"
       "tunesmith why digits        # all trials by cause, what waits and why, workers that take nothing"},
      {"stop", "End a sweep, or one trial of it",
       "tunesmith stop digits\ntunesmith stop digits 12"},
      {"pause", "Start no more trials of a sweep", "tunesmith pause digits"},
      {"resume", "Go on with a paused sweep",
       "tunesmith resume digits           # on a controller\n"
       "tunesmith run --resume digits     # on this machine"},
      {"set", "Change priority, weight or trials at once of a sweep that runs",
       "tunesmith set digits --priority 10       # goes first; lower ones make room at their checkpoints\n"
       "tunesmith set digits --max-parallel 4 --weight 2"},
      {"rm", "Remove an ended sweep and all that is kept of it",
       "tunesmith rm digits digits-2\ntunesmith rm --force digits"},
      {"export", "Write all trials or measurements as CSV or JSON",
       "tunesmith export digits -o csv --out trials.csv\n"
       "tunesmith export digits --measurements -o jsonl"},
      {"workers", "List workers and what they run", "tunesmith workers"},
      {"drain", "Give a worker no more trials",
       "tunesmith drain lab-02\ntunesmith drain lab-02 --stop-running"},
      {"undrain", "Give a drained or quarantined worker trials again", "tunesmith undrain lab-02"},
      {"check", "Check a sweep file and show what would run", "tunesmith check sweep.yaml"},
      {"simulate", "What a scheduler would have decided on given reports",
       "tunesmith simulate --scheduler sweep.yaml < reports.jsonl\n"
       "tunesmith simulate --scheduler asha.yaml --reports reports.jsonl | jq -c 'select(.action == \"stop\")'\n"
       "echo '{\"trial\": \"a\", \"step\": 3, \"loss\": 0.42}' | tunesmith simulate --scheduler asha.yaml"},
      {"replay", "What another scheduler would have done and saved on a sweep",
       "tunesmith replay digits --scheduler asha.yaml\n"
       "tunesmith replay digits --scheduler asha.yaml --limit 20\n"
       "echo '{type: asha, max_t: 27}' | tunesmith replay digits --scheduler - -o json"},
      {"help", "Help on a command, exit-codes or environment",
       "tunesmith help run\ntunesmith help exit-codes"},
  };
  return *all;
}

const CommandHelp& HelpOf(const std::string& command) {
  for (const CommandHelp& help : AllCommandHelp()) {
    if (command == help.name) return help;
  }
  TS_CHECK(false, "no help for a command");
}

std::string MainHelp() {
  std::string text =
      "tunesmith finds good hyperparameters for your training program.\n\n"
      "Examples\n"
      "  tunesmith run sweep.yaml               run a sweep on this machine and watch it\n"
      "  tunesmith run --param 'lr=loguniform(1e-5,1e-1)' --metric loss:min --trials 50 -- python3 "
      "train.py\n"
      "  tunesmith best digits -o args          the best parameters as flags to paste\n"
      "  tunesmith check sweep.yaml             is the file right, and what would run?\n\n"
      "Commands\n";
  for (const CommandHelp& help : AllCommandHelp()) {
    std::string name = help.name;
    name.resize(12, ' ');
    text += "  " + name + help.summary + "\n";
  }
  text +=
      "\nFlags of all commands\n"
      "  --server HOST:PORT    the controller (default: this machine's own state); see `help "
      "environment`\n"
      "  -o, --output FORMAT   table, json, jsonl or csv\n"
      "  --color WHEN          auto, always or never\n"
      "  --no-headers          no headings in tables and CSV\n"
      "  -q, --quiet           ids only, no chatter\n"
      "  --data-dir DIR        folder of this machine's own state\n"
      "  --tls, --tls-ca FILE, --tls-cert FILE, --tls-key FILE\n"
      "  --version\n\n"
      "`tunesmith COMMAND -h` says more about each.\n";
  return text;
}

std::string HelpTopic(const std::string& topic) {
  if (topic == "exit-codes") return kExitCodes;
  if (topic == "environment") return kEnvironment;
  return "";
}

std::string UnknownCommand(const std::string& word) {
  std::vector<std::string> names;
  for (const CommandHelp& help : AllCommandHelp()) names.emplace_back(help.name);
  // Words of other tools for the same thing.
  const std::pair<const char*, const char*> synonyms[] = {
      {"list", "ls"},        {"attach", "watch"},    {"top", "watch"},    {"status", "show"},
      {"get", "show"},       {"log", "logs"},        {"delete", "rm"},    {"remove", "rm"},
      {"kill", "stop"},      {"cancel", "stop"},     {"start", "run"},    {"lint", "check"},
      {"validate", "check"}, {"backtest", "replay"}, {"continue", "resume"}, {"nodes", "workers"}};
  std::string closest = ClosestWord(word, names);
  for (const auto& [synonym, command] : synonyms) {
    if (word == synonym) closest = command;
  }
  return "there is no command \"" + word + "\"" +
         (closest.empty() ? "; `tunesmith -h` lists them" : "; did you mean " + closest + "?");
}

}  // namespace tunesmith
