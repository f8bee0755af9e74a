#include "worker/process/supervisor.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <utility>

#include "common/log.h"
#include "common/text.h"
#include "worker/process/end_words.h"
#include "worker/process/files.h"
#include "worker/process/launch_plan.h"
#include "worker/process/line_parser.h"
#include "worker/process/log_forwarder.h"
#include "worker/process/output_splitter.h"
#include "worker/process/rate.h"
#include "worker/process/snapshot.h"
#include "worker/process/spawn.h"
#include "worker/process/trial_folder.h"

namespace tunesmith::worker {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int64_t kOomWindowMs =
    10'000;  // an end so soon after the kernel killed something is put down to it
constexpr int64_t kOomSampleMs = 1'000;
constexpr int64_t kReapOrphansMs = 2'000;
constexpr int64_t kKillLeftoversMsMax = 10'000;
constexpr int kEventsMax = 64;
constexpr size_t kLastReadBytesMax = 1 << 20;  // more than a pipe holds; an outsider may write on
constexpr int64_t kKillWarningMs = 30'000;

}  // namespace

struct Supervisor::Trial : TrialState {
  AttemptKey key;
  AttemptPaths paths;
  uint64_t number = 0;

  std::unique_ptr<LineParser> parser;
  OutputSplitter splitter{kTrialLineBytesMax};
  bool watched[3] = {false, false, false};
  bool held = false;  // no reading until acknowledgements or time give room
  LogForwarder forwarder;
  OutputTail stdout_tail;
  OutputTail stderr_tail;
  TokenBucket bytes_rate;
  TokenBucket report_rate;

  bool exited = false;
  siginfo_t exit_info = {};
  bool warned = false;

  Trial(TrialState state, const SupervisorOptions& options, const LogForwarderOptions& log, Time now)
      : TrialState(std::move(state)),
        key(assignment->key),
        paths(PathsOf(options.state_dir + "/trials", *assignment)),
        forwarder(log),
        bytes_rate(options.read_bytes_per_second_max, options.read_bytes_per_second_max, now),
        report_rate(options.reports_per_second_max, static_cast<int64_t>(kUnackedRecordsMax), now) {}
  ~Trial() {
    for (int fd : Descriptors()) close(fd);
  }
  int Fd(Source source) const {
    switch (source) {
      case Source::kStdout:
        return process.stdout_fd;
      case Source::kStderr:
        return process.stderr_fd;
      case Source::kChannel:
        return process.channel_fd;
      case Source::kExit:
        break;
    }
    return process.pidfd;
  }
};

Supervisor::Supervisor(SupervisorOptions options, Agent* agent)
    : options_(std::move(options)),
      agent_(agent),
      hand_over_({.driver = options_.gpus,
                  .limit = options_.device_release,
                  .alive =
                      [](int64_t pid) {
                        const auto process = ReadProcess(static_cast<pid_t>(pid));
                        return process.has_value() && process->state != 'Z';
                      }}),
      forest_(kLeaseVariable) {}

StatusOr<std::unique_ptr<Supervisor>> Supervisor::Create(SupervisorOptions options, Agent* agent,
                                                           Time now) {
  std::unique_ptr<Supervisor> supervisor(new Supervisor(std::move(options), agent));
  TS_RETURN_IF_ERROR(supervisor->Init());
  TS_RETURN_IF_ERROR(supervisor->EndLeftovers(now));
  return supervisor;
}

StatusOr<std::unique_ptr<Supervisor>> Supervisor::Adopt(SupervisorOptions options, Agent* agent,
                                                        ProcessesSnapshot snapshot, Time now) {
  std::unique_ptr<Supervisor> supervisor(new Supervisor(std::move(options), agent));
  TS_RETURN_IF_ERROR(supervisor->Init());
  TS_RETURN_IF_ERROR(supervisor->TakeOver(std::move(snapshot), now));
  return supervisor;
}

Status Supervisor::Init() {
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return ErrnoStatus(errno, "cannot make an epoll descriptor");
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return ErrnoStatus(errno, "cannot become a subreaper");
  TS_RETURN_IF_ERROR(MakeFolder(options_.state_dir + "/trials"));
  TS_RETURN_IF_ERROR(MakeFolder(options_.state_dir + "/running"));
  if (options_.use_cgroups) cgroups_ = Cgroups::Open();
  oom_kills_ = ReadOomKills().value_or(0);
  return OkStatus();
}

