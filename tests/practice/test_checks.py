"""What reading a patched program finds before it is run, and what it leaves alone."""

import ast
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from autoresearch.mutations import mutations
from autoresearch.practice.checks import Code, Setting, check
from autoresearch.records import Failure

ROOT = Path(__file__).parents[2]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}.0"
INSTALLED = frozenset(sys.stdlib_module_names) | {"numpy", "torch", "sklearn", "pandas"}
MAIN = "import os\n\n\ndef main():\n    print(os.environ)\n\n\nmain()\n"


def code(files: dict[str, str]) -> Code:
    texts = {path: textwrap.dedent(text) for path, text in files.items()}
    return Code({p: t for p, t in texts.items() if p.endswith(".py")}, frozenset(texts))


def checked(after: dict[str, str], before: dict[str, str] | None = None, **how: object):
    """The failure of a program that is started as train.py and was `before`."""
    setting = {"command": ("python", "train.py"), "python": HERE, "installed": lambda: INSTALLED}
    started = {"train.py": MAIN}
    return check(code(started | (before or {})), code(started | after), Setting(**(setting | how)))


@pytest.mark.parametrize(
    ("program", "said", "right"),
    [
        ("def f(:\n", "train.py, line 1: invalid syntax", ""),
        ("return 1\n", "'return' outside function", ""),
        ("x = 1\0\n", "null bytes", ""),
        ("print(nmae)\nname = 1\n", "'nmae' is not defined", "did you mean 'name'?"),
        ("def f():\n    return np.zeros(3)\n", "'np' is not defined", "import numpy as np"),
        (
            "class A:\n    def __init__(self):\n        self.width = 1\n    def f(self):\n        return width\n",
            "'width' is not defined",
            "did you mean self.width?",
        ),
        ("import nunpy\n", "there is no module 'nunpy'", "did you mean 'numpy'?"),
        ("def f():\n    from einops import rearrange\n", "there is no module 'einops'", ""),
        ("from model import Net\n", "model.py defines no 'Net'", "did you mean 'Nets'?"),
        ("import package.other\n", "there is no module 'package.other'", ""),
        ("from package import nothing\n", "package/__init__.py defines no 'nothing'", ""),
        ("import model\nmodel.make(1, 2)\n", "takes at most 1 arguments", "make(width)"),
        (
            "from model import make\nmake(widht=3)\n",
            "no parameter 'widht'",
            "did you mean 'width'?",
        ),
        ("from model import make as m\nm()\n", "make() is not given 'width'", "in model.py, line"),
        ("from model import Nets\nNets(1, width=2)\n", "given 'width' by place and by name", ""),
        ("from model import Deep\nDeep()\n", "Deep() is not given 'width'", ""),
        ("from model import Sizes\nSizes(1, 2, 3)\n", "at most 2", "Sizes(width, depth=...)"),
        (
            "class A:\n    def f(self, x): ...\n    def g(self):\n        self.f()\n",
            "A.f() is not given 'x'",
            "",
        ),
        ("print('{} {}'.format(1))\n", "'...'.format", ""),
        ("print('%s %s' % (1,))\n", "'...' % ...", ""),
    ],
)
def test_what_is_surely_wrong_is_found_with_its_line_and_what_would_be_right(
    program: str, said: str, right: str
) -> None:
    own = {
        "model.py": """
            from dataclasses import dataclass
            from torch import nn
            def make(width): ...
            class Nets(nn.Module):
                def __init__(self, width, depth=1): ...
            class Deep(Nets):
                pass
            @dataclass(frozen=True)
            class Sizes:
                width: int
                depth: int = 1
            """,
        "package/__init__.py": "known = 1\n",
        "package/part.py": "",
    }
    failed = checked({**own, "train.py": program}, own)
    assert failed is not None
    assert said in failed.detail and right in failed.detail
    assert failed.message.startswith("train.py, line ")


