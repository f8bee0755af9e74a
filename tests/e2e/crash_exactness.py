"""Crash-exactness: a sweep whose parts are killed at random moments comes out as if nothing had happened.

    crash_exactness.py [-v] [CLASS.TEST] [--controller-kills 10] [--worker-kills 10] [--freezes 1] [--seed 1]
                       [--cases tpe-,median]

Every case (searcher, scheduler, places) runs once uninterrupted; then again and again, while the controller, the worker
or both get SIGKILL at random moments (also while they start), or a worker is frozen (SIGSTOP) for longer than its lease
and goes on (SIGCONT) when its trial runs on another one. The moments come from --seed; where exactly they strike is up
to the machine.

What makes "the same" well defined. Decisions depend on the order in which reports and ends arrive. The trials are pure
functions of parameters and step, and wait for the verdict on a report before they go on. With one place that fixes the
order. With two a conductor here holds it: a trial asks it for its turn before every report, and gets it only while the
other trial waits as well and the controller has placed all that it can; the lowest step goes first.

What is compared with the uninterrupted run:
  controller killed    the whole journal but times, epochs, record numbers, and whether a trial left by its verdict
                       before it was told to stop: every suggestion with its origin, lease, report, verdict with rung,
                       value, cutoff, rank and peers, resumption, end and reason, in this order; the trials, the best
                       trial and the rungs as the API shows them
  worker killed        the same but for attempts: of reports the first of each step, since a trial that runs again
                       reports the step that it resumes from once more; of the trials what does not count attempts

And in every run:
  - nothing lost: what a trial was told about (a verdict) stands in the journal;
  - nothing doubled: an attempt's sequences grow and its steps go up one by one; the next attempt begins with the step
    of the last checkpoint, which was the last one recorded or the one after it (after a freeze the trial may have moved
    to a worker without checkpoints: then it begins anew, and never further than one step ahead);
  - every recorded metric is the function's value, and the last attempt ends where the trial does;
  - no trial is stuck: the sweep ends, and every trial with it; none runs twice at the same time on a worker;
  - no orphans: after a worker's death its trials are gone, and at the end no process is left.
"""

import argparse
import glob
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import sys
import threading
import time
import unittest

import harness
from harness import wait_for

STEPS = 9
TRIAL = r"""
import _signal, _socket, fcntl, os, sys

_signal.signal(_signal.SIGTERM, _signal.SIG_IGN)  # it leaves by the verdict, with code 0, not by whichever is faster
x, y, steps = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
folder, env = os.environ["TUNESMITH_CHECKPOINT_DIR"], os.environ
me = "%s %s" % (env["TUNESMITH_TRIAL"], env["TUNESMITH_ATTEMPT"])
channel = int(env["TUNESMITH_CHANNEL"])
told = os.open(env["TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
alone = os.open(folder + "/alone", os.O_RDWR | os.O_CREAT, 0o644)
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    os.write(told, ("twice %s 0\n" % me).encode())
turns = None
if env["CONDUCTOR"]:
    turns = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    turns.connect(env["CONDUCTOR"])

def read_line(read):
    line = b""
    while not line.endswith(b"\n"):
        byte = read()
        if not byte:
            sys.exit(3)
        line += byte
    return line

def report(step):
    if turns:
        turns.sendall(("%s %d\n" % (me, step)).encode())
        read_line(lambda: turns.recv(1))
    loss = (x - 0.3) ** 2 + (y - 0.6) ** 2 / 2 + (0.2 + y) / step
    os.write(channel, ('{"type":"report","step":%d,"metrics":{"loss":%r},"checkpoint":"step-%d"}\n'
                       % (step, loss, step)).encode())
    while True:
        line = read_line(lambda: os.read(channel, 1))
        if b'"verdict"' not in line:
            continue
        if b'"continue"' not in line:
            sys.exit(0)
        if b'"step":%d,' % step in line or b'"step":%d}' % step in line:
            os.write(told, ("told %s %d\n" % (me, step)).encode())
            return

try:
    with open(folder + "/step") as f:
        done = int(f.read())
except OSError:
    done = 0
if done:
    report(done)
for step in range(done + 1, steps + 1):
    with open(folder + "/step.new", "w") as f:
        f.write(str(step))
    os.replace(folder + "/step.new", folder + "/step")
    report(step)
"""


