"""GPUs: the real binaries over a driver that the test plays (tests/fake_nvml)."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
from harness import wait_for  # noqa: E402

GIB = 1 << 30

# Takes memory on each of its devices as long as it lives, or, if --leak says so, until somebody frees it.
TRAIN = r'''
import argparse, os, sys, time
p = argparse.ArgumentParser()
p.add_argument("--x", type=float, default=0.5)
p.add_argument("--gib", type=float, default=4)
p.add_argument("--leak", type=int, default=0)
p.add_argument("--seconds", type=float, default=0.3)
p.add_argument("--gate", default="")
p.add_argument("--broken", default="")
a = p.parse_args()
if a.broken and os.path.basename(os.environ["TUNESMITH_WORKER_NAME_FOR_TEST"]) == a.broken:
    sys.exit("CUDA error: an illegal memory access was encountered")
trial = os.environ["TUNESMITH_TRIAL"]
devices = [d for d in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if d]
for device in devices:
    folder = os.path.join(os.environ["TUNESMITH_FAKE_NVML"], device)
    kept = " kept" if int(trial) < a.leak else ""
    path = os.path.join(folder, "trial" + trial)
    with open(path + ".new~", "w") as f:
        f.write("%d %d%s" % (os.getpid(), int(a.gib * (1 << 30)), kept))
    os.rename(path + ".new~", path)
print("devices=%s" % ",".join(devices))
print("loss=%.6f" % (a.x - 0.3) ** 2, flush=True)
end = time.monotonic() + a.seconds
while time.monotonic() < end or (a.gate and not os.path.exists(a.gate)):
    time.sleep(0.02)
'''


class GpuCase(harness.TestCase):
    def driver(self, name, *gpus):
        """A folder for the fake driver with these GPUs: (uuid, GiB). The environment of a worker that uses it."""
        folder = os.path.join(self.folder, "nvml-" + name)
        for uuid, _ in gpus:
            os.makedirs(os.path.join(folder, uuid))
        with open(os.path.join(folder, "devices"), "w") as f:
            f.writelines("%s %d Fake GPU\n" % (uuid, gib * GIB) for uuid, gib in gpus)
        return {"TUNESMITH_FAKE_NVML": folder, "TUNESMITH_WORKER_NAME_FOR_TEST": name, "CUDA_VISIBLE_DEVICES":
                ",".join(uuid for uuid, _ in gpus)}

    def start_gpu_worker(self, name, *gpus, cpus=8, extra=()):
        return self.start_worker(name, cpus, ["--nvml-library", os.path.join(harness.BIN, "libfake_nvml.so")]
                                 + list(extra), gpus="auto", env=self.driver(name, *gpus))

    def gpu_sweep(self, file="sweep.yaml", arguments=None, **changes):
        path = os.path.join(self.folder, "train.py")
        if not os.path.exists(path):
            self.write("train.py", TRAIN)
        command = ["/usr/bin/python3", path, "${args}"]
        for key, value in (arguments or {}).items():
            command += ["--" + key, str(value)]
        return self.write_sweep(file, **dict({"command": command, "parameters": {"x": {"uniform": [0, 1]}},
                                              "resources": {"gpus": 1}}, **changes))

    def devices_of(self, sweep):
        """By trial number: the devices of its last attempt, as they were leased."""
        return {t.number: list(self.trial(sweep, t.number).attempts[-1].devices) for t in self.trials(sweep)
                if self.trial(sweep, t.number).attempts}

    def worker(self, name):
        s = self.stubs()
        answer = s.workers.ListWorkers(s.pb.ListWorkersRequest(), timeout=harness.TIMEOUT, wait_for_ready=True)
        return next((w for w in answer.workers if w.name == name), None)

    def free(self, worker, device):
        folder = os.path.join(self.folder, "nvml-" + worker, device)
        for name in os.listdir(folder):
            os.remove(os.path.join(folder, name))

    def states(self, worker):
        types = self.stubs().types
        return [types.Device.State.Name(d.state) for d in self.worker(worker).devices]


class HandOver(GpuCase):
    def test_each_trial_has_its_device_and_sees_only_that(self):
        self.start_server()
        self.start_gpu_worker("w", ("GPU-a", 16), ("GPU-b", 16))
        self.cli("submit", self.gpu_sweep())
        self.assertEqual(self.wait_sweep("toy").state, self.stubs().types.Sweep.SUCCEEDED)
        used = self.devices_of("toy")
        self.assertEqual({tuple(d) for d in used.values()}, {("GPU-a",), ("GPU-b",)})
        for number, devices in used.items():
            self.assertIn("devices=" + devices[0], self.cli("logs", "toy", str(number)).stdout)
        self.assertEqual(self.states("w"), ["READY", "READY"])

    def test_memory_that_comes_back_late_delays_the_slot_and_not_the_result(self):
        self.start_server()
        self.start_gpu_worker("w", ("GPU-a", 16))
        self.cli("submit", self.gpu_sweep(arguments={"leak": 1}, trials=2))
        types = self.stubs().types
        wait_for("the first trial's result",
                 lambda: self.trials("toy") and self.trials("toy")[0].state == types.Trial.COMPLETED)
        wait_for("the slot to be held", lambda: self.states("w") == ["RETURNING"])
        self.assertFalse(any(t.state == types.Trial.RUNNING for t in self.trials("toy")))
        reason = self.worker("w").devices[0].state_reason
        self.assertIn("4 GiB of its memory are not back after all processes of toy/0#1 have ended", reason)
        self.assertIn("held by pid ", reason)
        self.assertIn("its GPU 0 is not handed over yet: 4 GiB", self.sweep("toy").waiting_reason)
        self.free("w", "GPU-a")
        self.assertEqual(self.wait_sweep("toy").state, types.Sweep.SUCCEEDED)
        self.assertEqual(self.states("w"), ["READY"])

    def test_memory_that_never_comes_back_quarantines_the_device_and_others_go_on(self):
        self.start_server()
        worker = self.start_gpu_worker("w", ("GPU-a", 16), ("GPU-b", 16), extra=["--gpu-release", "0.3"])
        self.cli("submit", self.gpu_sweep(arguments={"leak": 1}, trials=6))
        self.assertEqual(self.wait_sweep("toy").state, self.stubs().types.Sweep.SUCCEEDED)
        wait_for("the quarantine", lambda: "QUARANTINED" in self.states("w"))
        used = self.devices_of("toy")
        leaked = used[0][0]
        self.assertEqual([d for d in used.values() if d == [leaked]], [[leaked]], "leased once and never again")
        table = self.cli("workers").stdout
        self.assertIn("quarantined", table)
        self.assertIn("is quarantined: 4 GiB of its memory are not back", table)
        self.cli("submit", self.gpu_sweep("both.yaml", name="both", trials=1, resources={"gpus": 2}))
        why = wait_for("both to wait", lambda: self.sweep("both").waiting_reason)
        self.assertIn("2 GPUs are asked for, 1 of its 2 is free; its GPU", why)
        self.assertIn("is quarantined", self.cli("why", "both").stdout)
        self.assertIn("device_quarantined", worker.output())
        self.free("w", leaked)
        self.assertEqual(self.wait_sweep("both").state, self.stubs().types.Sweep.SUCCEEDED)
        self.assertEqual(self.states("w"), ["READY", "READY"])
        self.assertEqual(sorted(self.devices_of("both")[0]), ["GPU-a", "GPU-b"])

    def test_a_quarantine_is_said_again_after_a_restart_of_the_server(self):
        server = self.start_server()
        self.start_gpu_worker("w", ("GPU-a", 16), extra=["--gpu-release", "0.3"])
        self.cli("submit", self.gpu_sweep(arguments={"leak": 1}, trials=2))
        wait_for("the quarantine", lambda: self.worker("w") and self.states("w") == ["QUARANTINED"])
        server.kill()
        self.start_server(listen=self.address)
        wait_for("the worker to return", lambda: self.worker("w") and self.worker("w").devices)
        self.assertEqual(self.states("w"), ["QUARANTINED"])
        self.free("w", "GPU-a")
        self.assertEqual(self.wait_sweep("toy").state, self.stubs().types.Sweep.SUCCEEDED)

    def test_fractions_share_a_device_and_only_a_dead_trial_s_own_memory_holds_it(self):
        self.start_server()
        self.start_gpu_worker("w", ("GPU-a", 16))
        gate = os.path.join(self.folder, "gate")
        self.cli("submit", self.gpu_sweep(arguments={"leak": 1, "gate": gate}, trials=3, resources={"gpus": 0.5}))
        types = self.stubs().types
        wait_for("two at once", lambda: [t.state for t in self.trials("toy")].count(types.Trial.RUNNING) == 2)
        wait_for("their memory", lambda: len(os.listdir(os.path.join(self.folder, "nvml-w", "GPU-a"))) == 2)
        self.assertEqual(self.devices_of("toy"), {0: ["GPU-a"], 1: ["GPU-a"]})
        self.cli("stop", "toy", "0")
        wait_for("the device to be held", lambda: self.states("w") == ["RETURNING"])
        self.assertIn("after all processes of toy/0#1 have ended", self.worker("w").devices[0].state_reason)
        self.assertEqual([t.state for t in self.trials("toy")].count(types.Trial.RUNNING), 1, "the other one runs on")
        os.remove(os.path.join(self.folder, "nvml-w", "GPU-a", "trial0"))
        wait_for("the third", lambda: [t.state for t in self.trials("toy")].count(types.Trial.RUNNING) == 2)
        self.write("gate", "")
        self.assertEqual(self.wait_sweep("toy").state, types.Sweep.SUCCEEDED)

    def test_a_killed_daemon_waits_for_what_it_had_left_on_its_devices(self):
        self.start_server()
        worker = self.start_gpu_worker("w", ("GPU-a", 16))
        gate = os.path.join(self.folder, "gate")
        self.cli("submit", self.gpu_sweep(arguments={"leak": 1, "gate": gate}, trials=1))
        wait_for("its memory", lambda: os.listdir(os.path.join(self.folder, "nvml-w", "GPU-a")))
        worker.kill()
        self.start(
            "w-again", ["tunesmith-worker", "--controller", self.address, "--name", "w", "--state-dir",
                        os.path.join(self.folder, "state-w"), "--cpus", "8", "--nvml-library",
                        os.path.join(harness.BIN, "libfake_nvml.so")],
            {"TUNESMITH_FAKE_NVML": os.path.join(self.folder, "nvml-w"), "TUNESMITH_WORKER_NAME_FOR_TEST": "w"})
        wait_for("the device to be held", lambda: self.states("w") == ["RETURNING"])
        self.assertFalse(any(t.state == self.stubs().types.Trial.RUNNING for t in self.trials("toy")))
        self.free("w", "GPU-a")
        self.write("gate", "")
        self.assertEqual(self.wait_sweep("toy").state, self.stubs().types.Sweep.SUCCEEDED)
        self.assertEqual(len(self.trial("toy", 0).attempts), 2)


class Requests(GpuCase):
    def test_memory_labels_and_placement_from_file_and_flags(self):
        self.start_server()
        self.start_gpu_worker("small", ("GPU-s0", 16), ("GPU-s1", 24), extra=["--label", "zone=a"])
        wait_for("the worker", lambda: self.worker("small"))
        self.start_gpu_worker("large", ("GPU-l0", 80), ("GPU-l1", 80), extra=["--label", "zone=b", "--label", "net=ib"])
        wait_for("the worker", lambda: self.worker("large"))
        self.cli("submit", self.gpu_sweep(name="memory", trials=2, max_parallel=1,
                                          resources={"gpus": 1, "gpu_memory": "20 GiB"}))
        self.assertEqual(self.wait_sweep("memory").state, self.stubs().types.Sweep.SUCCEEDED)
        self.assertEqual(self.devices_of("memory"), {0: ["GPU-s1"], 1: ["GPU-s1"]}, "the smallest that suffices")
        train = os.path.join(self.folder, "train.py")
        asked = "gpus=2,gpu_memory=40GiB,labels.zone=b,labels.net=ib,placement=spread"
        self.cli("run", "--detach", "--name", "flags", "--param", "x=uniform(0,1)", "--metric", "loss:min",
                 "--trials", "1", "--resources", asked, "--", "/usr/bin/python3", train, "${args}")
        self.assertEqual(self.wait_sweep("flags").state, self.stubs().types.Sweep.SUCCEEDED)
        self.assertEqual(sorted(self.devices_of("flags")[0]), ["GPU-l0", "GPU-l1"])
        self.cli("submit", self.gpu_sweep("wait.yaml", name="wait", trials=1,
                                          resources={"gpus": 1, "labels": {"zone": "a", "net": "ib"}}))
        reason = wait_for("the reason", lambda: self.sweep("wait").waiting_reason)
        self.assertEqual(reason, "waiting for a worker that has all of resources.labels; of worker small: the label "
                                 "net=ib is asked for, it has no net")
        self.cli("stop", "wait")

    def test_what_cannot_be_asked_for_is_said(self):
        bad = self.cli("check", self.gpu_sweep(resources={"gpus": 1, "gpu_memory": "lots", "placement": "tight"}),
                       check=False, server=False)
        self.assertNotEqual(bad.returncode, 0)
        self.assertIn("not an amount of memory (write 16GiB, 16GB or 512MiB)", bad.stdout + bad.stderr)
        self.assertIn('there is no placement "tight"', bad.stdout + bad.stderr)


class Quarantine(GpuCase):
    def test_a_worker_that_fails_everything_is_quarantined_and_can_be_given_another_chance(self):
        self.start_server()
        self.start_gpu_worker("good", ("GPU-g", 16))
        wait_for("the worker", lambda: self.worker("good"))
        self.start_gpu_worker("bad", ("GPU-b", 16))
        wait_for("the worker", lambda: self.worker("bad"))
        types = self.stubs().types
        self.cli("submit", self.gpu_sweep(arguments={"broken": "bad", "seconds": 0.1}, trials=400))
        wait_for("the quarantine", lambda: self.worker("bad").state == types.Worker.QUARANTINED)
        table = self.cli("workers").stdout
        self.assertIn("attempts in a row failed on it, while", table)
        self.assertIn("CUDA error: an illegal memory access", table)
        self.assertIn("worker bad is quarantined", self.cli("why", "toy").stdout)
        self.assertEqual(self.worker("good").state, types.Worker.ONLINE)
        self.cli("undrain", "bad")
        self.assertEqual(self.worker("bad").state, types.Worker.ONLINE)
        self.cli("stop", "toy")
        self.wait_sweep("toy")

    def test_a_crash_loop_takes_no_worker_away_and_lets_others_run(self):
        self.start_server()
        self.start_worker("w1", 1)
        self.start_worker("w2", 1)
        wait_for("the workers", lambda: self.worker("w1") and self.worker("w2"))
        self.cli("submit", self.write_sweep("loop.yaml", name="loop", command=["/bin/false", "${args}"], trials=10000))
        self.cli("submit", self.write_sweep("well.yaml", name="well", trials=8))
        types = self.stubs().types
        self.assertEqual(self.wait_sweep("well").state, types.Sweep.SUCCEEDED)
        self.assertEqual([self.worker(n).state for n in ("w1", "w2")], [types.Worker.ONLINE] * 2)
        self.cli("stop", "loop")
        self.wait_sweep("loop")


if __name__ == "__main__":
    harness.main()