FINE = [
    "import json\nunused = 1\n",
    "try:\n    import einops\nexcept ImportError:\n    einops = None\n",
    "import contextlib\nwith contextlib.suppress(ImportError):\n    import einops\n",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import einops\n",
    "import sys\nsys.path.insert(0, '/data')\nimport einops\n",
    "globals()['late'] = 1\nprint(late)\n",
    "from __future__ import annotations\ndef f(x: Later) -> Later: ...\n",
    "def f(x: 'Later') -> 'Later':\n    y: Never = 1\n    return y\n",
    "try:\n    late\nexcept NameError:\n    late = 1\n",
    "def f(a): ...\nf = print\nf(1, 2, 3)\n",
    "def f(a): ...\ndef g(f):\n    f(1, 2)\n",
    "import functools\n@functools.wraps(print)\ndef f(a): ...\nf(1, 2)\n",
    "def f(a, *more, **others): ...\nf(1, 2, c=3)\n",
    "def f(a, b): ...\nf(*[1, 2])\nf(**{'a': 1, 'b': 2})\nf(1, *[2])\n",
    "def f(a): ...\ntry:\n    f(1, 2)\nexcept TypeError:\n    f(1)\n",
    "class A:\n    def f(self, x): ...\n    def g(self):\n        self.f = print\n        self.f()\n",
    "class A:\n    def f(self, x): ...\n    def g(self):\n        self.f()\nclass B(A):\n    def f(self): ...\n",
    "class A(dict):\n    pass\nA(1, 2, 3, k=4)\n",
    "import enum\nclass A(enum.Enum):\n    x = 1\nA(1)\n",
    "class M(type):\n    def __call__(cls, *a): ...\nclass A(metaclass=M):\n    def __init__(self): ...\nA(1)\n",
    "class A:\n    def __new__(cls, *a): ...\nA(1)\n",
    "from typing import NamedTuple\nclass A(NamedTuple):\n    x: int\nA(1)\n",
    "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    x: int\n    y: list = field(default_factory=list)\nA(1)\n",
    "from dataclasses import dataclass, KW_ONLY\n@dataclass\nclass A:\n    x: int\n    _: KW_ONLY\n    y: int = 1\nA(1, y=2)\n",
    "class A:\n    @staticmethod\n    def f(x): ...\n    @classmethod\n    def g(cls, x): ...\n    def h(self):\n        self.f(1)\n        self.g(1)\n",
    "import model\nmodel.late = print\nfrom model import late\n",
    "import patched\nfrom patched import later\n",
    "from package import part\nimport package.part\n",
    "def f():\n    global made\n    made = 1\nf()\nprint(made)\n",
    "print([y for x in [1] if (y := x)], y)\n",
    "match 3:\n    case int(n):\n        print(n)\n",
    "\ufeffimport os\n",
    "import data\nfrom data import whatever\n",
    "raise SystemExit(f'{__file__} {__name__}')\n",
    "x = '''\x0c'''\nprint(x)\r\nprint(x)\r\n",
]


@pytest.mark.parametrize("program", FINE)
def test_what_may_work_is_left_to_the_run(program: str) -> None:
    own = {"model.py": "def make(width): ...\n", "package/__init__.py": "", "package/part.py": "",
           "patched.py": "import patched\nsetattr(patched, 'later', 1)\n", "data/rows.csv": "1\n"}  # fmt: skip
    assert checked({**own, "train.py": program}, own) is None


def test_all_problems_are_told_at_once_and_within_bounds() -> None:
    program = "import nunpy\nprint(one)\ndef f(a): ...\nf(1, 2)\n"
    failed = checked({"train.py": program, "other.py": "two\n"})
    assert failed.stage == "check" and "(and 3 more)" in failed.message
    for said in ("nunpy", "'one'", "f() takes at most 1", "other.py, line 1", "   2 | print(one)"):
        assert said in failed.detail
    many = checked({"train.py": "".join(f"print(name_{n})\n" for n in range(3_000))})
    assert len(many.detail) < 7_000 and "... and 2980 more" in many.detail


