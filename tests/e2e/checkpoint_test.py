"""Checkpoints that leave their worker: copies at the controller, and trials that go on from them elsewhere."""

import glob
import os
import signal

import harness

# Counts its steps in a file, which it names as a checkpoint; waits after steps 1 and 5 until the test lets it go on.
TRAIN = r'''
import json, os, socket, sys, time
channel = socket.socket(fileno=int(os.environ["TUNESMITH_CHANNEL"]))
lines = channel.makefile("r")
folder = os.environ["TUNESMITH_CHECKPOINT_DIR"]
newest = 0
for name in os.listdir(folder):
    if name.startswith("step-"):
        with open(os.path.join(folder, name, "state")) as f:
            newest = max(newest, int(f.read()))
print("begins after step %d, told %s from %s" % (newest, os.environ.get("TUNESMITH_RESUME_STEP", "nothing"),
      os.path.basename(os.environ.get("TUNESMITH_RESUME_CHECKPOINT", "nowhere"))), flush=True)
for step in range(max(1, newest), 11):
    name = "step-%d" % step
    os.makedirs(os.path.join(folder, ".new", name), exist_ok=True)
    with open(os.path.join(folder, ".new", name, "state"), "w") as f:
        f.write(str(step))
    if not os.path.exists(os.path.join(folder, name)):
        os.rename(os.path.join(folder, ".new", name), os.path.join(folder, name))
    message = {"type": "report", "step": step, "metrics": {"loss": 1.0 / step}, "checkpoint": name}
    channel.sendall((json.dumps(message) + "\n").encode())
    if json.loads(lines.readline())["action"] == "stop":
        sys.exit(0)
    while step in (1, 5) and not os.path.exists("%s-%d" % (sys.argv[1], step)):
        time.sleep(0.02)
'''


