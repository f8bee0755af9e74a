"""The C++ SDK as its users get it: installed, found by CMake from a project outside of this build, and run in sweeps.

Environment: as harness.py; TUNESMITH_BIN lies in a build folder, from which the SDK is installed.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import wait_for

TRAINER = os.path.join(harness.BIN, "tunesmith-trainer")
LINE = re.compile(r"^epoch=(\d+) loss=(\S+) accuracy=(\S+)$", re.M)

_project = None


def quiet(command, **options):
    """Runs a command to its end; its output counts only where it fails."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=harness.TIMEOUT * 2, **options)
    if result.returncode != 0:
        raise AssertionError("%s: exit %d\n%s" % (" ".join(command), result.returncode, result.stdout))


def project():
    """examples/cpp, copied to a folder of its own and built there against an installed SDK."""
    global _project
    if _project is None:
        root = tempfile.mkdtemp(prefix="tunesmith-sdk-")
        unittest.addModuleCleanup(shutil.rmtree, root, ignore_errors=True)
        quiet(["cmake", "--install", os.path.dirname(harness.BIN), "--prefix", root + "/first", "--component", "sdk"])
        os.rename(root + "/first", root + "/sdk")  # a package that knows where it was installed would be lost now
        for name in ("cpp", "digits"):
            shutil.copytree(os.path.join(harness.SOURCE, "examples", name), os.path.join(root, "examples", name),
                            ignore=shutil.ignore_patterns("build"))
        _project = os.path.join(root, "examples/cpp")
        quiet(["cmake", "-S", _project, "-B", _project + "/build", "-DCMAKE_PREFIX_PATH=" + root + "/sdk",
               "-DCMAKE_CXX_FLAGS=-Werror"])
        quiet(["cmake", "--build", _project + "/build", "-j2"])
    return _project


