"""Trials of several ranks on one worker: placed as one, started with torchrun's variables, ended as one."""

import os
import re
import signal
import subprocess
import unittest

import harness

# Every rank meets the others at each step, over sockets, as in an all-reduce. Rank 0 reports on the channel and saves.
MEET = r'''
import json, os, socket, sys, time

folder, last = sys.argv[1], int(sys.argv[2])
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
with open("%s/pid-%s-%s-%d" % (folder, os.environ["TUNESMITH_TRIAL"], os.environ["TUNESMITH_ATTEMPT"], rank), "w") as f:
    f.write(str(os.getpid()))
print("rank %d of %d, %s of %s here, %s threads, channel %s" % (
    rank, size, os.environ["LOCAL_RANK"], os.environ["LOCAL_WORLD_SIZE"], os.environ["OMP_NUM_THREADS"],
    "TUNESMITH_CHANNEL" in os.environ), flush=True)
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    listener = socket.create_server(address)
    peers = [listener.accept()[0] for _ in range(size - 1)]
    channel = socket.socket(fileno=int(os.environ["TUNESMITH_CHANNEL"]))
    lines = channel.makefile("r")
else:
    while True:
        try:
            peers = [socket.create_connection(address)]
            break
        except ConnectionRefusedError:
            time.sleep(0.01)

def meet(step):
    """False when a peer has left."""
    try:
        for peer in peers:
            peer.sendall(b"x")
        return all([peer.recv(1) for peer in peers])
    except OSError:
        return False

state = os.path.join(os.environ["TUNESMITH_CHECKPOINT_DIR"], "state")
first = 1
if os.environ.get("TUNESMITH_RESUME_STEP"):
    first = int(os.environ["TUNESMITH_RESUME_STEP"]) + 1
    print("goes on at step %d" % first, flush=True)
for step in range(first, last + 1):
    if not meet(step):
        print("a peer has left", flush=True)
        sys.exit(0 if rank else 9)
    if rank > 0:
        print("step=%d loss=%d" % (step, 1000 + rank), flush=True)  # of rank 0 it would be a metric
    else:
        name = "step-%d" % step
        with open(os.path.join(os.environ["TUNESMITH_CHECKPOINT_DIR"], name), "w") as f:
            f.write(str(step))
        loss = float(os.environ["TUNESMITH_TRIAL"]) + 1.0 / step
        channel.sendall((json.dumps({"type": "report", "step": step, "metrics": {"loss": loss},
                                     "checkpoint": name}) + "\n").encode())
        if json.loads(lines.readline())["action"] == "stop":
            print("told to stop", flush=True)
            sys.exit(0)
    while step >= 3 and not os.path.exists(folder + "/go-on"):
        time.sleep(0.02)
'''

# As in PyTorch's tutorials, for torchrun; it knows nothing of Tunesmith.
TORCH = r'''
import argparse
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
args = parser.parse_args()
dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
generator = torch.Generator().manual_seed(1)
x = torch.randn(64, 8, generator=generator)
y = x @ torch.arange(8.0).unsqueeze(1)
torch.manual_seed(rank)  # DDP makes the parameters of rank 0 those of all
model = DDP(nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
for epoch in range(1, 4):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x[rank::size]), y[rank::size])
    loss.backward()
    optimizer.step()
    total = loss.detach().clone()
    dist.all_reduce(total)
    if rank == 0:
        print(f"epoch={epoch} loss={total.item() / size:.6f}", flush=True)
checksum = torch.cat([p.flatten() for p in model.parameters()]).double().sum().item()
print(f"rank {rank} of {size} ends with {checksum:.9f}", flush=True)
dist.destroy_process_group()
'''


def has_torch():
    try:
        import torch.distributed
        return torch.distributed.is_available()
    except ImportError:
        return False