def test_only_what_the_patch_broke_is_a_reason_to_refuse_it() -> None:
    before = {"train.py": "print(one)\nimport nunpy\n"}
    assert checked({"train.py": "# a comment\nprint(one)\nimport nunpy\n"}, before) is None
    assert "'two'" in checked({"train.py": "print(one, two)\n"}, before).message


def test_a_file_that_does_not_parse_is_told_with_the_lines_around_it() -> None:
    failed = checked({"train.py": "a = 1\ndef f(:\n    pass\n", "other.py": "print(one)\n"})
    assert failed.stage == "syntax" and failed.message.startswith("train.py, line 2: ")
    assert "   2 | def f(:" in failed.detail and "'one'" in failed.detail


def test_a_program_that_is_nested_too_deep_is_a_failure_and_no_crash() -> None:
    failed = checked({"train.py": "x = " + "-" * 200_000 + "1\n"})
    assert failed.stage == "syntax" and failed.message.startswith("train.py")


def test_a_newer_python_may_know_more_syntax_than_this_one() -> None:
    later = f"{sys.version_info[0]}.{sys.version_info[1] + 1}.0"
    assert checked({"train.py": "def f(:\n"}, python=later) is None
    assert checked({"train.py": "def f(:\n"}, python="unknown") is not None


def test_modules_are_asked_for_only_when_the_program_has_no_such_file() -> None:
    def never() -> frozenset[str]:
        raise AssertionError

    own = {"train.py": "import model\nimport sys\n", "model.py": ""}
    assert checked(own, installed=never) is None
    assert checked({"train.py": "import nunpy\n"}, installed=frozenset) is None


def test_the_started_file_must_stay() -> None:
    failed = check(code({"train.py": MAIN}), code({"main.py": MAIN}), Setting(("python", "train.py"), HERE))  # fmt: skip
    assert failed is not None and "train.py is gone" in failed.message