def loss_of(x, y, step):
    return (x - 0.3) ** 2 + (y - 0.6) ** 2 / 2 + (0.2 + y) / step


ASHA = {"type": "asha", "max_t": STEPS, "grace_period": 1, "reduction_factor": 3}
CASES = [
    # name, searcher, scheduler, places
    ("tpe-asha-1", "tpe", ASHA, 1),
    ("auto-asha-2", "auto", ASHA, 2),
    ("auto-promotion-1", "auto", dict(ASHA, variant="promotion"), 1),
    ("tpe-promotion-2", "tpe", dict(ASHA, variant="promotion"), 2),
    ("tpe-median-2", "tpe", {"type": "median", "grace_period": 2, "min_samples_required": 3}, 2),
    ("auto-median-1", "auto", {"type": "median", "grace_period": 2, "min_samples_required": 3}, 1),
]
TRIALS = 20

COUNTS = argparse.Namespace(controller_kills=10, worker_kills=10, freezes=1, seed=1, cases="")


class Conductor:
    """Gives turns to trials so that their reports arrive in one order, however the machine schedules them."""

    def __init__(self, path, places, settled):
        self.path, self.places, self.settled = path, places, settled
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(64)
        self.listener.settimeout(0.002)
        self.waiting = {}   # connection -> (step, trial)
        self.quiet = set()  # connections that have not asked yet, or have their turn
        self.stop = False
        self.failure = None
        self.thread = threading.Thread(target=self.run, name="conductor")
        self.thread.start()

    def run(self):
        try:
            while not self.stop:
                self.take_requests()
                if self.waiting and not self.quiet and self.settled(len(self.waiting)):
                    self.take_requests()  # one may have been killed, or come, meanwhile
                    if self.waiting and not self.quiet:
                        turn = min(self.waiting, key=self.waiting.get)
                        del self.waiting[turn]
                        self.quiet.add(turn)
                        try:
                            turn.sendall(b"go\n")
                        except OSError:
                            self.drop(turn)
        except Exception as e:  # shown by the test, which would wait for ever otherwise
            self.failure = e
        for connection in list(self.quiet) + list(self.waiting):
            connection.close()
        self.listener.close()

    def drop(self, connection):
        self.quiet.discard(connection)
        self.waiting.pop(connection, None)
        connection.close()

    def take_requests(self):
        try:
            connection = self.listener.accept()[0]
            connection.setblocking(False)
            self.quiet.add(connection)
        except OSError:
            pass
        for connection in list(self.quiet) + list(self.waiting):
            try:
                data = connection.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self.drop(connection)
                continue
            trial, _, step = data.decode().split()
            self.quiet.discard(connection)
            self.waiting[connection] = (int(step), int(trial))

    def close(self):
        self.stop = True
        self.thread.join()


class Run:
    """What one run of a case has left: the journal's decisions, and what the API shows."""


