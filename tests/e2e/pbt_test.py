"""Population Based Training on real binaries: trials go on from the checkpoints of better ones, on any worker."""

import json
import os

import harness

# Its weights are the list of the steps that made them: which trial, with which x. A small x learns faster.
TRAIN = r'''
import json, os, socket, sys, time
x, trial = float(sys.argv[1]), int(os.environ["TUNESMITH_TRIAL"])
channel = socket.socket(fileno=int(os.environ["TUNESMITH_CHANNEL"]))
lines = channel.makefile("r")
folder = os.environ["TUNESMITH_CHECKPOINT_DIR"]
weights = []
if "TUNESMITH_RESUME_CHECKPOINT" in os.environ:
    with open(os.environ["TUNESMITH_RESUME_CHECKPOINT"]) as f:
        weights = json.load(f)
    assert len(weights) == int(os.environ["TUNESMITH_RESUME_STEP"])
print("attempt %s x %r files %s weights %s" % (os.environ["TUNESMITH_ATTEMPT"], x, sorted(os.listdir(folder)),
      json.dumps(weights)), flush=True)
while len(weights) < 16:
    time.sleep(0.15)
    weights.append([trial, x])
    name = "step-%d.json" % len(weights)
    with open(os.path.join(folder, ".new"), "w") as f:
        json.dump(weights, f)
    os.rename(os.path.join(folder, ".new"), os.path.join(folder, name))
    loss = 100 - sum(1 - made_with for _, made_with in weights)
    message = {"type": "report", "step": len(weights), "metrics": {"loss": loss}, "checkpoint": name}
    channel.sendall((json.dumps(message) + "\n").encode())
    if json.loads(lines.readline())["action"] == "stop":
        break
print("done %s" % json.dumps(weights), flush=True)
'''


class PopulationBasedTraining(harness.TestCase):
    def submit_population(self, **changes):
        self.submit("pbt", ["/usr/bin/python3", self.write("train.py", TRAIN), "${x}"], **{
            "points": [{"x": 0.1}, {"x": 0.4}, {"x": 0.6}, {"x": 0.9}],
            "scheduler": {"type": "pbt", "perturbation_interval": 3, "max_t": 16},
            "trials": 4,
            **changes})

    def first_takeover(self):
        """The number of a trial that has taken over from another one."""
        return harness.wait_for("a takeover", lambda: [t.number for t in self.trials("pbt") if t.lineage])[0]

    def check_lineage(self):
        """What each attempt began with is what the controller says that it was given."""
        takeovers = 0
        for listed in self.trials("pbt"):
            trial = self.trial("pbt", listed.number)
            for exploit in trial.lineage:
                takeovers += 1
                log = self.cli("logs", "pbt", str(trial.number), "--attempt", str(exploit.attempt)).stdout
                begin = [line for line in log.splitlines() if line.startswith("attempt %d " % exploit.attempt)][0]
                x = float(begin.split(" ")[3])
                files, weights = begin.split(" files ")[1].split(" weights ")
                weights = json.loads(weights)
                self.assertEqual(len(weights), exploit.step)
                donor = self.trial("pbt", exploit.donor)
                self.assertEqual(files, "['step-%d.json']" % exploit.step, "nothing of its own past is left")
                given = {p.name: p.value.double_value for p in exploit.parameters}
                before = {p.name: p.value.double_value for p in exploit.donor_parameters}
                self.assertEqual(x, given["x"])
                self.assertNotEqual(given, before)
                if not any(e.time.ToMilliseconds() < exploit.time.ToMilliseconds() for e in donor.lineage):
                    self.assertEqual({made_by for made_by, _ in weights}, {exploit.donor})
        return takeovers

    def test_the_worst_goes_on_with_the_weights_of_a_better_one_on_either_worker(self):
        self.start_server()
        self.start_worker("w1")
        self.start_worker("w2")
        self.submit_population()
        self.wait_sweep("pbt")
        types = self.stubs().types
        self.assertEqual([t.state for t in self.trials("pbt")], [types.Trial.COMPLETED] * 4)
        self.assertGreater(self.check_lineage(), 0)
        number = self.first_takeover()
        exploit = self.trial("pbt", number).lineage[0]
        shown = self.cli("show", "pbt", str(number)).stdout
        self.assertIn("taken over", shown)
        why = self.cli("why", "pbt", str(number)).stdout
        self.assertIn("it went on from the checkpoint of trial %d at step %d" % (exploit.donor, exploit.step), why)

    def test_fewer_places_than_trials_take_turns(self):
        self.start_server()
        self.start_worker("w1", cpus=2)
        self.submit_population()
        self.wait_sweep("pbt")
        self.assertGreater(self.check_lineage(), 0)
        for trial in self.trials("pbt"):
            self.assertEqual(trial.last_step, 16)

    def test_a_killed_controller_goes_on_as_if_nothing_had_happened(self):
        server = self.start_server()
        address = self.address
        self.start_worker("w1")
        self.start_worker("w2")
        self.submit_population()
        number = self.first_takeover()
        before = [e.SerializeToString() for e in self.trial("pbt", number).lineage]
        server.kill()
        self.start_server(listen=address)
        after = [e.SerializeToString() for e in self.trial("pbt", number).lineage]
        self.assertEqual(after[:len(before)], before)
        self.wait_sweep("pbt")
        types = self.stubs().types
        self.assertEqual([t.state for t in self.trials("pbt")], [types.Trial.COMPLETED] * 4)
        self.assertGreater(self.check_lineage(), 0)
        for trial in self.trials("pbt"):
            for checkpoint in trial.checkpoints:
                self.assertTrue(os.path.exists("%s/server/checkpoints/1/%d/%d-%d.tar" % (
                    self.folder, trial.number, checkpoint.attempt, checkpoint.step)))


if __name__ == "__main__":
    harness.main()
