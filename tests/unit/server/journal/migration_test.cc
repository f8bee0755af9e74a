// A data folder that an older server has written is brought up to date when it is opened, and nothing in it changes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "server/core/state.h"
#include "server/journal/schema.h"
#include "server/journal/sqlite.h"
#include "server/journal/sqlite_journal.h"
#include "tests/conformance/event_text.h"
#include "tests/conformance/history.h"

namespace tunesmith {
namespace {

// The statements of schema 1. A copy on purpose: it must not change with today's.
constexpr const char* kSchema1 = R"sql(
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sweep_created(seq INTEGER PRIMARY KEY, sweep INTEGER, id TEXT, request_id TEXT, spec TEXT,
  seed INTEGER, time_ms INTEGER);
CREATE TABLE IF NOT EXISTS sweep_changed(seq INTEGER PRIMARY KEY, sweep INTEGER, state TEXT, becomes TEXT, reason TEXT,
  time_ms INTEGER, delete_when_ended INTEGER);
CREATE TABLE IF NOT EXISTS sweep_deleted(seq INTEGER PRIMARY KEY, sweep INTEGER, purged INTEGER DEFAULT 0,
  last_epoch INTEGER);
CREATE TABLE IF NOT EXISTS space_exhausted(seq INTEGER PRIMARY KEY, sweep INTEGER);
-- parameters: a JSON object of the active ones, by name.
CREATE TABLE IF NOT EXISTS trial_created(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, parameters TEXT,
  bracket INTEGER, from_user INTEGER, time_ms INTEGER);
CREATE INDEX IF NOT EXISTS trial_created_by_trial ON trial_created(sweep, trial);
CREATE TABLE IF NOT EXISTS attempt_leased(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, attempt INTEGER,
  epoch INTEGER, worker INTEGER, client TEXT, lease_ms INTEGER, cpus INTEGER, gpus REAL, devices TEXT,
  time_ms INTEGER);
CREATE TABLE IF NOT EXISTS attempt_running(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, attempt INTEGER,
  sequence INTEGER, time_ms INTEGER);
CREATE TABLE IF NOT EXISTS metric_named(seq INTEGER PRIMARY KEY, sweep INTEGER, slot INTEGER, name TEXT);
-- m0..m7: the metrics of slots 0..7 (see metric_named); NULL = not reported, 'nan' = not a number. more: a JSON list of
-- [slot, value] for the others. The columns from `action` on are NULL where the scheduler decided nothing.
CREATE TABLE IF NOT EXISTS measurements(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, attempt INTEGER,
  sequence INTEGER, step INTEGER, time_ms INTEGER, m0, m1, m2, m3, m4, m5, m6, m7, more TEXT, checkpoint TEXT,
  action TEXT, reason TEXT, bracket INTEGER, milestone, recorded INTEGER, value, cutoff, rank INTEGER, peers INTEGER);
CREATE TABLE IF NOT EXISTS trial_stopping(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, reason TEXT,
  time_ms INTEGER);
CREATE TABLE IF NOT EXISTS attempt_ended(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, attempt INTEGER,
  sequence INTEGER, state TEXT, exit_code INTEGER, signal INTEGER, out_of_memory INTEGER, start_failed INTEGER,
  stop_requested INTEGER, lost INTEGER, reason TEXT, requeue INTEGER, time_ms INTEGER);
CREATE TABLE IF NOT EXISTS trial_ended(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, state TEXT, why TEXT,
  time_ms INTEGER, action TEXT, reason TEXT, bracket INTEGER, milestone, recorded INTEGER, value, cutoff,
  rank INTEGER, peers INTEGER);
CREATE INDEX IF NOT EXISTS trial_ended_by_trial ON trial_ended(sweep, trial);
CREATE TABLE IF NOT EXISTS worker_registered(seq INTEGER PRIMARY KEY, worker INTEGER, name TEXT);
CREATE TABLE IF NOT EXISTS worker_drained(seq INTEGER PRIMARY KEY, worker INTEGER, drained INTEGER, quarantine INTEGER,
  reason TEXT);

CREATE VIEW IF NOT EXISTS sweeps AS
  SELECT c.sweep, c.id, coalesce(s.state, 'active') AS state, s.reason, c.time_ms AS created_ms,
         s.time_ms AS changed_ms, c.seed, c.spec
  FROM sweep_created c
  LEFT JOIN sweep_changed s ON s.seq = (SELECT max(seq) FROM sweep_changed x WHERE x.sweep = c.sweep)
  WHERE c.sweep NOT IN (SELECT sweep FROM sweep_deleted);
CREATE VIEW IF NOT EXISTS trials AS
  SELECT c.sweep, s.id AS sweep_id, c.trial, coalesce(e.state, 'live') AS state, e.why AS reason, c.parameters,
         c.bracket, c.from_user, c.time_ms AS created_ms, e.time_ms AS ended_ms
  FROM trial_created c JOIN sweep_created s ON s.sweep = c.sweep
  LEFT JOIN trial_ended e ON e.sweep = c.sweep AND e.trial = c.trial;
CREATE VIEW IF NOT EXISTS attempts AS
  SELECT l.sweep, l.trial, l.attempt, coalesce(e.state, 'live') AS state, w.name AS worker, l.client, l.devices,
         l.cpus, l.gpus, l.epoch, l.time_ms AS started_ms, e.time_ms AS ended_ms, e.exit_code, e.signal,
         e.out_of_memory, e.reason
  FROM attempt_leased l
  LEFT JOIN attempt_ended e ON e.sweep = l.sweep AND e.trial = l.trial AND e.attempt = l.attempt
  LEFT JOIN worker_registered w ON w.worker = l.worker;
CREATE VIEW IF NOT EXISTS metrics AS
  SELECT m.sweep, m.trial, m.attempt, m.step, m.time_ms, n.name,
         CASE n.slot WHEN 0 THEN m.m0 WHEN 1 THEN m.m1 WHEN 2 THEN m.m2 WHEN 3 THEN m.m3 WHEN 4 THEN m.m4
                     WHEN 5 THEN m.m5 WHEN 6 THEN m.m6 WHEN 7 THEN m.m7
                     ELSE (SELECT json_extract(j.value, '$[1]') FROM json_each(m.more) j
                           WHERE json_extract(j.value, '$[0]') = n.slot) END AS value
  FROM measurements m JOIN metric_named n ON n.sweep = m.sweep;
CREATE VIEW IF NOT EXISTS verdicts AS
  SELECT sweep, trial, attempt, step, action, reason, bracket, milestone AS rung, value, cutoff, rank, peers, time_ms
  FROM measurements WHERE action IS NOT NULL;
)sql";

constexpr const char* kRows1 = R"sql(
INSERT INTO meta VALUES('schema_version', 1);
INSERT INTO sweep_created VALUES(1, 1, 'digits', 'request', '{"name":"digits","command":["/bin/true","${args}"],
  "parameters":{"lr":{"uniform":[0,1]}},"search":{"type":"random","metric":"loss","mode":"min"},"trials":5}', 7, 1000);
INSERT INTO trial_created VALUES(2, 1, 0, '{"lr":0.25}', 0, 1, 1001);
INSERT INTO trial_created VALUES(3, 1, 1, '{"lr":0.5}', 0, 0, 1002);
INSERT INTO worker_registered VALUES(4, 1, 'w');
INSERT INTO attempt_leased VALUES(5, 1, 0, 1, 1, 1, '', 0, 1, 0.0, '[]', 1003);
INSERT INTO metric_named VALUES(6, 1, 0, 'loss');
INSERT INTO measurements VALUES(7, 1, 0, 1, 1, 1, 1004, 0.5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO attempt_ended VALUES(8, 1, 0, 1, 2, 'succeeded', 0, 0, 0, 0, 0, 0, '', 0, 1005);
INSERT INTO trial_ended VALUES(9, 1, 0, 'completed', '', 1005, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
)sql";

class MigrationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tunesmith-migration-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/journal.db"; }

  void Execute(const std::vector<const char*>& statements) {
    auto database = SqliteDatabase::Open(path(), false);
    ASSERT_TRUE(database.ok()) << database.status();
    for (const char* sql : statements) {
      const Status status = (*database)->Execute(sql);
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  // The first column of the first row; "" if there is none.
  std::string Ask(const char* sql) {
    auto database = SqliteDatabase::Open(path(), true);
    EXPECT_TRUE(database.ok()) << database.status();
    auto statement = SqliteStatement::Prepare(database->get(), sql);
    EXPECT_TRUE(statement.ok()) << statement.status();
    return statement->Next() == 1 ? statement->GetText(0) : "";
  }

  // What a journal that is opened now gives; appends `more` first.
  std::vector<Event> Replay(const std::vector<Event>& more = {}) {
    std::vector<Event> events;
    auto journal = OpenSqliteJournal(path());
    EXPECT_TRUE(journal.ok()) << journal.status();
    if (!journal.ok()) return events;
    const Status replayed = (*journal)->Replay([&](const Event& event) { events.push_back(event); });
    EXPECT_TRUE(replayed.ok()) << replayed;
    const Status appended = (*journal)->Append(more);
    EXPECT_TRUE(appended.ok()) << appended;
    return events;
  }

  std::string folder_;
};

TEST_F(MigrationTest, AFolderOfTheFirstSchemaGoesOn) {
  Execute({kSchema1, kRows1});
  TrialCreated next;
  next.trial = {SweepId(1), 2};
  next.point = {0.75};
  next.time = Time{1006};
  next.origin = {.kind = Origin::Kind::kModel, .judge = Origin::Judge::kGp, .predicted = 0.25, .rank = 1, .of = 112};
  const std::vector<Event> old_events = Replay({next});
  ASSERT_EQ(old_events.size(), 9u);
  EXPECT_EQ(std::get<TrialCreated>(old_events[1]).origin, Origin{.kind = Origin::Kind::kUser});
  EXPECT_EQ(std::get<TrialCreated>(old_events[2]).origin, Origin{});
  EXPECT_EQ(std::get<TrialCreated>(old_events[2]).repeat_of, std::nullopt);
  EXPECT_EQ(Ask("SELECT value FROM meta WHERE key='schema_version'"), std::to_string(kSchemaVersion));

  const std::vector<Event> all = Replay();
  ASSERT_EQ(all.size(), 10u);
  for (size_t i = 0; i < old_events.size(); ++i) EXPECT_EQ(EventText(all[i]), EventText(old_events[i]));
  EXPECT_EQ(EventText(all[9]), EventText(next));
  State state;
  for (const Event& event : all) state.Apply(event);
  ASSERT_NE(state.FindSweep("digits"), nullptr);
  EXPECT_EQ(state.FindSweep("digits")->trials[0].state, TrialState::kCompleted);
  EXPECT_EQ(Ask("SELECT origin || judge || candidates FROM trials WHERE trial=2"), "modelgp112")
      << "the views know the new columns";
  EXPECT_EQ(Ask("SELECT parameters FROM trials WHERE trial=1"), "{\"lr\":0.5}");
}

TEST_F(MigrationTest, ItsTablesAreThenThoseOfANewFolder) {
  Execute({kSchema1, kRows1});
  Replay();
  const char* sorted =
      "SELECT group_concat(line) FROM (SELECT m.name || '.' || p.name || ' ' || p.type AS line FROM sqlite_master m, "
      "pragma_table_info(m.name) p WHERE m.type IN ('table', 'view') ORDER BY m.name, p.cid)";
  const std::string migrated = Ask(sorted);
  std::filesystem::remove_all(path());
  Replay();
  EXPECT_EQ(migrated, Ask(sorted));
}

TEST_F(MigrationTest, AFirstStartThatWasCutShortIsNoObstacle) {
  Execute({"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
           "INSERT INTO meta VALUES('schema_version', 1);"});
  EXPECT_TRUE(Replay(MakeHistory({.seed = 1, .steps = 100})[0]).empty());
  EXPECT_FALSE(Replay().empty());
}

TEST_F(MigrationTest, ANewerFolderIsLeftAlone) {
  Execute({kSchema1, "INSERT INTO meta VALUES('schema_version', 1000)"});
  const auto journal = OpenSqliteJournal(path());
  ASSERT_FALSE(journal.ok());
  EXPECT_NE(Message(journal.status()).find("newer"), std::string::npos) << journal.status();
  EXPECT_EQ(Ask("SELECT value FROM meta WHERE key='schema_version'"), "1000");
}

}  // namespace
}  // namespace tunesmith
