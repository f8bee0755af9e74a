// The tables of the journal. Columns are only ever added at the end; kSchemaVersion grows with every change.
#pragma once

namespace tunesmith {

constexpr int kSchemaVersion = 5;
// Metrics of slots below this have a column each; the others share `more`.
constexpr int kMetricColumns = 8;

constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sweep_created(seq INTEGER PRIMARY KEY, sweep INTEGER, id TEXT, request_id TEXT, spec TEXT,
  seed INTEGER, time_ms INTEGER);
CREATE TABLE IF NOT EXISTS sweep_changed(seq INTEGER PRIMARY KEY, sweep INTEGER, state TEXT, becomes TEXT, reason TEXT,
  time_ms INTEGER, delete_when_ended INTEGER);
CREATE TABLE IF NOT EXISTS sweep_updated(seq INTEGER PRIMARY KEY, sweep INTEGER, priority INTEGER, weight REAL,
  preemptible TEXT, max_parallel INTEGER, time_ms INTEGER);
CREATE TABLE IF NOT EXISTS sweep_deleted(seq INTEGER PRIMARY KEY, sweep INTEGER, purged INTEGER DEFAULT 0,
  last_epoch INTEGER);
CREATE TABLE IF NOT EXISTS space_exhausted(seq INTEGER PRIMARY KEY, sweep INTEGER);
-- parameters: a JSON object of the active ones, by name. origin: why this point; judge, rank, candidates: the model that
-- chose it, as which of how many; predicted: of the searcher's metric, NULL if the model does not say. repeat_of: the
-- first trial with this point.
CREATE TABLE IF NOT EXISTS trial_created(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, parameters TEXT,
  bracket INTEGER, from_user INTEGER, time_ms INTEGER, origin TEXT, judge TEXT, predicted, rank INTEGER,
  candidates INTEGER, repeat_of INTEGER);
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
-- preempts: only the attempt ends, to make room; the trial waits for a place again.
CREATE TABLE IF NOT EXISTS trial_stopping(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, reason TEXT,
  time_ms INTEGER, preempts INTEGER);
CREATE TABLE IF NOT EXISTS attempt_ended(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, attempt INTEGER,
  sequence INTEGER, state TEXT, exit_code INTEGER, signal INTEGER, out_of_memory INTEGER, start_failed INTEGER,
  stop_requested INTEGER, lost INTEGER, reason TEXT, requeue INTEGER, time_ms INTEGER);
CREATE TABLE IF NOT EXISTS trial_ended(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, state TEXT, why TEXT,
  time_ms INTEGER, action TEXT, reason TEXT, bracket INTEGER, milestone, recorded INTEGER, value, cutoff,
  rank INTEGER, peers INTEGER);
CREATE INDEX IF NOT EXISTS trial_ended_by_trial ON trial_ended(sweep, trial);
-- Trials of earlier sweeps that a sweep started from. parameters: as far as its own space has them.
CREATE TABLE IF NOT EXISTS warm_started(seq INTEGER PRIMARY KEY, sweep INTEGER, from_sweep TEXT, trial INTEGER,
  parameters TEXT, value);
-- Verdicts on paused trials: those with action 'continue' went on, those with 'stop' ended.
CREATE TABLE IF NOT EXISTS trial_resumed(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, time_ms INTEGER,
  action TEXT, reason TEXT, bracket INTEGER, milestone, recorded INTEGER, value, cutoff, rank INTEGER, peers INTEGER);
-- Checkpoints of which a copy lies in the data folder, and those whose copy was dropped.
CREATE TABLE IF NOT EXISTS checkpoint_stored(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, attempt INTEGER,
  step INTEGER, name TEXT, bytes INTEGER, sha256 TEXT, time_ms INTEGER);
CREATE TABLE IF NOT EXISTS checkpoint_dropped(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, attempt INTEGER,
  step INTEGER);
-- A trial took over from another one: it went on from the donor's checkpoint of that step, with these parameters.
CREATE TABLE IF NOT EXISTS trial_exploited(seq INTEGER PRIMARY KEY, sweep INTEGER, trial INTEGER, time_ms INTEGER,
  donor INTEGER, donor_attempt INTEGER, step INTEGER, name TEXT, bytes INTEGER, sha256 TEXT, parameters TEXT,
  action TEXT, reason TEXT, bracket INTEGER, milestone, recorded INTEGER, value, cutoff, rank INTEGER, peers INTEGER);
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
         c.bracket, c.from_user, c.time_ms AS created_ms, e.time_ms AS ended_ms, c.origin, c.judge, c.predicted,
         c.rank, c.candidates, c.repeat_of
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
CREATE VIEW IF NOT EXISTS checkpoints AS
  SELECT c.sweep, s.id AS sweep_id, c.trial, c.attempt, c.step, c.name, c.bytes, c.sha256, c.time_ms
  FROM checkpoint_stored c JOIN sweep_created s ON s.sweep = c.sweep
  WHERE c.seq = (SELECT max(x.seq) FROM checkpoint_stored x WHERE x.sweep = c.sweep AND x.trial = c.trial
                 AND x.attempt = c.attempt AND x.step = c.step)
    AND NOT EXISTS (SELECT 1 FROM checkpoint_dropped d WHERE d.sweep = c.sweep AND d.trial = c.trial
                    AND d.attempt = c.attempt AND d.step = c.step AND d.seq > c.seq)
    AND c.sweep NOT IN (SELECT sweep FROM sweep_deleted);
CREATE VIEW IF NOT EXISTS verdicts AS
  SELECT sweep, trial, attempt, step, action, reason, bracket, milestone AS rung, value, cutoff, rank, peers, time_ms
  FROM measurements WHERE action IS NOT NULL;
)sql";

// What brings the tables of an older version to the next one, in one transaction; entry i: from version i + 1. The
// views are made anew by kSchema.
constexpr const char* kMigrations[kSchemaVersion - 1] = {
    R"sql(
ALTER TABLE trial_created ADD COLUMN origin TEXT;
ALTER TABLE trial_created ADD COLUMN judge TEXT;
ALTER TABLE trial_created ADD COLUMN predicted;
ALTER TABLE trial_created ADD COLUMN rank INTEGER;
ALTER TABLE trial_created ADD COLUMN candidates INTEGER;
ALTER TABLE trial_created ADD COLUMN repeat_of INTEGER;
)sql",
    "",  // trial_resumed is new
    // Paused trials may stop, there are new words for reasons; checkpoint_stored and checkpoint_dropped are new.
    "",
    // sweep_updated and trial_exploited are new, with words for reasons; attempts may be preempted.
    "ALTER TABLE trial_stopping ADD COLUMN preempts INTEGER DEFAULT 0;",
};
constexpr const char* kDropViews = R"sql(
DROP VIEW IF EXISTS sweeps;
DROP VIEW IF EXISTS trials;
DROP VIEW IF EXISTS attempts;
DROP VIEW IF EXISTS metrics;
DROP VIEW IF EXISTS verdicts;
DROP VIEW IF EXISTS checkpoints;
)sql";

}  // namespace tunesmith