class Exactness(harness.TestCase):
    references = {}
    runs = 0

    def setUp(self):
        super().setUp()
        self.random = random.Random("%s %d" % (self.id().rsplit(".", 1)[1], COUNTS.seed))
        self.kills = {"controller": 0, "worker": 0, "freeze": 0}
        self.checked = {"runs": 0, "reports": 0, "facts": 0}

    def tearDown(self):
        super().tearDown()
        print("%s: seed %d, %d runs, killed: controller %d times, worker %d times; workers frozen past a lease: %d; "
              "%d measurements checked, %d facts compared"
              % (self.id().rsplit(".", 1)[1], COUNTS.seed, self.checked["runs"], self.kills["controller"],
                 self.kills["worker"], self.kills["freeze"], self.checked["reports"], self.checked["facts"]),
              flush=True)

    # --- one run

    def start_parts(self, places, workers, extra):
        Exactness.runs += 1
        self.here = os.path.join(self.folder, "run%d" % Exactness.runs)
        os.mkdir(self.here)
        self.data = "run%d/server" % Exactness.runs
        self.server_extra = ["--log-level", "warning"] + extra
        self.server = self.start_server(self.data, extra=self.server_extra)
        self.places = places
        self.workers = {name: self.start_one_worker(name) for name in workers}

    def start_one_worker(self, name):
        return self.start(name, ["tunesmith-worker", "--controller", self.address, "--name", name, "--state-dir",
                                 os.path.join(self.here, name), "--cpus", str(self.places), "--gpus", "none"])

    def submit(self, case):
        name, search, scheduler, places = case
        script = os.path.join(self.folder, "trial.py")
        if not os.path.exists(script):
            self.write("trial.py", TRIAL)
        path = self.write_sweep(
            name="s", command=["/usr/bin/python3", "-I", "-S", script, "${x}", "${y}", str(STEPS)],
            parameters={"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}},
            search={"type": search, "metric": "loss", "mode": "min", "seed": 7}, scheduler=scheduler, trials=TRIALS,
            max_parallel=places, retry={"lost": 200},
            env={"TOLD": os.path.join(self.here, "told"), "CONDUCTOR": self.turns if places > 1 else ""})
        unreachable = 5  # on a machine that is too busy to take a connection in time
        wait_for("the controller", lambda: self.cli("submit", path, check=False).returncode != unreachable)

    def ask(self, call, timeout=5):
        """The call's answer; None while the controller is away."""
        import grpc
        try:
            return call(timeout)
        except grpc.RpcError as e:
            if e.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
                            grpc.StatusCode.CANCELLED):
                return None
            raise

    def state(self, s):
        return self.ask(lambda timeout: s.sweeps.GetSweep(s.pb.GetSweepRequest(sweep="s"), timeout=timeout))

    def settled(self, s, places, at_barrier):
        """Whether nothing happens until one of the trials at the barrier reports."""
        sweep = self.state(s)
        if sweep is None or sweep.counts.pending or sweep.counts.running != at_barrier:
            return False
        created = sum(getattr(sweep.counts, name) for name in ("running", "paused", "completed", "stopped", "failed"))
        return created == TRIALS or at_barrier == places

    def run_case(self, case, disturb=None, workers=("w1",), extra=()):
        """Runs it to its end and returns what it left. `disturb(sweep)` is called again and again while it runs."""
        places = case[3]
        self.turns = os.path.join(self.folder, "turns%d" % (Exactness.runs + 1))
        self.start_parts(places, workers, list(extra))
        s = self.stubs()
        ended = (s.types.Sweep.SUCCEEDED, s.types.Sweep.FAILED, s.types.Sweep.CANCELLED)
        conductor = Conductor(self.turns, places, lambda n: self.settled(s, places, n)) if places > 1 else None
        try:
            self.submit(case)
            end, seen = time.monotonic() + harness.TIMEOUT, None
            while True:
                sweep = self.state(s)
                if sweep is not None and sweep.revision != seen:
                    end, seen = time.monotonic() + harness.TIMEOUT, sweep.revision
                if sweep is not None and sweep.state in ended:
                    break
                self.assertTrue(conductor is None or conductor.failure is None, conductor and conductor.failure)
                if time.monotonic() > end:
                    self.fail("stuck: %s\n%s" % (case[0], self.cli("trials", "s").stdout))
                if disturb:
                    disturb(sweep)
                else:
                    time.sleep(0.02)
            run = self.collect(s, sweep)
        finally:
            if conductor:
                conductor.close()
        for worker in self.workers.values():
            self.assertEqual(worker.terminate(30), 0, worker.output())
        self.assertEqual(self.server.terminate(30), 0, self.server.output())
        self.assertEqual(harness.processes_with(self.here), [], "orphans")
        self.read_journal(run)
        self.check_alone(run)
        shutil.rmtree(self.here)
        self.checked["runs"] += 1
        return run

    # --- what is left of it

    def collect(self, s, sweep):
        from google.protobuf import json_format

        run = Run()
        trials = [s.trials.GetTrial(s.pb.GetTrialRequest(sweep="s", trial=n), timeout=harness.TIMEOUT)
                  for n in range(sum(getattr(sweep.counts, n) for n in ("completed", "stopped", "failed")))]
        run.attempts = {t.number: len(t.attempts) for t in trials}
        run.table = []
        for trial in trials:
            # Copies of checkpoints come when they come.
            for field in ("create_time", "start_time", "end_time", "revision", "why", "checkpoints"):
                trial.ClearField(field)
            for attempt in trial.attempts:
                for field in ("start_time", "end_time", "lease_epoch", "exit_code", "signal", "reason"):
                    attempt.ClearField(field)
            run.table.append(json_format.MessageToDict(trial))
        run.best = json.loads(self.cli("best", "s", "-o", "json").stdout)
        for field in ("duration_s", "started", "ended", "created", "command"):
            run.best.pop(field, None)
        run.sweep = (s.types.Sweep.State.Name(sweep.state), sweep.state_reason,
                     {f.name: getattr(sweep.counts, f.name) for f in sweep.counts.DESCRIPTOR.fields})
        run.rungs = [json_format.MessageToDict(r) for r in getattr(sweep, "rungs", [])]
        return run

    # Table -> (what to call it, columns).
    VERDICT = "action, reason, bracket, milestone, recorded, value, cutoff, rank, peers"
    FACTS = {
        "trial_created": ("suggest", "trial, parameters, bracket, from_user, origin, judge, predicted, rank,"
                                     " candidates, repeat_of"),
        "attempt_leased": ("lease", "trial, attempt"),
        "measurements": ("report", "trial, attempt, step, m0, m1, more, checkpoint, " + VERDICT),
        "trial_stopping": ("stopping", "trial, reason"),
        "attempt_ended": ("over", "trial, attempt, state, requeue"),
        "trial_ended": ("end", "trial, state, why, " + VERDICT),
        "trial_resumed": ("resume", "trial, " + VERDICT),
        "space_exhausted": ("exhausted", "sweep"),
        "sweep_changed": ("sweep", "state, reason"),
    }

    def read_journal(self, run):
        db = sqlite3.connect(os.path.join(self.folder, self.data, "journal.db"))
        facts = []
        for table, (name, columns) in self.FACTS.items():
            for row in db.execute("SELECT seq, %s FROM %s" % (columns, table)):
                facts.append((row[0], (name,) + row[1:]))
        run.facts = [fact for _, fact in sorted(facts)]
        run.points = {row[0]: json.loads(row[1]) for row in db.execute("SELECT trial, parameters FROM trial_created")}
        run.reports = list(db.execute("SELECT trial, attempt, sequence, step, m0 FROM measurements ORDER BY seq"))
        run.lost = set(db.execute("SELECT trial, attempt FROM attempt_ended WHERE state = 'lost'"))
        db.close()

    def check_alone(self, run):
        """What must hold whatever happened."""
        by_attempt = {}
        for trial, attempt, sequence, step, value in run.reports:
            point = run.points[trial]
            self.assertEqual(value, loss_of(point["x"], point["y"], step), "trial %d step %d" % (trial, step))
            by_attempt.setdefault(trial, {}).setdefault(attempt, []).append((sequence, step))
        moved = len(self.workers) > 1
        for trial, attempts in by_attempt.items():
            last = furthest = 0
            for attempt in sorted(attempts):
                what = "trial %d attempt %d" % (trial, attempt)
                sequences = [sequence for sequence, _ in attempts[attempt]]
                self.assertEqual(sequences, sorted(set(sequences)), what)
                steps = [step for _, step in attempts[attempt]]
                self.assertEqual(steps, list(range(steps[0], steps[0] + len(steps))), what + " lost or doubled a step")
                begins = range(1, furthest + 2) if moved else (max(last, 1), last + 1)
                self.assertIn(steps[0], begins, what + " begins with a step that is not after its checkpoint")
                last = steps[-1]
                furthest = max(furthest, last)
            self.assertEqual(last, int(run.table[trial]["lastStep"]), "trial %d" % trial)
        recorded = {(trial, attempt, step) for trial, attempt, _, step, _ in run.reports}
        self.assertEqual(len(recorded), len(run.reports), "doubled measurements")
        with open(os.path.join(self.here, "told")) as f:
            told = [line.split() for line in f]
        for what, *numbers in told:
            self.assertEqual(what, "told", "trial %s attempt %s ran beside another attempt" % tuple(numbers[:2]))
            if not (moved and tuple(map(int, numbers[:2])) in run.lost):
                self.assertIn(tuple(map(int, numbers)), recorded, "a trial was told about a report that is lost")
        self.assertEqual(len(run.table), TRIALS)
        self.checked["reports"] += len(run.reports)

    # --- comparing

    @staticmethod
    def without_attempts(run):
        """The facts without attempts; of reports the first of each step."""
        facts, seen = [], set()
        for fact in run.facts:
            if fact[0] in ("lease", "over"):
                continue
            if fact[0] == "report":
                key = (fact[1], fact[3])
                if key in seen:
                    continue
                seen.add(key)
                fact = fact[:2] + fact[3:]
            facts.append(fact)
        return facts

    @staticmethod
    def table_without_attempts(run):
        rows = []
        for trial in run.table:
            row = {k: v for k, v in trial.items() if k not in ("attempts", "measurements")}
            rows.append(row)
        return rows

    def compare(self, case, run, exact):
        expected = self.references[case[0]]
        label = "%s, kills so far %s, seed %d" % (case[0], self.kills, COUNTS.seed)
        if exact:
            self.assert_same_list(expected.facts, run.facts, label)
            self.assert_same_list(expected.table, run.table, label)
            self.assertEqual(expected.sweep, run.sweep, label)
        else:
            self.assert_same_list(self.without_attempts(expected), self.without_attempts(run), label)
            self.assert_same_list(self.table_without_attempts(expected), self.table_without_attempts(run), label)
            self.assertEqual(expected.sweep[:2], run.sweep[:2], label)
        self.assertEqual(expected.best, run.best, label)
        self.assertEqual(expected.rungs, run.rungs, label)
        self.checked["facts"] += len(run.facts)

    def assert_same_list(self, expected, found, label):
        for i, (a, b) in enumerate(zip(expected, found)):
            if a != b:
                before = "\n".join("    %s" % (f,) for f in found[max(0, i - 4):i])
                self.fail("%s: entry %d differs\n  after\n%s\n  uninterrupted: %s\n  here:          %s\n"
                          "  then uninterrupted: %s\n  then here:          %s"
                          % (label, i, before, a, b, expected[i + 1:i + 3], found[i + 1:i + 3]))
        self.assertEqual(len(expected), len(found), label)

    def reference(self, case):
        if case[0] not in self.references:
            self.references[case[0]] = self.run_case(case)
            self.assertEqual(max(self.references[case[0]].attempts.values()) > 1, "promotion" in case[0],
                             "nothing interrupted the reference")

    def run_until(self, kinds, wanted, make_disturb, exact, **options):
        """Runs case after case until so many kills have struck."""
        rounds = 0
        cases = [case for case in CASES if any(word in case[0] for word in COUNTS.cases.split(","))]
        self.assertTrue(cases, "no case has one of %s in its name" % COUNTS.cases)
        while self.struck(kinds) < wanted:
            case = cases[rounds % len(cases)]
            rounds += 1
            self.reference(case)
            run = self.run_case(case, make_disturb(wanted), **options)
            self.compare(case, run, exact)
            self.assertLess(rounds, 20 + 4 * wanted, "the faults do not strike")

    # --- the faults

    def restart_server(self):
        """Starts it; one time in five it is killed once more before it is ready."""
        while self.random.random() < 0.2:
            half = self.start("server", ["tunesmith-server", "--listen", self.address, "--data-dir",
                                         os.path.join(self.folder, self.data)] + self.server_extra)
            time.sleep(self.random.uniform(0, 0.1))
            half.kill()
            self.kills["controller"] += 1
        self.server = self.start_server(self.data, listen=self.address, extra=self.server_extra)

    def kill_server(self):
        self.server.kill()
        self.kills["controller"] += 1
        self.restart_server()

    def kill_worker(self):
        worker = self.workers["w1"]
        worker.kill()
        self.kills["worker"] += 1
        if self.random.random() < 0.5:
            trial = os.path.join(self.folder, "trial.py")
            wait_for("a dead worker's trials to go", lambda: not harness.processes_with(trial), 30, interval=0.01)
        while self.random.random() < 0.2:
            half = self.start_one_worker("w1")
            time.sleep(self.random.uniform(0, 0.1))
            half.kill()
            self.kills["worker"] += 1
        self.workers["w1"] = self.start_one_worker("w1")

    def struck(self, kinds):
        return sum(self.kills[kind] for kind in kinds)

    def at_random_moments(self, kinds, wanted, mean_pause):
        """Strikes one of `kinds` again and again until so many have struck, of them a share in each run.

        Where a machine is too slow for anything to happen between two strikes, the pauses grow until something does.
        """
        strike = {"controller": self.kill_server, "worker": self.kill_worker}
        plan = {"due": time.monotonic() + self.random.uniform(0, 2 * mean_pause), "pause": mean_pause, "seen": None,
                "until": min(wanted, self.struck(kinds) + max(4, wanted // (2 * len(CASES))))}

        def disturb(sweep):
            now = time.monotonic()
            if self.struck(kinds) >= plan["until"]:
                time.sleep(0.02)
            elif now < plan["due"]:
                time.sleep(min(0.02, plan["due"] - now))
            else:
                seen = sweep and (sweep.counts.measurements, sweep.counts.completed + sweep.counts.stopped)
                stands = seen is None or seen == plan["seen"]
                plan["pause"] = min(plan["pause"] * 1.3, 5.0) if stands else mean_pause
                plan["seen"] = seen or plan["seen"]
                strike[self.random.choice(kinds)]()
                plan["due"] = time.monotonic() + self.random.uniform(0, 2 * plan["pause"])

        return disturb

    def test_1_the_controller_is_killed(self):
        kinds = ("controller",)
        self.run_until(kinds, COUNTS.controller_kills, lambda n: self.at_random_moments(kinds, n, 0.3), exact=True)

    def test_2_the_worker_is_killed(self):
        kinds = ("worker",)
        self.run_until(kinds, COUNTS.worker_kills, lambda n: self.at_random_moments(kinds, n, 0.5), exact=False)

    def test_3_both_are_killed(self):
        kinds = ("controller", "worker")
        self.run_until(kinds, min(COUNTS.controller_kills, COUNTS.worker_kills) // 2,
                       lambda n: self.at_random_moments(kinds, n, 0.4), exact=False)

    def test_4_a_frozen_worker_is_fenced_off(self):
        def make_disturb(wanted):
            due = [time.monotonic() + self.random.uniform(0, 1.0)]

            def disturb(sweep):
                now = time.monotonic()
                if self.kills["freeze"] >= wanted or now < due[0]:
                    return time.sleep(0.02)
                self.freeze()
                due[0] = time.monotonic() + self.random.uniform(0, 1.0)

            return disturb

        self.run_until(("freeze",), COUNTS.freezes, make_disturb, exact=False, workers=("w1", "w2"),
                       extra=("--lease-ms", "1000"))

    def freeze(self):
        """Freezes the worker that has a running trial until its lease is over and the trial has gone on elsewhere."""
        s = self.stubs()
        running = [t for t in self.trials("s") if t.state == s.types.Trial.RUNNING]
        if not running:
            return
        trial = self.random.choice(running)
        attempt = trial.attempts[-1]
        worker = self.workers[attempt.worker]
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            def moved_on():
                now = self.ask(lambda timeout: s.trials.GetTrial(
                    s.pb.GetTrialRequest(sweep="s", trial=trial.number), timeout=timeout))
                return now is not None and (now.attempts[-1].number > attempt.number or
                                            now.state > s.types.Trial.STOPPING)

            wait_for("the frozen worker's trial to go elsewhere", moved_on, 30)
            time.sleep(self.random.uniform(0, 0.3))
        finally:
            os.kill(worker.pid, signal.SIGCONT)
        self.kills["freeze"] += 1


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--controller-kills", type=int, default=COUNTS.controller_kills)
    parser.add_argument("--worker-kills", type=int, default=COUNTS.worker_kills)
    parser.add_argument("--freezes", type=int, default=COUNTS.freezes)
    parser.add_argument("--seed", type=int, default=COUNTS.seed)
    parser.add_argument("--cases", default="", help="only those with one of these words in their names: tpe-,median")
    _, rest = parser.parse_known_args(namespace=COUNTS)
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