Supervisor::~Supervisor() {
  for (auto& [key, trial] : trials_) {
    if (!trial->cgroup.empty()) Cgroups::Kill(trial->cgroup);
    kill(-trial->process.pid, SIGKILL);
    waitpid(trial->process.pid, nullptr, 0);
    if (!trial->cgroup.empty()) Cgroups::Remove(trial->cgroup);
  }
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

// What running/ says of the attempts that were not over when the daemon died.
struct Supervisor::Leftovers {
  std::map<pid_t, uint64_t> leaders;  // with their start in ticks
  std::vector<std::string> files, groups;
  std::map<std::string, std::vector<DeviceUse>> devices;  // by attempt
};

// A file is one attempt: "pid start_ticks cgroup", then for each of its devices "device UUID
// whole|share bytes_before".
StatusOr<Supervisor::Leftovers> Supervisor::ListLeftovers(const std::string& folder) const {
  Leftovers left;
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return ErrnoStatus(errno, "cannot read " + folder);
  while (const dirent* entry = readdir(listing)) {
    if (entry->d_name[0] == '.') continue;
    left.files.push_back(folder + "/" + entry->d_name);
    const auto content = ReadFile(left.files.back());
    if (!content.ok()) continue;
    std::istringstream lines(*content);
    std::string line;
    for (bool first = true; std::getline(lines, line); first = false) {
      std::istringstream words(line);
      pid_t pid = 0;
      uint64_t start = 0;
      std::string word, group, how;
      DeviceUse use;
      int64_t used = -1;
      if (first) {
        if (!(words >> pid >> start)) break;
        left.leaders[pid] = start;
        if (words >> group && Cgroups::IsOurs(group)) left.groups.push_back(group);
      } else if (words >> word >> use.device >> how >> used && word == "device") {
        use.whole = how == "whole";
        if (used >= 0) use.unclaimed_before = used;
        left.devices[entry->d_name].push_back(use);
      }
    }
  }
  closedir(listing);
  return left;
}

Status Supervisor::EndLeftovers(Time now) {
  TS_ASSIGN_OR_RETURN(const Leftovers left, ListLeftovers(options_.state_dir + "/running"));
  std::set<int64_t> pids;
  for (const auto& [pid, start] : left.leaders) pids.insert(pid);
  for (const std::string& group : left.groups) {
    const std::vector<pid_t> members = Cgroups::Processes(group);
    leftovers_killed_ += static_cast<int>(members.size());
    pids.insert(members.begin(), members.end());
    Cgroups::Kill(group);
  }
  const std::string mark = options_.instance + "/";
  const auto is_ours = [&](const ProcessInfo& process) {
    const auto leader = left.leaders.find(process.session);
    if (leader != left.leaders.end()) {
      // A session's number is not given anew while a process of it lives.
      const auto head = ReadProcess(leader->first);
      if (!head.has_value() || head->start_ticks == leader->second) return true;
    }
    return ReadEnvironmentOf(process.pid, kLeaseVariable).compare(0, mark.size(), mark) == 0;
  };
  const auto killed = KillMatching(
      [&](const ProcessInfo& process) {
        const bool ours = is_ours(process);
        if (ours) pids.insert(process.pid);
        return ours;
      },
      kKillLeftoversMsMax);
  if (!killed.ok())
    return Annotate(killed.status(), "cannot end what an earlier daemon left running");
  leftovers_killed_ += left.groups.empty() ? *killed : 0;
  for (const std::string& group : left.groups) Cgroups::Remove(group);
  // Of a program whose place this one has taken without being told what it ran.
  for (const auto& [pid, start] : left.leaders) waitpid(pid, nullptr, WNOHANG);
  AwaitDevices(left, pids, now);
  return OkStatus();
}

// They get the same time to come back as after any other end.
void Supervisor::AwaitDevices(const Leftovers& left, const std::set<int64_t>& pids, Time now) {
  for (const std::string& file : left.files) {
    const std::string attempt = file.substr(file.rfind('/') + 1);
    const auto devices = left.devices.find(attempt);
    if (devices == left.devices.end()) {
      unlink(file.c_str());
    } else {
      hand_over_.OnGone({attempt, "attempt " + attempt, devices->second, pids}, now);
    }
  }
  TellDevices(now);
}

// --- handing on

ProcessesSnapshot Supervisor::Snapshot() const {
  ProcessesSnapshot snapshot{{}, forest_.past(), oom_kills_, oom_rose_at_};
  for (const auto& [key, trial] : trials_) {
    snapshot.trials.push_back({*trial, trial->splitter.state(), trial->forwarder.state(), trial->stdout_tail.bytes(),
                               trial->stderr_tail.bytes(), trial->parser->hint()});
  }
  return snapshot;
}

Status Supervisor::TakeOver(ProcessesSnapshot snapshot, Time now) {
  oom_kills_ = snapshot.oom_kills;
  oom_rose_at_ = snapshot.oom_rose_at;
  std::set<std::string> running;
  for (TrialSnapshot& trial : snapshot.trials) {
    running.insert(KeyText(trial.state.assignment->key));
    TS_RETURN_IF_ERROR(TakeOverTrial(std::move(trial), now));
  }
  forest_.set_past(std::move(snapshot.forest));
  // The others have ended, and are noted because their devices were waited for.
  TS_ASSIGN_OR_RETURN(Leftovers left, ListLeftovers(options_.state_dir + "/running"));
  std::erase_if(left.files, [&](const std::string& file) {
    return running.count(file.substr(file.rfind('/') + 1)) != 0;
  });
  std::set<int64_t> pids;
  for (const auto& [pid, start] : left.leaders) pids.insert(pid);
  for (const auto& [key, trial] : trials_) pids.erase(trial->process.pid);
  AwaitDevices(left, pids, now);
  return OkStatus();
}

Status Supervisor::TakeOverTrial(TrialSnapshot snapshot, Time now) {
  auto trial = std::make_unique<Trial>(std::move(snapshot.state), options_, LogOptions(), now);
  TS_ASSIGN_OR_RETURN(trial->parser, LineParser::Create(trial->assignment->collect, trial->assignment->metrics));
  trial->parser->set_hint(std::move(snapshot.parser_hint));
  trial->splitter.set_state(std::move(snapshot.splitter));
  trial->forwarder.set_state(std::move(snapshot.forwarder));
  trial->stdout_tail.Append(snapshot.stdout_tail);
  trial->stderr_tail.Append(snapshot.stderr_tail);
  for (int fd : trial->Descriptors()) fcntl(fd, F_SETFD, FD_CLOEXEC);
  // What was read and not yet taken comes before what is still to be read: Resume sees to the order.
  trial->held = true;
  trial->number = ++last_number_;
  const Status watched = Watch(trial.get(), Source::kExit);
  Add(std::move(trial));
  return watched;
}

// --- starting

void Supervisor::Start(std::shared_ptr<const Assignment> assignment, Time now) {
  const AttemptKey key = assignment->key;
  auto launched = Launch(std::move(assignment), now);
  if (!launched.ok()) {
    Log(LogLevel::kWarning, "attempt_not_started",
        {{"attempt", KeyText(key)}, {"reason", Message(launched.status())}});
    agent_->OnStartFailed(key, Message(launched.status()), now);
    return;
  }
  Trial* const raw = launched->get();
  Add(*std::move(launched));
  for (Source source : {Source::kStdout, Source::kStderr, Source::kChannel, Source::kExit}) {
    const Status watched = Watch(raw, source);
    if (!watched.ok()) Log(LogLevel::kError, "watch_failed", {{"reason", Message(watched)}});
  }
  Log(LogLevel::kInfo, "attempt_started",
      {{"attempt", KeyText(key)}, {"sweep", raw->assignment->sweep_id}, {"pid", raw->process.pid}});
  agent_->OnStarted(key, raw->process.pid, access(FromZeroMark(raw->paths).c_str(), F_OK) == 0,
                    now);
}

void Supervisor::Add(std::unique_ptr<Trial> trial) {
  by_number_[trial->number] = trial.get();
  forest_.AddLeader(trial->process.pid, options_.instance + "/" + KeyText(trial->key));
  trials_[trial->key] = std::move(trial);
}

LogForwarderOptions Supervisor::LogOptions() const {
  return {options_.forwarded_bytes_max, kLogBytesPerSecondMax, kLogChunkBytesMax};
}

StatusOr<std::unique_ptr<Supervisor::Trial>> Supervisor::Launch(std::shared_ptr<const Assignment> assigned, Time now) {
  const Assignment& assignment = *assigned;
  TrialState state;
  state.assignment = std::move(assigned);
  state.started = now;
  auto trial = std::make_unique<Trial>(std::move(state), options_, LogOptions(), now);
  trial->number = ++last_number_;
  const AttemptPaths& paths = trial->paths;
  TS_ASSIGN_OR_RETURN(trial->parser, LineParser::Create(assignment.collect, assignment.metrics));
  TS_RETURN_IF_ERROR(PrepareTrialFolder(assignment, paths));
  TS_RETURN_IF_ERROR(RemoveAll(paths.folder));
  TS_RETURN_IF_ERROR(MakeFolder(paths.folder));
  if (assignment.workdir.empty()) TS_RETURN_IF_ERROR(MakeFolder(paths.workdir));

  LaunchContext context{options_.inherited_env, options_.trainer,
                        !IsEmptyFolder(paths.checkpoint_dir), options_.ranks_starter};
  TS_ASSIGN_OR_RETURN(LaunchPlan plan, PlanLaunch(assignment, paths, context));
  plan.env[kLeaseVariable] = options_.instance + "/" + KeyText(assignment.key);
  TS_RETURN_IF_ERROR(WriteFile(paths.config, plan.config_json));
  trial->log_fd =
      open(paths.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (trial->log_fd < 0) return ErrnoStatus(errno, "cannot write " + paths.output);
  std::string device_lines;
  for (const std::string& device : assignment.devices) {
    if (options_.gpus == nullptr) break;
    const bool whole = assignment.gpus <= 0 || assignment.gpus >= 1;
    const DeviceUse use{device, whole, hand_over_.Unclaimed(device)};
    trial->devices.push_back(use);
    device_lines += "device " + device + (use.whole ? " whole " : " share ") +
                    std::to_string(use.unclaimed_before.value_or(-1)) + "\n";
  }

  trial->cgroup = cgroups_.Create(options_.instance + "-" + KeyText(assignment.key));
  auto spawned = SpawnProgram({plan.executable, plan.argv, plan.env, plan.workdir, trial->cgroup});
  if (!spawned.ok()) {
    if (!trial->cgroup.empty()) Cgroups::Remove(trial->cgroup);
    return spawned.status();
  }
  trial->process = *spawned;
  if (!trial->devices.empty()) trial->pids.insert(spawned->pid);
  const auto info = ReadProcess(spawned->pid);
  const std::string line = std::to_string(spawned->pid) + " " +
                           std::to_string(info.has_value() ? info->start_ticks : 0) + " " +
                           trial->cgroup + "\n" + device_lines;
  const Status noted = WriteFile(options_.state_dir + "/running/" + KeyText(assignment.key), line);
  if (!noted.ok()) {
    // Unknown to a restarted daemon it might outlive this one.
    if (!trial->cgroup.empty()) Cgroups::Kill(trial->cgroup);
    kill(-spawned->pid, SIGKILL);
    waitpid(spawned->pid, nullptr, 0);
    if (!trial->cgroup.empty()) Cgroups::Remove(trial->cgroup);
    return noted;
  }
  return trial;
}

// --- watching

Status Supervisor::Watch(Trial* trial, Source source) {
  epoll_event event = {};
  event.events = EPOLLIN;
  if (source == Source::kChannel && !trial->channel_out.empty()) event.events |= EPOLLOUT;
  event.data.u64 = trial->number << 2 | static_cast<uint64_t>(source);
  const bool again = source != Source::kExit && trial->watched[static_cast<size_t>(source)];
  if (epoll_ctl(epoll_fd_, again ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, trial->Fd(source), &event) != 0) {
    return ErrnoStatus(errno, "cannot watch a trial");
  }
  if (source != Source::kExit) trial->watched[static_cast<size_t>(source)] = true;
  return OkStatus();
}

void Supervisor::Unwatch(Trial* trial, Source source) {
  bool& watched = trial->watched[static_cast<size_t>(source)];
  if (watched) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, trial->Fd(source), nullptr);
  watched = false;
}

void Supervisor::CloseChannel(Trial* trial) {
  Unwatch(trial, Source::kChannel);
  if (trial->process.channel_fd >= 0) close(trial->process.channel_fd);
  trial->process.channel_fd = -1;
  trial->channel_out.clear();
}

void Supervisor::Run(Time now) {
  epoll_event events[kEventsMax];
  const int count = epoll_wait(epoll_fd_, events, kEventsMax, 0);
  for (int i = 0; i < count; ++i) {
    const auto it = by_number_.find(events[i].data.u64 >> 2);
    if (it == by_number_.end()) continue;
    Trial* const trial = it->second;
    const auto source = static_cast<Source>(events[i].data.u64 & 3);
    if (source == Source::kExit) {
      NoteExit(trial, now);
    } else if (source == Source::kChannel) {
      if ((events[i].events & EPOLLOUT) != 0) WriteChannel(trial);
      if ((events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0)
        ReadChannel(trial, now, false);
    } else {
      ReadOutput(trial, source, now, false);
    }
  }
  SampleOomKills(now);
  std::vector<Trial*> all;
  for (auto& [key, trial] : trials_) all.push_back(trial.get());
  for (Trial* trial : all) {
    if (trial->held) Resume(trial, now);
    if (trial->kill_sent && now - trial->kill_sent_at >= Milliseconds(kKillWarningMs) &&
        !std::exchange(trial->warned, true)) {
      Log(LogLevel::kWarning, "process_does_not_end",
          {{"attempt", KeyText(trial->key)}, {"hint", "it was killed; it hangs in the kernel"}});
    }
    // While nothing is acknowledged only the newest output is kept for later.
    if (agent_->Full(trial->key)) continue;
    if (auto chunk = trial->forwarder.Take(now)) {
      agent_->OnLog(trial->key, std::move(chunk->data), chunk->dropped_bytes, now);
    }
  }
  if ((!trials_.empty() || forest_.has_strays()) &&
      now - forest_at_ >= Milliseconds(kReapOrphansMs))
    RefreshForest(now);
  for (Trial* trial : all) {
    if (trial->exited) CheckTree(trial, now);  // may delete it
  }
  hand_over_.Run(now);
  TellDevices(now);
}

Time Supervisor::NextDeadline() const {
  const bool idle = trials_.empty() && !forest_.has_strays();
  Time deadline = idle ? kTimeNever : forest_at_ + Milliseconds(kReapOrphansMs);
  for (const auto& [key, trial] : trials_) {
    const bool full = agent_->Full(key);
    if (!full) deadline = std::min(deadline, trial->forwarder.NextDue());
    if (trial->held && !full) {
      deadline = std::min({deadline, std::max(trial->bytes_rate.NextPositive(),
                                              trial->report_rate.NextPositive())});
    }
    if (trial->exited) deadline = std::min(deadline, forest_at_ + forest_every_);
  }
  deadline = std::min(deadline, hand_over_.NextDeadline());
  return deadline;
}

// --- output

void Supervisor::ReadOutput(Trial* trial, Source source, Time now, bool last) {
  char buffer[kReadBytes];
  for (size_t taken = 0; trial->Fd(source) >= 0 && taken < kLastReadBytesMax;) {
    if (!last && !trial->bytes_rate.Positive(now)) {
      trial->held = true;
      Unwatch(trial, source);
      return;
    }
    const ssize_t n = read(trial->Fd(source), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      Unwatch(trial, source);
      int* fd = source == Source::kStdout ? &trial->process.stdout_fd : &trial->process.stderr_fd;
      close(*fd);
      *fd = -1;
      return;
    }
    trial->bytes_rate.Spend(n);
    taken += static_cast<size_t>(n);
    TakeOutput(trial, source, std::string_view(buffer, static_cast<size_t>(n)), now);
    if (source == Source::kStdout) ParseStdout(trial, now, last);
    if (!last) return;
  }
}

void Supervisor::TakeOutput(Trial* trial, Source source, std::string_view bytes, Time now) {
  KeepLog(trial, bytes);
  trial->forwarder.Append(bytes, now);
  (source == Source::kStdout ? trial->stdout_tail : trial->stderr_tail).Append(bytes);
  if (source == Source::kStdout) trial->unparsed.append(bytes);
}

void Supervisor::KeepLog(Trial* trial, std::string_view bytes) {
  const int64_t room = std::max<int64_t>(0, options_.log_bytes_max - trial->log_bytes);
  const size_t kept = std::min<size_t>(bytes.size(), static_cast<size_t>(room));
  size_t written = 0;
  while (written < kept) {
    const ssize_t n = write(trial->log_fd, bytes.data() + written, kept - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // a full disk costs log lines, not the trial
    written += static_cast<size_t>(n);
  }
  trial->log_bytes += static_cast<int64_t>(written);
  trial->log_bytes_left_out += static_cast<int64_t>(bytes.size() - written);
}

void Supervisor::ParseStdout(Trial* trial, Time now, bool last) {
  if (trial->channel_used) {
    trial->unparsed.clear();
    trial->progress.reset();
    return;
  }
  const auto on_line = [&](std::string_view line, bool progress) {
    auto report = trial->parser->Parse(line);
    // A redrawn line counts once, in its last state, unless it moves to another step.
    if (report.has_value() && trial->progress.has_value() && report->step.has_value() &&
        report->step != trial->progress->step) {
      Deliver(trial, *trial->progress, now);
      trial->progress.reset();
    }
    if (report.has_value()) trial->progress = std::move(report);
    if (!progress && trial->progress.has_value()) {
      Deliver(trial, *trial->progress, now);
      trial->progress.reset();
    }
  };
  size_t taken = 0;
  while (taken < trial->unparsed.size()) {
    if (!last && !MayDeliver(trial, now)) {
      trial->held = true;
      Unwatch(trial, Source::kStdout);
      break;
    }
    taken += trial->splitter.TakeLine(std::string_view(trial->unparsed).substr(taken), on_line);
  }
  trial->unparsed.erase(0, taken);
  if (last) trial->splitter.Finish(on_line);
  if (last && trial->progress.has_value())
    Deliver(trial, *std::exchange(trial->progress, std::nullopt), now);
}

void Supervisor::ReadChannel(Trial* trial, Time now, bool last) {
  char buffer[kReadBytes];
  for (size_t taken = 0; trial->process.channel_fd >= 0 && taken < kLastReadBytesMax;) {
    if (!last && !trial->bytes_rate.Positive(now)) {
      trial->held = true;
      Unwatch(trial, Source::kChannel);
      return;
    }
    const ssize_t n = recv(trial->process.channel_fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      trial->channel_in += '\n';  // a last line may lack its end
      ParseChannel(trial, now, last);
      if (!trial->held || last) CloseChannel(trial);
      return;
    }
    trial->bytes_rate.Spend(n);
    taken += static_cast<size_t>(n);
    trial->channel_in.append(buffer, static_cast<size_t>(n));
    ParseChannel(trial, now, last);
    if (!last) return;
  }
}

void Supervisor::ParseChannel(Trial* trial, Time now, bool last) {
  size_t begin = 0;
  for (size_t end; (end = trial->channel_in.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    if (!last && !MayDeliver(trial, now)) {
      trial->held = true;
      Unwatch(trial, Source::kChannel);
      break;
    }
    const std::string_view line = std::string_view(trial->channel_in).substr(begin, end - begin);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto parsed = ParseChannelLine(line);
    trial->channel_used = true;
    if (!parsed.ok()) {
      const std::string text =
          "tunesmith: ignored on the channel: " + Message(parsed.status()) + "\n";
      TakeOutput(trial, Source::kStderr, text, now);
    } else if (parsed->kind == ChannelLine::Kind::kReport) {
      Deliver(trial, parsed->report, now);
    } else if (parsed->kind == ChannelLine::Kind::kFailed) {
      trial->failed_reason = parsed->text;
    } else {
      TakeOutput(trial, Source::kStderr, "note: " + parsed->text + "\n", now);
    }
  }
  trial->channel_in.erase(0, begin);
  if (trial->channel_in.size() > kChannelBytesMax &&
      trial->channel_in.find('\n') == std::string::npos) {
    TakeOutput(trial, Source::kStderr,
               "tunesmith: the channel is closed: a line longer than 1 MiB\n", now);
    trial->channel_in.clear();
    CloseChannel(trial);
  }
}

void Supervisor::Tell(const AttemptKey& key, int64_t step, bool stop, const std::string& reason) {
  const auto it = trials_.find(key);
  if (it == trials_.end() || it->second->process.channel_fd < 0) return;
  Trial* const trial = it->second.get();
  trial->channel_out += VerdictLine(step, stop, reason);
  if (trial->channel_out.size() > kChannelBytesMax) {
    // It reports and never reads the answers; only the newest are worth keeping.
    const size_t half = trial->channel_out.find('\n', kChannelBytesMax / 2);
    const size_t first = trial->channel_out.find('\n');
    trial->channel_out.erase(first + 1, half - first);
  }
  WriteChannel(trial);
}

void Supervisor::WriteChannel(Trial* trial) {
  size_t sent = 0;
  while (sent < trial->channel_out.size()) {
    const ssize_t n = send(trial->process.channel_fd, trial->channel_out.data() + sent,
                           trial->channel_out.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    sent += static_cast<size_t>(n);
  }
  const bool wanted = !trial->channel_out.empty();
  trial->channel_out.erase(0, sent);
  if (sent == 0 && wanted && errno != EAGAIN) {
    trial->channel_out
        .clear();  // the trial has closed its end; what it has sent is still to be read
  }
  if (trial->watched[static_cast<size_t>(Source::kChannel)]) {
    const Status watched = Watch(trial, Source::kChannel);
    if (!watched.ok()) Log(LogLevel::kError, "watch_failed", {{"reason", Message(watched)}});
  }
}

bool Supervisor::MayDeliver(Trial* trial, Time now) {
  return !agent_->Full(trial->key) && trial->report_rate.Positive(now);
}

void Supervisor::Deliver(Trial* trial, const Report& report, Time now) {
  if (report.step == 0 && !std::exchange(trial->noted_from_zero, true)) {
    // A resumed attempt does not begin with step 0.
    const Status noted = WriteFile(FromZeroMark(trial->paths), "");
    if (!noted.ok()) Log(LogLevel::kWarning, "mark_not_written", {{"reason", Message(noted)}});
  }
  trial->report_rate.Spend(1);
  agent_->OnReport(trial->key, report, now);
}

void Supervisor::Resume(Trial* trial, Time now) {
  if (!MayDeliver(trial, now) || !trial->bytes_rate.Positive(now)) return;
  trial->held = false;
  ParseChannel(trial, now, false);
  ParseStdout(trial, now, false);
  if (trial->held) return;
  for (Source source : {Source::kStdout, Source::kStderr, Source::kChannel}) {
    if (trial->Fd(source) < 0 || trial->watched[static_cast<size_t>(source)]) continue;
    const Status watched = Watch(trial, source);
    if (!watched.ok()) Log(LogLevel::kError, "watch_failed", {{"reason", Message(watched)}});
  }
}

// --- ending

void Supervisor::SignalTree(const AttemptKey& key, bool force, Time now) {
  const auto it = trials_.find(key);
  if (it == trials_.end()) return;
  Trial* const trial = it->second.get();
  const int signal = force ? SIGKILL : SIGTERM;
  if (force && !std::exchange(trial->kill_sent, true)) trial->kill_sent_at = now;
  if (force && !trial->cgroup.empty()) Cgroups::Kill(trial->cgroup);
  // The leader is not reaped before its tree is gone, so its number cannot mean anybody else.
  kill(-trial->process.pid, signal);
  RefreshForest(now);
  for (const ProcessInfo& member : forest_.Members(trial->process.pid)) {
    if (member.group != trial->process.pid) kill(member.pid, signal);
  }
}

void Supervisor::NoteExit(Trial* trial, Time now) {
  if (trial->exited) return;
  if (waitid(P_PID, static_cast<id_t>(trial->process.pid), &trial->exit_info,
             WEXITED | WNOHANG | WNOWAIT) != 0 ||
      trial->exit_info.si_pid == 0) {
    return;
  }
  trial->exited = true;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, trial->process.pidfd, nullptr);
  SampleOomKills(Time{now.ms + kOomSampleMs});
  trial->oom_suspected = trial->oom_suspected ||
                         (now - oom_rose_at_ <= Milliseconds(kOomWindowMs) && oom_rose_at_ >= trial->started);
  forest_every_ = Milliseconds(0);  // look at once
}

// Whether anything of the tree is left; kills it again if it was to be killed (it may have forked
// in between).
void Supervisor::CheckTree(Trial* trial, Time now) {
  bool alive;
  if (!trial->cgroup.empty()) {
    alive = Cgroups::HasProcesses(trial->cgroup);
    if (alive && trial->kill_sent) Cgroups::Kill(trial->cgroup);
  } else {
    if (now - forest_at_ >= forest_every_) RefreshForest(now);
    const auto& members = forest_.Members(trial->process.pid);
    alive = !members.empty();
    if (trial->kill_sent) {
      for (const ProcessInfo& member : members) kill(member.pid, SIGKILL);
    }
    // The walk must be younger than the program's end.
    if (!alive && forest_at_ < now) return;
  }
  if (!alive) return Finish(trial, now);
  if (!std::exchange(trial->told_exit, true)) agent_->OnProgramExited(trial->key, now);
}

// A driver may name a process that is gone by then: its number tells whose memory it is.
void Supervisor::RememberPids() {
  for (auto& [key, trial] : trials_) {
    if (trial->devices.empty()) continue;
    for (const ProcessInfo& member : forest_.Members(trial->process.pid)) {
      if (trial->pids.size() < kPidsPerAttemptMax) trial->pids.insert(member.pid);
    }
  }
}

void Supervisor::TellDevices(Time now) {
  for (const std::string& attempt : hand_over_.TakeSettled()) {
    unlink((options_.state_dir + "/running/" + attempt).c_str());
  }
  agent_->OnDevices(hand_over_.held(), now);
}

void Supervisor::Finish(Trial* trial, Time now) {
  ReadOutput(trial, Source::kStdout, now, true);
  ReadOutput(trial, Source::kStderr, now, true);
  ReadChannel(trial, now, true);
  ParseChannel(trial, now, true);
  ParseStdout(trial, now, true);
  if (trial->log_bytes_left_out > 0) {
    const std::string line =
        "\n[tunesmith: " + std::to_string(trial->log_bytes_left_out) + " more bytes not kept]\n";
    [[maybe_unused]] const ssize_t n = write(trial->log_fd, line.data(), line.size());
  }
  if (auto chunk = trial->forwarder.Finish()) {
    agent_->OnLog(trial->key, std::move(chunk->data), chunk->dropped_bytes, now);
  }
  ProcessEnd end;
  const int status = trial->exit_info.si_status;
  if (trial->exit_info.si_code == CLD_EXITED) {
    end.exit_code = status;
  } else {
    end.signal = status;
  }
  end.failed_reason = trial->failed_reason;
  end.stderr_tail =
      trial->stderr_tail.Text().empty() ? trial->stdout_tail.Text() : trial->stderr_tail.Text();
  end.hint = trial->parser->hint();
  const bool killed_by_others =
      (end.signal == SIGKILL || end.exit_code == 128 + SIGKILL) && !trial->kill_sent;
  end.memory_evidence = MemoryEvidence(end, killed_by_others && trial->oom_suspected);

  const AttemptKey key = trial->key;
  forest_.RemoveLeader(trial->process.pid);
  // Reaps its orphans, and ends those that only it can have left.
  if (trial->told_exit || trial->kill_sent || forest_.has_strays()) RefreshForest(now);
  waitpid(trial->process.pid, nullptr, WNOHANG);
  if (!trial->cgroup.empty()) Cgroups::Remove(trial->cgroup);
  const std::string name = trial->assignment->sweep_id + "/" + std::to_string(key.id.trial.number) +
                           "#" + std::to_string(key.id.number);
  hand_over_.OnGone({KeyText(key), name, trial->devices, trial->pids}, now);
  Log(LogLevel::kInfo, "attempt_ended",
      {{"attempt", KeyText(key)},
       {"exit_code", end.exit_code.value_or(-1)},
       {"signal", end.signal}});
  by_number_.erase(trial->number);
  trials_.erase(key);
  TellDevices(now);
  agent_->OnTreeGone(key, end, now);
}

// A walk over /proc takes milliseconds where thousands of processes run: never more than a tenth of
// the time.
void Supervisor::RefreshForest(Time now) {
  timespec before = {}, after = {};
  clock_gettime(CLOCK_MONOTONIC, &before);
  forest_.Refresh();
  RememberPids();
  clock_gettime(CLOCK_MONOTONIC, &after);
  const int64_t took_ms =
      (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1'000'000;
  forest_at_ = now;
  forest_every_ = Milliseconds(std::max<int64_t>(10, 10 * took_ms));
}

void Supervisor::SampleOomKills(Time now) {
  if (trials_.empty() || now - oom_sampled_at_ < Milliseconds(kOomSampleMs)) return;
  oom_sampled_at_ = now;
  const int64_t kills = ReadOomKills().value_or(0);
  if (kills > oom_kills_) oom_rose_at_ = now;
  oom_kills_ = kills;
}

}  // namespace tunesmith::worker
