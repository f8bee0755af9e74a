#include "server/journal/sqlite_journal.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <type_traits>
#include <vector>

#include "common/check.h"
#include "common/log.h"
#include "server/journal/codec.h"
#include "server/journal/schema.h"
#include "server/journal/sqlite.h"

namespace tunesmith {

namespace {

// One kind of event: its table and how many columns come after `seq`.
struct Table {
  const char* name;
  int columns;
};

// In the order of the alternatives of Event.
constexpr std::array<Table, std::variant_size_v<Event>> kTables = {{
    {"sweep_created", 6},   {"sweep_changed", 6},   {"sweep_deleted", 3},     {"space_exhausted", 1},
    {"trial_created", 12},  {"attempt_leased", 11}, {"attempt_running", 5},   {"metric_named", 3},
    {"measurements", 25},   {"trial_stopping", 5},  {"attempt_ended", 14},    {"trial_ended", 14},
    {"warm_started", 5},    {"trial_resumed", 12},  {"checkpoint_stored", 8}, {"checkpoint_dropped", 4},
    {"sweep_updated", 6},   {"trial_exploited", 19}, {"worker_registered", 2}, {"worker_drained", 4},
}};

template <typename E, size_t index = 0>
constexpr size_t TableOf() {
  if constexpr (std::is_same_v<std::variant_alternative_t<index, Event>, E>) {
    return index;
  } else {
    return TableOf<E, index + 1>();
  }
}

constexpr size_t kSweepCreatedTable = 0;
constexpr size_t kSweepDeletedTable = 2;
constexpr size_t kMeasuredTable = 8;
constexpr size_t kWorkerTablesFrom = 18;  // these have no sweep column

constexpr int kCheckpointPages = 4'000;      // 16 MiB of log: then the checkpointer is woken
constexpr int kCheckpointPagesMax = 65'536;  // 256 MiB: then the writer waits for a checkpoint
constexpr int64_t kPurgeRowsPerStep = 2'000;

// Checkpoints the write-ahead log on a thread and a connection of its own, so that no commit waits for all of it.
//
// What is committed meanwhile is left over, and SQLite writes over the log from its start only once nothing is: the
// writer does this rest itself (TakeDone). A log that never begins anew grows, and in a growing file a commit is more
// than one write to the disk.
class Checkpointer {
 public:
  explicit Checkpointer(std::unique_ptr<SqliteDatabase> database)
      : database_(std::move(database)), thread_([this] { Run(); }) {}
  ~Checkpointer() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void Wake() {
    {
      std::lock_guard lock(mutex_);
      wanted_ = true;
    }
    wake_.notify_one();
  }
  // Whether one has ended since this was asked last.
  bool TakeDone() { return done_.exchange(false, std::memory_order_acq_rel); }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return wanted_ || stopping_; });
      if (stopping_) return;
      wanted_ = false;
      lock.unlock();
      sqlite3_wal_checkpoint_v2(database_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
      done_.store(true, std::memory_order_release);
      lock.lock();
    }
  }
  std::unique_ptr<SqliteDatabase> database_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool wanted_ = false;
  bool stopping_ = false;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