class ByHand(unittest.TestCase):
    """tunesmith-ranks alone."""

    def run_ranks(self, *args):
        return subprocess.run([os.path.join(harness.BIN, "tunesmith-ranks"), *args], capture_output=True, text=True,
                              timeout=60)

    def test_the_first_rank_to_fail_is_named_and_gives_the_exit_code(self):
        # The last rank waits to be ended; or all end by themselves.
        for others in ("exec sleep 60", "exit 0"):
            run = self.run_ranks("3", "1000", "sh", "-c", "echo I am $RANK; [ $RANK != 1 ] || exit 7; " + others)
            self.assertEqual(run.returncode, 7)
            self.assertIn("tunesmith-ranks: rank 1 of 3 ended with exit code 7", run.stderr)
            self.assertEqual(run.stdout, "I am 0\n")
            self.assertIn("[rank 2] I am 2\n", run.stderr)

    def test_what_cannot_be_started_is_told(self):
        self.assertEqual(self.run_ranks("2", "100", "/nowhere").returncode, 127)
        run = self.run_ranks("many", "100", "true")
        self.assertEqual(run.returncode, 2)
        self.assertIn("COUNT is 'many'; it is a whole number from 1 to 4096", run.stderr)


class Ranks(harness.TestCase):
    def meet(self, name, ranks, last=6, go_on=True, **changes):
        if go_on:
            self.write("go-on", "")
        self.submit(name, ["/usr/bin/python3", self.write("meet.py", MEET), self.folder, str(last)],
                    **{"trials": 1, "resources": {"ranks": ranks}, **changes})

    def pid(self, rank, trial=0, attempt=1):
        path = "%s/pid-%d-%d-%d" % (self.folder, trial, attempt, rank)
        harness.wait_for("rank %d" % rank, lambda: os.path.exists(path) and os.path.getsize(path))
        with open(path) as f:
            return int(f.read())

    def log(self, name, trial=0, *more):
        return self.cli("logs", name, str(trial), *more).stdout

    def test_the_ranks_find_each_other_and_rank_0_speaks(self):
        self.start_server()
        self.start_worker(cpus=6)
        self.meet("three", 3, resources={"ranks": 3, "cpus_per_rank": 2})
        sweep = self.wait_sweep("three")
        self.assertEqual(sweep.spec.resources.ranks, 3)
        self.assertEqual(sweep.spec.resources.cpus, 6)
        self.assertEqual([m.step for m in self.measurements("three")], [1, 2, 3, 4, 5, 6])
        self.assertEqual({round(v.value * m.step) for m in self.measurements("three") for v in m.metrics}, {1})
        log = self.log("three")
        self.assertIn("rank 0 of 3, 0 of 3 here, 2 threads, channel True\n", log)
        for rank in (1, 2):
            self.assertIn("[rank %d] rank %d of 3, %d of 3 here, 2 threads, channel False\n" % (rank, rank, rank), log)
            self.assertIn("[rank %d] step=6 loss=%d\n" % (rank, 1000 + rank), log)

    def test_all_ranks_get_a_place_or_none(self):
        self.start_server()
        self.start_worker(cpus=3)
        self.meet("four", 4)
        harness.wait_for("a reason", lambda: self.sweep("four").waiting_reason)
        self.assertIn("waiting for 4 CPUs on one worker: the most that one has is 3",
                      re.sub(r"\s+", " ", self.cli("why", "four").stdout))
        self.start_worker("w2", cpus=4)
        self.wait_sweep("four")
        self.assertEqual(self.trial("four", 0).attempts[0].worker, "w2")

    def test_a_killed_rank_ends_the_attempt_and_the_trial_goes_on_from_its_checkpoint(self):
        self.start_server()
        self.start_worker(cpus=4)
        self.meet("three", 3, go_on=False, retry={"failed": 3})
        for attempt, rank in ((1, 1), (2, 0), (3, 2)):
            pids = [self.pid(r, attempt=attempt) for r in range(3)]
            harness.wait_for("its step", lambda: any(m.step == 2 + attempt for m in self.measurements("three")))
            os.kill(pids[rank], signal.SIGKILL)
            harness.wait_for("the next attempt", lambda: len(self.trial("three", 0).attempts) > attempt)
            for pid in pids:
                self.assertFalse(os.path.exists("/proc/%d" % pid), "rank of a past attempt")
            if attempt == 1:
                self.assertIn("rank 1 of 3 was ended by signal 9 (Killed); the others are ended",
                              self.log("three", 0, "--attempt", "1"))
        self.write("go-on", "")
        sweep = self.wait_sweep("three")
        self.assertEqual(sweep.counts.completed, 1)
        self.assertEqual([m.step for m in self.measurements("three")], [1, 2, 3, 4, 5, 6])
        self.assertIn("goes on at step 6", self.log("three"))

    def test_a_verdict_reaches_all_ranks(self):
        self.start_server()
        self.start_worker(cpus=4)
        self.meet("asha", 2, trials=4, scheduler={"type": "asha", "metric": "loss", "mode": "min", "max_t": 6,
                                                  "grace_period": 1, "reduction_factor": 2})
        sweep = self.wait_sweep("asha")
        self.assertEqual(sweep.counts.failed, 0)
        self.assertGreater(sweep.counts.stopped, 0)
        stopped = [t.number for t in self.trials("asha") if t.state == self.stubs().types.Trial.STOPPED]
        for number in stopped:
            self.assertIn("[rank 1] step=1", self.log("asha", number))
            self.assertNotIn("[rank 1] step=6", self.log("asha", number))

    def test_a_stop_by_hand_ends_ranks_that_wait(self):
        self.start_server()
        self.start_worker(cpus=4)
        self.meet("held", 3, go_on=False)
        pids = [self.pid(rank) for rank in range(3)]
        harness.wait_for("step 3", lambda: any(m.step == 3 for m in self.measurements("held")))
        self.cli("stop", "held")
        self.wait_sweep("held")
        for pid in pids:
            self.assertFalse(os.path.exists("/proc/%d" % pid))

    @unittest.skipUnless(os.path.exists(os.path.join(harness.BIN, "tunesmith-trainer")), "this build has no trainer")
    def test_the_built_in_networks_train_on_ranks(self):
        self.start_server()
        self.start_worker(cpus=2)
        curves = []
        for name, ranks in (("one", 1), ("two", 2)):
            self.cli("submit", self.write(name + ".json", """{
              "name": "%s", "trainable": {"builtin": "mlp", "epochs": 3, "optimizer": "sgd", "mode": "%s",
              "check_ranks": true}, "parameters": {"lr": {"constant": 0.02}}, "trials": 1, "resources": {"ranks": %d},
              "search": {"type": "random", "metric": "loss", "mode": "min", "seed": 1}}""" % (
                  name, "single" if ranks == 1 else "ddp", ranks)))
            self.assertEqual(self.wait_sweep(name).counts.completed, 1)
            curves.append([v.value for m in self.measurements(name) for v in m.metrics if v.name == "loss"])
        self.assertEqual(len(curves[0]), 3)
        for one, two in zip(*curves):
            self.assertAlmostEqual(one, two, delta=1e-5 * abs(one))

    @unittest.skipUnless(has_torch(), "python3-torch is not installed")
    def test_a_script_for_torchrun_needs_no_change(self):
        self.start_server()
        self.start_worker(cpus=2)
        self.submit("torch", ["/usr/bin/python3", self.write("ddp.py", TORCH), "${args}"], args="gnu", trials=1,
                    parameters={"lr": {"constant": 0.05}}, resources={"ranks": 2})
        sweep = self.wait_sweep("torch")
        log = self.log("torch")
        self.assertEqual(sweep.counts.completed, 1, log)
        losses = [v.value for m in self.measurements("torch") for v in m.metrics if v.name == "loss"]
        self.assertEqual(len(losses), 3)
        self.assertLess(losses[2], losses[0])
        ends = re.findall(r"rank \d of 2 ends with (\S+)", log)
        self.assertEqual(len(ends), 2)
        self.assertEqual(ends[0], ends[1])


if __name__ == "__main__":
    harness.main()
