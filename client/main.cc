// The program `tunesmith`: flags in, one command out.
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/commands/commands.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/help_text.h"
#include "client/output.h"
#include "client/settings.h"
#include "client/signals.h"
#include "client/term.h"

namespace tunesmith {
namespace {

void Print(const std::string& text) {
  Output out(STDOUT_FILENO);
  out.Write(text);
}

// Examples before flags: most people come for the line to copy.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    if (app->get_parent() == nullptr) return MainHelp();
    const CommandHelp& help = HelpOf(app->get_name());
    std::string text = std::string(help.summary) + "\n\nExamples\n";
    std::string examples = help.examples;
    size_t start = 0;
    while (start < examples.size()) {
      size_t end = examples.find('\n', start);
      if (end == std::string::npos) end = examples.size();
      text += "  " + examples.substr(start, end - start) + "\n";
      start = end + 1;
    }
    return text + "\n" + make_usage(app, name) + make_positionals(app) + make_groups(app, mode);
  }
};

// Everything that can stand on the command line.
struct Flags {
  GlobalFlags global;
  RunFlags run;
  SweepSource submit;
  std::string sweep;
  std::vector<std::string> sweeps;
  std::string timeout;
  int64_t trial = -1;
  int64_t attempt = 0;
  TrialsFlags trials;
  LogsFlags logs;
  ExportFlags exported;
  std::string metric;
  std::string worker;
  std::string file;
  SetFlags set;
  SimulateFlags simulate;
  ReplayFlags replay;
  std::string topic;
  bool force = false;
  bool stop_running = false;
};

using Action = std::function<int(const Settings&)>;

class CommandLine {
 public:
  CommandLine() : app_("", "tunesmith") {
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.set_version_flag("--version", "tunesmith " TUNESMITH_VERSION);
    app_.set_help_flag("-h,--help");
    app_.require_subcommand(0, 1);
    app_.fallthrough();
    // An unknown word is answered with a suggestion, not with CLI11's words.
    app_.allow_extras();
    AddGlobalFlags();
    AddSweepSources();
    AddSweepCommands();
    AddTrialCommands();
    AddOtherCommands();
  }

