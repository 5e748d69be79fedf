"""The message of a commit that applies an idea: what is claimed of it, and what that rests on.

An idea's words are a model's or a stranger's: they stay on lines that begin with ours, so that none of
them is a trailer or a comment, and nothing in them is a link, a mention or an order to a forge.
"""

import re
import textwrap
from collections.abc import Iterator

from autoresearch.records import Claim, Claims, Evidence, Floor, Task, Trial, Verdict
from autoresearch.report import floor_of_run, model_name, number, printable, task_of
from autoresearch.store import Run, read

TITLE = 72  # characters of the first line
WIDTH = 76
OPINION = "checked by nothing but the program itself"


def claim_of(run: Run, trial: Trial) -> Claim | None:
    path = run.folder / "claims.json"
    claims = read(path, Claims).claims if path.is_file() else ()
    return next((each for each in claims if each.name == trial.name), None)


def doubt(run: Run, trial: Trial, verdict: Verdict | None) -> str:
    """Why an idea is no confirmed claim, in a few words; "" where it is one."""
    claim = claim_of(run, trial)
    if claim is None and not (run.folder / "claims.json").is_file():
        said = f"{verdict.outcome.value} on validation" if verdict else "without a verdict"
        return f"unconfirmed ({said}; its run has not finished)"
    if claim is None:
        return f"not a claim ({f'{verdict.outcome.value}: {verdict.reason}' if verdict else 'no verdict'})"
    if claim.refuted:
        return f"refuted ({'; '.join(_refutations(claim))})"
    if claim.self_reported:
        return f"self-reported and unconfirmed (its figures are {OPINION})"
    return (
        "" if claim.test_effect is not None else "unconfirmed (no score on the sealed test split)"
    )


def message(run: Run, trial: Trial, verdict: Verdict | None) -> str:
    """The whole message. Lines are of ours, or begin with a word of ours or with spaces."""
    task, claim = task_of(run), claim_of(run, trial)
    parts = [
        title(trial),
        _filled(_status(doubt(run, trial, verdict), task, claim, verdict)),
        "\n".join(_filled(line, "  ") for line in _tests(claim, verdict, floor_of_run(run), task)),
        "\n".join(_origin(run, trial)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(trial: Trial) -> str:
    """The idea's title as the first line of a commit."""
    line = quoted(trial.idea.title) or trial.idea.slug
    # What git, or a robot that reads commits, would take for more than a title.
    if re.match(r"(fixup|squash|amend)!", line):
        line = f"Idea: {line}"
    if len(line) <= TITLE:
        return line
    cut = line[: TITLE - 2].rpartition(" ")[0] or line[: TITLE - 3]
    return f"{cut[: TITLE - 3]}..."


def quoted(text: str) -> str:
    """Untrusted text as one line in which a forge finds no issue, person, address or order (`[skip ci]`)."""
    line = " ".join(printable(text).split())
    for bad, good in {"#": "", "[": "(", "]": ")", "<": "(", ">": ")"}.items():
        line = line.replace(bad, good)
    line = re.sub(r"@(?=\w)", "(at)", line.replace("://", ":"))
    line = re.sub(
        r"(?<=-by)\s*:", "", line, flags=re.IGNORECASE
    )  # signed off, reviewed, co-authored
    return re.sub(r"\bGH-(?=\d)", "GH ", line, flags=re.IGNORECASE).strip()


def _status(doubts: str, task: Task, claim: Claim | None, verdict: Verdict | None) -> str:
    seen = _gain(verdict.effect, verdict.interval) if verdict else "none"
    if not doubts and claim is not None:
        sealed = _gain(claim.test_effect, claim.test_interval)
        return (
            f"Gain in {quoted(task.metric)} over the baseline: {sealed} on the sealed test split, opened once; "
            f"{seen} on validation, which chose the idea. In brackets 95 % intervals; measured by the "
            "task's score.py."
        )
    where = (
        "by the program's own figure" if task.reported else "on validation, which chose the idea"
    )
    said = f"{doubts[:1].upper()}{quoted(doubts[1:])}."
    return f"{said} Gain in {quoted(task.metric)} over the baseline: {seen} {where}."


def _tests(
    claim: Claim | None, verdict: Verdict | None, floor: Floor | None, task: Task
) -> Iterator[str]:
    where = "self-reported" if task.reported else "validation"
    if floor is not None:
        sealed = (
            f", {number(claim.test_baseline)} (sealed test)"
            if claim and claim.test_baseline is not None
            else ""
        )
        yield f"Baseline: {quoted(task.metric)} {number(floor.mean)} ({where}){sealed}, over {_seeds(len(floor.measurements))}"
    if verdict is not None:
        sealed = (
            f", {number(claim.test_score)} (sealed test)"
            if claim and claim.test_score is not None
            else ""
        )
        yield f"Score: {number(verdict.score)} ({where}){sealed}, over {_seeds(verdict.seeds)}"
        p = (
            "not tested to the end"
            if verdict.p is None
            else f"p = {verdict.p:.2g} against a level of {verdict.alpha:.2g}"
        )
        yield f"Test: {quoted(verdict.test)}; {p}; {verdict.outcome.value}"
    if claim is None:
        yield "Survived: nothing has tried to refute it"
        return
    yield f"Survived: {quoted(', '.join(claim.survived)) or 'nothing'}"
    for each in claim.evidence:
        if each.outcome == "noted":
            yield f"Noted: {_said(each)}"
    yield f"Not tested for: {quoted(', '.join(claim.untested)) or 'nothing; all falsifiers were tried'}"


def _origin(run: Run, trial: Trial) -> list[str]:
    name = quoted(run.folder.name)
    return [
        f"Task: {quoted(run.task_name)}",
        f"Model: {quoted(model_name(run))}",
        f"Run: {name}",
        f"Idea: {trial.idea.slug}",
        f"Commit: {trial.commit} of that run's code.git",
        f"Reproduce: autoresearch reproduce {name} {trial.idea.slug}",
    ]


def _refutations(claim: Claim) -> list[str]:
    found = [_said(each) for each in claim.evidence if each.outcome == "refuted"]
    return found or list(claim.refuted)


def _said(evidence: Evidence) -> str:
    times = "" if evidence.ratio is None else f" ({evidence.ratio:.2f} times)"
    return quoted(f"{evidence.falsifier}: {evidence.reason}") + times


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _gain(effect: float | None, interval: tuple[float, float] | None) -> str:
    if effect is None:
        return "none"
    return f"{effect:+.4g}" + (f" [{interval[0]:+.4g}, {interval[1]:+.4g}]" if interval else "")


def _filled(line: str, indent: str = "") -> str:
    return textwrap.fill(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