// Gives the write-ahead log its blocks beforehand: a commit that writes over them is one write to the disk, one that
// makes the file longer is several. SQLite takes what follows its own frames for the rest of an older log. Best effort:
// without room the log grows as it needs to.
void PreallocateLog(const std::string& path) {
  const int fd = open((path + "-wal").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  constexpr off_t kBytes = off_t{kCheckpointPages + kCheckpointPages / 4} * 4096;
  const std::vector<char> zeros(1 << 20, 0);
  for (off_t at = lseek(fd, 0, SEEK_END); at >= 0 && at < kBytes;) {
    const size_t wanted = std::min(zeros.size(), static_cast<size_t>(kBytes - at));
    const ssize_t written = pwrite(fd, zeros.data(), wanted, at);
    if (written <= 0) break;
    at += written;
  }
  fdatasync(fd);
  close(fd);
}

void BindVerdict(const Verdict& verdict, SqliteStatement* s) {
  if (verdict == Verdict{}) {
    for (int i = 0; i < 9; ++i) s->Null();
    return;
  }
  s->Text(ActionName(verdict.action)).Text(ReasonName(verdict.reason)).Int(verdict.bracket);
  s->Real(verdict.milestone).Int(verdict.recorded).Real(verdict.value);
  if (verdict.has_cutoff) {
    s->Real(verdict.cutoff);
  } else {
    s->Null();
  }
  s->Int(verdict.rank).Int(verdict.peers);
}

// False if the words are unknown.
bool ReadVerdict(const SqliteStatement& s, int column, Verdict* verdict) {
  if (s.IsNull(column)) return true;
  const auto action = ActionFromName(s.GetTextView(column));
  const auto reason = ReasonFromName(s.GetTextView(column + 1));
  if (!action || !reason) return false;
  verdict->action = *action;
  verdict->reason = *reason;
  verdict->bracket = static_cast<int32_t>(s.GetInt(column + 2));
  verdict->milestone = s.GetReal(column + 3);
  verdict->recorded = s.GetInt(column + 4) != 0;
  verdict->value = s.GetReal(column + 5);
  verdict->has_cutoff = !s.IsNull(column + 6);
  if (verdict->has_cutoff) verdict->cutoff = s.GetReal(column + 6);
  verdict->rank = static_cast<uint32_t>(s.GetInt(column + 7));
  verdict->peers = static_cast<uint32_t>(s.GetInt(column + 8));
  return true;
}

// Six columns: the origin's, and the first trial with the same point. NULL where there is nothing to say.
void BindOrigin(const Origin& origin, const std::optional<uint32_t>& repeat_of, SqliteStatement* s) {
  s->Text(Name(origin.kind)).Text(Name(origin.judge));
  if (std::isnan(origin.predicted)) {
    s->Null();
  } else {
    s->Real(origin.predicted);
  }
  s->Int(origin.rank).Int(origin.of);
  if (repeat_of) {
    s->Int(*repeat_of);
  } else {
    s->Null();
  }
}

// False if the words are unknown. Rows of the first schema have no origin.
bool ReadOrigin(const SqliteStatement& s, int column, TrialCreated* event) {
  if (s.IsNull(column)) {
    if (event->from_user) event->origin.kind = Origin::Kind::kUser;
    return true;
  }
  const auto kind = OriginKindFromName(s.GetTextView(column));
  const auto judge = OriginJudgeFromName(s.GetTextView(column + 1));
  if (!kind || !judge) return false;
  event->origin.kind = *kind;
  event->origin.judge = *judge;
  if (!s.IsNull(column + 2)) event->origin.predicted = s.GetReal(column + 2);
  event->origin.rank = static_cast<uint32_t>(s.GetInt(column + 3));
  event->origin.of = static_cast<uint32_t>(s.GetInt(column + 4));
  if (!s.IsNull(column + 5)) event->repeat_of = static_cast<uint32_t>(s.GetInt(column + 5));
  return true;
}

// The columns of `measurements` from m0 on.
bool ReadMetrics(const SqliteStatement& s, int column, std::vector<SlotValue>* metrics) {
  for (int slot = 0; slot < kMetricColumns; ++slot) {
    if (!s.IsNull(column + slot)) metrics->push_back({static_cast<uint32_t>(slot), s.GetReal(column + slot)});
  }
  return s.IsNull(column + kMetricColumns) || SlotsFromJson(s.GetTextView(column + kMetricColumns), metrics);
}

TrialId ReadTrial(const SqliteStatement& s) {
  return {SweepId(static_cast<uint64_t>(s.GetInt(1))), static_cast<uint32_t>(s.GetInt(2))};
}
AttemptId ReadAttempt(const SqliteStatement& s) { return {ReadTrial(s), static_cast<uint32_t>(s.GetInt(3))}; }
SweepId ReadSweep(const SqliteStatement& s) { return SweepId(static_cast<uint64_t>(s.GetInt(1))); }
uint64_t Unsigned(int64_t value) { return static_cast<uint64_t>(value); }
int64_t Signed(uint64_t value) { return static_cast<int64_t>(value); }

class SqliteJournal : public Journal {
 public:
  static StatusOr<std::unique_ptr<Journal>> Open(const std::string& path) {
    auto journal = std::unique_ptr<SqliteJournal>(new SqliteJournal());
    TS_RETURN_IF_ERROR(Annotate(journal->Initialise(path), path));
    return std::unique_ptr<Journal>(std::move(journal));
  }

  Status Replay(const std::function<void(const Event&)>& apply) override;
  Status Append(const std::vector<Event>& events) override;
  StatusOr<std::vector<StoredMeasurement>> ReadMeasurements(SweepId sweep, std::optional<uint32_t> trial,
                                                            uint64_t after, size_t limit) override;
  bool Maintain() override;

 private:
  SqliteJournal() = default;
  Status Initialise(const std::string& path);
  Status CheckVersion();
  bool Write(const Event& event);
  StatusOr<Event> Read(size_t table, const SqliteStatement& row);
  StatusOr<Event> ReadMeasured(const SqliteStatement& row);
  static StatusOr<Event> Damaged(const char* what) { return DataLoss(std::string("unreadable ") + what); }
  bool Run(const SweepCreated& e);
  bool Run(const SweepChanged& e);
  bool Run(const SweepUpdated& e);
  bool Run(const SweepDeleted& e);
  bool Run(const SpaceExhausted& e);
  bool Run(const TrialCreated& e);
  bool Run(const AttemptLeased& e);
  bool Run(const AttemptRunning& e);
  bool Run(const MetricNamed& e);
  bool Run(const Measured& e);
  bool Run(const TrialStopping& e);
  bool Run(const AttemptEnded& e);
  bool Run(const TrialEnded& e);
  bool Run(const WarmStarted& e);
  bool Run(const PausedJudged& e);
  bool Run(const CheckpointStored& e);
  bool Run(const CheckpointDropped& e);
  bool Run(const TrialExploited& e);
  bool Run(const WorkerRegistered& e);
  bool Run(const WorkerDrained& e);
  // The insert statement of event type E with seq and, if it has one, the trial or attempt bound.
  template <typename E>
  SqliteStatement& Row(const E&) {
    return insert_[TableOf<E>()].Int(Signed(++last_seq_));
  }
  static SqliteStatement& Bind(SqliteStatement& s, const TrialId& id) {
    return s.Int(Signed(id.sweep.value)).Int(id.number);
  }
  static SqliteStatement& Bind(SqliteStatement& s, const AttemptId& id) { return Bind(s, id.trial).Int(id.number); }

  std::unique_ptr<SqliteDatabase> database_;
  std::array<SqliteStatement, kTables.size()> insert_;
  SqliteStatement begin_, commit_;
  uint64_t last_seq_ = 0;
  std::map<SweepId, std::shared_ptr<const Space>> spaces_;  // to write and read points
  int wal_pages_ = 0;
  int checkpoint_at_ = kCheckpointPages;  // pages of log
  Status failed_;

  // Deleted sweeps whose rows are still there: (sweep, table it has come to, seq it has come to).
  struct Purge {
    SweepId sweep;
    size_t table = 1;
    int64_t from = 0;
  };
  std::vector<Purge> purges_;

  std::mutex reader_mutex_;
  std::unique_ptr<SqliteDatabase> reader_;  // guarded by reader_mutex_
  std::unique_ptr<Checkpointer> checkpointer_;
};

Status SqliteJournal::Initialise(const std::string& path) {
  TS_ASSIGN_OR_RETURN(database_, SqliteDatabase::Open(path, false));
  TS_RETURN_IF_ERROR(database_->Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; "
                                        "PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=0"));
  TS_RETURN_IF_ERROR(CheckVersion());
  TS_RETURN_IF_ERROR(database_->Execute(kSchema));
  for (size_t i = 0; i < kTables.size(); ++i) {
    std::string sql = std::string("INSERT INTO ") + kTables[i].name + " VALUES(?";
    for (int column = 0; column < kTables[i].columns; ++column) sql += ",?";
    TS_ASSIGN_OR_RETURN(insert_[i], SqliteStatement::Prepare(database_.get(), sql + ")"));
    TS_ASSIGN_OR_RETURN(
        SqliteStatement last,
        SqliteStatement::Prepare(database_.get(), std::string("SELECT max(seq) FROM ") + kTables[i].name));
    if (last.Next() < 0) return database_->Error("cannot read");
    last_seq_ = std::max(last_seq_, Unsigned(last.GetInt(0)));
  }
  TS_ASSIGN_OR_RETURN(begin_, SqliteStatement::Prepare(database_.get(), "BEGIN IMMEDIATE"));
  TS_ASSIGN_OR_RETURN(commit_, SqliteStatement::Prepare(database_.get(), "COMMIT"));
  TS_ASSIGN_OR_RETURN(reader_, SqliteDatabase::Open(path, true));
  TS_ASSIGN_OR_RETURN(auto second, SqliteDatabase::Open(path, false));
  checkpointer_ = std::make_unique<Checkpointer>(std::move(second));
  sqlite3_wal_hook(
      database_->handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteJournal*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  PreallocateLog(path);
  return OkStatus();
}

Status SqliteJournal::CheckVersion() {
  TS_RETURN_IF_ERROR(database_->Execute("CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID"));
  TS_ASSIGN_OR_RETURN(SqliteStatement version,
                      SqliteStatement::Prepare(database_.get(), "SELECT value FROM meta WHERE key='schema_version'"));
  const int found = version.Next();
  if (found < 0) return database_->Error("cannot read");
  if (found == 1 && version.GetInt(0) > kSchemaVersion) {
    return FailedPrecondition("was written by a newer tunesmith-server (schema " + std::to_string(version.GetInt(0)) +
                              ", this one knows " + std::to_string(kSchemaVersion) + "); upgrade");
  }
  auto from = static_cast<int>(found == 1 ? version.GetInt(0) : kSchemaVersion);
  version.Reset();
  // The version may have been written, and the tables not.
  constexpr const char* kAnyTable = "SELECT 1 FROM sqlite_master WHERE name='trial_created'";
  TS_ASSIGN_OR_RETURN(SqliteStatement tables, SqliteStatement::Prepare(database_.get(), kAnyTable));
  const int any = tables.Next();
  if (any < 0) return database_->Error("cannot read");
  if (any == 0) from = kSchemaVersion;
  tables.Reset();
  // Whole or not at all: a migration that was cut short is done again from where it began.
  std::string sql = "BEGIN IMMEDIATE;";
  for (int v = std::max(from, 1); v < kSchemaVersion; ++v) sql += kMigrations[v - 1];
  if (from < kSchemaVersion) sql += kDropViews;
  sql += "INSERT OR REPLACE INTO meta VALUES('schema_version'," + std::to_string(kSchemaVersion) + ");COMMIT";
  return database_->Execute(sql.c_str());
}

// --- writing

Status SqliteJournal::Append(const std::vector<Event>& events) {
  if (!failed_.ok()) return failed_;
  if (events.empty()) return OkStatus();
  if (wal_pages_ > kCheckpointPagesMax) {
    sqlite3_wal_checkpoint_v2(database_->handle(), nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
  } else if (checkpointer_->TakeDone()) {
    sqlite3_wal_checkpoint_v2(database_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  }
  const uint64_t seq_before = last_seq_;
  const size_t purges_before = purges_.size();
  bool ok = begin_.Run();
  for (size_t i = 0; ok && i < events.size(); ++i) ok = Write(events[i]);
  ok = ok && commit_.Run();
  if (!ok) {
    const Status error = database_->Error("cannot write the journal");
    const bool rolled_back = sqlite3_get_autocommit(database_->handle()) != 0 ||
                             sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr) == SQLITE_OK;
    if (error.code() == StatusCode::kResourceExhausted && rolled_back) {
      last_seq_ = seq_before;
      purges_.resize(purges_before);
      return error;
    }
    return failed_ = error;
  }
  if (wal_pages_ < checkpoint_at_ - kCheckpointPages) checkpoint_at_ = kCheckpointPages;  // the log began anew
  if (wal_pages_ > checkpoint_at_) {
    checkpoint_at_ = wal_pages_ + kCheckpointPages;
    checkpointer_->Wake();
  }
  return OkStatus();
}

bool SqliteJournal::Write(const Event& event) {
  return std::visit([this](const auto& e) { return Run(e); }, event);
}

bool SqliteJournal::Run(const SweepCreated& e) {
  Problems problems;
  auto space = Space::Create(e.spec.parameters, &problems);
  TS_CHECK(space.has_value(), "a sweep is validated before it is journaled");
  spaces_[e.sweep] = std::make_shared<const Space>(std::move(*space));
  const std::string spec = SweepSpecToJson(e.spec);
  return Row(e)
      .Int(Signed(e.sweep.value))
      .Text(e.id)
      .Text(e.request_id)
      .Text(spec)
      .Int(Signed(e.seed))
      .Int(e.time.ms)
      .Run();
}

bool SqliteJournal::Run(const SweepChanged& e) {
  return Row(e).Int(Signed(e.sweep.value)).Text(Name(e.state)).Text(Name(e.becomes)).Text(e.reason).Int(e.time.ms)
      .Int(e.delete_when_ended).Run();
}

bool SqliteJournal::Run(const SweepUpdated& e) {
  return Row(e).Int(Signed(e.sweep.value)).Int(e.share.priority).Real(e.share.weight)
      .Text(PreemptibleName(e.share.preemptible)).Int(e.max_parallel).Int(e.time.ms).Run();
}

bool SqliteJournal::Run(const SweepDeleted& e) {
  spaces_.erase(e.sweep);
  purges_.push_back({e.sweep});
  return Row(e).Int(Signed(e.sweep.value)).Int(0).Int(Signed(e.last_epoch.value)).Run();
}

bool SqliteJournal::Run(const SpaceExhausted& e) { return Row(e).Int(Signed(e.sweep.value)).Run(); }

bool SqliteJournal::Run(const TrialCreated& e) {
  const std::string point = PointToJson(*spaces_.at(e.trial.sweep), e.point);
  SqliteStatement& s = Bind(Row(e), e.trial).Text(point).Int(e.bracket).Int(e.from_user).Int(e.time.ms);
  BindOrigin(e.origin, e.repeat_of, &s);
  return s.Run();
}

bool SqliteJournal::Run(const AttemptLeased& e) {
  const std::string devices = StringsToJson(e.devices);
  return Bind(Row(e), e.attempt).Int(Signed(e.epoch.value)).Int(Signed(e.worker.value)).Text(e.client).Int(e.lease_ms)
      .Int(e.cpus).Real(e.gpus).Text(devices).Int(e.time.ms).Run();
}

bool SqliteJournal::Run(const AttemptRunning& e) {
  return Bind(Row(e), e.attempt).Int(Signed(e.sequence)).Int(e.time.ms).Run();
}

bool SqliteJournal::Run(const MetricNamed& e) {
  return Row(e).Int(Signed(e.sweep.value)).Int(e.slot).Text(e.name).Run();
}

bool SqliteJournal::Run(const Measured& e) {
  SqliteStatement& s = Bind(Row(e), e.attempt).Int(Signed(e.sequence)).Int(e.step).Int(e.time.ms);
  // Metrics come sorted by slot.
  const SlotValue* metric = e.metrics.data();
  const SlotValue* const end = metric + e.metrics.size();
  for (uint32_t slot = 0; slot < kMetricColumns; ++slot) {
    if (metric != end && metric->slot == slot) {
      s.Real((metric++)->value);
    } else {
      s.Null();
    }
  }
  std::string more;
  if (metric != end) {
    more = SlotsToJson(metric, end);
    s.Text(more);
  } else {
    s.Null();
  }
  if (e.checkpoint.empty()) {
    s.Null();
  } else {
    s.Text(e.checkpoint);
  }
  BindVerdict(e.verdict, &s);
  return s.Run();
}

bool SqliteJournal::Run(const TrialStopping& e) {
  return Bind(Row(e), e.trial).Text(e.reason).Int(e.time.ms).Int(e.preempts).Run();
}

bool SqliteJournal::Run(const AttemptEnded& e) {
  SqliteStatement& s = Bind(Row(e), e.attempt).Int(Signed(e.sequence)).Text(Name(e.state));
  if (e.exit.exit_code) {
    s.Int(*e.exit.exit_code);
  } else {
    s.Null();
  }
  return s.Int(e.exit.signal).Int(e.exit.out_of_memory).Int(e.exit.start_failed).Int(e.exit.stop_requested)
      .Int(e.exit.lost).Text(e.exit.reason).Int(e.requeue).Int(e.time.ms).Run();
}

bool SqliteJournal::Run(const TrialEnded& e) {
  SqliteStatement& s = Bind(Row(e), e.trial).Text(Name(e.state)).Text(e.reason).Int(e.time.ms);
  BindVerdict(e.final_verdict, &s);
  return s.Run();
}

bool SqliteJournal::Run(const WarmStarted& e) {
  const std::string point = PointToJson(*spaces_.at(e.sweep), e.point);
  return Row(e).Int(Signed(e.sweep.value)).Text(e.from).Int(e.trial).Text(point).Real(e.value).Run();
}

bool SqliteJournal::Run(const PausedJudged& e) {
  SqliteStatement& s = Bind(Row(e), e.trial).Int(e.time.ms);
  BindVerdict(e.verdict, &s);
  return s.Run();
}

bool SqliteJournal::Run(const CheckpointStored& e) {
  const StoredCheckpoint& c = e.checkpoint;
  return Bind(Row(e), e.trial).Int(c.attempt).Int(c.step).Text(c.name).Int(c.bytes).Text(c.sha256).Int(e.time.ms).Run();
}

bool SqliteJournal::Run(const CheckpointDropped& e) {
  return Bind(Row(e), e.trial).Int(e.attempt).Int(e.step).Run();
}

bool SqliteJournal::Run(const TrialExploited& e) {
  const std::string point = PointToJson(*spaces_.at(e.trial.sweep), e.point);
  SqliteStatement& s = Bind(Row(e), e.trial).Int(e.time.ms).Int(e.donor).Int(e.from.attempt).Int(e.from.step);
  s.Text(e.from.name).Int(e.from.bytes).Text(e.from.sha256).Text(point);
  BindVerdict(e.verdict, &s);
  return s.Run();
}

bool SqliteJournal::Run(const WorkerRegistered& e) {
  return Row(e).Int(Signed(e.worker.value)).Text(e.name).Run();
}

bool SqliteJournal::Run(const WorkerDrained& e) {
  return Row(e).Int(Signed(e.worker.value)).Int(e.drained).Int(e.quarantine).Text(e.reason).Run();
}

// --- reading

StatusOr<Event> SqliteJournal::ReadMeasured(const SqliteStatement& row) {
  Measured e;
  e.attempt = ReadAttempt(row);
  e.sequence = Unsigned(row.GetInt(4));
  e.step = row.GetInt(5);
  e.time = Time{row.GetInt(6)};
  if (!ReadMetrics(row, 7, &e.metrics)) return Damaged("metrics");
  e.checkpoint = row.GetText(16);
  if (!ReadVerdict(row, 17, &e.verdict)) return Damaged("verdict");
  return Event(std::move(e));
}

StatusOr<Event> SqliteJournal::Read(size_t table, const SqliteStatement& row) {
  switch (table) {
    case TableOf<SweepCreated>(): {
      SweepCreated e{ReadSweep(row), row.GetText(2), row.GetText(3), {}, Unsigned(row.GetInt(5)), Time{row.GetInt(6)}};
      std::vector<FileProblem> problems;
      auto spec = ParseSweepFile(row.GetTextView(4), &problems);
      if (!spec) return DataLoss("the stored spec of sweep " + e.id + ": " + FormatProblem("spec", problems.at(0)));
      e.spec = std::move(*spec);
      Problems space_problems;
      auto space = Space::Create(e.spec.parameters, &space_problems);
      if (!space) return Damaged("search space");
      spaces_[e.sweep] = std::make_shared<const Space>(std::move(*space));
      return Event(std::move(e));
    }
    case TableOf<SweepChanged>(): {
      const auto state = SweepStateFromName(row.GetTextView(2));
      const auto becomes = SweepStateFromName(row.GetTextView(3));
      if (!state || !becomes) return Damaged("sweep state");
      return Event(SweepChanged{ReadSweep(row), *state, *becomes, row.GetText(4), Time{row.GetInt(5)},
                                row.GetInt(6) != 0});
    }
    case TableOf<SweepUpdated>(): {
      const auto preemptible = PreemptibleFromName(row.GetTextView(4));
      if (!preemptible) return Damaged("share of a sweep");
      const ShareSpec share{static_cast<int32_t>(row.GetInt(2)), row.GetReal(3), *preemptible};
      const auto max_parallel = static_cast<int32_t>(row.GetInt(5));
      if (!ValidateShare(share, max_parallel).empty()) return Damaged("share of a sweep");
      return Event(SweepUpdated{ReadSweep(row), share, max_parallel, Time{row.GetInt(6)}});
    }
    case TableOf<SweepDeleted>():
      if (row.GetInt(2) == 0) purges_.push_back({ReadSweep(row)});
      return Event(SweepDeleted{ReadSweep(row), LeaseEpoch(Unsigned(row.GetInt(3)))});
    case TableOf<SpaceExhausted>(): return Event(SpaceExhausted{ReadSweep(row)});
    case TableOf<TrialCreated>(): {
      const auto space = spaces_.find(ReadSweep(row));
      if (space == spaces_.end()) return Damaged("trial of an unknown sweep");
      auto point = PointFromJson(*space->second, row.GetTextView(3));
      if (!point) return Damaged("parameters");
      TrialCreated e{ReadTrial(row), std::move(*point), static_cast<int32_t>(row.GetInt(4)), row.GetInt(5) != 0,
                     Time{row.GetInt(6)}};
      if (!ReadOrigin(row, 7, &e)) return Damaged("origin of a trial");
      return Event(std::move(e));
    }
    case TableOf<AttemptLeased>(): {
      auto devices = StringsFromJson(row.GetTextView(10));
      if (!devices) return Damaged("devices");
      return Event(AttemptLeased{ReadAttempt(row), LeaseEpoch(Unsigned(row.GetInt(4))),
                                 WorkerId(Unsigned(row.GetInt(5))), row.GetText(6), row.GetInt(7),
                                 static_cast<int32_t>(row.GetInt(8)), row.GetReal(9), std::move(*devices),
                                 Time{row.GetInt(11)}});
    }
    case TableOf<AttemptRunning>():
      return Event(AttemptRunning{ReadAttempt(row), Unsigned(row.GetInt(4)), Time{row.GetInt(5)}});
    case TableOf<MetricNamed>():
      return Event(MetricNamed{ReadSweep(row), static_cast<uint32_t>(row.GetInt(2)), row.GetText(3)});
    case TableOf<Measured>(): return ReadMeasured(row);
    case TableOf<TrialStopping>(): return Event(TrialStopping{ReadTrial(row), row.GetText(3), Time{row.GetInt(4)},
                                                             row.GetInt(5) != 0});
    case TableOf<AttemptEnded>(): {
      const auto state = AttemptStateFromName(row.GetTextView(5));
      if (!state) return Damaged("attempt state");
      AttemptExit exit;
      if (!row.IsNull(6)) exit.exit_code = static_cast<int32_t>(row.GetInt(6));
      exit.signal = static_cast<int32_t>(row.GetInt(7));
      exit.out_of_memory = row.GetInt(8) != 0;
      exit.start_failed = row.GetInt(9) != 0;
      exit.stop_requested = row.GetInt(10) != 0;
      exit.lost = row.GetInt(11) != 0;
      exit.reason = row.GetText(12);
      return Event(AttemptEnded{ReadAttempt(row), Unsigned(row.GetInt(4)), *state, std::move(exit),
                                row.GetInt(13) != 0, Time{row.GetInt(14)}});
    }
    case TableOf<TrialEnded>(): {
      const auto state = TrialStateFromName(row.GetTextView(3));
      Verdict verdict;
      if (!state || !ReadVerdict(row, 6, &verdict)) return Damaged("end of a trial");
      return Event(TrialEnded{ReadTrial(row), *state, row.GetText(4), verdict, Time{row.GetInt(5)}});
    }
    case TableOf<WarmStarted>(): {
      const auto space = spaces_.find(ReadSweep(row));
      if (space == spaces_.end()) return Damaged("trial for an unknown sweep");
      auto point = PointFromJson(*space->second, row.GetTextView(4));
      if (!point) return Damaged("parameters");
      return Event(WarmStarted{ReadSweep(row), row.GetText(2), static_cast<uint32_t>(row.GetInt(3)), std::move(*point),
                               row.GetReal(5)});
    }
    case TableOf<PausedJudged>(): {
      Verdict verdict;
      if (!ReadVerdict(row, 4, &verdict)) return Damaged("verdict on a paused trial");
      return Event(PausedJudged{ReadTrial(row), verdict, Time{row.GetInt(3)}});
    }
    case TableOf<CheckpointStored>(): {
      StoredCheckpoint checkpoint{static_cast<uint32_t>(row.GetInt(3)), row.GetInt(4), row.GetText(5), row.GetInt(6),
                                  row.GetText(7)};
      return Event(CheckpointStored{ReadTrial(row), std::move(checkpoint), Time{row.GetInt(8)}});
    }
    case TableOf<CheckpointDropped>():
      return Event(CheckpointDropped{ReadTrial(row), static_cast<uint32_t>(row.GetInt(3)), row.GetInt(4)});
    case TableOf<TrialExploited>(): {
      const auto space = spaces_.find(ReadSweep(row));
      if (space == spaces_.end()) return Damaged("trial of an unknown sweep");
      auto point = PointFromJson(*space->second, row.GetTextView(10));
      Verdict verdict;
      if (!point || !ReadVerdict(row, 11, &verdict)) return Damaged("takeover of a checkpoint");
      StoredCheckpoint from{static_cast<uint32_t>(row.GetInt(5)), row.GetInt(6), row.GetText(7), row.GetInt(8),
                            row.GetText(9)};
      return Event(TrialExploited{ReadTrial(row), static_cast<uint32_t>(row.GetInt(4)), std::move(from),
                                  std::move(*point), verdict, Time{row.GetInt(3)}});
    }
    case TableOf<WorkerRegistered>(): return Event(WorkerRegistered{WorkerId(Unsigned(row.GetInt(1))), row.GetText(2)});
    case TableOf<WorkerDrained>():
      return Event(WorkerDrained{WorkerId(Unsigned(row.GetInt(1))), row.GetInt(2) != 0, row.GetInt(3) != 0,
                                 row.GetText(4)});
    default: return Damaged("table");
  }
}

Status SqliteJournal::Replay(const std::function<void(const Event&)>& apply) {
  std::set<SweepId> deleted;
  TS_ASSIGN_OR_RETURN(SqliteStatement gone,
                      SqliteStatement::Prepare(database_.get(), "SELECT seq, sweep FROM sweep_deleted"));
  int more = 0;
  while ((more = gone.Next()) == 1) deleted.insert(ReadSweep(gone));
  if (more < 0) return database_->Error("cannot read");

  // Merges the tables by seq.
  constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();
  std::array<SqliteStatement, kTables.size()> rows;
  std::array<int64_t, kTables.size()> next{};
  const auto advance = [&](size_t table) -> Status {
    const int found = rows[table].Next();
    if (found < 0) return database_->Error(std::string("cannot read ") + kTables[table].name);
    next[table] = found == 1 ? rows[table].GetInt(0) : kEnd;
    return OkStatus();
  };
  for (size_t i = 0; i < kTables.size(); ++i) {
    TS_ASSIGN_OR_RETURN(rows[i], SqliteStatement::Prepare(database_.get(), std::string("SELECT * FROM ") +
                                                                               kTables[i].name + " ORDER BY seq"));
    TS_RETURN_IF_ERROR(advance(i));
  }
  for (;;) {
    const auto first = static_cast<size_t>(std::min_element(next.begin(), next.end()) - next.begin());
    if (next[first] == kEnd) return OkStatus();
    const bool skipped = first < kWorkerTablesFrom && first != kSweepCreatedTable && first != kSweepDeletedTable &&
                         deleted.count(ReadSweep(rows[first])) != 0;
    if (!skipped) {
      auto event = Read(first, rows[first]);
      if (!event.ok()) {
        return Annotate(event.status(), std::string(kTables[first].name) + " row " + std::to_string(next[first]));
      }
      apply(*event);
    }
    TS_RETURN_IF_ERROR(advance(first));
  }
}

StatusOr<std::vector<StoredMeasurement>> SqliteJournal::ReadMeasurements(SweepId sweep, std::optional<uint32_t> trial,
                                                                         uint64_t after, size_t limit) {
  std::lock_guard lock(reader_mutex_);
  // There is no index on measurements: a trial's rows lie between its creation and its end.
  int64_t from = static_cast<int64_t>(std::min<uint64_t>(after, std::numeric_limits<int64_t>::max()));
  int64_t until = std::numeric_limits<int64_t>::max();
  const auto bound = [&](const char* sql, int64_t* value) -> Status {
    TS_ASSIGN_OR_RETURN(SqliteStatement s, SqliteStatement::Prepare(reader_.get(), sql));
    s.Int(Signed(sweep.value));
    if (trial) s.Int(*trial);
    const int found = s.Next();
    if (found < 0) return reader_->Error("cannot read");
    if (found == 1 && !s.IsNull(0)) *value = s.GetInt(0);
    return OkStatus();
  };
  int64_t created = 0;
  if (trial) {
    TS_RETURN_IF_ERROR(bound("SELECT seq FROM trial_created WHERE sweep=? AND trial=?", &created));
    TS_RETURN_IF_ERROR(bound("SELECT seq FROM trial_ended WHERE sweep=? AND trial=?", &until));
  } else {
    TS_RETURN_IF_ERROR(bound("SELECT seq FROM sweep_created WHERE sweep=?", &created));
  }
  std::string sql = "SELECT * FROM measurements WHERE seq > ? AND seq <= ? AND sweep = ? "
                    // Its rows go little by little, in Maintain; for readers they are gone at once.
                    "AND sweep NOT IN (SELECT sweep FROM sweep_deleted)";
  if (trial) sql += " AND trial = ?";
  TS_ASSIGN_OR_RETURN(SqliteStatement s, SqliteStatement::Prepare(reader_.get(), sql + " ORDER BY seq LIMIT ?"));
  s.Int(std::max(from, created)).Int(until).Int(Signed(sweep.value));
  if (trial) s.Int(*trial);
  s.Int(static_cast<int64_t>(limit));
  std::vector<StoredMeasurement> result;
  int more = 0;
  while ((more = s.Next()) == 1) {
    TS_ASSIGN_OR_RETURN(Event event, ReadMeasured(s));
    auto& e = std::get<Measured>(event);
    result.push_back({Unsigned(s.GetInt(0)), e.attempt, e.sequence, e.step, e.time, std::move(e.metrics),
                      std::move(e.checkpoint), e.verdict});
  }
  if (more < 0) return reader_->Error("cannot read measurements");
  return result;
}

bool SqliteJournal::Maintain() {
  if (!failed_.ok() || purges_.empty()) return false;
  Purge& purge = purges_.front();
  if (purge.table == kSweepDeletedTable) ++purge.table;
  if (purge.table == kWorkerTablesFrom) {
    auto done = SqliteStatement::Prepare(database_.get(), "UPDATE sweep_deleted SET purged=1 WHERE sweep=?");
    if (done.ok()) done->Int(Signed(purge.sweep.value)).Run();
    purges_.erase(purges_.begin());
    return !purges_.empty();
  }
  const std::string table = kTables[purge.table].name;
  // The end of the next piece first, so that rows of other sweeps are looked at only once.
  auto end = SqliteStatement::Prepare(database_.get(), "SELECT max(seq), count(*) FROM (SELECT seq FROM " + table +
                                                           " WHERE seq > ? ORDER BY seq LIMIT ?)");
  auto remove =
      SqliteStatement::Prepare(database_.get(), "DELETE FROM " + table + " WHERE seq > ? AND seq <= ? AND sweep = ?");
  if (!end.ok() || !remove.ok()) return false;
  if (end->Int(purge.from).Int(kPurgeRowsPerStep).Next() != 1) return false;
  const int64_t last = end->GetInt(0);
  const bool any = end->GetInt(1) > 0;
  end->Reset();
  if (!any) {
    ++purge.table;
    purge.from = 0;
    return true;
  }
  if (!remove->Int(purge.from).Int(last).Int(Signed(purge.sweep.value)).Run()) {
    Log(LogLevel::kWarning, "purge_failed", {{"table", table}, {"error", Message(database_->Error("delete"))}});
    return false;
  }
  purge.from = last;
  return true;
}

static_assert(kMeasuredTable == 8 && TableOf<Measured>() == kMeasuredTable);
static_assert(TableOf<SweepCreated>() == kSweepCreatedTable && TableOf<SweepDeleted>() == kSweepDeletedTable);
static_assert(TableOf<WorkerRegistered>() == kWorkerTablesFrom);

}  // namespace

StatusOr<std::unique_ptr<Journal>> OpenSqliteJournal(const std::string& path) { return SqliteJournal::Open(path); }

}  // namespace tunesmith