class SdkTestCase(harness.TestCase):
    def setUp(self):
        project()
        super().setUp()

    def by_hand(self, command, config=None, **env):
        """Runs a program without a daemon, with parameters in a file if any."""
        full_env = {name: value for name, value in os.environ.items() if not name.startswith("TUNESMITH_")}
        if config is not None:
            full_env["TUNESMITH_CONFIG"] = self.write("by-hand.json", json.dumps(config))
        return subprocess.run(command, capture_output=True, text=True, timeout=harness.TIMEOUT, cwd=project(),
                              env=dict(full_env, **env))

    def start_all(self):
        self.start_server()
        self.start_worker(env={"PATH": harness.BIN + ":" + os.environ["PATH"]})

    def check_sweep(self, file, name, count):
        """Runs a sweep file of the example as it is: weak trials stop early, the others learn to the end."""
        self.start_all()
        self.cli("submit", os.path.join(project(), file))
        sweep = self.wait_sweep(name)
        types = self.stubs().types
        self.assertEqual(sweep.state, types.Sweep.SUCCEEDED)
        trials = self.trials(name)
        self.assertEqual(len(trials), count)
        steps = {t.number: [m.step for m in self.measurements(name, t.number)] for t in trials}
        for trial in trials:
            self.assertIn(trial.state, (types.Trial.COMPLETED, types.Trial.STOPPED))
            self.assertEqual(steps[trial.number], list(range(1, len(steps[trial.number]) + 1)))
            if trial.state == types.Trial.COMPLETED:
                self.assertEqual(len(steps[trial.number]), 27)
            else:
                self.assertLess(len(steps[trial.number]), 27)
        self.assertGreaterEqual(sum(t.state == types.Trial.STOPPED for t in trials), count // 4)
        best = json.loads(self.cli("best", name, "-o", "json").stdout)
        self.assertGreater(best["value"], 0.93)

    def reason(self, command):
        """Why the one trial of a sweep over this command fails."""
        self.submit("broken", command, trials=1)
        self.wait_sweep("broken")
        return self.cli("show", "broken", "0").stdout


class Programs(SdkTestCase):
    def test_by_hand_it_prints_a_line_an_epoch_and_takes_parameters_from_a_file(self):
        run = self.by_hand(["build/softmax"])
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        lines = LINE.findall(run.stdout)
        self.assertEqual([int(epoch) for epoch, _, _ in lines], list(range(1, 11)))
        self.assertGreater(float(lines[-1][2]), 0.9)
        other = self.by_hand(["build/softmax"], {"epochs": 2, "lr": 0.01})
        self.assertEqual(len(LINE.findall(other.stdout)), 2)
        self.assertNotEqual(LINE.findall(other.stdout)[0], lines[0])

    def test_wrong_parameters_are_told(self):
        run = self.by_hand(["build/softmax"], {"lr": "fast"})
        self.assertEqual(run.returncode, 2)
        self.assertEqual(run.stderr, "tunesmith: parameter 'lr' is \"fast\"; a number is needed\n")
        run = self.by_hand(["build/softmax"], {"data": "/nowhere"})
        self.assertEqual(run.returncode, 1)
        self.assertIn("training failed: cannot open /nowhere", run.stderr)

    def test_a_sweep_stops_weak_trials_early(self):
        self.check_sweep("softmax.yaml", "softmax", 12)

    def test_a_failure_is_the_trial_s_reason(self):
        self.start_all()
        self.assertIn("cannot open /nowhere", self.reason(
            ["sh", "-c", "echo '{\"data\": \"/nowhere\"}' > c.json; TUNESMITH_CONFIG=c.json exec "
             + project() + "/build/softmax"]))

    def test_a_killed_trial_goes_on_from_its_checkpoint_with_the_same_numbers(self):
        self.start_server()
        worker = self.start_worker()
        point = {"lr": 0.05, "epochs": 600, "seed": 7}
        self.submit("kept", [project() + "/build/softmax"], trials=1,
                    parameters={name: {"constant": value} for name, value in point.items()})
        wait_for("a checkpoint's copy", lambda: any(
            c.step >= 5 for trial in self.trials("kept") for c in trial.checkpoints))
        worker.kill()
        self.start_worker()
        self.wait_sweep("kept")
        trial = self.trial("kept", 0)
        self.assertEqual(len(trial.attempts), 2)
        told = re.search(r"goes on after epoch (\d+)", self.cli("logs", "kept", "0").stdout)
        self.assertIsNotNone(told)
        rows = self.measurements("kept", 0)
        second = [m for m in rows if m.attempt == 2]
        self.assertEqual([m.step for m in second], list(range(int(told.group(1)), 601)))
        whole = LINE.findall(self.by_hand(["build/softmax"], point).stdout)
        self.assertEqual(len(whole), 600)
        for m in rows:
            loss = {metric.name: metric.value for metric in m.metrics}["loss"]
            self.assertAlmostEqual(loss, float(whole[m.step - 1][1]), 5, "step %d" % m.step)


@unittest.skipUnless(os.path.exists(TRAINER), "tunesmith-trainer is not built here")
class Plugins(SdkTestCase):
    def test_by_hand_it_does_what_the_program_does(self):
        program = self.by_hand(["build/softmax"], {"lr": 0.02, "epochs": 3})
        plugin = self.by_hand([TRAINER, "--plugin", "build/libsoftmax_plugin.so"], {"lr": 0.02, "epochs": 3})
        self.assertEqual((plugin.returncode, plugin.stderr), (0, ""))
        self.assertEqual(plugin.stdout, program.stdout)
        settings = self.by_hand([TRAINER, "--plugin", "build/libsoftmax_plugin.so", "--set", "lr=0.02"],
                                {"lr": 0.5, "epochs": 3})
        self.assertEqual(settings.stdout, program.stdout)

    def test_options_of_the_built_in_models_are_refused(self):
        run = self.by_hand([TRAINER, "--plugin", "build/libsoftmax_plugin.so", "--mode", "ddp"])
        self.assertEqual(run.returncode, 2)
        self.assertIn("--plugin excludes --mode", run.stderr + run.stdout)

    def test_a_sweep_stops_weak_trials_early(self):
        self.check_sweep("plugin.yaml", "softmax-plugin", 8)

    def test_plugins_that_cannot_run_are_the_trial_s_reason(self):
        self.start_all()
        self.assertRegex(self.reason(["tunesmith-trainer", "--plugin", "nothing.so"]),
                         r"there is no plug-in nothing.so, seen from /.*give the path of the shared object")
        run = self.by_hand([TRAINER, "--plugin", "train.cc"])
        self.assertEqual(run.returncode, 2)
        self.assertIn("the plug-in train.cc is not a shared object", run.stderr)
        run = self.by_hand([TRAINER, "--plugin", "build/libsoftmax_plugin.so", "--set", "data=/nowhere"])
        self.assertEqual(run.returncode, 1)
        self.assertIn("training failed: cannot open /nowhere", run.stderr)


if __name__ == "__main__":
    harness.main()
