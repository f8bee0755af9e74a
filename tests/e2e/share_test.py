"""Sweeps that share a worker: priorities, and trials that make room and go on from their checkpoints."""

import os

import harness

# Counts its steps in a file, which it names as a checkpoint; waits after step 3 until the test lets it go on.
TRAIN = r'''
import json, os, socket, sys, time
channel = socket.socket(fileno=int(os.environ["TUNESMITH_CHANNEL"]))
lines = channel.makefile("r")
folder = os.environ["TUNESMITH_CHECKPOINT_DIR"]
done = [int(name[5:]) for name in os.listdir(folder) if name.startswith("step-")]
print("begins after step %d" % max(done, default=0), flush=True)
for step in range(max(done, default=0) + 1, 7):
    with open(os.path.join(folder, ".new"), "w") as f:
        f.write(str(step))
    os.rename(os.path.join(folder, ".new"), os.path.join(folder, "step-%d" % step))
    message = {"type": "report", "step": step, "metrics": {"loss": 1.0 / step}, "checkpoint": "step-%d" % step}
    channel.sendall((json.dumps(message) + "\n").encode())
    if json.loads(lines.readline())["action"] == "stop":
        sys.exit(0)
    while step == 3 and not os.path.exists(sys.argv[1]):
        time.sleep(0.02)
'''


class Shares(harness.TestCase):
    def test_an_urgent_sweep_gets_room_and_the_others_go_on_from_their_checkpoints(self):
        self.server = self.start_server()
        self.start_worker("w1", cpus=2)
        go_on = os.path.join(self.folder, "go-on")
        self.submit("long", ["/usr/bin/python3", self.write("train.py", TRAIN), go_on], trials=2)
        harness.wait_for("three steps of both", lambda: [t.last_step for t in self.trials("long")] == [3, 3])
        # A sweep of the same priority waits.
        gate = os.path.join(self.folder, "gate")
        self.submit("short", ["/bin/sh", "-c", "echo loss=1; until [ -e %s ]; do sleep 0.05; done" % gate], trials=2)
        waits = self.cli("why", "short").stdout
        self.assertIn("every place is taken by other trials", waits)
        said = self.cli("set", "short", "--priority", "5").stderr
        self.assertIn("sweep short: priority 5, weight 1, as many trials at once as fit", said)
        state = self.stubs().types.Trial
        harness.wait_for("the urgent trials", lambda: [t.state for t in self.trials("short")] == [state.RUNNING] * 2)
        self.assertEqual([t.state for t in self.trials("long")], [state.PENDING] * 2)
        why = self.cli("why", "long", "0").stdout
        self.assertIn("was preempted: makes room for sweep short (priority 5 over 0); it goes on from its last "
                      "checkpoint", why)
        # The controller remembers it all.
        self.server.kill()
        self.start_server(listen=self.address)
        self.assertEqual(self.sweep("short").spec.share.priority, 5)
        self.write("gate", "")
        self.write("go-on", "")
        self.wait_sweep("short")
        self.wait_sweep("long")
        attempt = self.stubs().types.Attempt
        for number in (0, 1):
            trial = self.trial("long", number)
            self.assertEqual([a.state for a in trial.attempts], [attempt.PREEMPTED, attempt.SUCCEEDED])
            self.assertIn("begins after step 3", self.cli("logs", "long", str(number)).stdout)
            self.assertEqual([m.step for m in self.measurements("long", number)], [1, 2, 3, 4, 5, 6])

    def test_what_cannot_be_set_is_refused(self):
        self.start_server()
        self.submit("one", ["/bin/true"], trials=2)
        nothing = self.cli("set", "one", check=False)
        self.assertEqual(nothing.returncode, 2)
        self.assertIn("nothing to set", nothing.stderr)
        weight = self.cli("set", "one", "--weight", "-1", check=False)
        self.assertNotEqual(weight.returncode, 0)
        self.assertIn("weight: -1.0 is not above 0", weight.stderr)


if __name__ == "__main__":
    harness.main()
