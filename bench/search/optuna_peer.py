"""Optuna's side of search_bench and suggest_bench: proposes points, one study at a time.

Reads requests from standard input and writes replies to standard output, one JSON object a line; bench/search/peer.cc
writes the one and reads the other. Requests: hello, new, suggest and cpu are answered; add, report and observe are not.
Values of a point are numbers, indices of options, and null where a parameter is inactive. Needs python3-optuna.
"""

import json
import os
import sys
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import optuna  # noqa: E402

OPS = {
    "in": lambda x, values: x in values,
    "not in": lambda x, values: x not in values,
    "<": lambda x, values: x < values[0],
    "<=": lambda x, values: x <= values[0],
    ">": lambda x, values: x > values[0],
    ">=": lambda x, values: x >= values[0],
}


def distribution(parameter):
    if "options" in parameter:
        return optuna.distributions.CategoricalDistribution(range(parameter["options"]))
    if parameter["integer"]:
        return optuna.distributions.IntDistribution(int(parameter["lo"]), int(parameter["hi"]), log=parameter["log"])
    return optuna.distributions.FloatDistribution(parameter["lo"], parameter["hi"], log=parameter["log"])


def draw(trial, p):
    if "options" in p:
        return trial.suggest_categorical(p["name"], range(p["options"]))
    if p["integer"]:
        return trial.suggest_int(p["name"], int(p["lo"]), int(p["hi"]), log=p["log"])
    return trial.suggest_float(p["name"], p["lo"], p["hi"], log=p["log"])


class Study:
    def __init__(self, request):
        self.parameters = request["space"]["parameters"]
        self.order = request["space"]["order"]
        self.distributions = [distribution(p) for p in self.parameters]
        sampler = optuna.samplers.TPESampler(**request["sampler"])
        self.study = optuna.create_study(sampler=sampler, direction=request["goal"])
        self.asked = {}  # trial -> optuna's trial
        self.foreign = {}  # trial -> point, of those that came from elsewhere

    def suggest(self, number):
        if number in self.asked:  # asked for and not announced: no longer wanted
            self.study.tell(self.asked.pop(number), state=optuna.trial.TrialState.FAIL)
        trial = self.study.ask()
        point = [None] * len(self.parameters)
        for i in self.order:
            when = self.parameters[i]["when"]
            if all(point[c["parent"]] is not None and OPS[c["op"]](point[c["parent"]], c["values"]) for c in when):
                point[i] = draw(trial, self.parameters[i])
        self.asked[number] = trial
        return {"point": point}

    def add(self, number, point):
        if number not in self.asked:
            self.foreign[number] = point

    def report(self, number, step, value):
        if number in self.asked:
            self.asked[number].report(value, step)

    def observe(self, number, outcome, value):
        if number in self.foreign:
            active = [(p["name"], x, d) for p, x, d in
                      zip(self.parameters, self.foreign.pop(number), self.distributions) if x is not None]
            if outcome == "completed" and value == value:
                self.study.add_trial(optuna.trial.create_trial(
                    params={name: x for name, x, _ in active}, distributions={name: d for name, _, d in active},
                    value=value))
            return
        trial = self.asked.pop(number)
        if outcome == "completed" and value == value:
            self.study.tell(trial, value)
        elif outcome == "stopped":
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)


def main():
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = None
    cpu = 0.0
    for line in sys.stdin:
        request = json.loads(line)
        action = request["do"]
        reply = None
        start = time.process_time()
        if action == "hello":
            reply = {"version": optuna.__version__}
        elif action == "new":
            cpu = 0.0
            try:
                study = Study(request)
                reply = {"ok": True}
            except (TypeError, ValueError) as error:
                reply = {"error": str(error)}
        elif action == "suggest":
            reply = study.suggest(request["trial"])
        elif action == "add":
            study.add(request["trial"], request["point"])
        elif action == "report":
            study.report(request["trial"], request["step"], float(request["value"]))
        elif action == "observe":
            study.observe(request["trial"], request["outcome"], float(request["value"]))
        elif action == "cpu":
            reply = {"cpu": cpu}
        if action in ("suggest", "report", "observe"):
            cpu += time.process_time() - start
        if reply is not None:
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
