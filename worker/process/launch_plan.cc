#include "worker/process/launch_plan.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "common/text.h"

namespace tunesmith::worker {
namespace {

using Json = nlohmann::ordered_json;

bool IsPlainFileName(const std::string& text) {
  return !text.empty() && text.size() <= 100 && text[0] != '.' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

std::string Dotted(std::string name) {
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

bool IsExecutableFile(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

// As execvp would, but with the trial's PATH and an error that says what was tried.
StatusOr<std::string> FindExecutable(const std::string& name, const std::string& path,
                                     const std::string& workdir) {
  if (name.empty()) return InvalidArgument("the command's program is empty after expansion");
  if (name.find('/') != std::string::npos) {
    const std::string full = name[0] == '/' ? name : workdir + "/" + name;
    struct stat info = {};
    if (stat(full.c_str(), &info) != 0)
      return NotFound("cannot start " + full + ": " + std::strerror(errno));
    if (S_ISDIR(info.st_mode))
      return InvalidArgument("cannot start " + full + ": it is a directory");
    if (access(full.c_str(), X_OK) != 0) {
      return InvalidArgument(
          "cannot start " + full + ": " + std::strerror(errno) +
          "; make it executable (chmod +x) or name its interpreter in the command");
    }
    return full;
  }
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    const std::string full = (folder.empty() ? workdir : folder) + "/" + name;
    if (IsExecutableFile(full)) return full;
    begin = end + 1;
  }
  return NotFound("cannot start \"" + name + "\": no such program on this worker (PATH=" + path +
                  "); install it there, or give its full path in the command");
}

}  // namespace

AttemptPaths PathsOf(const std::string& root, const Assignment& assignment) {
  const TrialId trial = assignment.key.id.trial;
  std::string sweep = std::to_string(trial.sweep.value);
  if (IsPlainFileName(assignment.sweep_id)) sweep += "-" + assignment.sweep_id;
  const std::string trial_folder = root + "/" + sweep + "/" + std::to_string(trial.number);
  AttemptPaths paths;
  paths.folder = trial_folder + "/attempt-" + std::to_string(assignment.key.id.number);
  paths.config = paths.folder + "/config.json";
  paths.output = paths.folder + "/output.log";
  paths.workdir = paths.folder + "/work";
  paths.checkpoint_dir = trial_folder + "/checkpoints";
  return paths;
}

StatusOr<std::string> ExpandText(const std::string& text, const Assignment& assignment,
                                 const AttemptPaths& paths) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[i + 1] == '$') {
      out += '$';
      ++i;
    } else if (text[i + 1] != '{') {
      out += '$';
    } else {
      const size_t end = text.find('}', i);
      if (end == std::string::npos) {
        return InvalidArgument("\"" + text + "\": ${ has no closing }; write $$ for a dollar sign");
      }
      const std::string name = text.substr(i + 2, end - i - 2);
      if (name == "args") {
        return InvalidArgument(
            "\"" + text +
            "\": ${args} must be an element of its own: [python3, train.py, \"${args}\"]");
      }
      const AttemptId& id = assignment.key.id;
      if (name == "trial") {
        out += std::to_string(id.trial.number);
      } else if (name == "sweep") {
        out += assignment.sweep_id;
      } else if (name == "attempt") {
        out += std::to_string(id.number);
      } else if (name == "seed") {
        out += std::to_string(assignment.seed);
      } else if (name == "config") {
        out += paths.config;
      } else if (name == "checkpoint_dir") {
        out += paths.checkpoint_dir;
      } else {
        // A parameter that is not active in this trial gives nothing; unknown names were refused
        // with the sweep.
        for (const Argument& parameter : assignment.parameters) {
          if (parameter.name == name) out += parameter.text;
        }
      }
      i = end;
    }
  }
  if (out.find('\0') != std::string::npos) return InvalidArgument("an argument holds a zero byte");
  return out;
}