HOSTILE = {
    "nested brackets": "x = " + "(" * 5_000 + ")" * 5_000,
    "nested lists": "x = " + "[" * 150 + "]" * 150,
    "minus signs": "x = " + "-" * 200_000 + "1",
    "long sum": "x = " + "+".join(["1"] * 60_000),
    "long attribute": "x = a" + ".a" * 100_000,
    "calls": "x = " + "f(" * 190 + ")" * 190,
    "one long line": "x = '" + "y" * 390_000 + "'",
    "many names": "\n".join(f"a{n} = b{n}" for n in range(20_000)),
    "many functions": "\n".join(f"def f(a{n}): ..." for n in range(15_000)),
    "many redefinitions": "def f(): ...\n" * 25_000,
    "many calls": "def f(a): ...\n" + "f(1, 2)\n" * 40_000,
    "many classes": "\n".join(f"class A{n}(A{n - 1}): ..." for n in range(1, 10_000)),
    "class of itself": "class A(A):\n    pass\nA(1)\n",
    "deep blocks": "".join(" " * n + "if x:\n" for n in range(95)) + " " * 95 + "pass\n",
    "deep functions": "".join(" " * n + "def f():\n" for n in range(95)) + " " * 95 + "pass\n",
    "tries": "try:\n pass\nexcept A: pass\n" * 10_000,
    "f-strings": "x = " + "f'{" * 3 + "1" + "}'" * 3,
    "big power": "x = 9 ** 9 ** 9 ** 9\ny = 'a' * 10 ** 12\n",
    "global everywhere": "def f():\n global x\n x = 1\n" * 10_000,
    "if-else ladder": "if x: pass\n" + "elif y: pass\n" * 3_000,
    "comprehensions": "x = " + "[" * 90 + "1" + " for a in b]" * 90,
    "lambdas": "x = " + "lambda: " * 3_000 + "1",
    "dicts": "x = " + "{1:" * 190 + "1" + "}" * 190,
    "unclosed dicts": "x = " + "{1:" * 199,
    "surrogates": "x = '\\ud800'\n",
    "ten million": "x = 1  # " + "y" * 10_000_000,
    "not utf-8 declared": "# -*- coding: latin-1 -*-\nx = 1\n",
    "unknown coding": "# -*- coding: nonsense -*-\nx = 1\n",
    "star imports": "from os import *\n" * 10_000,
    "annotations": "def f(" + ", ".join(f"a{n}: 'X[X[X]]'" for n in range(10_000)) + "): ...\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_source_neither_stops_nor_holds_up_the_harness(name: str) -> None:
    began = time.monotonic()
    checked({"train.py": HOSTILE[name]})
    assert time.monotonic() - began < 15


# --- no false alarms -----------------------------------------------------------------------------

TASKS = sorted(path.parent for path in (ROOT / "sandboxes").rglob("baseline"))


def sources(task: Path) -> dict[str, str]:
    folder = task / "baseline"
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*.py"))}


@pytest.mark.parametrize("task", TASKS, ids=lambda path: str(path.relative_to(ROOT / "sandboxes")))
def test_nothing_is_found_in_the_baselines_that_ship_nor_in_any_mutation_of_them(
    task: Path,
) -> None:
    baseline = sources(task)
    known = INSTALLED | {"transformers", "scipy"}
    empty = {"train.py": ""}
    assert checked(baseline, empty, installed=lambda: known) is None
    tried = mutations(baseline, 0)
    assert len(tried) > 10
    for mutation in tried:
        failed = checked(mutation.applied(baseline), empty, installed=lambda: known)
        assert failed is None, (mutation.title, failed)


def test_nothing_is_found_in_this_package_itself_or_in_code_of_others() -> None:
    """Seen as one program that is new as a whole, with every module that it imports installed."""
    import pyflakes
    import rich

    for package in (
        ROOT / "autoresearch",
        Path(pyflakes.__file__).parent,
        Path(rich.__file__).parent,
    ):
        name = package.name
        paths = [p for p in package.rglob("*.py") if "_shipped" not in p.parts]
        texts = {f"{name}/{p.relative_to(package)}": p.read_text() for p in paths}
        every = Code(texts, frozenset(texts))
        failed = check(Code({}, frozenset()), every, Setting(("python", "-m", name), HERE))
        assert failed is None, failed.detail


SMALL = """
import os

WIDTH = 3


class Model:
    def __init__(self, width, *, depth=2):
        self.width = width

    def fit(self, rows):
        return self.score(rows, os.sep)

    def score(self, rows, by):
        return len(rows) * self.width


def main(rows):
    model = Model(WIDTH, depth=1)
    return model.fit(rows)


print(main([1]))
"""


def test_every_misspelt_name_of_a_small_program_is_found() -> None:
    """Each place that reads a name or gives one to a parameter, misspelt: it fails when it runs, and is
    found before."""
    tree = ast.parse(SMALL)
    places = [
        (n.lineno, n.col_offset, n.id)
        for n in ast.walk(tree)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    ]
    places += [
        (n.lineno, n.col_offset, n.arg) for n in ast.walk(tree) if isinstance(n, ast.keyword)
    ]
    assert len(places) > 12
    lines = SMALL.split("\n")
    for line, column, name in places:
        assert lines[line - 1][column:].startswith(name)
        wrong = lines[line - 1][:column] + "x" + lines[line - 1][column:]
        text = "\n".join([*lines[: line - 1], wrong, *lines[line:]])
        ran = subprocess.run([sys.executable, "-c", text], capture_output=True)
        failed = checked({"train.py": text}, {"train.py": SMALL})
        assert ran.returncode != 0 and isinstance(failed, Failure), wrong
        assert failed.places[0].line == line