  int Run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::Success& success) {
      std::ostringstream out, err;
      app_.exit(success, out, err);
      Print(out.str());
      return kExitOk;
    } catch (const CLI::ParseError& error) {
      Say(std::string("tunesmith: ") + error.what());
      Say("`tunesmith " + (Chosen() != nullptr ? Chosen()->get_name() + " " : std::string()) +
          "-h` shows how");
      return kExitUsage;
    }
    const std::vector<std::string> extras = app_.remaining();
    CLI::App* chosen = Chosen();
    if (!extras.empty() && (chosen == nullptr || extras.front().rfind('-', 0) == 0))
      return Unknown(extras.front());
    if (!extras.empty()) {
      Say("tunesmith: " + chosen->get_name() + " does not expect \"" + extras.front() + "\"");
      return kExitUsage;
    }
    if (chosen == nullptr) {
      Print(MainHelp());
      return kExitOk;
    }
    return Dispatch(chosen);
  }

 private:
  CLI::App* Chosen() {
    const auto chosen = app_.get_subcommands();
    return chosen.empty() ? nullptr : chosen.front();
  }

  int Unknown(const std::string& word) {
    if (word.rfind('-', 0) == 0) {
      Say("tunesmith: there is no flag " + word + "; `tunesmith" +
          (Chosen() == nullptr ? "" : " " + Chosen()->get_name()) + " -h` lists them");
    } else {
      Say("tunesmith: " + UnknownCommand(word));
    }
    return kExitUsage;
  }

  int Dispatch(CLI::App* chosen) {
    const auto settings = ResolveSettings(flags_.global, ProcessEnvironment(), STDOUT_FILENO);
    if (!settings.ok()) {
      Say("tunesmith: " + Message(settings.status()));
      return kExitUsage;
    }
    if (settings->args_format && chosen->get_name() != "best") {
      Say("tunesmith: -o args is only for `best`");
      return kExitUsage;
    }
    for (const auto& [command, action] : actions_) {
      if (command == chosen) return action(*settings);
    }
    return kExitError;
  }

  CLI::App* Add(const char* name, Action action) {
    CLI::App* command = app_.add_subcommand(name, HelpOf(name).summary);
    command->formatter(app_.get_formatter());
    command->set_help_flag("-h,--help", "Print this help");
    actions_.emplace_back(command, std::move(action));
    return command;
  }

  void AddGlobalFlags() {
    GlobalFlags& global = flags_.global;
    app_.add_option("--server", global.server);
    app_.add_option("-o,--output", global.output);
    app_.add_option("--color", global.color);
    app_.add_flag("--no-headers", global.no_headers);
    app_.add_flag("-q,--quiet", global.quiet);
    app_.add_option("--data-dir", global.data_dir);
    app_.add_flag("--tls", global.tls);
    app_.add_option("--tls-ca", global.tls_ca);
    app_.add_option("--tls-cert", global.tls_cert);
    app_.add_option("--tls-key", global.tls_key);
  }

  static void AddSource(CLI::App* command, SweepSource* source) {
    QuickFlags& quick = source->flags;
    command->add_option("FILE", source->file, "The sweep file (YAML or JSON); - is stdin");
    const std::string group = "Instead of a file";
    const auto add = [&](const char* name, std::string* value, const char* text) {
      command->add_option(name, *value, text)->group(group);
    };
    const auto add_list = [&](const char* name, std::vector<std::string>* value, const char* text) {
      command->add_option(name, *value, text)
          ->group(group)
          ->expected(1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    };
    add_list("-p,--param", &quick.params,
             "A parameter: 'lr=loguniform(1e-5,1e-1)', 'm=uniform(0,1) when opt=sgd'");
    add_list("--constraint", &quick.constraints,
             "What parameters have to meet together: 'layers * batch <= 1024'");
    add("-m,--metric", &quick.metric, "What to optimise: loss:min; accuracy:max,latency:min");
    add_list("--require", &quick.require, "What a trial's metrics have to meet: 'latency <= 20'");
    add("-n,--trials", &quick.trials, "Number of trials");
    add("--search", &quick.search, "auto (default), gp, tpe, random, sobol, cmaes, grid; options as auto:seed=7");
    add("--scheduler", &quick.scheduler, "fifo (default), asha:max_t=27,reduction_factor=3, hyperband, bohb, median");
    add("--name", &quick.name, "Name of the sweep");
    add("--repeats", &quick.repeats, "Runs of each point, with different seeds (default: 1)");
    add("--max-parallel", &quick.max_parallel, "Trials at once (default: as many as fit)");
    add("--priority", &quick.priority, "Beside other sweeps: the higher one goes first (default: 0)");
    add("--weight", &quick.weight, "Share among sweeps of the same priority (default: 1)");
    add("--stop", &quick.stop, "When a trial or the sweep is done: max_steps=100,plateau=0.001,target=0.05");
    add("--budget", &quick.budget, "Of the sweep: wall=8h,failures=5,gpu_hours=16");
    add("--resources", &quick.resources,
        "Of one trial: gpus=1,cpus=2,gpu_memory=16GiB,labels.zone=a,placement=spread,gpus_optional=true");
    add("--args", &quick.args,
        "How the program takes flags: gnu, spaced, hydra, single-dash, none");
    add("--workdir", &quick.workdir, "Where the program runs (default: here)");
    add_list("--env", &quick.env, "An environment variable of the program: 'LR=${lr}'");
    add_list("--collect", &quick.collect,
             "Where metrics are read: auto, json, or a regex with named groups");
  }

  // A command needs a file or flags, never both.
  int WithSource(SweepSource* source, const std::string& resume, const std::function<int()>& next) {
    source->flags.command = command_;
    const QuickFlags& quick = source->flags;
    bool has_flags = false;
    for (const std::string* one :
         {&quick.name, &quick.metric, &quick.search, &quick.scheduler, &quick.trials,
          &quick.repeats, &quick.max_parallel, &quick.priority, &quick.weight, &quick.stop,
          &quick.budget, &quick.resources, &quick.args, &quick.workdir}) {
      has_flags = has_flags || !one->empty();
    }
    for (const auto* list : {&quick.params, &quick.constraints, &quick.require, &quick.env,
                             &quick.collect, &quick.command}) {
      has_flags = has_flags || !list->empty();
    }
    const int given =
        (source->file.empty() ? 0 : 1) + (has_flags ? 1 : 0) + (resume.empty() ? 0 : 1);
    if (given == 1) return next();
    Say(given == 0
            ? "tunesmith: give a sweep file, or --param, --metric, --trials and a command after --"
            : "tunesmith: give either a sweep file, or flags with a command after --, or --resume");
    return kExitUsage;
  }

  void AddSweepSources() {
    CLI::App* run = Add("run", [this](const Settings& settings) {
      return WithSource(&flags_.run.source, flags_.run.resume,
                        [&] { return RunCommand(settings, flags_.run); });
    });
    AddSource(run, &flags_.run.source);
    run->add_option("--resume", flags_.run.resume, "Go on with this unfinished sweep");
    run->add_flag("--detach", flags_.run.detach, "Start it on the controller and return");
    run->add_option("--timeout", flags_.run.timeout,
                    "Stop watching after 90s, 10m, 2h (exit code 124)");
    CLI::App* submit = Add("submit", [this](const Settings& settings) {
      return WithSource(&flags_.submit, "", [&] { return SubmitCommand(settings, flags_.submit); });
    });
    AddSource(submit, &flags_.submit);
    CLI::App* watch = Add("watch", [this](const Settings& settings) {
      return WatchCommand(settings, flags_.sweep, flags_.timeout);
    });
    AddSweep(watch);
    watch->add_option("--timeout", flags_.timeout,
                      "Stop watching after 90s, 10m, 2h (exit code 124)");
  }

  void AddSweep(CLI::App* command) {
    command->add_option("SWEEP", flags_.sweep, "Id of the sweep, or the start of it")->required();
  }

  void AddSweepList(CLI::App* command) {
    command->add_option("SWEEP", flags_.sweeps, "Ids of sweeps, or the start of them")->required();
  }

  CLI::Option* AddTrial(CLI::App* command) {
    return command->add_option("TRIAL", flags_.trial, "Number of the trial")
        ->check(CLI::Range(0u, UINT32_MAX));
  }

  std::optional<uint32_t> Trial() const {
    return flags_.trial < 0 ? std::nullopt : std::optional(static_cast<uint32_t>(flags_.trial));
  }

  void AddSweepCommands() {
    Add("ls", [](const Settings& settings) { return ListCommand(settings); });
    CLI::App* show = Add("show", [this](const Settings& settings) {
      return ShowCommand(settings, flags_.sweep, Trial());
    });
    AddSweep(show);
    AddTrial(show);
    CLI::App* why = Add("why", [this](const Settings& settings) {
      return WhyCommand(settings, flags_.sweep, Trial());
    });
    AddSweep(why);
    AddTrial(why);
    AddSweep(Add("best",
                 [this](const Settings& settings) { return BestCommand(settings, flags_.sweep); }));
    CLI::App* importance = Add("importance", [this](const Settings& settings) {
      return ImportanceCommand(settings, flags_.sweep, flags_.metric);
    });
    AddSweep(importance);
    importance->add_option("--metric", flags_.metric,
                           "Of several objectives the one that is meant (default: the first)");
  }

  void AddTrialCommands() {
    CLI::App* trials = Add("trials", [this](const Settings& settings) {
      flags_.trials.sweep = flags_.sweep;
      return TrialsCommand(settings, flags_.trials);
    });
    AddSweep(trials);
    trials->add_flag("--best-first", flags_.trials.best_first,
                     "By the best value of the metric, not by number");
    trials
        ->add_option("--state", flags_.trials.states, "Only trials in this state; may be repeated")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->delimiter(',');
    trials->add_option("--limit", flags_.trials.limit, "At most so many")
        ->check(CLI::Range(1u, UINT32_MAX));
    CLI::App* logs = Add("logs", [this](const Settings& settings) {
      flags_.logs.sweep = flags_.sweep;
      flags_.logs.trial = Trial().value_or(0);
      flags_.logs.attempt = static_cast<uint32_t>(flags_.attempt);
      return LogsCommand(settings, flags_.logs);
    });
    AddSweep(logs);
    AddTrial(logs)->required();
    logs->add_flag("-f,--follow", flags_.logs.follow, "Go on until the attempt has ended");
    logs->add_option("--attempt", flags_.attempt, "Number of the attempt (default: the last)")
        ->check(CLI::Range(1u, UINT32_MAX));
    logs->add_option("--tail", flags_.logs.tail, "Only the last bytes: 4096, 64k, 2M");
  }

  void AddOtherCommands() {
    CLI::App* stop = Add("stop", [this](const Settings& settings) {
      return StopCommand(settings, flags_.sweep, Trial());
    });
    AddSweep(stop);
    AddTrial(stop);
    AddSweepList(Add("pause", [this](const Settings& settings) {
      return PauseCommand(settings, flags_.sweeps);
    }));
    AddSweepList(Add("resume", [this](const Settings& settings) {
      return ResumeCommand(settings, flags_.sweeps);
    }));
    CLI::App* set = Add("set", [this](const Settings& settings) {
      flags_.set.sweep = flags_.sweep;
      return tunesmith::SetCommand(settings, flags_.set);
    });
    AddSweep(set);
    set->add_option("--priority", flags_.set.priority, "The higher one goes first, and makes others make room");
    set->add_option("--weight", flags_.set.weight, "Share among sweeps of the same priority");
    set->add_option("--max-parallel", flags_.set.max_parallel, "Trials at once; 0: as many as fit");
    set->add_option("--preemptible", flags_.set.preemptible, "Which trials make room: checkpoint, never, always")
        ->check(CLI::IsMember({"checkpoint", "never", "always"}));
    CLI::App* remove = Add("rm", [this](const Settings& settings) {
      return RemoveCommand(settings, flags_.sweeps, flags_.force);
    });
    AddSweepList(remove);
    remove->add_flag("--force", flags_.force, "Stop it first if it has not ended");
    CLI::App* exported = Add("export", [this](const Settings& settings) {
      flags_.exported.sweep = flags_.sweep;
      return ExportCommand(settings, flags_.exported);
    });
    AddSweep(exported);
    exported->add_flag("--measurements", flags_.exported.measurements,
                       "All measurements instead of the trials");
    exported->add_option("--out", flags_.exported.out, "Write to this file");
    Add("workers", [](const Settings& settings) { return WorkersCommand(settings); });
    CLI::App* drain = Add("drain", [this](const Settings& settings) {
      return DrainCommand(settings, flags_.worker, flags_.stop_running);
    });
    drain->add_option("WORKER", flags_.worker, "Name of the worker")->required();
    drain->add_flag("--stop-running", flags_.stop_running,
                    "Stop what runs, with its checkpoint; it goes on elsewhere");
    CLI::App* undrain = Add("undrain", [this](const Settings& settings) {
      return UndrainCommand(settings, flags_.worker);
    });
    undrain->add_option("WORKER", flags_.worker, "Name of the worker")->required();
    CLI::App* check = Add(
        "check", [this](const Settings& settings) { return CheckCommand(settings, flags_.file); });
    check->add_option("FILE", flags_.file, "The sweep file (YAML or JSON); - is stdin")->required();
    CLI::App* simulate = Add("simulate", [this](const Settings& settings) {
      return SimulateCommand(settings, flags_.simulate);
    });
    simulate
        ->add_option("--scheduler", flags_.simulate.scheduler,
                     "A sweep file, or one with just its scheduler section (YAML or JSON); - is stdin")
        ->required();
    simulate->add_option("--reports", flags_.simulate.reports,
                         "JSON lines {\"trial\": \"a\", \"step\": 3, \"loss\": 0.42} (default: stdin)");
    CLI::App* replay = Add("replay", [this](const Settings& settings) {
      flags_.replay.sweep = flags_.sweep;
      return ReplayCommand(settings, flags_.replay);
    });
    AddSweep(replay);
    replay
        ->add_option("--scheduler", flags_.replay.scheduler,
                     "A sweep file, or one with just its scheduler section (YAML or JSON); - is stdin")
        ->required();
    replay->add_option("--limit", flags_.replay.limit, "List at most so many trials")
        ->check(CLI::Range(1u, UINT32_MAX));
    CLI::App* help = Add("help", [this](const Settings&) { return Help(); });
    help->add_option("TOPIC", flags_.topic, "A command, exit-codes or environment");
  }

  int Help() {
    std::string text = flags_.topic.empty() ? MainHelp() : HelpTopic(flags_.topic);
    for (const CommandHelp& help : AllCommandHelp()) {
      if (flags_.topic == help.name) text = app_.get_subcommand(flags_.topic)->help("tunesmith");
    }
    if (text.empty()) return Unknown(flags_.topic);
    Print(text);
    return kExitOk;
  }

 public:
  // What stands after "--": the program of a sweep without a file.
  void SetCommand(std::vector<std::string> command) { command_ = std::move(command); }

 private:
  CLI::App app_;
  Flags flags_;
  std::vector<std::string> command_;
  std::vector<std::pair<CLI::App*, Action>> actions_;
};

int Main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");
  IgnoreBrokenPipes();
  // The program after "--" is cut off before CLI11 sees it: its flags are its own.
  std::vector<std::string> command;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) != "--") continue;
    command.assign(argv + i + 1, argv + argc);
    argc = i;
  }
  CommandLine line;
  line.SetCommand(std::move(command));
  return line.Run(argc, argv);
}

}  // namespace
}  // namespace tunesmith

int main(int argc, char** argv) { return tunesmith::Main(argc, argv); }
