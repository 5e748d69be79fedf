"""Language models: the seam, `ask`, the only way to a typed answer, and the record of every call."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol

from pydantic import Field, ValidationError
from typing_extensions import TypeVar

from autoresearch.differences import difference, likeness
from autoresearch.errors import BadInput, NotRecorded, RecordError, RunFailed, UnusableAnswer
from autoresearch.records import Record
from autoresearch.roles import ROLE_OF, Role

Wanted = TypeVar("Wanted", bound=Record, default=Record, covariant=True)


@dataclass(frozen=True)
class Request(Generic[Wanted]):
    """One question to a model.

    `prompt` is the prompt file's name ("think/ideas"), `variables` what it was rendered with,
    `text` the rendered prompt, `record` the type the answer will be parsed into, and `where` the
    step of the run that asks ("round-00/1-label-smoothing/0-patch").
    """

    prompt: str
    variables: Mapping[str, Any]
    text: str
    record: type[Wanted]
    where: str

    @property
    def role(self) -> Role:
        return ROLE_OF[self.prompt]


class Answer(Record):
    """What a model said. `dollars` is None when no price is known.

    `finish` is why it stopped: "stop", "length" (cut off at the output limit), "content_filter" or
    "refusal". `recorded` says that the answer came from a journal and cost nothing now.
    """

    text: str
    model: str
    tokens_in: int = Field(ge=0)
    tokens_out: int = Field(ge=0)
    dollars: float | None
    seconds: float
    finish: str = "stop"
    recorded: bool = Field(default=False, exclude=True)


class Model(Protocol):
    def answer(self, request: Request) -> Answer:
        """Answer one request. Raises ModelError when no answer can be had."""
        ...


# --- asking -------------------------------------------------------------------------------------

TRIES = 3  # paid ones: a resumed run goes on after the unusable answers that it has recorded
SHOWN_ANSWER = 8_000  # characters of an unusable answer that the model is shown
SHOWN_PROBLEMS = 8

_ASK_AGAIN = """{text}

---
Try {number}. Your previous answer could not be used.

Your previous answer:
{answer}

What was wrong with it:
{problem}

