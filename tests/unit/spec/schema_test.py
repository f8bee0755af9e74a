"""docs/sweep.schema.json takes every example, and refuses what the sweep-file reader refuses for its shape."""

import json
import pathlib
import re
import sys
import unittest

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"skipped: {missing}; install python3-jsonschema and python3-yaml")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[3]


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2's core schema; PyYAML itself reads 1e-5 as text and `no` as false."""


CoreLoader.yaml_implicit_resolvers = {}
for tag, pattern, first in [
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
]:
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))

HEAD = "trainable: mlp\nmetric: loss:min\ntrials: 3\n"

BAD = [
    "sheduler: asha\n" + HEAD,
    "trainable: mlp\nmetric: loss:min\n",
    "trainable: mlp\ntrials: 3\n",
    "metric: loss:min\ntrials: 3\n",
    "command: [a]\n" + HEAD,
    "budget: {trials: 3}\n" + HEAD,
    "trainable: mlp\nmetric: {name: loss}\ntrials: 3\n",
    "trainable: mlp\nmetric: loss:min\ntrials: many\n",
    HEAD + "args: gnuu\n",
    HEAD + "resources: {gpu: 1}\n",
    HEAD + "resources: {gpus_optional: yes}\n",
    HEAD + "stop: {grace: soon}\n",
    HEAD + "scheduler: ahsa\n",
    HEAD + "repeats: 0\n",
    HEAD + "repeats: 101\n",
    HEAD + "search: {type: tpe, seed: -1}\n",
    HEAD + "collect: [{regexp: x}]\n",
    HEAD + "constraints: {a: 1}\n",
    HEAD + "constraints: [3]\n",
    HEAD + "search: {require: [a = 3]}\n",
    "trainable: mlp\nmetrics: [loss]\ntrials: 3\n",
    "trainable: mlp\nmetrics: [loss:min]\ntrials: 3\n",
] + [
    HEAD + "parameters: {x: " + parameter + "}\n"
    for parameter in [
        "{unifrom: [0, 1]}", "{uniform: [0, 1], choice: [1]}", "{choice: []}", "{choice: [1, 1]}", "{uniform: [0]}",
        "{uniform: [0, 1, 2]}", "{uniform: ['0', 1]}", "{loguniform: [0, 1]}", "{randint: [0.5, 2]}",
        "{lograndint: [0, 2]}",
        "{quniform: [0, 1]}", "{min: 0, max: 1}", "{}", "null", "{uniform: [0, 1], when: {}}",
        "{uniform: [0, 1], when: {a: {'=>': 1}}}", "{a: {b: {unifrom: [0, 1]}}}",
    ]
]


class SchemaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        schema = json.loads((ROOT / "docs/sweep.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        cls.validator = jsonschema.Draft202012Validator(schema)

    def errors(self, text):
        return [error.message for error in self.validator.iter_errors(yaml.load(text, CoreLoader))]

    def test_takes_every_example(self):
        files = sorted((ROOT / "examples").glob("**/*.yaml"))
        self.assertGreaterEqual(len(files), 3)
        for path in files:
            self.assertEqual(self.errors(path.read_text()), [], path)

    def test_takes_every_file_of_the_reference(self):
        blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/sweep-file.md").read_text(), re.S)
        self.assertGreaterEqual(len(blocks), 4)
        for block in blocks:
            self.assertEqual(self.errors(block), [], block)

    def test_refuses_what_has_the_wrong_shape(self):
        for text in BAD:
            self.assertNotEqual(self.errors(text), [], text)


if __name__ == "__main__":
    unittest.main()
