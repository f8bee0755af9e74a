"""Faults: kill -9 of the controller and of a worker in mid-sweep, drains, and trials that misbehave."""

import os
import signal
import time

import harness
from harness import wait_for

SLOW = {"x": {"uniform": [0, 1]}, "epochs": {"constant": 12}, "pause": {"constant": 0.25}}


class Kills(harness.TestCase):
    def check_whole(self, name, trials, epochs):
        """Every trial completed, and its last attempt reported every step exactly once."""
        s = self.stubs()
        sweep = self.wait_sweep(name)
        self.assertEqual(sweep.state, s.types.Sweep.SUCCEEDED, sweep.state_reason)
        self.assertEqual(sweep.counts.completed, trials)
        for trial in self.trials(name):
            rows = self.measurements(name, trial.number)
            last = max(row.attempt for row in rows)
            self.assertEqual([row.step for row in rows if row.attempt == last], list(range(1, epochs + 1)),
                             "trial %d" % trial.number)

    def test_a_killed_controller_takes_over_running_trials_and_loses_nothing(self):
        server = self.start_server()
        self.start_worker()
        self.cli("submit", self.write_sweep(trials=4, parameters=SLOW))
        for _ in range(3):
            before = self.sweep("toy").counts.measurements
            wait_for("measurements", lambda: self.sweep("toy").counts.measurements >= before + 3)
            acknowledged = len(self.measurements("toy"))
            server.kill()
            time.sleep(0.5)  # trials go on meanwhile; their reports wait on the worker's disk
            server = self.start_server(listen=self.address)
            self.assertGreaterEqual(self.sweep("toy").counts.measurements, acknowledged)
        self.check_whole("toy", 4, 12)
        for trial in self.trials("toy"):
            self.assertEqual(len(self.trial("toy", trial.number).attempts), 1, "running trials are taken over")

    def test_a_killed_worker_s_trials_run_again_on_another(self):
        self.start_server()
        worker = self.start_worker("w1")
        self.cli("submit", self.write_sweep(trials=4, parameters=SLOW))
        s = self.stubs()
        wait_for("measurements", lambda: self.sweep("toy", s).counts.measurements >= 4)
        worker.kill()
        wait_for("its trials to go", lambda: not harness.processes_with(self.toy()), 30)
        self.start_worker("w1")
        self.check_whole("toy", 4, 12)
        lost = [a for t in self.trials("toy") for a in self.trial("toy", t.number).attempts
                if a.state == s.types.Attempt.LOST]
        self.assertGreaterEqual(len(lost), 1)
        self.assertEqual(self.sweep("toy", s).counts.failed, 0)

    def test_sigterm_drains_the_server_while_a_sweep_runs(self):
        server = self.start_server()
        self.start_worker()
        self.cli("submit", self.write_sweep(trials=4, parameters=SLOW))
        wait_for("measurements", lambda: self.sweep("toy").counts.measurements >= 2)
        self.assertEqual(server.terminate(30), 0, server.output())
        self.start_server(listen=self.address)
        self.check_whole("toy", 4, 12)

    def test_sigterm_drains_the_worker_and_its_trials_run_elsewhere(self):
        self.start_server()
        worker = self.start_worker("w1")
        self.cli("submit", self.write_sweep(trials=3, parameters=SLOW))
        wait_for("measurements", lambda: self.sweep("toy").counts.measurements >= 2)
        self.assertEqual(worker.terminate(60), 0, worker.output())
        self.start_worker("w2")
        self.check_whole("toy", 3, 12)


# Reports until the test lets it end, then says how often.
STEPS = r'''
import os, sys, time
go_on = os.path.join(os.path.dirname(sys.argv[0]), "go-on")
step = 0
while not (step > 3 and os.path.exists(go_on)):
    step += 1
    print("step=%d loss=%g" % (step, 1.0 / step))
    time.sleep(0.1)
print("last step %d" % step)
'''


class FullDisk(harness.TestCase):
    def test_a_full_disk_refuses_new_work_keeps_trials_running_and_is_left_behind(self):
        full = os.path.join(self.folder, "full")
        preload = os.path.join(harness.BIN, "..", "lib", "libtunesmith_full_disk.so")
        self.start_server(env={
            "LD_PRELOAD": os.path.abspath(preload), "TUNESMITH_TEST_FULL": full,
            "TUNESMITH_TEST_FULL_UNDER": os.path.join(self.folder, "server") + "/",
            "ASAN_OPTIONS": "verify_asan_link_order=0"})
        self.start_worker("w1")
        self.submit("kept", ["/usr/bin/python3", "-u", self.write("steps.py", STEPS)], trials=2)
        file = os.path.join(self.folder, "kept.json")
        harness.wait_for("the first steps", lambda: [t.last_step > 1 for t in self.trials("kept")] == [True] * 2)
        self.write("full", "")
        # What is asked in the moment in which it fills up is answered once there is room, or times out.
        harness.wait_for("the full disk to be noticed", lambda: "the controller's disk is full; trials run on"
                         in self.cli("submit", file, check=False).stderr)
        # The trials go on meanwhile, and end.
        self.write("go-on", "")
        harness.wait_for("the trials to end", lambda: not harness.processes_with("steps.py"))
        os.remove(full)
        harness.wait_for("room", lambda: self.cli("ls", check=False).returncode == 0)
        self.wait_sweep("kept")
        for number in (0, 1):
            trial = self.trial("kept", number)
            self.assertEqual(len(trial.attempts), 1)
            steps = [m.step for m in self.measurements("kept", number)]
            self.assertEqual(steps, list(range(1, len(steps) + 1)))
            log = self.cli("logs", "kept", str(number)).stdout
            self.assertIn("last step %d" % len(steps), log)
            # All of it, or how much is missing.
            self.assertTrue("bytes are not kept here" in log or log.count("step=") == len(steps), log)
        self.cli("submit", file)
        s = self.stubs()
        for sweep in s.sweeps.ListSweeps(s.pb.ListSweepsRequest()).sweeps:
            self.wait_sweep(sweep.id)