std::vector<std::string> ExpandArgs(const Assignment& assignment) {
  std::vector<std::string> args;
  for (const Argument& parameter : assignment.parameters) {
    const std::string name = Dotted(parameter.name);
    switch (assignment.args) {
      case ArgStyle::kGnu:
        args.push_back("--" + name + "=" + parameter.text);
        break;
      case ArgStyle::kSpaced:
        args.push_back("--" + name);
        args.push_back(parameter.text);
        break;
      case ArgStyle::kHydra:
        args.push_back(name + "=" + parameter.text);
        break;
      case ArgStyle::kSingleDash:
        args.push_back("-" + name);
        args.push_back(parameter.text);
        break;
      case ArgStyle::kNone:
        break;
    }
  }
  return args;
}

std::string ConfigJson(const Assignment& assignment) {
  // Later ones win: options of a built-in trainable are defaults.
  std::vector<Argument> arguments;
  std::set<std::string> names;
  const auto add = [&](const Argument& argument) {
    if (names.insert(argument.name).second) {
      arguments.push_back(argument);
      return;
    }
    for (Argument& known : arguments) {
      if (known.name == argument.name) known = argument;
    }
  };
  for (const Argument& option : assignment.options) add(option);
  for (const Argument& parameter : assignment.parameters) add(parameter);
  if (!assignment.builtin.empty()) {
    std::string json;
    AppendJsonString(assignment.builtin, &json);
    add({"model", assignment.builtin, json});
  }

  Json config = Json::object();
  const auto is_value = [&](const std::string& name) {
    const size_t slash = name.rfind('/');
    for (size_t at = name.find('/'); slash != std::string::npos && at <= slash;
         at = name.find('/', at + 1)) {
      if (names.count(name.substr(0, at)) != 0) return true;
    }
    return false;
  };
  for (const Argument& argument : arguments) {
    Json value = Json::parse(argument.json, nullptr, false);
    if (value.is_discarded()) value = ValidUtf8(argument.text);
    Json* place = &config;
    std::string name = argument.name;
    if (!is_value(name)) {
      for (size_t slash; (slash = name.find('/')) != std::string::npos; name.erase(0, slash + 1)) {
        place = &(*place)[ValidUtf8(name.substr(0, slash))];
      }
    }
    (*place)[ValidUtf8(name)] = std::move(value);
  }
  return config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

namespace {

// Executable and argv: of the program itself.
Status PlanProgram(const Assignment& assignment, const AttemptPaths& paths, const LaunchContext& context,
                   LaunchPlan* plan) {
  if (!assignment.builtin.empty()) {
    if (!IsExecutableFile(context.trainer)) {
      return NotFound("cannot start the built-in trainable \"" + assignment.builtin +
                      "\": " + context.trainer +
                      " is not an executable file; install tunesmith-trainer beside "
                      "tunesmith-worker or name it with "
                      "--trainer");
    }
    plan->executable = context.trainer;
    plan->argv = {context.trainer};
    return OkStatus();
  }
  for (const std::string& element : assignment.command) {
    if (element == "${args}") {
      for (std::string& arg : ExpandArgs(assignment)) {
        if (arg.find('\0') != std::string::npos)
          return InvalidArgument("an argument holds a zero byte");
        plan->argv.push_back(std::move(arg));
      }
      continue;
    }
    TS_ASSIGN_OR_RETURN(std::string expanded, ExpandText(element, assignment, paths));
    plan->argv.push_back(std::move(expanded));
  }
  if (plan->argv.empty())
    return InvalidArgument("the sweep names neither a command nor a built-in trainable");
  const auto path = plan->env.find("PATH");
  TS_ASSIGN_OR_RETURN(
      plan->executable,
      FindExecutable(plan->argv[0], path == plan->env.end() ? "/usr/bin:/bin" : path->second,
                     plan->workdir));
  return OkStatus();
}

// The same program, several times.
Status PlanRanks(const Assignment& assignment, const LaunchContext& context, LaunchPlan* plan) {
  if (!IsExecutableFile(context.ranks_starter)) {
    return NotFound("cannot start a trial of " + std::to_string(assignment.ranks) + " ranks: " +
                    context.ranks_starter +
                    " is not an executable file; install tunesmith-ranks beside tunesmith-worker");
  }
  plan->argv[0] = plan->executable;
  const std::string before[] = {context.ranks_starter, std::to_string(assignment.ranks),
                                std::to_string(assignment.stop_grace.ms)};
  plan->argv.insert(plan->argv.begin(), std::begin(before), std::end(before));
  plan->executable = context.ranks_starter;
  return OkStatus();
}

}  // namespace

StatusOr<LaunchPlan> PlanLaunch(const Assignment& assignment, const AttemptPaths& paths,
                                const LaunchContext& context) {
  LaunchPlan plan;
  plan.config_json = ConfigJson(assignment);
  plan.workdir = assignment.workdir.empty() ? paths.workdir : assignment.workdir;
  plan.env = context.inherited_env;

  std::string devices;
  for (const std::string& device : assignment.devices) {
    if (!device.empty()) devices += (devices.empty() ? "" : ",") + device;
  }
  plan.env["CUDA_VISIBLE_DEVICES"] = devices;
  const std::string cpus = std::to_string(std::max(1, assignment.cpus / assignment.ranks));  // of each process
  plan.env["OMP_NUM_THREADS"] = cpus;
  // Threads that spin while they wait take the cores of other trials.
  if (plan.env.count("OMP_WAIT_POLICY") == 0) plan.env["OMP_WAIT_POLICY"] = "passive";
  // A pipe makes Python keep its lines back until 8 KiB have come together: no metric would arrive
  // in time.
  if (plan.env.count("PYTHONUNBUFFERED") == 0) plan.env["PYTHONUNBUFFERED"] = "1";
  for (const auto& [name, value] : assignment.env) {
    if (name.empty() || name.find_first_of(std::string("=\0", 2)) != std::string::npos) {
      return InvalidArgument("env: \"" + ValidUtf8(name) + "\" is not a name");
    }
    TS_ASSIGN_OR_RETURN(plan.env[name], ExpandText(value, assignment, paths));
  }
  const AttemptId& id = assignment.key.id;
  plan.env["TUNESMITH_SWEEP"] = assignment.sweep_id;
  plan.env["TUNESMITH_TRIAL"] = std::to_string(id.trial.number);
  plan.env["TUNESMITH_ATTEMPT"] = std::to_string(id.number);
  plan.env["TUNESMITH_CONFIG"] = paths.config;
  plan.env["TUNESMITH_CHECKPOINT_DIR"] = paths.checkpoint_dir;
  plan.env["TUNESMITH_SEED"] = std::to_string(assignment.seed);
  plan.env["TUNESMITH_CPUS"] = cpus;
  plan.env[kLeaseVariable] = KeyText(assignment.key);
  // Not what the daemon itself may have inherited from a trial of another one.
  plan.env.erase("TUNESMITH_MAX_STEP");
  plan.env.erase("TUNESMITH_RESUME_FROM");
  plan.env.erase("TUNESMITH_CHANNEL");
  if (assignment.max_step > 0) plan.env["TUNESMITH_MAX_STEP"] = std::to_string(assignment.max_step);
  plan.env.erase("TUNESMITH_RESUME_STEP");
  plan.env.erase("TUNESMITH_RESUME_CHECKPOINT");
  if (assignment.resume && context.has_checkpoints) {
    plan.env["TUNESMITH_RESUME_FROM"] = paths.checkpoint_dir;
    if (assignment.resume_step > 0) {
      plan.env["TUNESMITH_RESUME_STEP"] = std::to_string(assignment.resume_step);
      const std::string& name = assignment.resume_name;
      plan.env["TUNESMITH_RESUME_CHECKPOINT"] = paths.checkpoint_dir + (name.empty() ? "" : "/" + name);
    }
  }

  TS_RETURN_IF_ERROR(PlanProgram(assignment, paths, context, &plan));
  if (assignment.ranks > 1) TS_RETURN_IF_ERROR(PlanRanks(assignment, context, &plan));
  return plan;
}

}  // namespace tunesmith::worker
