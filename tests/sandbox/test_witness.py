"""The witness: what a failed program was doing is written down, and nothing else about it changes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoresearch.harness import WITNESS

FAILING = """\
import os, sys
import numpy as np


class Net:
    def __init__(self):
        self.weights = np.ones((3, 4))

    def forward(self, rows):
        scale = 2.0
        return self.weights @ (
            rows * scale
        )


def main():
    rows = np.full((5, 4), np.nan)
    try:
        Net().forward(rows)
    except ValueError as error:
        raise RuntimeError("no forward pass") from error


main()
"""


def run(folder: Path, program: str, seconds: float = 20, witness: bool = True) -> Any:
    (folder / "out").mkdir(exist_ok=True)
    (folder / "train.py").write_text(program)
    environment = {
        "PATH": os.environ["PATH"], "OUT": str(folder / "out"), "WORK": str(folder),
        "DATA": str(folder), "SEED": "0",
    }  # fmt: skip
    if witness:
        environment |= {"WITNESS": str(WITNESS), "PYTHONPATH": str(WITNESS),
                        "WITNESS_SECONDS": str(seconds)}  # fmt: skip
    return subprocess.run(
        [sys.executable, "train.py"], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def record(folder: Path) -> Any:
    return json.loads((folder / "out" / "failure.json").read_text())


def values(frame: Any) -> dict[str, str]:
    return {each["name"]: f"{each['type']} {each['value']}".strip() for each in frame["locals"]}


def test_the_chain_is_told_with_statements_and_the_values_of_own_frames(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    last, first = record(tmp_path)["chain"]
    assert (last["type"], last["relation"]) == ("RuntimeError", "")
    assert (first["type"], first["relation"]) == ("ValueError", "cause")
    frame = first["frames"][-1]
    assert (frame["file"], frame["function"], frame["own"]) == ("train.py", "Net.forward", True)
    assert "rows * scale" in frame["statement"] and frame["line"] == 11
    found = values(frame)
    assert found["scale"] == "float 2.0" and found["self"] == "__main__.Net"
    assert (
        found["self.weights"]
        == "numpy.ndarray shape (3, 4), dtype float64, device cpu, from 1 to 1"
    )
    assert "shape (5, 4)" in found["rows"] and "20 of 20 not finite" in found["rows"]


@pytest.mark.parametrize(
    "program",
    [FAILING, "print(1 / 0)", "import sys; sys.exit('no')", "import sys; sys.exit(3)", "x = (",
     "import os, sys\nprint(sorted(k for k in os.environ if 'WITNESS' in k or 'PYTHONPATH' in k))\n"
     "print([p for p in sys.path if 'witness' in p], sys.excepthook is sys.__excepthook__)",
     "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(1/0)'])",
     "import threading\nthreading.Thread(target=lambda: 1 / 0, name='loader').start()",
     "raise KeyboardInterrupt",
     "class E(Exception):\n    def __str__(self): raise ValueError('no')\nraise E",
     "import warnings\nwarnings.warn('careful')"],
)  # fmt: skip
def test_a_program_says_and_returns_what_it_does_without_a_witness(
    tmp_path: Path, program: str
) -> None:
    seen, alone = run(tmp_path, program), run(tmp_path, program, witness=False)
    assert seen.returncode == alone.returncode and seen.stderr.split() == alone.stderr.split()
    if "excepthook" not in program:
        assert seen.stdout == alone.stdout
    else:
        assert seen.stdout.splitlines()[0] == "[]" and "[] False" in seen.stdout


def test_a_program_that_succeeds_leaves_no_record(tmp_path: Path) -> None:
    assert run(tmp_path, "print('fine')").returncode == 0
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "hostile",
    ["def __repr__(self): open('ran', 'w')", "def __len__(self): open('ran', 'w')",
     "def __getattr__(self, name): open('ran', 'w')", "shape = property(lambda s: open('ran', 'w'))",
     "def __str__(self): open('ran', 'w')"],
)  # fmt: skip
def test_describing_a_value_runs_nothing_of_the_program(tmp_path: Path, hostile: str) -> None:
    run(
        tmp_path,
        f"class Bad:\n    {hostile}\nbad = Bad()\nlisted = [bad, (bad, {{1: bad}})]\n1 / 0",
    )
    frame = record(tmp_path)["chain"][0]["frames"][0]
    assert values(frame)["bad"] == "__main__.Bad" and not (tmp_path / "ran").exists()


def test_large_and_deep_things_are_bounded(tmp_path: Path) -> None:
    program = (
        "x = 'a' * 10**7\ny = list(range(10**6))\nz = 10**5000\nd = {}\nfor i in range(50): d = {i: d}\n"
        + "".join(f"v{i} = {i}\n" for i in range(500))
        + "def f(n): return f(n + 1)\nf(0)\n"
    )
    run(tmp_path, program)
    path = tmp_path / "out" / "failure.json"
    assert path.stat().st_size < 300_000
    chain = record(tmp_path)["chain"][0]
    assert chain["type"] == "RecursionError" and chain["left_out"] > 900
    assert len(chain["frames"]) <= 24 and all(len(f["locals"]) <= 14 for f in chain["frames"])


def test_an_exception_in_a_thread_is_told_unless_the_program_ends_with_another(
    tmp_path: Path,
) -> None:
    thread = "import threading\nt = threading.Thread(target=lambda: {}['a'], name='loader')\n"
    run(tmp_path, f"{thread}t.start(); t.join()")
    assert record(tmp_path)["thread"] == "loader"
    run(tmp_path, f"{thread}t.start(); t.join()\n1 / 0")
    assert record(tmp_path)["thread"] is None
    assert record(tmp_path)["chain"][0]["type"] == "ZeroDivisionError"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no exception groups")
def test_the_members_of_a_group_are_told(tmp_path: Path) -> None:
    run(tmp_path, "raise ExceptionGroup('two', [ValueError('a'), KeyError('b')])")
    assert [(e["type"], e["relation"]) for e in record(tmp_path)["chain"]] == [
        ("ExceptionGroup", ""), ("ValueError", "member"), ("KeyError", "member"),
    ]  # fmt: skip


def test_a_crash_of_the_interpreter_and_a_deadline_print_the_stacks(tmp_path: Path) -> None:
    crashed = run(tmp_path, "import ctypes\ndef deep(): ctypes.string_at(0)\ndeep()")
    assert crashed.returncode == -signal.SIGSEGV and "in deep" in crashed.stderr
    late = run(tmp_path, "import time\ndef wait(): time.sleep(1.5)\nwait()", seconds=0.5)
    assert late.returncode == 0 and "Timeout" in late.stderr and "in wait" in late.stderr


def test_places_of_this_machine_are_not_in_the_record(tmp_path: Path) -> None:
    run(tmp_path, "import os\nfolder = os.environ['OUT']\nopen(folder + '/no/such')")
    text = (tmp_path / "out" / "failure.json").read_text()
    assert str(tmp_path) not in text and "/out/no/such" in text
    run(tmp_path, "from numpy import no_such_name")
    text = (tmp_path / "out" / "failure.json").read_text()
    assert sys.prefix not in text and "(/environment/lib" in text


def test_a_module_of_the_same_name_behind_it_runs_as_ever(tmp_path: Path) -> None:
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "sitecustomize.py").write_text("import builtins\nbuiltins.behind = 'ran'\n")
    environment = {
        "WITNESS": str(WITNESS),
        "PYTHONPATH": f"{WITNESS}:{behind}",
        "OUT": str(tmp_path),
    }
    command = [sys.executable, "-c", "print(behind)"]
    assert (
        subprocess.run(command, env=environment, capture_output=True, text=True).stdout == "ran\n"
    )


@pytest.mark.parametrize(
    "program, hint",
    [
        ("weights = 1\ndef f(): return weihgts\nf()", "Did you mean: weights?"),
        ("def f(): return math.pi\nf()", "Did you forget to import math?"),
        ("import numpy as np\nnp.concatenat([])", "Did you mean: concatenate?"),
        ("from numpy.linalg import nrom", "Did you mean: norm?"),
        ("import numpy\nimport numpyy", "Did you mean: numpy?"),
        ("import numpy\nimport numpy.linalgs", "Did you mean: numpy.linalg?"),
        ("row = {'label': 1}\nrow['labels']", "Did you mean: label?"),
        ("class A:\n  def __init__(self): self.width = 1\nA().widht", "Did you mean: width?"),
        ("class A:\n  def f(self): return width\n  width = 1\nA().f()", "Did you mean: self.width?"),
    ],
)  # fmt: skip
def test_names_that_are_alike_are_told(tmp_path: Path, program: str, hint: str) -> None:
    run(tmp_path, program)
    assert record(tmp_path)["chain"][0]["hints"][0].startswith(hint[:-1])


def test_signatures_of_library_functions_are_told_and_of_own_ones_not(tmp_path: Path) -> None:
    run(tmp_path, "import numpy as np\ndef own(x): return np.pad(x, with_width=1)\nown([1])")
    assert record(tmp_path)["chain"][0]["signatures"] == [
        "np.pad(array, pad_width, mode='constant', **kwargs)"
    ]
    run(tmp_path, "def own(x): return x\nown(1, 2)")
    assert record(tmp_path)["chain"][0]["signatures"] == []


def test_looking_for_names_and_signatures_runs_nothing_of_the_program(tmp_path: Path) -> None:
    ran = "open('ran', 'w')"
    program = f"""
