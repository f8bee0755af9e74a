#include "tests/sim/controller_node.h"

#include <algorithm>
#include <utility>

namespace tunesmith::sim {

namespace {

constexpr Duration kTickInterval{1'000};
// A caller gives up on an answer after this long.
constexpr Duration kCallTimeout{10'000};

}  // namespace

ControllerNode::ControllerNode(World* world, const SimOptions* options, Network* network, Checker* checker)
    : world_(world), options_(options), network_(network), checker_(checker) {
  network_->set_controller([this](Command command) { return Post(std::move(command)); }, [this] { return up(); });
}

void ControllerNode::Later(Duration delay, std::function<void()> action) {
  world_->After(delay, [this, life = life_, action = std::move(action)] {
    if (up() && life_ == life) action();
  });
}

void ControllerNode::Start() {
  Recover();
  TickLoop();
}

std::vector<Event> ControllerNode::ReadJournal() {
  std::vector<Event> events;
  const Status status = journal_->Replay([&](const Event& event) { events.push_back(event); });
  if (!status.ok()) world_->Fail("the journal cannot be read: " + Message(status));
  return events;
}

void ControllerNode::Recover() {
  ++life_;
  world_->Log([] { return std::string("controller starts"); });
  journal_ = std::make_unique<MemoryJournal>(&disk_);
  controller_ = std::make_unique<Controller>();
  const std::vector<Event> events = ReadJournal();
  for (const Event& event : events) controller_->Replay(event);
  checker_->OnRecovered(events, *controller_);
  ShareAgain();
  std::erase_if(checkpoints_, [&](const CheckpointKey& key) { return !Lists(controller_->state(), key); });
  controller_->FinishRecovery(world_->now(), &output_);
  CommitBatch();
}

void ControllerNode::TickLoop() {
  Later(kTickInterval, [this] {
    Post(Tick{});
    TickLoop();
  });
}

bool ControllerNode::Post(Command command) {
  if (!up()) return false;
  mailbox_.emplace_back(std::move(command), 0);
  BeginBatch();
  return true;
}

void ControllerNode::Call(Command command, Answer answer) {
  const bool lost = world_->Chance(options_->request_lost);
  world_->After(network_->Delay(), [this, lost, command = std::move(command), answer = std::move(answer)]() mutable {
    if (!up() || lost) {
      world_->After(up() ? kCallTimeout : network_->Delay(), [answer = std::move(answer)] { answer(std::nullopt); });
      return;
    }
    const uint64_t token = next_token_++;
    answers_[token] = std::move(answer);
    mailbox_.emplace_back(std::move(command), token);
    BeginBatch();
  });
}

// As CheckpointStore does it.
void ControllerNode::ShareAgain() {
  for (const auto& [id, sweep] : controller_->state().sweeps()) {
    for (uint32_t number = 0; number < sweep->trials.size(); ++number) {
      const auto& lineage = sweep->trials[number].lineage;
      if (lineage == nullptr || (!lineage->due && lineage->exploits.empty())) continue;
      const Exploit& last = lineage->due ? lineage->due->first : lineage->exploits.back();
      if (!checkpoints_.contains({{id, last.donor}, last.donor_attempt, last.step})) continue;
      checkpoints_.insert({{id, number}, last.attempt, last.step});
    }
  }
}

bool ControllerNode::Lists(const State& state, const CheckpointKey& key) {
  const auto& [trial_id, attempt, step] = key;
  const Trial* trial = state.FindTrial(trial_id);
  if (trial == nullptr) return false;
  if (trial->lineage != nullptr && trial->lineage->due) {
    const StoredCheckpoint& copy = trial->lineage->due->second;
    if (copy.attempt == attempt && copy.step == step) return true;
  }
  const auto& stored = trial->StoredCheckpoints();
  return std::any_of(stored.begin(), stored.end(), [&, a = attempt, s = step](const StoredCheckpoint& one) {
    return one.attempt == a && one.step == s;
  });
}

void ControllerNode::StoreCheckpoint(const AttemptRef& ref, const StoredCheckpoint& checkpoint) {
  if (!up() || !controller_->TakesCheckpoint(ref).ok()) return;
  if (world_->now() < store_full_until_) return world_->Count("checkpoints refused by a full store");
  const CheckpointKey key{ref.attempt.trial, checkpoint.attempt, checkpoint.step};
  checkpoints_.insert(key);
  const uint64_t token = next_token_++;
  arriving_[token] = key;
  mailbox_.emplace_back(CheckpointArrived{ref, checkpoint}, token);
  BeginBatch();
}

bool ControllerNode::HasCheckpoint(const TrialId& trial, const StoredCheckpoint& checkpoint) {
  const CheckpointKey key{trial, checkpoint.attempt, checkpoint.step};
  const bool there = checkpoints_.contains(key);
  if (!there && Lists(checker_->durable(), key)) world_->Fail("the file of a checkpoint that is kept is gone");
  return there;
}

void ControllerNode::CheckCheckpoints() {
  size_t listed = 0;
  for (const auto& [id, sweep] : controller_->state().sweeps()) {
    for (uint32_t number = 0; number < sweep->trials.size(); ++number) {
      int64_t whole = 0;
      for (const StoredCheckpoint& one : sweep->trials[number].StoredCheckpoints()) {
        ++listed;
        ++whole;
        HasCheckpoint({id, number}, one);
      }
      const bool ended = IsTerminal(sweep->trials[number].state);
      if (const auto& lineage = sweep->trials[number].lineage; lineage != nullptr && lineage->due) {
        ++listed;
        HasCheckpoint({id, number}, lineage->due->second);
      }
      if (whole > 2 && ended) world_->Fail("more than two checkpoints of a trial are kept");
    }
  }
  if (listed != checkpoints_.size()) world_->Fail("the file of a checkpoint is there that nobody knows");
}

void ControllerNode::BeginBatch() {
  if (batch_running_ || mailbox_.empty()) return;
  batch_running_ = true;
  // What comes until the loop wakes up goes into the same batch, and what comes during the commit into the next.
  Later(Milliseconds(world_->rng().IntInclusive(0, 2)), [this] {
    const auto batch = std::exchange(mailbox_, {});
    for (const auto& [command, token] : batch) {
      world_->Trace(300 + command.index(), {token});
      controller_->Step(command, token, world_->now(), &output_);
    }
    Later(Milliseconds(world_->rng().IntInclusive(1, 6)), [this] { CommitBatch(); });
  });
}

void ControllerNode::CommitBatch() {
  // Most commits are small: death prefers those with something to lose.
  const bool waits = output_.events.size() < 2 && death_ != Death::kNone && world_->Chance(0.8);
  const Death death = waits ? Death::kNone : std::exchange(death_, Death::kNone);
  if (death == Death::kBeforeAppend) return Crash(MemoryDisk::Tail::kLose, options_->down_max);
  if (death == Death::kInAppend) disk_.DieAtAppend(0);
  if (death == Death::kDiskFull) disk_.FailAtAppend(0);
  const Status status = journal_->Append(output_.events);
  if (!status.ok()) {
    checker_->OnDying(output_.events.size());
    return Crash(tail_, options_->down_max);
  }
  checker_->OnDurable(output_.events);
  checker_->OnBatch(*controller_, !output_.events.empty());
  if (!world_->failure().empty()) return;
  if (death == Death::kInRelease) {
    // Some effects and answers leave, in their order; the rest does not.
    const size_t all = output_.effects.size();
    const size_t effects = world_->rng().Below(all + 1);
    output_.effects.erase(output_.effects.begin() + static_cast<ptrdiff_t>(effects), output_.effects.end());
    const size_t replies = effects == all ? world_->rng().Below(output_.replies.size() + 1) : 0;
    output_.replies.resize(replies);
    Release();
    return Crash(MemoryDisk::Tail::kLose, options_->down_max);
  }
  Release();
  if (death == Death::kRestart) {
    world_->Count("controller restarts");
    return Crash(MemoryDisk::Tail::kLose, Seconds(1));
  }
  batch_running_ = false;
  BeginBatch();
}

void ControllerNode::Release() {
  for (Effect& effect : output_.effects) Deliver(std::move(effect));
  for (auto& [token, reply] : output_.replies) {
    if (const auto arriving = arriving_.find(token); arriving != arriving_.end()) {
      if (!reply.status.ok() && !Lists(controller_->state(), arriving->second)) checkpoints_.erase(arriving->second);
      arriving_.erase(arriving);
      continue;
    }
    const auto it = answers_.find(token);
    if (it == answers_.end()) return world_->Fail("a command was answered twice");
    Answer answer = std::move(it->second);
    answers_.erase(it);
    const bool lost = world_->Chance(options_->reply_lost);
    world_->After(lost ? kCallTimeout : network_->Delay(),
                  [answer = std::move(answer), lost, reply = std::move(reply)] {
                    answer(lost ? std::nullopt : std::optional(reply));
                  });
  }
  output_ = Output();
}

void ControllerNode::DieSoon() {
  if (!faults_ || !up()) return;
  std::vector<Death> deaths;
  if (options_->crash_before_append) deaths.push_back(Death::kBeforeAppend);
  if (options_->crash_in_append) deaths.push_back(Death::kInAppend);
  if (options_->crash_in_release) deaths.push_back(Death::kInRelease);
  if (options_->disk_full) deaths.push_back(Death::kDiskFull);
  // Between two batches, where none of these is allowed.
  if (deaths.empty()) return Crash(MemoryDisk::Tail::kLose, options_->down_max);
  death_ = deaths[world_->rng().Below(deaths.size())];
  world_->Count(death_ == Death::kDiskFull ? "journal's disk full" : "controller crashes");
  tail_ = static_cast<MemoryDisk::Tail>(world_->rng().Below(3));
}

void ControllerNode::RestartSoon() {
  if (faults_ && up() && death_ == Death::kNone) death_ = Death::kRestart;
}

void ControllerNode::StopFaults() {
  faults_ = false;
  store_full_until_ = Time{};
  death_ = Death::kNone;
}

void ControllerNode::Crash(MemoryDisk::Tail tail, Duration down_max) {
  world_->Log([&] { return "controller dies, tail " + std::to_string(static_cast<int>(tail)); });
  world_->Trace(400, {static_cast<uint64_t>(tail)});
  controller_.reset();
  journal_.reset();
  disk_.Crash(tail);
  mailbox_.clear();
  strands_.clear();
  arriving_.clear();  // a file that was not kept goes at the next start
  output_ = Output();
  batch_running_ = false;
  death_ = Death::kNone;
  for (auto& [token, answer] : std::exchange(answers_, {})) {
    world_->After(network_->Delay(), [answer = std::move(answer)] { answer(std::nullopt); });
  }
  network_->ControllerDied();
  world_->After(world_->Between(Milliseconds(50), down_max), [this] { Start(); });
}

namespace {

template <typename E>
constexpr bool kForSession = std::is_same_v<E, SendWelcome> || std::is_same_v<E, SendAssign> ||
                             std::is_same_v<E, SendStop> || std::is_same_v<E, SendAck> ||
                             std::is_same_v<E, SendVerdict> || std::is_same_v<E, SendDrain>;

}  // namespace

void ControllerNode::Deliver(Effect effect) {
  std::visit(
      [this](auto& e) {
        using E = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<E, SendWelcome>) checker_->OnWelcomeReleased(e);
        if constexpr (std::is_same_v<E, SendAck>) checker_->OnAckReleased(e);
        if constexpr (std::is_same_v<E, SendVerdict>) checker_->OnVerdictReleased(e);
        if constexpr (kForSession<E>) {
          network_->SendDown(e.session, std::move(e));
        } else if constexpr (std::is_same_v<E, CloseSession>) {
          network_->CloseByController(e.session);
        } else if constexpr (std::is_same_v<E, DropCheckpoint>) {
          checkpoints_.erase({e.trial, e.attempt, e.step});
        } else if constexpr (std::is_same_v<E, ShareCheckpoint>) {
          if (!checkpoints_.contains({e.from, e.from_attempt, e.step})) {
            return world_->Fail("a trial takes over a checkpoint whose file is gone");
          }
          checkpoints_.insert({e.to, e.to_attempt, e.step});
        } else if constexpr (std::is_same_v<E, DropCheckpoints>) {
          std::erase_if(checkpoints_, [&](const CheckpointKey& key) { return std::get<0>(key).sweep == e.sweep; });
        } else if constexpr (!std::is_same_v<E, AppendLog> && !std::is_same_v<E, DeleteLogs>) {
          const SweepId sweep = e.sweep;
          ToSearcher(sweep, std::move(e));
        }
      },
      effect);
}

void ControllerNode::ToSearcher(SweepId sweep, Effect effect) {
  if (std::holds_alternative<DropSearcher>(effect)) {
    strands_.erase(sweep);
    return;
  }
  Strand& strand = strands_[sweep];
  strand.queue.push_back(std::move(effect));
  if (!strand.running) RunSearcher(sweep);
}

void ControllerNode::Announce(Strand* strand, uint32_t trial, const Point& point) {
  if (!strand->announced.insert(trial).second) {
    return world_->Fail("trial " + std::to_string(trial) + " is announced to its searcher twice");
  }
  strand->searcher->Add(trial, point);
}

void ControllerNode::RunSearcher(SweepId sweep) {
  const auto it = strands_.find(sweep);
  if (it == strands_.end()) return;
  Strand& strand = it->second;
  strand.running = false;
  while (!strand.queue.empty()) {
    const Effect effect = std::move(strand.queue.front());
    strand.queue.pop_front();
    if (const auto* start = std::get_if<StartSearcher>(&effect)) {
      Problems problems;
      strand.searcher = MakeSearcher(start->options, *start->space, &problems);
      if (strand.searcher == nullptr) return world_->Fail("no searcher for a valid sweep: " + problems.at(0).message);
    } else if (strand.searcher == nullptr) {
      return world_->Fail("a searcher is used before it is started");
    } else if (const auto* announce = std::get_if<AnnounceTrial>(&effect)) {
      Announce(&strand, announce->trial, announce->point);
    } else if (const auto* report = std::get_if<ReportRung>(&effect)) {
      if (strand.announced.count(report->report.trial) == 0) return world_->Fail("an unknown trial reaches a rung");
      strand.searcher->Report(report->report);
    } else if (const auto* observe = std::get_if<ObserveTrial>(&effect)) {
      if (strand.announced.count(observe->observation.trial) == 0) return world_->Fail("an unknown trial is observed");
      strand.searcher->Observe(observe->observation);
    } else if (const auto* forget = std::get_if<ForgetTrial>(&effect)) {
      if (strand.announced.count(forget->trial) == 0) return world_->Fail("an unknown trial is forgotten");
      strand.searcher->Forget(forget->trial);
    } else if (const auto* request = std::get_if<RequestSuggestion>(&effect)) {
      Suggestion suggestion = strand.searcher->Suggest(request->trial);
      if (!suggestion.exhausted) Announce(&strand, request->trial, suggestion.point);
      // A model takes its time; what comes meanwhile waits.
      strand.running = true;
      Later(world_->Between(Milliseconds(1), options_->suggestion_max), [this, sweep, trial = request->trial,
                                                             suggestion = std::move(suggestion)]() mutable {
        Post(SuggestionReady{sweep, trial, std::move(suggestion)});
        RunSearcher(sweep);
      });
      return;
    }
  }
}

}  // namespace tunesmith::sim