Answer the question above again, in full and in exactly the form it asks for."""


def ask(model: Model, request: Request[Wanted]) -> Wanted:
    """The model's answer as the record that the request wants.

    An unusable answer is shown to the model with what is wrong with it, and asked for again, at most
    twice. Raises UnusableAnswer, naming the prompt, the step and the last problem, after that.
    """
    asked, number, paid, problem = request, 1, 0, ""
    while True:
        try:
            answer = model.answer(asked)
        except NotRecorded:
            if number <= TRIES:
                raise
            raise _gave_up(request, number - 1, problem) from None  # as the recorded run did
        paid += not answer.recorded
        problem = _unusable(answer)
        if not problem:
            try:
                return request.record.from_answer(answer.text)
            except ValueError as error:
                problem = _explain(error)
        if paid >= TRIES:
            raise _gave_up(request, number, problem)
        number += 1
        text = _ASK_AGAIN.format(
            text=request.text, number=number, answer=_cut(answer.text), problem=problem
        )
        asked = replace(request, text=text)


def _gave_up(request: Request, number: int, problem: str) -> UnusableAnswer:
    return UnusableAnswer(
        f"{request.prompt} ({request.where}): no usable answer in {number} tries; the last problem: "
        f"{' '.join(problem.split()):.300}; resume to ask again, or choose a stronger model"
    )


def _unusable(answer: Answer) -> str:
    """What is wrong with an answer before it is read, "" when nothing is."""
    if answer.finish == "length":
        return "It was cut off at the output limit. Answer more briefly, but completely."
    if answer.finish in ("content_filter", "refusal"):
        return (
            "It was a refusal. The question is about machine-learning research; answer as far as "
            "you can, in the form asked for."
        )
    return "" if answer.text.strip() else "It was empty."


def _explain(error: ValueError) -> str:
    """One line for each problem: where it is in the answer, what was expected, what was given."""
    if not isinstance(error, ValidationError):
        return str(error)[:1000]
    problems = error.errors(include_url=False, include_context=False)
    lines = []
    for problem in problems[:SHOWN_PROBLEMS]:
        path = ".".join(map(str, problem["loc"])) or "the answer"
        given = "" if problem["type"] == "missing" else f" (you gave {problem['input']!r:.80})"
        lines.append(f"- {path:.200}: {problem['msg']:.400}{given}")
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"- and {len(problems) - SHOWN_PROBLEMS} more")
    return "\n".join(lines)


def _cut(text: str) -> str:
    half = SHOWN_ANSWER // 2
    if len(text) <= SHOWN_ANSWER:
        return text
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


# --- the record of every call -------------------------------------------------------------------


class Call(Record):
    """One line of `calls.jsonl`. `key` is the SHA-256 of step, prompt and text."""

    key: str
    prompt: str
    where: str
    text: str
    answer: Answer


def call_key(where: str, prompt: str, text: str) -> str:
    return hashlib.sha256(json.dumps([where, prompt, readable(text)]).encode()).hexdigest()


def readable(text: str) -> str:
    """The text with "?" for what has no UTF-8 form (a paper or an answer may hold such)."""
    return text.encode("utf-8", "replace").decode()


class Recorded:
    """A model whose calls are kept: what the journal holds is never asked, or paid for, again.

    Each answer is on disk before it is used. A last line that a crash cut short is dropped on
    opening. Raises RecordError when another line cannot be read. Safe to call from several threads:
    a request that is being answered is not asked a second time.
    """

    def __init__(self, model: Model, journal: Path) -> None:
        self._model = model
        self._journal = journal
        self._lock = threading.Lock()
        self._gates: dict[str, threading.Lock] = {}
        self._answers: dict[str, Answer] = {}
        if journal.exists():
            _drop_torn_line(journal)
            self._answers = {call.key: call.answer for call in read_calls(journal)}

    def answer(self, request: Request) -> Answer:
        key = call_key(request.where, request.prompt, request.text)
        with self._lock:
            gate = self._gates.setdefault(key, threading.Lock())
        with gate:
            known = self._answers.get(key)
            if known is not None:
                return known.model_copy(update={"recorded": True})
            answer = self._model.answer(request)
            self._append(key, request, answer)
            return answer

    def _append(self, key: str, request: Request, answer: Answer) -> None:
        text = readable(request.text)
        call = Call(key=key, prompt=request.prompt, where=request.where, text=text, answer=answer)
        line = call.model_dump_json().encode() + b"\n"
        with self._lock:
            size = self._journal.stat().st_size if self._journal.exists() else 0
            try:
                with open(self._journal, "ab") as journal:
                    journal.write(line)
                    journal.flush()
                    os.fsync(journal.fileno())
            except OSError as error:
                if self._journal.exists():
                    os.truncate(self._journal, size)
                raise RunFailed(
                    f"{self._journal}: cannot record a model call: {error.strerror}; "
                    "make room or mend the permissions, then resume"
                ) from None
            self._answers[key] = answer


def _drop_torn_line(journal: Path) -> None:
    """Cut off what follows the last newline: its answer was never used."""
    with open(journal, "rb+") as file:
        end = file.seek(0, os.SEEK_END)
        keep = end
        while keep > 0:
            start = max(0, keep - 65536)
            file.seek(start)
            newline = file.read(keep - start).rfind(b"\n")
            if newline >= 0:
                keep = start + newline + 1
                break
            keep = start
        if keep < end:
            file.truncate(keep)
            os.fsync(file.fileno())


def read_calls(journal: Path) -> Iterator[Call]:
    """The calls of a journal; a torn last line is passed over."""
    with open(journal, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                call = Call.model_validate_json(line)
                intact = call.key == call_key(call.where, call.prompt, call.text)
            except ValueError:
                intact = False
            if not intact:
                raise RecordError(
                    f"{journal}, line {number}: not a recorded model call; restore the file, or "
                    f"delete that line (sed -i {number}d) to have this one call asked again"
                )
            yield call


class Replay:
    """A model that answers from the journal of another run and asks no provider.

    `redact` is what a cassette's texts went through. Raises NotRecorded for a request it lacks.
    """

    def __init__(self, journal: Path, redact: Callable[[str], str] = str) -> None:
        if not journal.is_file():
            raise BadInput(f"{journal}: no recorded calls there; give the folder of a run")
        self._calls = {call.key: call for call in read_calls(journal)}
        self._redact = redact

    def answer(self, request: Request) -> Answer:
        for text in (request.text, self._redact(request.text)):
            call = self._calls.get(call_key(request.where, request.prompt, text))
            if call is not None:
                return call.answer.model_copy(update={"recorded": True})
        raise self._missing(request)

    def _missing(self, request: Request) -> NotRecorded:
        """The nearest recorded request of the prompt, by preference of the same step."""
        missing = f"{request.prompt} ({request.where}): not in the recorded run"
        calls = [call for call in self._calls.values() if call.prompt == request.prompt]
        if not calls:
            return NotRecorded(f"{missing}, which never asked it; replay with the version of then")
        here = [call for call in calls if call.where == request.where]
        nearest = max(here or calls, key=lambda call: likeness(call.text, request.text))
        error = NotRecorded(f"{missing}; the nearest is {nearest.where}, and this has changed:")
        error.add_note("\n".join(difference(nearest.text, readable(request.text))))
        return error
