"""Real binaries under test: starts, kills and restarts them, and talks to them over gRPC and the CLI.

Environment: TUNESMITH_BIN = folder of the built programs; TUNESMITH_SOURCE = root of the source tree.
"""

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BIN = os.environ["TUNESMITH_BIN"]
SOURCE = os.environ["TUNESMITH_SOURCE"]
TIMEOUT = 120  # seconds for anything that should take a few; sanitizers and shared machines are slow

_generated = None


def generated():
    """The folder with the Python messages and stubs, generated once from proto/."""
    global _generated
    if _generated is None:
        _generated = tempfile.mkdtemp(prefix="tunesmith-py-")
        proto = os.path.join(SOURCE, "proto")
        subprocess.run(
            ["protoc", "-I", proto, "--python_out=" + _generated, "--grpc_out=" + _generated,
             "--plugin=protoc-gen-grpc=" + shutil.which("grpc_python_plugin")]
            + glob.glob(os.path.join(proto, "tunesmith/v1/*.proto")),
            check=True)
        sys.path.insert(0, _generated)
    return _generated


def wait_for(what, condition, timeout=TIMEOUT, interval=0.05):
    """Polls every `interval` seconds until `condition()` is true and returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("gave up waiting for " + what)
        time.sleep(interval)


def processes_with(text):
    """Pids of living processes whose command line or environment holds `text`."""
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            with open(path + "/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    continue
            for name in ("cmdline", "environ"):
                with open(path + "/" + name, "rb") as f:
                    if text.encode() in f.read():
                        found.append(int(path.rsplit("/", 1)[1]))
                        break
    return found


class Program:
    """A child process with its stderr in a file."""

    def __init__(self, folder, name, args, env=None):
        self.log_path = os.path.join(folder, name + ".log")
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen([os.path.join(BIN, args[0])] + args[1:], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=dict(os.environ, **(env or {})),
                                        start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def kill(self):
        """SIGKILL, to this process alone."""
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout=TIMEOUT):
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(timeout)

    def output(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def close(self):
        if self.alive():
            self.kill()
        self.log.close()


class TestCase(unittest.TestCase):
    """A fresh folder per test; everything started is ended with it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tunesmith-e2e-")
        self.home = os.path.join(self.folder, "home")
        self.programs = []
        self.address = None
        self.failed_before = len(getattr(getattr(self._outcome, "result", None), "failures", []))

    def tearDown(self):
        for program in self.programs:
            program.close()
        self.assert_no_leftovers()
        errors = self._outcome.errors if hasattr(self._outcome, "errors") else []
        if any(error for _, error in errors):
            for path in sorted(glob.glob(self.folder + "/*.log")):
                with open(path, errors="replace") as f:
                    text = f.read()
                print("--- %s\n%s" % (os.path.basename(path), text[-3000:]), file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def assert_no_leftovers(self):
        """No process of this test survives it: daemons end their trials' whole trees."""
        try:
            wait_for("processes to go", lambda: not processes_with(self.folder), 20)
        except AssertionError:
            left = processes_with(self.folder)
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.fail("processes were left behind: %s" % left)

    # --- programs

    def start(self, name, args, env=None):
        program = Program(self.folder, name, args, env)
        self.programs.append(program)
        return program

    def start_server(self, data="server", listen=None, extra=(), env=None):
        port_file = os.path.join(self.folder, data + ".port")
        with contextlib.suppress(FileNotFoundError):
            os.remove(port_file)
        server = self.start("server", ["tunesmith-server", "--listen", listen or "127.0.0.1:0", "--data-dir",
                                       os.path.join(self.folder, data), "--port-file", port_file] + list(extra), env)

        def address():
            if not server.alive():
                raise AssertionError("the server ended: " + server.output())
            with contextlib.suppress(FileNotFoundError):
                with open(port_file) as f:
                    return f.read().strip()

        self.address = wait_for("the server", address, interval=0.01)
        return server

    def start_worker(self, name="w1", cpus=2, extra=(), gpus="none", env=None):
        return self.start(name, ["tunesmith-worker", "--controller", self.address, "--name", name, "--state-dir",
                                 os.path.join(self.folder, "state-" + name), "--cpus", str(cpus), "--gpus", gpus]
                          + list(extra), env)

    def cli(self, *args, check=True, input=None, timeout=TIMEOUT, server=True, env=None):
        """Runs the CLI to its end, against the server unless `server` is False (then embedded, in self.home)."""
        command = [os.path.join(BIN, "tunesmith")]
        if server:
            command += ["--server", self.address]
        full_env = dict(os.environ, TUNESMITH_HOME=self.home, NO_COLOR="1", **(env or {}))
        full_env.pop("TUNESMITH_SERVER", None)
        result = subprocess.run(command + list(args), input=input, capture_output=True, text=True, timeout=timeout,
                                env=full_env)
        if check and result.returncode != 0:
            self.fail("tunesmith %s: exit %d\n%s%s" % (" ".join(args), result.returncode, result.stdout,
                                                       result.stderr))
        return result

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def write_sweep(self, file="sweep.yaml", **changes):
        """A sweep over the toy script; JSON is YAML."""
        spec = {
            "name": "toy",
            "command": ["/usr/bin/python3", self.toy(), "${args}"],
            "parameters": {"x": {"uniform": [0, 1]}, "epochs": {"constant": 4}, "pause": {"constant": 0.05}},
            "search": {"type": "random", "metric": "loss", "mode": "min", "seed": 1},
            "trials": 4,
        }
        spec.update(changes)
        return self.write(file, json.dumps(spec, indent=1))

    def submit(self, name, command, **changes):
        """Submits a sweep of random points over a program that takes no arguments but these; `changes` to its file."""
        spec = {
            "name": name,
            "command": command,
            "args": "none",
            "parameters": {"x": {"uniform": [0, 1]}},
            "search": {"type": "random", "metric": "loss", "mode": "min", "seed": 1},
            "stop": {"grace": "2s"},
        }
        spec.update(changes)
        self.cli("submit", self.write(name + ".json", json.dumps(spec)))

    def toy(self):
        """A training script that knows nothing of Tunesmith."""
        path = os.path.join(self.folder, "toy.py")
        if not os.path.exists(path):
            self.write("toy.py", TOY)
        return path

    # --- gRPC

    def stubs(self):
        generated()
        import grpc
        from tunesmith.v1 import sweep_pb2, tuning_service_pb2, tuning_service_pb2_grpc

        # A pool of its own: else a connection to a server that was killed since may be used again. One that starts
        # again is looked for at once, not after gRPC's second or more.
        channel = grpc.insecure_channel(self.address, [
            ("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 200)])
        self.addCleanup(channel.close)

        class Stubs:
            pb = tuning_service_pb2
            types = sweep_pb2
            sweeps = tuning_service_pb2_grpc.SweepServiceStub(channel)
            trials = tuning_service_pb2_grpc.TrialServiceStub(channel)
            workers = tuning_service_pb2_grpc.WorkerAdminServiceStub(channel)
            grpc_channel = channel

        return Stubs

    def sweep(self, name, stubs=None):
        s = stubs or self.stubs()
        return s.sweeps.GetSweep(s.pb.GetSweepRequest(sweep=name), timeout=TIMEOUT, wait_for_ready=True)

    def wait_sweep(self, name, timeout=TIMEOUT):
        """Waits until the sweep has ended and returns it."""
        s = self.stubs()

        def ended():
            sweep = self.sweep(name, s)
            return sweep if sweep.state in (s.types.Sweep.SUCCEEDED, s.types.Sweep.FAILED,
                                            s.types.Sweep.CANCELLED) else None

        return wait_for("the end of sweep " + name, ended, timeout)

    def trials(self, name):
        s = self.stubs()
        trials, token = [], ""
        while True:
            page = s.trials.ListTrials(s.pb.ListTrialsRequest(sweep=name, page_token=token), timeout=TIMEOUT,
                                       wait_for_ready=True)
            trials += page.trials
            token = page.next_page_token
            if not token:
                return trials

    def trial(self, name, number):
        s = self.stubs()
        return s.trials.GetTrial(s.pb.GetTrialRequest(sweep=name, trial=number), timeout=TIMEOUT, wait_for_ready=True)

    def measurements(self, name, trial=None):
        s = self.stubs()
        result, token = [], ""
        while True:
            request = s.pb.ListMeasurementsRequest(sweep=name, page_token=token)
            if trial is not None:
                request.trial = trial
            page = s.trials.ListMeasurements(request, timeout=TIMEOUT, wait_for_ready=True)
            result += page.measurements
            token = page.next_page_token
            if not token:
                return result


TOY = r'''
import argparse, time
p = argparse.ArgumentParser()
p.add_argument("--x", type=float, default=0.5)
p.add_argument("--epochs", type=int, default=4)
p.add_argument("--pause", type=float, default=0.05)
a = p.parse_args()
for epoch in range(1, a.epochs + 1):
    time.sleep(a.pause)
    print("epoch=%d loss=%.6f accuracy=%.4f" % (epoch, (a.x - 0.3) ** 2 + 1.0 / epoch, 1 - a.x), flush=True)
'''


def main():
    unittest.main(verbosity=2)
