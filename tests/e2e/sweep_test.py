"""Sweeps end to end: embedded and against a server, with the parts really running."""

import json
import os
import signal
import subprocess
import time

import harness
from harness import wait_for


class LocalRun(harness.TestCase):
    def test_run_without_a_server_needs_no_setup_and_leaves_its_results_readable(self):
        result = self.cli("run", self.write_sweep(), server=False)
        self.assertIn("toy", result.stdout)
        self.assertIn("best", result.stdout.lower())
        listed = json.loads(self.cli("ls", "-o", "json", server=False).stdout)
        self.assertEqual(len(listed), 1)
        best = self.cli("best", "toy", server=False).stdout
        self.assertIn("x", best)
        rows = self.cli("export", "toy", "-o", "csv", server=False).stdout.strip().splitlines()
        self.assertEqual(len(rows), 1 + 4)

    def test_run_takes_a_command_and_parameters_from_the_command_line(self):
        result = self.cli("run", "--param", "x=uniform(0,1)", "--metric", "loss:min", "--trials", "3", "--",
                          "/usr/bin/python3", self.toy(), "${args}", "--pause", "0.01", server=False)
        self.assertIn("best", result.stdout.lower())

    def test_a_later_run_starts_from_an_earlier_one(self):
        self.cli("run", self.write_sweep(trials=12), server=False)
        changed = {"x": {"uniform": [0, 2]}, "new": {"uniform": [0, 1]}, "epochs": {"constant": 1},
                   "pause": {"constant": 0.01}}
        search = {"type": "tpe", "metric": "loss", "mode": "min", "seed": 1, "warm_start": "toy"}
        command = ["/usr/bin/python3", self.toy(), "--x=${x}", "--epochs=${epochs}", "--pause=${pause}"]
        again = {"name": "again", "trials": 2, "parameters": changed, "command": command,
                 "env": {"NEW": "${new}"}}
        self.cli("run", self.write_sweep(search=search, **again), server=False)
        self.assertIn("12 trials of toy", self.cli("show", "again", server=False).stdout)
        first = json.loads(self.cli("show", "again", "0", "-o", "json", server=False).stdout)
        self.assertEqual(first["origin"]["judge"], "tpe", "the model needs no random start")
        shown = self.cli("show", "again", "0", server=False).stdout
        self.assertIn("chosen by the Parzen estimator", shown)
        wrong = self.cli("run", self.write_sweep(search=dict(search, warm_start="tooy"), **again), check=False,
                         server=False)
        self.assertNotEqual(wrong.returncode, 0)
        self.assertIn('there is no sweep "tooy"', wrong.stderr)
        self.assertIn('did you mean "toy"?', wrong.stderr)

    def test_noisy_points_are_run_several_times_and_the_mean_counts(self):
        self.cli("run", self.write_sweep(trials=3, repeats=2), server=False)
        trials = json.loads(self.cli("trials", "toy", "-o", "json", server=False).stdout)
        self.assertEqual([t["origin"]["repeat_of"] for t in trials], [None, 0, None, 2, None, 4])
        means = [(a["best_value"] + b["best_value"]) / 2 for a, b in zip(trials[::2], trials[1::2])]
        best = json.loads(self.cli("best", "toy", "-o", "json", server=False).stdout)
        self.assertEqual(best["mean_of"], 2)
        self.assertAlmostEqual(best["value"], min(means))
        self.assertEqual(best["trial"], 2 * means.index(min(means)))
        self.assertIn("the mean of 2 of the trials", self.cli("show", "toy", server=False).stdout)

    def test_the_unchanged_digits_script_is_tuned(self):
        source = os.path.join(harness.SOURCE, "examples/digits/script.yaml")
        with open(source) as f:
            text = f.read()
        self.assertIn("train.py", text)
        result = self.cli("run", source, server=False, timeout=600)
        self.assertIn("best", result.stdout.lower())
        best = json.loads(self.cli("best", "-o", "json", json.loads(
            self.cli("ls", "-o", "json", server=False).stdout)[0]["sweep"], server=False).stdout)
        self.assertGreater(best["value"], 0.8)

    @harness.unittest.skipUnless(os.path.exists(os.path.join(harness.BIN, "tunesmith-trainer")),
                                 "tunesmith-trainer is not built here")
    def test_the_note_s_sweep_trains_with_libtorch(self):
        self.cli("run", os.path.join(harness.SOURCE, "examples/digits/note.yaml"), server=False, timeout=600)
        sweep = json.loads(self.cli("ls", "-o", "json", server=False).stdout)[0]
        best = json.loads(self.cli("best", "-o", "json", sweep["sweep"], server=False).stdout)
        self.assertGreater(best["value"], 0.5)

    def test_importance_names_the_parameter_that_matters(self):
        self.cli("run", self.write_sweep(trials=24, parameters={
            "inert": {"choice": ["a", "b"]}, "x": {"uniform": [0, 1]}, "epochs": {"constant": 1},
            "pause": {"constant": 0}}, command=["/usr/bin/python3", self.toy(), "--x", "${x}", "--epochs", "1",
                                                "--pause", "0"]), server=False)
        told = json.loads(self.cli("importance", "toy", "-o", "json", server=False).stdout)
        self.assertEqual(told["parameters"][0]["name"], "x")
        self.assertGreater(told["parameters"][0]["share"], 0.5)
        self.assertEqual(told["trials_used"], 24)
        self.assertAlmostEqual(sum(p["share"] for p in told["parameters"]) + told["interactions"], 1)
        table = self.cli("importance", "toy", server=False).stdout
        self.assertIn(told["parameters"][0]["line"][:20], table)
        self.assertNotIn("\x1b", table)
        rows = self.cli("importance", "toy", "-o", "csv", server=False).stdout.splitlines()
        self.assertEqual(rows[0], "name,share,spread,active,effect")
        self.assertEqual(len(rows), 1 + 4)
        refused = self.cli("importance", "toy", "--metric", "speed", server=False, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("it has loss", refused.stderr)

    def test_a_wrong_sweep_file_ends_with_2_and_names_line_field_and_fix(self):
        path = self.write("bad.yaml", "name: bad\ncommand: [python3, x.py, '${args}']\nparameters:\n"
                                      "  lr: {loguniform: [0, 1]}\nsearch: {metric: loss, mode: min}\ntrials: 3\n")
        for command in ("check", "run"):
            result = self.cli(command, path, check=False, server=False)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("bad.yaml:4", result.stderr + result.stdout)
            self.assertIn("lr", result.stderr + result.stdout)


class Simulate(harness.TestCase):
    def test_hyperband_of_a_sweep_file_knows_how_many_trials_there_will_be(self):
        sweep = self.write_sweep(trials=3, scheduler={"type": "hyperband", "max_t": 9})
        reports = "".join(json.dumps({"trial": t, "step": 1, "loss": v}) + "\n"
                          for t, v in (("a", 0.5), ("b", 0.4), ("c", 0.6)))
        result = self.cli("simulate", "--scheduler", sweep, input=reports, server=False)
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([a["action"] for a in answers], ["pause"] * 3)
        self.assertEqual((answers[2]["resumed"], answers[2]["stopped"]), (["b"], ["a", "c"]))
        self.assertEqual(result.stderr, "3 reports of 3 trials: 2 stopped, 1 not ended\n")

    RAY = "type: asha\nmetric: loss\nmode: min\nmax_t: 10\nreduction_factor: 2\ncompat: ray\n"
    # Trial, step, loss, and what Ray Tune decides.
    REPORTS = [("a", 1, 2.0, "continue"), ("b", 1, 1.8, "continue"), ("c", 1, 1.9, "continue"), ("d", 1, 2.3, "stop"),
               ("b", 2, 1.6, "continue"), ("a", 2, 1.5, "continue"), ("c", 2, 1.7, "stop"), ("a", 4, 1.2, "continue"),
               ("b", 4, 1.25, "stop"), ("a", 8, 1.0, "continue"), ("a", 9, 0.98, "continue"), ("a", 10, 0.97, "stop")]

    def simulate(self, *args, **options):
        return self.cli("simulate", "--scheduler", self.write("asha.yaml", self.RAY), *args, server=False, **options)

    def lines(self):
        return "".join(json.dumps({"trial": t, "step": s, "loss": v, "lr": 0.1}) + "\n" for t, s, v, _ in self.REPORTS)

    def test_every_report_is_answered_as_ray_tune_would(self):
        expected = [action for _, _, _, action in self.REPORTS]
        from_file = self.simulate("--reports", self.write("reports.jsonl", self.lines()))
        for result in (self.simulate(input=self.lines()), from_file):
            answers = [json.loads(line) for line in result.stdout.splitlines()]
            self.assertEqual([a["action"] for a in answers], expected)
            self.assertEqual(result.stderr, "12 reports of 4 trials: 3 stopped, 1 completed\n")
        self.assertEqual(answers[3], {
            "trial": "d", "step": 1, "action": "stop", "reason": "below_cutoff", "value": 2.3, "bracket": 0, "rung": 1,
            "cutoff": 1.9, "rank": 4, "peers": 4,
            "text": "2.3 is worse than the cutoff 1.9 at rung 1 (rank 4 of 4, loss min)"})
        self.assertEqual(self.simulate("-o", "jsonl", input=self.lines()).stderr, "")
        self.assertEqual(self.simulate("-q", input=self.lines()).stderr, "")
        as_list = json.loads(self.simulate("-o", "json", input=self.lines()).stdout)
        self.assertEqual(as_list, answers)

    def test_a_sweep_file_lends_its_metric_and_no_reports_are_fine(self):
        sweep = self.write_sweep(scheduler={"type": "asha", "max_t": 4, "reduction_factor": 2})
        result = self.cli("simulate", "--scheduler", sweep, server=False,
                          input='{"trial": 7, "metrics": {"loss": NaN}}\r\n\r\n{"trial": 7, "step": 4}')
        self.assertEqual([json.loads(line)["reason"] for line in result.stdout.splitlines()],
                         ["not_a_number", "reached_max"])
        empty = self.simulate(input="")
        self.assertEqual((empty.stdout, empty.stderr), ("", "0 reports of 0 trials\n"))
        self.assertEqual(json.loads(self.simulate("-o", "json", input="").stdout), [])

    def test_it_answers_line_by_line_as_a_co_process(self):
        command = [os.path.join(harness.BIN, "tunesmith"), "simulate", "--scheduler",
                   self.write("asha.yaml", self.RAY), "-q"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            for trial, step, loss, action in self.REPORTS:
                process.stdin.write(json.dumps({"trial": trial, "step": step, "loss": loss}) + "\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["action"], action)
            process.stdin.close()
            self.assertEqual(process.wait(harness.TIMEOUT), 0)

    def test_a_wrong_line_is_named_after_those_before_it_are_answered(self):
        for line, why in (("nonsense", "stdin:2: the line is not JSON (write one object a line"),
                          ("\x00\x01\x02", "stdin:2: the line is not JSON"), ('{"loss": 1}', "stdin:2: trial: "),
                          ('{"trial": "a", "step": 0}', "stdin:2: step: 0 is not a whole number"),
                          ('{"trial": "a", "step": 2}', "stdin:2: step: 2 comes after step 3"),
                          ('{"trial": "a", "loss": "low"}', 'stdin:2: loss: the text "low" is not a number'),
                          ("[" * 2**20, "stdin:2: the line is not JSON"),
                          ("x" * (2**24 + 9), "stdin:2: the line is longer than 16777216 bytes")):
            result = self.simulate(input='{"trial": "a", "step": 3, "loss": 1}\n' + line + "\n{}", check=False)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertEqual(len(result.stdout.splitlines()), 1)
            self.assertTrue(result.stderr.startswith(why), result.stderr)
        long = json.dumps({"trial": "n" * 10000, "x": "y" * 2**20, "loss": 1})
        self.assertEqual(json.loads(self.simulate(input=long).stdout)["trial"], "n" * 10000)

    def test_a_wrong_scheduler_is_refused_as_check_refuses_it(self):
        path = self.write("bad.yaml", "scheduler:\n  type: asha\n  metric: loss\n  mode: min\n  max_tt: 3\n")
        result = self.cli("simulate", "--scheduler", path, check=False, server=False, input="")
        self.assertEqual(result.returncode, 2)
        self.assertIn("bad.yaml:5: scheduler.max_tt: unknown key", result.stderr)
        sweep = self.write_sweep(scheduler={"type": "asha", "max_t": 0})
        refused = [self.cli(*command, sweep, check=False, server=False, input="").stderr
                   for command in (("check",), ("simulate", "--scheduler"))]
        self.assertEqual(refused[0], refused[1])
        for args in (("--scheduler", "-"), ("--scheduler", path + ".none"), (), ("--scheduler", path, "-o", "csv"),
                     ("--scheduler", self.write("ok.yaml", self.RAY), "--reports", self.folder + "/none")):
            self.assertEqual(self.cli("simulate", *args, check=False, server=False, input="").returncode, 2, args)


class Replay(harness.TestCase):
    """What `replay` says of sweeps that have run, against `simulate` on the same reports."""

    ASHA = "{type: asha, max_t: 6, reduction_factor: 2}"

    def run_sweep(self, **changes):
        self.start_server()
        self.start_worker(cpus=2)
        changes.setdefault("parameters", {"x": {"uniform": [0, 1]}, "epochs": {"constant": 8},
                                          "pause": {"constant": 0.01}})
        self.cli("run", self.write_sweep(trials=8, **changes))

    def replay(self, scheduler, *args, **options):
        return self.cli("replay", "toy", "--scheduler", self.write("other.yaml", scheduler), *args, **options)

    def test_it_stops_whom_simulate_stops_on_the_exported_reports(self):
        self.run_sweep()
        exported = self.cli("export", "toy", "--measurements", "-o", "jsonl").stdout
        answers = self.cli("simulate", "--scheduler",
                           self.write("simulated.yaml", self.ASHA[:-1] + ", metric: loss, mode: min}"), "-o", "jsonl",
                           input=exported, server=False).stdout
        expected = {}
        for line in answers.splitlines():
            answer = json.loads(line)
            if answer.get("action") == "stop":
                expected[answer["trial"]] = (answer["step"], answer["reason"], answer["text"])
        self.assertGreaterEqual(len(expected), 8)  # all get to max_t at the latest
        self.assertIn("below_cutoff", [reason for _, reason, _ in expected.values()])

        whole = json.loads(self.replay(self.ASHA, "-o", "json").stdout)
        self.assertEqual({d["trial"]: (d["steps"], d["reason"], d["text"]) for d in whole["decisions"]}, expected)
        self.assertEqual(whole["run"]["steps"], 8 * 8)
        self.assertEqual(whole["replay"]["steps"], sum(step for step, _, _ in expected.values()))
        self.assertEqual(whole["replay"]["stopped"], sum(r != "reached_max" for _, r, _ in expected.values()))
        self.assertEqual((whole["beyond"], whole["finished"], whole["metric"]), (0, True, "loss"))
        self.assertLess(whole["replay"]["seconds"], whole["run"]["seconds"])
        best = json.loads(self.cli("best", "toy", "-o", "json").stdout)
        self.assertEqual(whole["run"]["best_trial"], best["trial"])
        lines = self.replay(self.ASHA, "-o", "jsonl", "--limit", "3").stdout.splitlines()
        self.assertEqual(len(lines), 1 + 3)
        self.assertEqual(json.loads(lines[1]), whole["decisions"][0])
        rows = self.replay(self.ASHA, "-o", "csv").stdout.splitlines()
        self.assertEqual((len(rows), rows[0].split(",")[0]), (1 + 8, "trial"))
        text = self.replay(self.ASHA).stdout
        self.assertIn("toy: 64 reports of 8 trials, judged by asha on loss (min)", text)
        self.assertIn("is worse than the cutoff", text)
        # Nothing is stopped by none, and whoever waits at a rung goes on with what it has.
        self.assertEqual(json.loads(self.replay("{type: fifo}", "-o", "json").stdout)["saved_steps_percent"], 0)
        promoted = json.loads(self.replay(self.ASHA[:-1] + ", variant: promotion}", "-o", "json").stdout)
        self.assertGreater(promoted["paused"], 0)
        self.assertIn("max_t", [d["outcome"] for d in promoted["decisions"]])

    def test_the_scheduler_of_an_ask_and_tell_sweep_decides_again_what_it_decided(self):
        self.start_server()
        s = self.stubs()
        spec = s.types.SweepSpec(name="told", ask_tell=True)
        spec.parameters.add(name="x").uniform.hi = 1
        spec.search.type, spec.search.metric, spec.search.goal, spec.search.seed = "random", "loss", s.types.GOAL_MIN, 5
        spec.scheduler.type, spec.scheduler.max_t, spec.scheduler.brackets = "asha", 8, 3
        spec.scheduler.reduction_factor = 2
        spec.budget.trials = 12
        s.sweeps.CreateSweep(s.pb.CreateSweepRequest(spec=spec, request_id="once"))
        asked = s.trials.AskTrials(s.pb.AskTrialsRequest(sweep="told", client_id="me", count=6)).trials
        stopped = {}
        waiting = [[one, 0] for one in asked]
        while waiting:
            one, step = waiting.pop(0)
            report = s.pb.ReportTrialRequest(sweep="told", trial=one.trial.number, lease_epoch=one.lease_epoch,
                                             sequence=step + 1, step=step + 1)
            x = one.trial.parameters[0].value.double_value
            report.metrics.add(name="loss", value=(x - 0.3) ** 2 + 1 / (step + 1))
            verdict = s.trials.ReportTrial(report)
            if verdict.action == s.types.Verdict.STOP:
                stopped[one.trial.number] = (step + 1, verdict.reason)
                s.trials.CompleteTrial(s.pb.CompleteTrialRequest(sweep="told", trial=one.trial.number,
                                                                 lease_epoch=one.lease_epoch))
                more = s.trials.AskTrials(s.pb.AskTrialsRequest(sweep="told", client_id="me", count=6)).trials
                held = {w.trial.number for w, _ in waiting}
                waiting += [[m, 0] for m in more if m.trial.number not in held]
            else:
                waiting.append([one, step + 1])
        self.wait_sweep("told")
        self.assertEqual(len(stopped), 12)
        own = self.write("own.yaml", "{type: asha, max_t: 8, reduction_factor: 2, brackets: 3}")
        whole = json.loads(self.cli("replay", "told", "--scheduler", own, "-o", "json").stdout)
        self.assertEqual({d["trial"]: (d["steps"], d["text"]) for d in whole["decisions"]}, stopped)
        self.assertEqual((whole["beyond"], whole["saved_steps_percent"], whole["best_kept"]), (0, 0, True))
        # Another one would have gone on where this one stopped: how far is not known, and it says so.
        fifo = self.cli("replay", "told", "--scheduler", self.write("fifo.yaml", "{type: fifo}")).stdout
        self.assertIn("12 trials would have gone on beyond what was run", fifo)

    def test_an_unfinished_sweep_is_replayed_as_far_as_it_is(self):
        self.start_server()
        self.start_worker(cpus=1)
        self.cli("submit", self.write_sweep(trials=3, parameters={"x": {"uniform": [0, 1]}, "epochs": {"constant": 999},
                                                                  "pause": {"constant": 0.05}}))
        refused = self.replay("{type: asha, metric: nothing, mode: min}", check=False)
        self.assertNotEqual(refused.returncode, 0)
        wait_for("reports", lambda: self.measurements("toy"))
        text = self.replay(self.ASHA).stdout
        self.assertIn("The sweep has not ended: these are the reports that are there.", text)
        self.cli("stop", "toy")
        self.wait_sweep("toy")

    def test_bad_input_is_named(self):
        self.run_sweep(parameters={"x": {"uniform": [0, 1]}, "epochs": {"constant": 1}})
        for scheduler, code, why in (
                ("{type: asha, max_tt: 3}", 2, "other.yaml:1: scheduler.max_tt: unknown key"),
                ("{type: pbt, perturbation_interval: 3}", 2, "pbt can't be replayed: it changes the parameters"),
                ("{type: asha, metric: speed, mode: max}", 2, "no trial of toy has reported speed"),
                ("{type: asha, metric: speed}", 2, "is a small or a large speed good?")):
            result = self.replay(scheduler, check=False)
            self.assertEqual(result.returncode, code, scheduler)
            self.assertIn(why, result.stderr)
            self.assertEqual(result.stdout, "")
        self.assertIn("loss", self.replay("{type: asha, metric: speed, mode: max}", check=False).stderr)
        unknown = self.cli("replay", "digits", "--scheduler", self.write("a.yaml", self.ASHA), check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("digits", unknown.stderr)
        for args in (("toy",), ("toy", "--scheduler", self.folder + "/none"),
                     ("toy", "--scheduler", "a", "--limit", "0")):
            self.assertEqual(self.cli("replay", *args, check=False).returncode, 2, args)


TWO_SIDED = """
import sys
x = float(sys.argv[1].split("=")[1])
print(f"epoch=1 loss={x}", flush=True)
print(f"latency={100 * (1 - x)} memory={x * 10}", flush=True)
"""


class Outcomes(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.script = self.write("two_sided.py", TWO_SIDED)

    def sweep(self, search, **changes):
        return self.write_sweep(command=["/usr/bin/python3", self.script, "--x=${x}"], args="none",
                                parameters={"x": {"choice": [0.1, 0.3, 0.5, 0.7, 0.9]}}, search=search, trials=5,
                                **changes)

    def test_several_objectives_give_a_front(self):
        path = self.sweep({"type": "grid", "metrics": ["loss:min", "latency:min"], "require": ["memory <= 8"]})
        result = self.cli("run", path, server=False)
        self.assertIn("front", result.stdout)
        best = json.loads(self.cli("best", "toy", "-o", "json", server=False).stdout)
        values = [(trial["parameters"]["x"], trial["values"]["loss"], round(trial["values"]["latency"]))
                  for trial in best["trials"]]
        # 0.9 takes too much memory; of the others none is better in both.
        self.assertEqual(values, [(0.1, 0.1, 90), (0.3, 0.3, 70), (0.5, 0.5, 50), (0.7, 0.7, 30)])
        self.assertEqual(best["goals"], {"loss": "min", "latency": "min"})
        self.assertEqual(len(self.cli("best", "toy", server=False).stdout.splitlines()), 5)
        refused = self.cli("best", "toy", "-o", "args", check=False, server=False)
        self.assertEqual(refused.returncode, 2)
        shown = self.cli("show", "toy", server=False).stdout
        self.assertIn("loss (min), latency (min)", shown)
        trials = json.loads(self.cli("trials", "toy", "--best-first", "-o", "json", server=False).stdout)
        self.assertEqual(trials[-1]["parameters"], {"x": 0.9})
        self.assertAlmostEqual(trials[-1]["violation"], 0.125)
        self.assertEqual([trial["violation"] for trial in trials[:-1]], [0, 0, 0, 0])

    def test_a_trial_that_violates_a_requirement_is_never_best(self):
        path = self.sweep({"type": "grid", "metric": "loss", "mode": "min", "require": ["latency < 70.5"]})
        self.cli("run", path, server=False)
        best = json.loads(self.cli("best", "toy", "-o", "json", server=False).stdout)
        self.assertEqual(best["value"], 0.3)
        self.assertIn("infeasible", self.cli("trials", "toy", server=False).stdout)

    def test_constraints_keep_points_away(self):
        path = self.sweep({"type": "random", "metric": "loss", "mode": "min"}, constraints=["x < 0.6", "not x == 0.3"])
        self.cli("run", path, server=False)
        trials = json.loads(self.cli("trials", "toy", "-o", "json", server=False).stdout)
        self.assertEqual(sorted(trial["parameters"]["x"] for trial in trials), [0.1, 0.5])
        bad = self.sweep({"type": "random", "metric": "loss", "mode": "min"}, constraints=["y < 0.6"])
        result = self.cli("check", bad, check=False, server=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("constraints[0]: column 1: there is no parameter \"y\"", result.stderr + result.stdout)


class WithServer(harness.TestCase):
    def test_asha_stops_weak_trials_and_says_why(self):
        self.start_server()
        self.start_worker(cpus=4)
        path = self.write_sweep(trials=12, search={"type": "tpe", "metric": "loss", "mode": "min", "seed": 3},
                                scheduler={"type": "asha", "max_t": 4, "grace_period": 1, "reduction_factor": 2})
        self.cli("submit", path)
        sweep = self.wait_sweep("toy")
        s = self.stubs()
        self.assertEqual(sweep.state, s.types.Sweep.SUCCEEDED, sweep.state_reason)
        stopped = [t for t in self.trials("toy") if t.state == s.types.Trial.STOPPED]
        why = self.cli("why", "toy", str(stopped[0].number)).stdout
        self.assertIn("is stopped\n  " + stopped[0].state_reason, why)
        self.assertIn("stopped at rung ", self.cli("why", "toy").stdout)
        self.assertGreater(len(stopped), 0)
        self.assertIn("worse than the cutoff", stopped[0].state_reason)
        self.assertEqual(sweep.counts.completed + sweep.counts.stopped, 12)

    RESUMABLE = """import os, sys, time
x = float(sys.argv[1])
done = 0
came = os.path.join(os.environ.get("TUNESMITH_RESUME_FROM", "/nowhere"), "epoch")
if os.path.exists(came):
    done = int(open(came).read())
for epoch in range(done + 1, 10):
    time.sleep(0.05)
    kept = os.path.join(os.environ["TUNESMITH_CHECKPOINT_DIR"], "epoch")
    with open(kept + ".new", "w") as f:
        f.write(str(epoch))
    os.replace(kept + ".new", kept)
    print("epoch=%d loss=%.6f" % (epoch, (x - 0.3) ** 2 + 1 / epoch), flush=True)
"""

    # The same, but it waits for each verdict: it does not run on while nobody can tell it to stop.
    ANSWERED = RESUMABLE.replace("import os,", "import json, os, socket,").replace("x = float", """
channel = socket.socket(fileno=int(os.environ["TUNESMITH_CHANNEL"]))
answers = channel.makefile("r")
x = float""").replace("""    print("epoch=%d loss=%.6f" % (epoch, (x - 0.3) ** 2 + 1 / epoch), flush=True)
""", """    report = {"type": "report", "step": epoch, "metrics": {"loss": (x - 0.3) ** 2 + 1 / epoch}}
    channel.sendall((json.dumps(report) + "\\n").encode())
    if json.loads(answers.readline())["action"] == "stop":
        sys.exit(0)
""")

    def test_promotion_pauses_trials_and_lets_the_best_go_on_from_their_checkpoints(self):
        server = self.start_server(data="kept")
        for name in ("w1", "w2"):
            self.start_worker(name)
        # One that ran on while the controller is away could come to its end before it is told to pause.
        script = self.write("answered.py", self.ANSWERED)
        self.cli("submit", self.write_sweep(
            trials=12, command=["/usr/bin/python3", script, "${x}"], parameters={"x": {"uniform": [0, 1]}},
            scheduler={"type": "asha", "variant": "promotion", "max_t": 9, "reduction_factor": 3}))
        s = self.stubs()
        wait_for("a paused trial", lambda: any(t.state == s.types.Trial.PAUSED for t in self.trials("toy")))
        server.kill()
        self.start_server(data="kept", listen=self.address)
        sweep = self.wait_sweep("toy")
        self.assertEqual(sweep.state, s.types.Sweep.SUCCEEDED, sweep.state_reason)
        trials = json.loads(self.cli("trials", "toy", "-o", "json").stdout)
        self.assertEqual({t["state"] for t in trials}, {"completed", "stopped"})
        for t in trials:
            if t["state"] == "stopped":
                self.assertIn("is not among the best at rung", t["reason"])
        rows = self.cli("export", "toy", "--measurements", "-o", "jsonl").stdout.splitlines()
        steps = {}
        for row in map(json.loads, rows):
            steps.setdefault(row["trial"], []).append(row["step"])
        self.assertEqual(len(steps), 12)
        for trial, of in steps.items():
            self.assertEqual(of, list(range(1, len(of) + 1)), "trial %d trained a step twice" % trial)
        completed = [t["trial"] for t in trials if t["state"] == "completed"]
        self.assertEqual([steps[t][-1] for t in completed], [9] * len(completed))
        self.assertLess(len(completed), 5)
        shown = self.cli("show", "toy").stdout
        self.assertIn("asha, promotion", shown)
        self.assertIn("WENT ON", shown)

    def test_hyperband_pauses_halves_and_goes_on_through_kills_of_the_controller(self):
        server = self.start_server(data="kept")
        for name in ("w1", "w2"):
            self.start_worker(name)
        script = self.write("answered.py", self.ANSWERED)
        # 9 trials with rungs at 1 and 3, 5 with one at 3, 3 that nobody stops, and one of the next band, alone in it.
        self.cli("submit", self.write_sweep(
            trials=18, command=["/usr/bin/python3", script, "${x}"], parameters={"x": {"uniform": [0, 1]}},
            scheduler={"type": "hyperband", "max_t": 9}))
        s = self.stubs()
        for state in (s.types.Trial.PAUSED, s.types.Trial.STOPPED):
            wait_for("a trial in state %d" % state, lambda: any(t.state == state for t in self.trials("toy")))
            server.kill()
            server = self.start_server(data="kept", listen=self.address)
        sweep = self.wait_sweep("toy")
        self.assertEqual(sweep.state, s.types.Sweep.SUCCEEDED, sweep.state_reason)
        trials = {t["trial"]: t for t in json.loads(self.cli("trials", "toy", "-o", "json").stdout)}
        rows = self.cli("export", "toy", "--measurements", "-o", "jsonl").stdout.splitlines()
        losses = {}
        for row in map(json.loads, rows):
            losses.setdefault(row["trial"], {})[row["step"]] = row["metrics"]["loss"]
            self.assertEqual(len(losses[row["trial"]]), row["step"], "a step was trained twice or left out")
        for members, rungs in ((range(9), ((1, 3), (3, 1))), (range(9, 14), ((3, 1),)), (range(14, 18), ())):
            for rung, left in rungs:
                good = sorted(members, key=lambda t: (losses[t][rung], t))[:left]
                for t in set(members) - set(good):
                    self.assertEqual(trials[t]["state"], "stopped")
                    self.assertIn("is not among those that go on at rung %d" % rung, trials[t]["reason"])
                members = good
            for t in members:
                self.assertEqual((trials[t]["state"], max(losses[t])), ("completed", 9))
        why = self.cli("why", "toy", str(next(t for t in trials if trials[t]["state"] == "stopped"))).stdout
        self.assertIn("is not among those that go on at rung", why)
        self.assertIn("WENT ON", self.cli("show", "toy").stdout)

    def test_rules_end_trials_and_the_target_ends_the_sweep(self):
        self.start_server()
        self.start_worker()
        script = self.write("resumable.py", self.RESUMABLE)
        self.cli("submit", self.write_sweep(
            trials=200, command=["/usr/bin/python3", script, "${x}"], parameters={"x": {"uniform": [0, 1]}},
            stop={"max_steps": 2, "target": 0.501}))
        s = self.stubs()
        sweep = self.wait_sweep("toy")
        self.assertEqual(sweep.state, s.types.Sweep.SUCCEEDED)
        self.assertRegex(sweep.state_reason, r"^trial \d+ has reached the target: loss 0\.50\d* is as good as "
                                             r"the target 0\.501 or better \(stop\.target\)$")
        trials = json.loads(self.cli("trials", "toy", "-o", "json").stdout)
        self.assertLess(len(trials), 200)
        reasons = {}
        for t in trials:
            reasons.setdefault((t["state"], t["reason"]), []).append(t)
        for t in reasons[("completed", "step 2 was reached (stop.max_steps)")]:
            self.assertIn(t["last_step"], (2, 3), "it may report once more before it is told")
        at_target = [t for t in trials if "as good as the target" in t["reason"] and t["state"] == "completed"]
        self.assertEqual(len(at_target), 1)
        why = self.cli("why", "toy", str(trials[0]["trial"])).stdout
        self.assertRegex(why, "stop.max_steps|stop.target")

    def test_watch_shows_every_trial_and_ends_with_the_sweep(self):
        self.start_server()
        self.start_worker()
        self.cli("submit", self.write_sweep())
        out = self.cli("watch", "toy").stdout
        self.assertIn("best", out.lower())
        self.assertNotIn("\x1b", out)

    def test_watching_without_a_terminal_sleeps_while_nothing_happens(self):
        self.start_server()
        self.start_worker()
        self.cli("submit", self.write_sweep(trials=1, parameters={
            "x": {"uniform": [0, 1]}, "epochs": {"constant": 2}, "pause": {"constant": 3.0}}))
        before, begin = os.times(), time.monotonic()
        self.cli("watch", "toy")
        after, wall = os.times(), time.monotonic() - begin
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        self.assertGreater(wall, 3)
        self.assertLess(cpu, wall / 3, "a watcher that polls takes a whole core")

    def test_stop_pause_resume_and_rm(self):
        s_started = self.start_server()
        self.assertTrue(s_started.alive())
        self.start_worker()
        self.cli("submit", self.write_sweep(trials=50, parameters={
            "x": {"uniform": [0, 1]}, "epochs": {"constant": 100}, "pause": {"constant": 0.1}}))
        s = self.stubs()
        wait_for("running trials", lambda: self.sweep("toy", s).counts.running == 2)
        self.cli("pause", "toy")
        self.assertEqual(self.sweep("toy", s).state, s.types.Sweep.PAUSED)
        self.cli("resume", "toy")
        self.assertEqual(self.sweep("toy", s).state, s.types.Sweep.ACTIVE)
        self.assertNotEqual(self.cli("rm", "toy", check=False).returncode, 0)
        self.cli("stop", "toy")
        sweep = self.wait_sweep("toy")
        self.assertEqual(sweep.state, s.types.Sweep.CANCELLED)
        wait_for("trial processes to go", lambda: not harness.processes_with(self.toy()))
        self.cli("rm", "toy")
        self.assertEqual(json.loads(self.cli("ls", "-o", "json").stdout), [])

    def test_ask_and_tell_runs_a_sweep_from_a_program(self):
        self.start_server()
        s = self.stubs()
        spec = s.types.SweepSpec(name="mine", ask_tell=True)
        spec.parameters.add(name="x").uniform.hi = 1
        spec.search.metric = "loss"
        spec.search.goal = s.types.GOAL_MIN
        spec.budget.trials = 5
        first = s.sweeps.CreateSweep(s.pb.CreateSweepRequest(spec=spec, request_id="once"))
        again = s.sweeps.CreateSweep(s.pb.CreateSweepRequest(spec=spec, request_id="once"))
        self.assertEqual(first.id, again.id)
        done = 0
        while True:
            asked = s.trials.AskTrials(s.pb.AskTrialsRequest(sweep=first.id, client_id="me"))
            if not asked.trials:
                self.assertTrue(asked.finished)
                break
            one = asked.trials[0]
            x = one.trial.parameters[0].value.double_value
            report = s.pb.ReportTrialRequest(sweep=first.id, trial=one.trial.number, lease_epoch=one.lease_epoch,
                                             sequence=1, step=1)
            report.metrics.add(name="loss", value=(x - 0.3) ** 2)
            s.trials.ReportTrial(report)
            s.trials.CompleteTrial(s.pb.CompleteTrialRequest(sweep=first.id, trial=one.trial.number,
                                                             lease_epoch=one.lease_epoch))
            done += 1
        self.assertEqual(done, 5)
        self.assertEqual(self.wait_sweep("mine").state, s.types.Sweep.SUCCEEDED)

    def test_health_says_serving(self):
        self.start_server()
        s = self.stubs()
        check = s.grpc_channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=lambda x: x,
                                           response_deserializer=lambda x: x)
        self.assertEqual(check(b"", timeout=harness.TIMEOUT, wait_for_ready=True), b"\x08\x01")


class Refusals(harness.TestCase):
    def test_two_controllers_cannot_share_a_data_folder_or_a_port(self):
        self.start_server()
        second = self.start("second", ["tunesmith-server", "--listen", "127.0.0.1:0", "--data-dir",
                                       os.path.join(self.folder, "server")])
        self.assertNotEqual(second.process.wait(harness.TIMEOUT), 0)
        self.assertIn("another", second.output().lower())
        third = self.start("third", ["tunesmith-server", "--listen", self.address, "--data-dir",
                                     os.path.join(self.folder, "other")])
        self.assertNotEqual(third.process.wait(harness.TIMEOUT), 0)
        self.assertIn(self.address.split(":")[1], third.output())

    def test_an_open_address_needs_tls_or_insecure(self):
        server = self.start("open", ["tunesmith-server", "--listen", "0.0.0.0:0", "--data-dir",
                                     os.path.join(self.folder, "open")])
        self.assertNotEqual(server.process.wait(harness.TIMEOUT), 0)
        self.assertIn("--insecure", server.output())

    def test_an_unreachable_controller_is_said_with_exit_code_5(self):
        self.address = "127.0.0.1:1"
        self.assertEqual(self.cli("ls", check=False).returncode, 5)


if __name__ == "__main__":
    harness.main()
