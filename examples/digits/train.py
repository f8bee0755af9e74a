#!/usr/bin/env python3
"""Trains a small network on handwritten digits. Needs NumPy, and nothing of Tunesmith.

    python3 train.py --lr 0.05 --hidden 64
    epoch=1 loss=0.1613 accuracy=0.9582
    ...
"""

import argparse
import math
import pathlib
import sys

import numpy as np

DATA = pathlib.Path(__file__).resolve().parent / "digits.csv.gz"
CLASSES = 10


def positive_int(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not above 0")
    return value


def parse_flags():
    flags = argparse.ArgumentParser(description="A small network in NumPy on 8x8 handwritten digits.")
    flags.add_argument("--lr", type=float, default=0.05, help="learning rate")
    flags.add_argument("--hidden", type=positive_int, default=64, help="units of the hidden layer")
    flags.add_argument("--batch-size", type=positive_int, default=32)
    flags.add_argument("--momentum", type=float, default=0.9)
    flags.add_argument("--weight-decay", type=float, default=0.0)
    flags.add_argument("--dropout", type=float, default=0.0)
    flags.add_argument("--epochs", type=positive_int, default=10)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--data", type=pathlib.Path, default=DATA)
    args = flags.parse_args()
    if not args.lr > 0:
        flags.error(f"--lr {args.lr} is not above 0")
    if not 0 <= args.momentum < 1:
        flags.error(f"--momentum {args.momentum} is not from 0 to below 1")
    if not 0 <= args.dropout < 1:
        flags.error(f"--dropout {args.dropout} is not from 0 to below 1")
    return args


def load(path):
    """Returns pixels scaled to mean 0 and deviation 1, and labels: four fifths to train on, the rest held out."""
    table = np.loadtxt(path, delimiter=",", dtype=np.float32)
    order = np.random.default_rng(20220127).permutation(len(table))
    pixels, labels = table[order, :-1], table[order, -1].astype(np.int64)
    held = len(table) // 5
    mean, deviation = pixels[held:].mean(), pixels[held:].std()
    pixels = (pixels - mean) / deviation
    return pixels[held:], labels[held:], pixels[:held], labels[:held]


class Network:
    """64 inputs, one hidden layer of rectified units, 10 logits; stepped by gradient descent with momentum."""

    def __init__(self, inputs, hidden, rng):
        self.weights = [
            rng.normal(0, math.sqrt(2 / inputs), (inputs, hidden)).astype(np.float32),
            np.zeros(hidden, np.float32),
            rng.normal(0, math.sqrt(1 / hidden), (hidden, CLASSES)).astype(np.float32),
            np.zeros(CLASSES, np.float32),
        ]
        self.velocity = [np.zeros_like(w) for w in self.weights]

    def log_probabilities(self, x, mask=None):
        w1, b1, w2, b2 = self.weights
        hidden = np.maximum(x @ w1 + b1, 0)
        if mask is not None:
            hidden = hidden * mask
        logits = hidden @ w2 + b2
        logits = logits - logits.max(axis=1, keepdims=True)
        return hidden, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def step(self, x, y, args, rng):
        mask = None
        if args.dropout > 0:
            keep = 1 - args.dropout
            mask = (rng.random((len(x), args.hidden)) < keep).astype(np.float32) / np.float32(keep)
        hidden, logs = self.log_probabilities(x, mask)
        by_logit = np.exp(logs)
        by_logit[np.arange(len(y)), y] -= 1
        by_logit /= len(y)
        by_hidden = (by_logit @ self.weights[2].T) * (hidden > 0)
        if mask is not None:
            by_hidden *= mask
        gradients = [x.T @ by_hidden, by_hidden.sum(0), hidden.T @ by_logit, by_logit.sum(0)]
        for w, v, g in zip(self.weights, self.velocity, gradients):
            v *= args.momentum
            v -= args.lr * (g + args.weight_decay * w)
            w += v

    def evaluate(self, x, y):
        _, logs = self.log_probabilities(x)
        loss = -logs[np.arange(len(y)), y].mean()
        return float(loss), float((logs.argmax(axis=1) == y).mean())


def main():
    args = parse_flags()
    try:
        x, y, x_held, y_held = load(args.data)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot read {args.data}: {error}")
    rng = np.random.default_rng(args.seed)
    network = Network(x.shape[1], args.hidden, rng)
    with np.errstate(over="ignore", invalid="ignore"):  # a rate that is too high ends in loss=nan, not in warnings
        for epoch in range(1, args.epochs + 1):
            order = rng.permutation(len(x))
            for at in range(0, len(x), args.batch_size):
                batch = order[at : at + args.batch_size]
                network.step(x[batch], y[batch], args, rng)
            loss, accuracy = network.evaluate(x_held, y_held)
            print(f"epoch={epoch} loss={loss:.4f} accuracy={accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