class Meta(type):
    def __getattr__(self, name): {ran}
class Bad(metaclass=Meta):
    __name__ = property(lambda self: {ran})
    __signature__ = property(lambda self: {ran})
    def __getattr__(self, name):
        if name == "wide": raise AttributeError("no", name=name, obj=self)
        {ran}
    def __call__(self): raise TypeError("no")
bad = Bad()
"""
    run(tmp_path, program + "bad.wide")
    assert record(tmp_path)["chain"][0]["type"] == "AttributeError"
    run(tmp_path, program + "bad()")
    assert record(tmp_path)["chain"][0]["type"] == "TypeError"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", ["json", "re", "types", "linecache", "math", "difflib", "inspect", "ast", "token"]
)
@pytest.mark.parametrize("imported", ["", "import {}\n"])
def test_a_file_named_like_a_module_of_the_library_does_not_break_the_record(
    tmp_path: Path, name: str, imported: str
) -> None:
    (tmp_path / f"{name}.py").write_text("def load(): return 1 / 0\n")
    program = f"{imported.format(name)}scale = 0.5\nwhat = {{'rate': 1}}\nwhat['rates']"
    run(tmp_path, program)
    raised = record(tmp_path)["chain"][0]
    assert raised["type"] == "KeyError" and raised["frames"][-1]["line"] == 3 + bool(imported)
    assert raised["hints"] == ["Did you mean: rate?"]
    assert values(raised["frames"][-1])["scale"] == "float 0.5"


def test_a_file_that_hides_a_module_of_the_library_is_named(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("seed = 3\n")
    run(tmp_path, "import random\nrandom.shuffle([1])")
    assert record(tmp_path)["chain"][0]["hints"] == [
        "The file random.py hides the module random of the standard library: give it another name."
    ]


def test_a_long_message_keeps_its_end(tmp_path: Path) -> None:
    run(tmp_path, "raise ValueError('start ' + 'x' * 9000 + ' end')")
    message = record(tmp_path)["chain"][0]["message"]
    assert message.startswith("start x") and message.endswith("x end") and len(message) < 3100
