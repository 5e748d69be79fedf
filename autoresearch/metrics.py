"""The `[metric]` table of a task, and reading a number from what a program printed.

Both the pattern and the text may come from strangers: both are bounded in length, and matching in time.
"""

import math
import re
import time
from pathlib import PurePosixPath
from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from autoresearch.records import Direction, Reported
from autoresearch.roles import Section

LONGEST = 500  # characters of a pattern
LINE = 4_000  # characters of a line that are looked at
SECONDS = 2.0  # of processor time, for all lines together
LARGEST_SCORE = 1e100  # what diverged further cannot be averaged or squared

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CUT = re.compile(r"\[\.\.\. \d+ bytes left out \.\.\.\]")  # of an output that was too long


class MetricTable(Section):
    """Name and direction; and where the program itself reports the value, when no scorer does."""

    name: str = Field(min_length=1, max_length=100)
    direction: Direction
    pattern: str | None = None
    file: str | None = Field(default=None, alias="json")
    key: str | tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pattern is not None and (self.file is not None or self.key):
            raise _problem("takes a pattern, or json and key, not both")
        if (self.file is None) != (not self.key):
            raise _problem("json names a file in $OUT and key what stands in it: give both")
        if self.pattern is not None:
            check_pattern(self.pattern)
        if self.file is not None:
            path = PurePosixPath(self.file)
            if path.is_absolute() or ".." in path.parts or not self.file.isprintable():
                raise _problem(f"json = {self.file!r} is not a path inside $OUT")
        return self

    def reported(self) -> Reported | None:
        """Where the program reports the metric itself; None where a scorer computes it."""
        if self.pattern is None and self.file is None:
            return None
        key = tuple(self.key.split(".")) if isinstance(self.key, str) else self.key
        return Reported(pattern=self.pattern, file=self.file, key=key if self.file else ())


def _problem(message: str) -> PydanticCustomError:
    return PydanticCustomError("metric", "{message}", {"message": message})


def check_pattern(pattern: str) -> None:
    """Raises ValueError for what is no regular expression with a group for the number."""
    import regex

    if len(pattern) > LONGEST:
        raise _problem(f"pattern is longer than {LONGEST} characters")
    try:
        groups = regex.compile(pattern).groups
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise _problem(f"pattern is no regular expression: {error}") from None
    if groups < 1:
        raise _problem(r"pattern has no group for the number, such as 'accuracy: (\S+)'")


def last_match(pattern: str, text: str) -> str | None:
    """The first group of the last match in any single line, None without one.

    A line that an output's cut runs through is passed over. Raises ValueError where the pattern
    needs too long for this text.
    """
    import regex

    compiled, deadline = regex.compile(pattern), time.monotonic() + SECONDS
    try:
        for line in reversed(_whole_lines(text)):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            found = list(compiled.finditer(line[:LINE], timeout=left, concurrent=True))
            if found:
                return str(found[-1][1] or "")
    except TimeoutError:
        raise ValueError(f"the pattern took over {SECONDS:g} s on what was printed") from None
    return None


def _whole_lines(text: str) -> list[str]:
    lines = re.split(r"[\r\n]+", text)
    cuts = [at for at, line in enumerate(lines) if _CUT.fullmatch(line)]
    broken = {at + step for at in cuts for step in (-1, 0, 1)}
    return [line for at, line in enumerate(lines) if at not in broken]


def number_in(text: str) -> float | None:
    """The finite number that a text is, a percent sign or a comma behind it set aside."""
    said = text.strip().rstrip("%,;")
    return finite(float(said)) if len(said) < 100 and _NUMBER.fullmatch(said) else None


def finite(value: Any) -> float | None:
    """A number that can be a score, or None: also for true, texts, NaN and what is too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    usable = not (isinstance(value, float) and math.isnan(value)) and abs(value) <= LARGEST_SCORE
    return float(value) if usable else None