class Checkpoints(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.go_on = os.path.join(self.folder, "go-on")

    def submit_kept(self, wait_at_1=False, **changes):
        if not wait_at_1:
            self.write("go-on-1", "")
        self.submit("kept", ["/usr/bin/python3", self.write("train.py", TRAIN), self.go_on], **{"trials": 1, **changes})

    def stored(self, trial=0):
        return [(c.attempt, c.step, c.name) for t in self.trials("kept") if t.number == trial for c in t.checkpoints]

    def wait_stored(self, step):
        harness.wait_for("the checkpoint of step %d" % step, lambda: any(s == step for _, s, _ in self.stored()))

    def files(self):
        return sorted(glob.glob(self.folder + "/server/checkpoints/*/*/*.tar"))

    def log(self, trial=0):
        return self.cli("logs", "kept", str(trial)).stdout

    def test_a_lost_worker_s_trial_goes_on_elsewhere_from_its_last_checkpoint(self):
        self.start_server(extra=["--lease-ms", "3000"])
        first = self.start_worker("w1")
        self.submit_kept()
        self.wait_stored(5)
        os.kill(first.pid, signal.SIGSTOP)  # as a machine that is cut off: its trial must not go on there unseen
        self.start_worker("w2")
        harness.wait_for("the second attempt", lambda: len(self.trial("kept", 0).attempts) == 2)
        self.write("go-on-5", "")
        self.wait_sweep("kept")
        os.kill(first.pid, signal.SIGCONT)
        trial = self.trial("kept", 0)
        self.assertEqual([a.worker for a in trial.attempts], ["w1", "w2"])
        log = self.log()
        self.assertRegex(log, r"resumes from the checkpoint of step 5, fetched from the controller \(\d+ kB\)")
        self.assertIn("begins after step 5, told 5 from step-5", log)
        steps = [m.step for m in self.measurements("kept", 0) if m.attempt == 2]
        self.assertEqual(steps, [5, 6, 7, 8, 9, 10])
        # The last one is the best one too.
        harness.wait_for("the last copy", lambda: self.stored() == [(2, 10, "step-10")])
        self.assertEqual(len(self.files()), 1)

    def test_a_damaged_copy_is_passed_over_for_the_one_before(self):
        self.start_server(extra=["--lease-ms", "3000"])
        first = self.start_worker("w1")
        # The first checkpoint stays the best one.
        self.submit_kept(wait_at_1=True, search={"type": "random", "metric": "loss", "mode": "max", "seed": 1})
        self.wait_stored(1)
        self.write("go-on-1", "")
        self.wait_stored(5)
        harness.wait_for("two copies", lambda: self.stored() == [(1, 5, "step-5"), (1, 1, "step-1")])
        first.kill()
        newest = [f for f in self.files() if f.endswith("/1-5.tar")]
        self.assertEqual(len(newest), 1)
        with open(newest[0], "r+b") as f:
            f.seek(100)
            f.write(b"garbage")
        self.start_worker("w2")
        self.write("go-on-5", "")
        self.wait_sweep("kept")
        log = self.log()
        self.assertRegex(log, r"the checkpoint of step 5 cannot be had from the controller \(.*\); "
                              r"resumes from the checkpoint of step 1")
        self.assertIn("begins after step 1, told 1 from step-1", log)

    def test_a_damaged_checkpoint_on_the_worker_is_passed_over(self):
        self.start_server()
        worker = self.start_worker("w1")
        self.submit_kept(checkpoints={"store": False})

        def noted(path):
            with open(path) as f:
                return " step-5\n" in f.read()

        ledger = harness.wait_for("the ledger", lambda: [
            path for path in glob.glob(self.folder + "/state-w1/trials/*/0/checkpoints.saved") if noted(path)])[0]
        worker.kill()
        with open(os.path.join(os.path.dirname(ledger), "checkpoints/step-5/state"), "w") as f:
            f.write("5 and torn")
        self.start_worker("w1")
        self.write("go-on-5", "")
        self.wait_sweep("kept")
        log = self.log()
        # A busy worker notes the newest: the one before may be any.
        self.assertRegex(log, "of step 5 is damaged on this worker; resumes from the checkpoint of step [1-4]")
        self.assertRegex(log, "begins after step 4, told ([1-4]) from step-\\1")
        self.assertEqual(self.stored(), [])

    def test_copies_go_with_an_early_stop_and_with_the_sweep(self):
        self.start_server()
        worker = self.start_worker("w1")
        self.write("go-on-5", "")
        self.submit_kept(trials=4, scheduler={"type": "asha", "metric": "loss", "mode": "min", "max_t": 10,
                                         "grace_period": 1, "reduction_factor": 2})
        self.wait_sweep("kept")
        harness.wait_for("the copies of completed trials", lambda: all(
            bool(t.checkpoints) == (t.state == self.stubs().types.Trial.COMPLETED) for t in self.trials("kept")))
        self.assertTrue(self.files())
        # The same on the worker's disk.
        def here(what):
            return sorted(int(path.split("/")[-2]) for path in glob.glob(
                self.folder + "/state-w1/trials/*-kept/*/" + what))
        completed = [t.number for t in self.trials("kept") if t.state == self.stubs().types.Trial.COMPLETED]
        harness.wait_for("the checkpoints of stopped trials to go", lambda: here("checkpoints") == completed)
        self.assertEqual(here("attempt-1"), [0, 1, 2, 3])
        self.cli("rm", "kept")
        harness.wait_for("the files to go", lambda: not self.files())
        # It is asked for when the worker comes back, as it is from time to time.
        worker.kill()
        self.start_worker("w1")
        harness.wait_for("the worker's files to go", lambda: not glob.glob(self.folder + "/state-w1/trials/*"))

    def test_a_killed_controller_keeps_its_copies_and_leaves_no_rubbish(self):
        server = self.start_server()
        address = self.address
        self.start_worker("w1")
        self.submit_kept()
        self.wait_stored(5)
        before = self.stored()
        server.kill()
        folder = os.path.dirname(self.files()[0])
        for name in ("incoming-abcdef", "1-4711.tar"):
            with open(os.path.join(folder, name), "w") as f:
                f.write("half")
        self.start_server(listen=address)
        self.assertEqual(self.stored(), before)
        self.assertEqual([os.path.basename(f) for f in glob.glob(folder + "/*")],
                         ["%d-%d.tar" % (a, s) for a, s, _ in before])
        self.write("go-on-5", "")
        self.wait_sweep("kept")


if __name__ == "__main__":
    harness.main()
