"""Language models: the seam, and `ask`, the only way to a typed answer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol

from pydantic import Field, ValidationError
from typing_extensions import TypeVar

from autoresearch.errors import NotRecorded, UnusableAnswer
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


class Nobody:
    """A model for work that asks none: being asked is a fault of the program."""

    def answer(self, request: Request) -> Answer:
        raise AssertionError(f"{request.where} asked for {request.prompt}, where no model is asked")


# --- asking -------------------------------------------------------------------------------------

TOO_LONG = "too_long"  # how an answer ends that never began
TRIES = 3
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


def ask(model: Model, request: Request[Wanted], final: bool = False) -> Wanted:
    """The model's answer as the record that the request wants.

    An unusable answer is shown to the model with what is wrong with it, and asked for again, at most
    twice. Raises UnusableAnswer, naming the prompt, the step and the last problem, after that. With
    `final` that is a result which the run goes on from, and a resumed run comes to the same one;
    without, it ends a run, and a resumed run asks again, after the answers that it has recorded.
    """
    asked, number, tries, problem = request, 1, 0, ""
    while True:
        try:
            answer = model.answer(asked)
        except NotRecorded:
            if number <= TRIES:
                raise
            raise _gave_up(request, number - 1, problem) from None  # as the recorded run did
        tries += final or not answer.recorded
        problem = _unusable(answer)
        if not problem:
            try:
                return request.record.from_answer(answer.text)
            except ValueError as error:
                problem = _explain(error)
        if tries >= TRIES:
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


def readable(text: str) -> str:
    """The text with "?" for what has no UTF-8 form (a paper or an answer may hold such)."""
    return text.encode("utf-8", "replace").decode()
