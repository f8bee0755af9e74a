"""Training modes of the real tunesmith-trainer: ranks as torchrun starts them, and parts of a model in one process.

Environment: TUNESMITH_BIN = folder of the built programs.
"""

import json
import os
import signal
import socket
import subprocess
import tempfile
import unittest

TRAINER = os.path.join(os.environ["TUNESMITH_BIN"], "tunesmith-trainer")
TIMEOUT = 60  # seconds for anything that should take a few
# No dropout, so that nothing is random but the order of rows. 1438 rows: a last batch of 38.
DIGITS = ["--set", "epochs=4", "--set", "hidden=64,32", "--set", "optimizer=sgd", "--set", "momentum=0.9",
          "--batch-size", "100"]
STOP = b'{"type":"verdict","step":2,"action":"stop","reason":"rung 2: 4th of 5"}\n'


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rank:
    """A trainer with a daemon's channel."""

    def __init__(self, args, env):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(TIMEOUT)
        self.err = tempfile.TemporaryFile()
        self.out = tempfile.TemporaryFile()
        env = dict(os.environ, TUNESMITH_CPUS="1", OMP_NUM_THREADS="1", TUNESMITH_SEED="7",
                   TUNESMITH_CHANNEL=str(theirs.fileno()), **env)
        self.process = subprocess.Popen([TRAINER] + args, env=env, stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=self.err, pass_fds=[theirs.fileno()])
        theirs.close()
        self.reader = self.channel.makefile("rb")
        self.lines = []

    def await_report(self, step):
        for line in self.reader:
            self.lines.append(json.loads(line))
            if self.lines[-1].get("step") == step:
                return
        raise AssertionError("no report of step %d: %s" % (step, self.errors()))

    def wait(self):
        """The exit code, once the channel has ended."""
        self.lines += [json.loads(line) for line in self.reader]
        return self.process.wait(TIMEOUT)

    def errors(self):
        self.err.seek(0)
        return self.err.read().decode()

    def reports(self):
        return {line["step"]: line["metrics"] for line in self.lines if line["type"] == "report"}

    def notes(self):
        return "\n".join(line["text"] for line in self.lines if line["type"] == "note")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for resource in (self.reader, self.channel, self.out, self.err):
            resource.close()


class Trainers(unittest.TestCase):
    def start(self, args, env=None):
        rank = Rank(args, env or {})
        self.addCleanup(rank.close)
        return rank

    def start_ranks(self, size, args, ranks=None, env=None, rank_args=None, port=None):
        """`env` and `rank_args`: by rank, for some that differ."""
        port = port or free_port()
        started = []
        for rank in range(size) if ranks is None else ranks:
            variables = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size,
                         "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            variables.update((env or {}).get(rank, {}))
            started.append(self.start(["--mode", "ddp", "--check-ranks"] + args + (rank_args or {}).get(rank, []),
                                      {name: str(value) for name, value in variables.items()}))
        return started

    def finish(self, ranks):
        for rank in ranks:
            self.assertEqual(rank.wait(), 0, rank.errors())

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def same_curve(self, expected, got):
        self.assertEqual(expected.keys(), got.keys())
        for step, metrics in expected.items():
            self.assertEqual(metrics["accuracy"], got[step]["accuracy"])
            for name in ("loss", "train_loss"):
                self.assertLess(abs(metrics[name] - got[step][name]), 1e-5 * metrics[name], (step, name))


class SameCurve(Trainers):
    """Ranks, replicas and split models learn what one process learns."""

    def setUp(self):
        self.single = self.start(DIGITS)
        self.finish([self.single])
        self.assertEqual(len(self.single.reports()), 4)

    def test_two_and_four_ranks(self):
        for size in (2, 4):
            ranks = self.start_ranks(size, DIGITS)
            self.finish(ranks)
            self.same_curve(self.single.reports(), ranks[0].reports())
            self.assertEqual(ranks[0].notes().count("all ranks hold the parameters"), 4)
            for other in ranks[1:]:
                self.assertEqual(other.lines, [])  # rank 0 alone speaks

    def test_another_batch_size_is_another_curve(self):
        ranks = self.start_ranks(2, DIGITS[:-2] + ["--batch-per-rank", "100"])
        self.finish(ranks)
        self.assertIn("200 rows a batch", ranks[0].notes())
        with self.assertRaises(AssertionError):
            self.same_curve(self.single.reports(), ranks[0].reports())

    def test_two_and_three_replicas(self):
        for devices in ("cpu,cpu", "cpu,cpu,cpu"):
            run = self.start(DIGITS + ["--mode", "data_parallel", "--devices", devices])
            self.finish([run])
            self.same_curve(self.single.reports(), run.reports())

    def test_a_split_model(self):
        run = self.start(DIGITS + ["--mode", "model_parallel", "--devices", "cpu,cpu"])
        self.finish([run])
        self.assertIn("layers 0-2 on cpu, 3-6 on cpu", run.notes())
        self.same_curve(self.single.reports(), run.reports())

    def test_the_convolutions_of_lenet(self):
        lenet = ["--set", "model=lenet", "--set", "epochs=2", "--set", "optimizer=sgd", "--batch-size", "250"]
        single = self.start(lenet)
        self.finish([single])
        ranks = self.start_ranks(2, lenet)
        self.finish(ranks)
        self.same_curve(single.reports(), ranks[0].reports())
        for mode in ("data_parallel", "model_parallel"):
            run = self.start(lenet + ["--mode", mode, "--devices", "cpu,cpu"])
            self.finish([run])
            self.same_curve(single.reports(), run.reports())


