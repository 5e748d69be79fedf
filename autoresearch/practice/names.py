"""Names that are not defined, and formats that do not fit their values, as pyflakes reads them.

Only what fails when the line runs: not unused imports or variables, and not names in annotations that
Python never evaluates.
"""

import time
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pyflakes import messages
from pyflakes.checker import AnnotationState, Checker, FunctionScope

from autoresearch.practice.programs import Module, Problem

FAILING = (
    messages.UndefinedName,
    messages.StringDotFormatInvalidFormat,
    messages.StringDotFormatMissingArgument,
    messages.StringDotFormatMixingAutomatic,
    messages.PercentFormatInvalidFormat,
    messages.PercentFormatMissingArgument,
    messages.PercentFormatPositionalCountMismatch,
)
LATER = ("PythonFinalizationError", "frozendict")  # built into a newer Python than this may be
USUAL = {  # what is usually meant by a name that is not defined
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "nn": "from torch import nn",
    "F": "import torch.nn.functional as F",
    "optim": "from torch import optim",
    "Path": "from pathlib import Path",
    "Counter": "from collections import Counter",
    "defaultdict": "from collections import defaultdict",
    "partial": "from functools import partial",
    "dataclass": "from dataclasses import dataclass",
} | {
    name: f"import {name}"
    for name in (
        "math", "os", "sys", "json", "csv", "re", "random", "time", "copy", "itertools", "functools",
        "collections", "warnings", "numpy", "torch", "scipy", "sklearn",
    )
}  # fmt: skip


class TooLong(Exception):
    """The file could not be read to its end in time."""


class _Reader(Checker):  # type: ignore[misc]
    """Keeps what fails; gives up when its time is over."""

    def __init__(self, tree: Any, until: float, lazy: bool) -> None:
        self._until, self._lazy = until, lazy
        super().__init__(tree, builtins=LATER, withDoctest=False)

    def handleNode(self, node: Any, parent: Any) -> None:
        if time.monotonic() > self._until:
            raise TooLong
        super().handleNode(node, parent)

    def report(self, kind: Any, *details: Any, **more: Any) -> None:
        if kind in FAILING and not self._is_never_evaluated():
            super().report(kind, *details, **more)

    def _is_never_evaluated(self) -> bool:
        if self._in_annotation == AnnotationState.NONE:
            return False
        unread = (
            self._lazy or self.annotationsFutureEnabled or isinstance(self.scope, FunctionScope)
        )
        return bool(unread or self._in_annotation == AnnotationState.STRING)


def check_names(module: Module, until: float, lazy: bool = False) -> Iterator[Problem]:
    """The problems of one file. `until` is a time of `time.monotonic`; `lazy` where this Python does
    not evaluate annotations (3.14 and later). Raises TooLong, and RecursionError for what is nested
    too deep to be read."""
    if module.dynamic:
        return
    for found in _Reader(module.tree, until, lazy).messages:
        if isinstance(found, messages.UndefinedName):
            name = str(found.message_args[0])
            what = f"the name {name!r} is not defined"
            yield Problem(module.path, found.lineno, what, _meant(name, module))
        else:
            yield Problem(module.path, found.lineno, found.message % found.message_args)


def _meant(name: str, module: Module) -> str:
    attribute = any(stored == name and owner == "self" for owner, stored in module.stored)
    if attribute:
        return f"did you mean self.{name}?"
    if name in USUAL:
        return f"add `{USUAL[name]}`"
    if module.bound[name]:
        return "it is bound elsewhere, not where it is read"
    like = get_close_matches(name, list(module.bound), 1, 0.75)
    return f"did you mean {like[0]!r}?" if like else "define or import it before it is used"
