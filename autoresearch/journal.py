"""Every call of a run, on disk before its answer is used: what makes a run resumable and replayable."""

import hashlib
import json
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from autoresearch.differences import difference, likeness
from autoresearch.errors import BadInput, NotRecorded, PromptTooLong, RecordError, RunFailed
from autoresearch.llm import TOO_LONG, Answer, Model, Request, readable
from autoresearch.records import Record


class Call(Record):
    """One line of `calls.jsonl`. `key` is the SHA-256 of step, prompt and text."""

    key: str
    prompt: str
    where: str
    text: str
    answer: Answer


def call_key(where: str, prompt: str, text: str) -> str:
    return hashlib.sha256(json.dumps([where, prompt, readable(text)]).encode()).hexdigest()


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
            answer = known.model_copy(update={"recorded": True}) if known else self._ask(request)
            if known is None:
                self._append(key, request, answer)
        if answer.finish == TOO_LONG:
            raise PromptTooLong(answer.text)
        return answer

    def _ask(self, request: Request) -> Answer:
        """That a prompt is too long is an answer too: a resumed or replayed run must know it."""
        try:
            return self._model.answer(request)
        except PromptTooLong as error:
            return Answer(
                text=str(error), finish=TOO_LONG, model="", tokens_in=0, tokens_out=0, dollars=0.0,
                seconds=0.0,
            )  # fmt: skip

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
    size = journal.stat().st_size
    with open(journal, "rb+") as file:
        whole = mmap.mmap(file.fileno(), 0).rfind(b"\n") + 1 if size else 0
        if whole < size:
            file.truncate(whole)
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