class FewRows(Trainers):
    def test_batches_smaller_than_the_ranks(self):
        # 80 rows by 3: the fourth rank never has any, and of the last batch of 2 the third has none either.
        few = ["--set", "dataset=synthetic", "--set", "samples=100", "--set", "hidden=16", "--set", "epochs=2",
               "--set", "optimizer=sgd", "--batch-size", "3"]
        single = self.start(few)
        self.finish([single])
        ranks = self.start_ranks(4, few)
        self.finish(ranks)
        self.same_curve(single.reports(), ranks[0].reports())
        replicas = self.start(few + ["--mode", "data_parallel", "--devices", "cpu,cpu,cpu,cpu"])
        self.finish([replicas])
        self.same_curve(single.reports(), replicas.reports())


ENDLESS = ["--set", "dataset=synthetic", "--set", "epochs=100000"]


class Peers(Trainers):
    def test_a_killed_rank_ends_the_others(self):
        ranks = self.start_ranks(4, ENDLESS + ["--peer-timeout", "20"])
        ranks[0].await_report(1)
        ranks[2].process.send_signal(signal.SIGKILL)
        for number in (0, 1, 3):
            self.assertEqual(ranks[number].wait(), 1)
            self.assertRegex(ranks[number].errors(), r"rank %d of 4 lost the others .*rank [0-9, ]*2[0-9, ]* has ended"
                             r".*start all of them again" % number)
        self.assertEqual(ranks[0].lines[-1]["type"], "failed")

    def test_a_killed_rank_0_ends_the_others(self):
        ranks = self.start_ranks(2, ENDLESS + ["--peer-timeout", "20"])
        ranks[0].await_report(1)
        ranks[0].process.send_signal(signal.SIGKILL)
        self.assertEqual(ranks[1].wait(), 1)
        self.assertIn("the process of rank 0 has ended", ranks[1].errors())

    def test_a_rank_that_hangs_ends_the_others_after_the_timeout(self):
        ranks = self.start_ranks(2, ENDLESS + ["--peer-timeout", "2"])
        ranks[0].await_report(1)
        ranks[1].process.send_signal(signal.SIGSTOP)
        self.assertEqual(ranks[0].wait(), 1)
        self.assertIn("slower than peer_timeout (2.0 s)", ranks[0].errors())

    def test_a_rank_that_never_comes_is_named(self):
        ranks = self.start_ranks(3, ENDLESS + ["--peer-timeout", "2"], ranks=(0, 1))
        for rank in ranks:
            self.assertEqual(rank.wait(), 1)
        self.assertIn("and rank 2 did not come", ranks[0].errors())

    def test_a_rank_0_that_never_comes_is_told(self):
        ranks = self.start_ranks(2, ENDLESS + ["--peer-timeout", "2"], ranks=(1,))
        self.assertEqual(ranks[0].wait(), 1)
        self.assertIn("rank 1 of 2 could not join", ranks[0].errors())

    def test_other_options_are_refused_by_all(self):
        ranks = self.start_ranks(2, ENDLESS, rank_args={1: ["--set", "lr=0.5"]})
        for rank in ranks:
            self.assertEqual(rank.wait(), 1)
            self.assertIn("rank 1 has other options or data", rank.errors())

    def test_variables_that_are_missing_are_named(self):
        run = self.start(["--mode", "ddp"], {"RANK": "0", "WORLD_SIZE": "two"})
        self.assertEqual(run.wait(), 2)
        self.assertIn("WORLD_SIZE is 'two'", run.errors())
        self.assertIn("no LOCAL_WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT", run.errors())


class Leaving(Trainers):
    def test_a_stop_verdict_reaches_every_rank(self):
        folder = self.folder()
        ranks = self.start_ranks(4, ENDLESS, env={rank: {"TUNESMITH_CHECKPOINT_DIR": folder} for rank in range(4)})
        ranks[0].await_report(2)
        ranks[0].channel.sendall(STOP)
        self.finish(ranks)
        self.assertIn("rung 2: 4th of 5", ranks[0].notes())
        self.assertTrue(os.listdir(folder))

    def test_sigterm_at_one_rank_is_enough(self):
        ranks = self.start_ranks(2, ENDLESS)
        ranks[0].await_report(2)
        ranks[1].process.send_signal(signal.SIGTERM)
        self.finish(ranks)
        self.assertIn("another rank was asked to leave", ranks[0].notes())

    def test_resume_goes_on_as_if_never_interrupted(self):
        whole = self.start_ranks(2, DIGITS)
        self.finish(whole)
        folder = self.folder()
        half = ["--set", "epochs=2"] + DIGITS[2:]
        self.finish(self.start_ranks(2, half, env={0: {"TUNESMITH_CHECKPOINT_DIR": folder}}))
        self.assertIn("epoch-2.ckpt", os.listdir(folder))
        # Rank 0 alone sees the folder.
        again = self.start_ranks(2, DIGITS, env={0: {"TUNESMITH_RESUME_FROM": folder}})
        self.finish(again)
        self.assertIn("resumed from epoch-2.ckpt", again[0].notes())
        expected = whole[0].reports()
        self.assertEqual(again[0].reports(), {step: expected[step] for step in (2, 3, 4)})


if __name__ == "__main__":
    unittest.main()
