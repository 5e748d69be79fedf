"""Which number of an AI-Scientist template's `final_info.json` is the metric, and which way is better.

The file holds `{dataset: {"means": {name: number}, "stderrs": ..., ...}}` and says neither.
"""

import re
from collections.abc import Iterator
from typing import Any

from autoresearch.errors import TaskError
from autoresearch.metrics import finite
from autoresearch.records import Direction

_LOWER = set(
    [
        "loss",
        "losses",
        "error",
        "err",
        "bpb",
        "ppl",
        "perplexity",
        "mse",
        "rmse",
        "mae",
        "nll",
        "kl",
        "divergence",
        "wer",
        "cer",
    ]
)
_HIGHER = set(
    [
        "acc",
        "accuracy",
        "score",
        "f1",
        "auc",
        "reward",
        "return",
        "r2",
        "precision",
        "recall",
        "bleu",
        "success",
        "map",
    ]
)
_ASIDE = set(
    [
        "train",
        "training",
        "time",
        "seconds",
        "step",
        "steps",
        "epoch",
        "epochs",
        "stderr",
        "stderrs",
        "std",
    ]
)


def choose_metric(
    info: Any, file: str, wanted: str | None, direction: Direction | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The metric table for a `final_info.json`, and what to tell of the choice. `wanted` is a name in
    it or a dotted path, `file` where programs will leave it. Raises TaskError where there is none such."""
    paths = list(_numbers(info))
    means = [path for path in paths if "means" in path]
    paths = means or paths
    if wanted is not None:
        names = (wanted, f"{wanted}_mean")
        chosen = [path for path in paths if path[-1] in names or ".".join(path) == wanted]
    else:
        chosen = sorted(paths, key=_unlikely)  # stable: the first of the likeliest
    if not chosen:
        there = ", ".join(".".join(path) for path in paths[:12]) or "no number"
        raise TaskError(f"final_info.json has no metric {wanted or ''!r}; there is: {there}")
    key, name = chosen[0], chosen[0][-1]
    said = direction_of(name, direction)
    others = ", ".join(sorted({".".join(path) for path in paths} - {".".join(key)})[:8])
    remark = f"the metric is {'.'.join(key)}, to {said['direction']}" + (
        f"; --metric takes another: {others}" if others else ""
    )
    dotted: Any = list(key) if any("." in part for part in key) else ".".join(key)
    return {"name": name, **said, "json": file, "key": dotted}, (remark,)


def _numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and len(path) < 5:
        for name, below in value.items():
            if name not in ("stderrs", "final_info_dict"):
                yield from _numbers(below, (*path, name))
    elif path and finite(value) is not None:
        yield path


def _unlikely(path: tuple[str, ...]) -> int:
    """How unlikely it is that someone means this one when they name none."""
    words = set(_words(path[-1]))
    told = bool(words & (_LOWER | _HIGHER))
    return 2 * bool(words & _ASIDE) + (not told) - bool(words & {"val", "test", "eval", "valid"})


def direction_of(name: str, given: Direction | None) -> dict[str, str]:
    """What was given, or what the name says."""
    words = set(_words(name))
    if given is None and bool(words & _LOWER) == bool(words & _HIGHER):
        raise TaskError(
            f"whether a higher or a lower {name} is better cannot be told from its name: add "
            "--direction maximize or --direction minimize"
        )
    lower = Direction.minimize if words & _LOWER else Direction.maximize
    return {"direction": (given or lower).value}


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+[0-9]?", name.lower())
