"""Local code structure: what bears on a failure is shown word for word, the rest is only named."""

from autoresearch.practice.structure import excerpts
from autoresearch.records import Place

FILLER = "".join(f"def unrelated_{n}(a, b=2):\n    return a * {n} + b\n\n\n" for n in range(60))
MAIN = f'''"""Trains."""

import os
import sys

from model import Net

RATE = 0.1
ROWS = 7


{FILLER}def load(path):
    return [[1.0] * ROWS for _ in range(3)]


class Trainer:
    """Fits."""

    momentum = 0.9

    def __init__(self, net):
        self.net = net

    def step(self, rows):
        return self.net.forward(rows)

    def unused(self):
        return 1


def main():
    rows = load("x")
    return Trainer(Net(RATE)).step(rows)


main()
'''
MODEL = "WIDTH = 4\n\n\nclass Net:\n    def __init__(self, rate):\n        self.rate = rate\n\n    def forward(self, rows):\n        return [row[WIDTH * 2] for row in rows]\n"  # fmt: skip
SOURCES = {"train.py": MAIN, "model.py": MODEL}
PLACES = (
    Place(path="model.py", line=9, function="Net.forward"),
    Place(path="train.py", line=MAIN[: MAIN.index("self.net.forward")].count("\n") + 1, function="Trainer.step"),
    Place(path="train.py", line=MAIN[: MAIN.index("return Trainer")].count("\n") + 1, function="main"),
)  # fmt: skip


def test_failing_frames_what_they_use_and_who_calls_them_are_shown_and_the_rest_named() -> None:
    shown = excerpts(SOURCES, SOURCES, PLACES)
    for text in ("row[WIDTH * 2]", "WIDTH = 4"):
        assert text in shown["model.py"]
    for text in ("self.net.forward(rows)", "rows = load", "def load(path):", "ROWS = 7"):
        assert text in shown["train.py"]
    assert "return a * 31 + b" not in shown["train.py"]
    assert "[… def unrelated_0(a, b); def unrelated_1(a, b);" in shown["train.py"]
    assert sum(map(len, shown.values())) < sum(map(len, SOURCES.values())) / 2


def test_what_is_shown_stands_in_the_file_exactly() -> None:
    shown = excerpts(SOURCES, SOURCES, PLACES)
    for path, text in shown.items():
        for part in text.split("[…")[0:1] + [p.partition("…]\n")[2] for p in text.split("[…")[1:]]:
            assert part in SOURCES[path]


def test_what_the_last_patch_changed_is_shown_though_it_is_in_no_frame() -> None:
    original = {**SOURCES, "train.py": MAIN.replace("return a * 7 + b", "return a * 7 - b")}
    assert "return a * 7 + b" in excerpts(SOURCES, original, PLACES)["train.py"]


def test_code_that_does_not_parse_and_files_without_code_are_shown_or_named() -> None:
    sources = {"train.py": "def broken(:\n", "notes.txt": "x\n", "empty.py": ""}
    shown = excerpts(sources, {}, (Place(path="train.py", line=1, function="f"),))
    assert "def broken" in shown["train.py"]


def test_a_code_base_of_twenty_thousand_lines_is_cut_in_a_moment() -> None:
    many = {f"part_{n}.py": FILLER.replace("unrelated", f"part{n}") * 2 for n in range(40)}
    shown = excerpts(many | SOURCES, many | SOURCES, PLACES)
    assert sum(map(len, shown.values())) < 60_000 and "row[WIDTH * 2]" in shown["model.py"]
