"""A worker daemon is replaced by another program under running trials (SIGHUP): they must not notice."""

import os
import shutil
import signal

import harness
from harness import wait_for

# Waits for each verdict; until the test lets it end, it never reaches the step at which it is stopped.
ASKS = r'''
import json, os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes right after the verdict
channel = socket.socket(fileno=int(os.environ["TUNESMITH_CHANNEL"]))
answers = channel.makefile("r")
folder = os.path.dirname(sys.argv[0])
step = 0
while True:
    step = 1000 if os.path.exists(os.path.join(folder, "go-on")) else step + 1
    line = json.dumps({"type": "report", "step": step, "metrics": {"loss": 1.0 / step}}) + "\n"
    channel.sendall(line[:9].encode())
    time.sleep(0.02)
    channel.sendall(line[9:].encode())
    answer = json.loads(answers.readline() or '{"step": "nobody", "action": "end of file"}')
    print("asked %d answered %s %s" % (step, answer["step"], answer["action"]), flush=True)
    if answer["action"] != "continue":
        sys.exit(0)
'''

# Prints lines in two halves.
PRINTS = r'''
import os, sys, time
folder = os.path.dirname(sys.argv[0])
step = 0
while not os.path.exists(os.path.join(folder, "go-on")):
    step += 1
    sys.stdout.write("step=%d lo" % step)
    sys.stdout.flush()
    time.sleep(0.03)
    sys.stdout.write("ss=%g\n" % (1.0 / step))
    sys.stdout.flush()
print("last step %d" % step, flush=True)
sys.exit(3)
'''


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class Upgrades(harness.TestCase):
    def submit_both(self):
        self.submit("asks", ["/usr/bin/python3", self.write("asks.py", ASKS)], trials=1,
                    stop={"max_steps": 1000, "grace": "30s"})
        self.submit("prints", ["/usr/bin/python3", self.write("prints.py", PRINTS)], trials=1)
        self.pids = wait_for("both trials", lambda: self.running() if len(self.running()) == 2 else None)
        self.wait_steps(3)

    def running(self):
        return sorted(harness.processes_with("asks.py") + harness.processes_with("prints.py"))

    def wait_steps(self, more):
        """Until the controller has so many more steps of both."""
        before = {name: self.sweep(name).counts.measurements for name in ("asks", "prints")}
        wait_for("steps", lambda: all(self.sweep(name).counts.measurements >= before[name] + more for name in before))

    def replace(self, worker):
        before = worker.output().count("trials_taken_over")
        os.kill(worker.pid, signal.SIGHUP)
        wait_for("the new program", lambda: worker.output().count("trials_taken_over") > before)
        self.assertEqual(self.running(), self.pids, "the same processes run on")

    def finish(self, worker):
        """Both trials end well, as if nothing had happened."""
        self.assertEqual(self.running(), self.pids)
        self.write("go-on", "")
        for name in ("asks", "prints"):
            self.wait_sweep(name)
            trial = self.trial(name, 0)
            self.assertEqual(len(trial.attempts), 1, trial.state_reason)
            steps = [m.step for m in self.measurements(name, 0)]
            log = self.cli("logs", name, "0").stdout
            if name == "asks":
                expected = list(range(1, len(steps))) + [1000]
                self.assertIn("stop.max_steps", trial.state_reason)
                self.assertEqual(trial.attempts[0].exit_code, 0)
                lines = ["asked %d answered %d %s" % (step, step, "stop" if step == 1000 else "continue")
                         for step in expected]
            else:
                expected = list(range(1, len(steps) + 1))
                self.assertEqual(trial.attempts[0].exit_code, 3, trial.state_reason)
                lines = ["step=%d loss=%g" % (step, 1.0 / step) for step in expected]
                lines.append("last step %d" % len(steps))
            self.assertEqual(steps, expected)
            self.assertEqual([line for line in log.splitlines() if line.startswith(("asked", "step=", "last"))], lines)
        self.assertTrue(worker.alive())
        self.assertEqual(worker.terminate(), 0, worker.output())

    def test_trials_run_on_through_upgrades_and_a_controller_that_is_down(self):
        server = self.start_server()
        worker = self.start_worker()
        self.submit_both()
        self.replace(worker)
        self.wait_steps(3)
        open_before = descriptors(worker.pid)
        for _ in range(4):
            self.replace(worker)
            self.wait_steps(3)
        # A connection more or less is none of its doing.
        self.assertLess(descriptors(worker.pid), open_before + 4, "descriptors leak")
        self.replace(worker)
        self.replace(worker)
        server.kill()
        self.replace(worker)
        self.start_server(listen=self.address)
        self.wait_steps(3)
        self.finish(worker)

    def test_a_newer_program_takes_the_place_and_one_that_cannot_does_not(self):
        self.start_server()
        program = os.path.join(self.folder, "tunesmith-worker")
        shutil.copy2(os.path.join(harness.BIN, "tunesmith-worker"), program)
        # A name with a folder is taken as it is.
        worker = self.start("w1", [program, "--controller", self.address, "--name", "w1", "--state-dir",
                                   os.path.join(self.folder, "state-w1"), "--cpus", "2", "--gpus", "none"])
        self.submit_both()
        first = os.stat("/proc/%d/exe" % worker.pid).st_ino
        newer = os.path.join(self.folder, "newer")
        shutil.copy2(program, newer)
        os.replace(newer, program)
        self.replace(worker)
        self.assertNotEqual(os.stat("/proc/%d/exe" % worker.pid).st_ino, first, "the newer file runs")
        self.wait_steps(3)

        # It starts, and knows nothing of taking over; then it is not there at all.
        kept = os.path.join(self.folder, "kept")
        os.replace(program, kept)
        for words, put in (("does not know", lambda: self.write("tunesmith-worker",
                                                                "#!/bin/sh\necho does not know >&2\nexit 2\n")),
                           ("No such file", lambda: os.remove(program))):
            put()
            if os.path.exists(program):
                os.chmod(program, 0o755)
            os.kill(worker.pid, signal.SIGHUP)
            wait_for("the refusal", lambda: any("not_replaced" in line and words in line
                                                for line in worker.output().splitlines()))
            self.wait_steps(3)
        os.replace(kept, program)
        self.replace(worker)
        self.finish(worker)

    def test_what_cannot_be_read_is_said_and_the_daemon_begins_afresh(self):
        self.start_server()
        garbage = self.write("garbage", "of another time")
        program = os.path.join(harness.BIN, "tunesmith-worker")
        script = self.write("start.sh", 'TUNESMITH_HANDED_ON=$$:9 exec "$@" 9<%s\n' % garbage)
        worker = self.start("w1", ["/bin/sh", script, program, "--controller", self.address, "--name", "w1",
                                   "--state-dir", os.path.join(self.folder, "state-w1"), "--cpus", "2", "--gpus",
                                   "none"])
        wait_for("the daemon to say so", lambda: "trials_not_taken_over" in worker.output())
        self.submit_both()
        self.finish(worker)


if __name__ == "__main__":
    harness.main()