class Misbehaviour(harness.TestCase):
    def run_script(self, text, trials=1, check=None, **changes):
        """Runs a sweep over a script beside a healthy sweep, which must not notice; returns the trials."""
        self.start_server()
        self.worker = self.start_worker(cpus=2)
        script = self.write("bad.py", text)
        command = changes.pop("command", ["/usr/bin/python3", script, "${args}"])
        spec = {"name": "bad", "command": command, "trials": trials, "parameters": {"x": {"uniform": [0, 1]}},
                "stop": {"grace": "1s"}}
        spec.update(changes)
        self.cli("submit", self.write_sweep("bad.json", **spec))
        self.cli("submit", self.write_sweep("good.json", trials=2))
        if check:
            check()
        self.wait_sweep("bad")
        good = self.wait_sweep("toy")
        self.assertEqual(good.counts.completed, 2, "other trials are untouched")
        self.assertTrue(self.worker.alive())
        return self.trials("bad")

    def assert_failed(self, trial, *words):
        s = self.stubs()
        self.assertEqual(trial.state, s.types.Trial.FAILED, trial.state_reason)
        for word in words:
            self.assertIn(word, trial.state_reason)

    def test_a_program_that_is_not_there(self):
        trial = self.run_script("", command=["/nonexistent/program", "${args}"])[0]
        self.assert_failed(trial, "/nonexistent/program")

    def test_a_program_that_fails_is_shown_with_its_last_words(self):
        trial = self.run_script("import sys; sys.exit('no data at /data')")[0]
        self.assert_failed(trial, "exit code 1", "no data at /data")

    def test_a_program_that_never_reports(self):
        trial = self.run_script("print('hello')")[0]
        self.assert_failed(trial, "never reported loss")

    def test_nan_and_text_are_never_best(self):
        trials = self.run_script("print('epoch=1 loss=nan'); print('epoch=2 loss=abc')", trials=2)
        s = self.stubs()
        for trial in trials:
            self.assertEqual(trial.state, s.types.Trial.COMPLETED, trial.state_reason)
            self.assertFalse(trial.HasField("best_value"))
        self.assertFalse(self.sweep("bad").HasField("best_trial"))

    def test_reports_as_fast_as_a_program_can_print_are_all_kept(self):
        trial = self.run_script("""
for i in range(1, 50001):
    print("epoch=%d loss=%f" % (i, 1.0 / i))
""")[0]
        self.assertEqual(trial.last_step, 50000, trial.state_reason)
        self.assertEqual(trial.measurements, 50000)

    def test_a_flood_on_stdout_does_not_fill_the_disk(self):
        trial = self.run_script("""
import sys
chunk = "x" * 1000 + "\\n"
for i in range(200000):
    sys.stdout.write(chunk)
print("epoch=1 loss=0.5")
""")[0]
        s = self.stubs()
        self.assertEqual(trial.state, s.types.Trial.COMPLETED, trial.state_reason)
        size = sum(os.path.getsize(os.path.join(root, f)) for root, _, files in os.walk(self.folder) for f in files)
        self.assertLess(size, 100 << 20)

    def test_a_binary_stream_without_line_ends(self):
        trial = self.run_script("""
import sys, os
os.write(1, os.urandom(3000000).replace(b"\\n", b""))
print("\\nepoch=1 loss=0.5")
""")[0]
        s = self.stubs()
        self.assertEqual(trial.state, s.types.Trial.COMPLETED, trial.state_reason)

    def test_ignoring_term_and_leaving_grandchildren(self):
        def stop():
            wait_for("the trial", lambda: self.sweep("bad").counts.measurements >= 1)
            self.cli("stop", "bad")

        self.run_script("""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) > 1 and sys.argv[1] != "grandchild":
    subprocess.Popen([sys.executable, __file__, "grandchild"])
    subprocess.Popen([sys.executable, __file__, "grandchild"], start_new_session=True)
    print("epoch=1 loss=1.0", flush=True)
while True:
    time.sleep(1)
""", check=stop)
        wait_for("the whole tree to go", lambda: not harness.processes_with(os.path.join(self.folder, "bad.py")), 30)

    def test_killed_by_a_signal_is_said(self):
        trial = self.run_script("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")[0]
        self.assert_failed(trial, "signal 11")


if __name__ == "__main__":
    harness.main()
