"""Optuna's report-and-prune loop on SQLite storage: the peer of load_bench's figures.

    /usr/bin/python3 bench/optuna_loop.py DATABASE [TRIALS] [REPORTS]

Prints trials a second (one report each) and reports a second (many reports in a trial, should_prune after each), in one
process, as a user's script does it. Needs Debian's python3-optuna.
"""

import os
import sys
import time
import warnings

import optuna

warnings.filterwarnings("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def run(path, sampler, trials, reports):
    """Seconds for `trials` trials of `reports` reports each."""
    if os.path.exists(path):
        os.remove(path)
    study = optuna.create_study(
        storage="sqlite:///" + path,
        sampler=sampler,
        pruner=optuna.pruners.SuccessiveHalvingPruner(),
    )

    def objective(trial):
        for i in range(5):
            trial.suggest_float("x%d" % i, 0, 1)
        for step in range(1, reports + 1):
            trial.report(1.0 / step, step)
            trial.should_prune()
        return 0.0

    begin = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    return time.perf_counter() - begin


def main():
    path = sys.argv[1]
    trials = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    reports = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    label = "Optuna %s on SQLite" % optuna.__version__
    for name, sampler in (
        ("random", optuna.samplers.RandomSampler(seed=1)),
        ("tpe", optuna.samplers.TPESampler(seed=1)),
    ):
        seconds = run(path, sampler, trials, 1)
        print("%s, no-op trials, %-8s %8.1f /s" % (label, name, trials / seconds))
    seconds = run(path, optuna.samplers.RandomSampler(seed=1), 1, reports)
    print("%s, reports                %8.1f /s" % (label, reports / seconds))
    os.remove(path)


if __name__ == "__main__":
    main()
