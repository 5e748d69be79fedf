"""Ablation: without the change that the idea is about, the gain is gone.

What is left out is one hunk of the patch, the one that shares most words with the idea (the longest of
those); comments and documentation are no change. An idea that was built on another one has its ablation
already: its parent.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from autoresearch.falsify.evidence import NoScore, escalate, mean
from autoresearch.falsify.grounds import AS_IT_IS, value_of
from autoresearch.falsify.subject import Subject, noted, refuted, survived
from autoresearch.records import Evidence, Idea

KEPT = 0.75  # the share of the gain from which it is not from what was left out
NEAR = 2  # unchanged lines between two changes of one hunk


@dataclass(frozen=True)
class Hunk:
    """Lines of one file, from 0 and without the last: of the reference, and of the idea's code."""

    path: str
    old: tuple[int, int]
    new: tuple[int, int]


def ablation(subject: Subject) -> Evidence:
    if subject.trial.parent is not None:
        return _against_parent(subject)
    lab, commit = subject.lab, str(subject.lesson.commit)
    before, after = _files(subject.grounds.tree()), _files(lab.workspace.export(commit))
    hunks = hunks_of(before, after)
    if len(hunks) < 2:
        return survived("the patch is one change: the baseline is its ablation")
    hunk = central(hunks, before, after, subject.lesson.idea)
    left = without(hunk, before, after)
    where = f"{hunk.path}, lines {hunk.new[0] + 1} to {max(hunk.new)} (1 of {len(hunks)} changes)"
    return _without(subject, {hunk.path: left}, where)


def _against_parent(subject: Subject) -> Evidence:
    verdict = subject.lesson.verdict
    over, interval = verdict.over_parent, verdict.over_parent_interval
    if over is None:
        return survived("built on another idea, which is its ablation")
    shown = f"{over:+.4g} [{interval[0]:+.4g}, {interval[1]:+.4g}]" if interval else f"{over:+.4g}"
    said = f"{shown} of the gain of {subject.gain:+.4g} is over the idea that it was built on"
    if over <= 0:
        return refuted(f"{said}: what it adds is no gain")
    sure = interval is None or interval[0] > 0
    if over >= (1 - KEPT) * subject.gain and sure:
        return survived(said)
    return noted(said if sure else f"{said}, which may be nothing")


def _without(subject: Subject, changed: Mapping[str, str], where: str) -> Evidence:
    lab, name = subject.lab, f"{subject.lesson.name}/ablation"
    with lab.workspace.worktree(name, str(subject.lesson.commit)) as tree:
        for path, text in changed.items():
            (tree / path).write_text(text, encoding="utf-8", newline="")
        commit = lab.workspace.commit(tree, f"refs/ablations/{subject.lesson.name}", name)
    code, seeds = lab.workspace.export(commit), subject.seeds

    def kept(number: int) -> float:
        measured = subject.measure(AS_IT_IS, seeds[number], code, "ablation")
        score, base = (
            value_of(measured, "without"),
            subject.grounds.baseline(AS_IT_IS, seeds[number]),
        )
        return lab.task.gain(score, float(base.value or 0.0))

    try:
        gains = escalate(kept, 1, len(seeds), lambda found: found >= KEPT * subject.gain)
    except NoScore:
        return survived(f"without {where} it does not run")
    finally:
        lab.workspace.discard(commit)
    said = f"without {where} the gain is {mean(gains):+.4g} instead of {subject.gain:+.4g}"
    return refuted(said) if mean(gains) >= KEPT * subject.gain else survived(said)


def _files(tree: Path) -> dict[str, str]:
    """The text files of a tree, by their relative paths."""
    found = {}
    for path in sorted(each for each in tree.rglob("*") if each.is_file()):
        try:
            found[path.relative_to(tree).as_posix()] = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
    return found


def hunks_of(before: Mapping[str, str], after: Mapping[str, str]) -> list[Hunk]:
    """The changes that are more than comments, near ones as one; those of a new file are one."""
    hunks: list[Hunk] = []
    for path, text in after.items():
        old, new = before.get(path, "").splitlines(True), text.splitlines(True)
        for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            last = hunks[-1] if hunks else None
            if tag == "equal":
                continue
            if last and last.path == path and a - last.old[1] <= NEAR:
                hunks[-1] = Hunk(path, (last.old[0], b), (last.new[0], d))
            else:
                hunks.append(Hunk(path, (a, b), (c, d)))
    return [
        hunk
        for hunk in hunks
        if _meaning(after[hunk.path]) != _meaning(without(hunk, before, after))
    ]


def without(hunk: Hunk, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The text of the hunk's file with the reference's lines in its place."""
    old, new = before.get(hunk.path, "").splitlines(True), after[hunk.path].splitlines(True)
    return "".join([*new[: hunk.new[0]], *old[slice(*hunk.old)], *new[hunk.new[1] :]])


def _meaning(text: str) -> str:
    """What a program does: without comments, documentation and layout; other text as it is."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def central(
    hunks: list[Hunk], before: Mapping[str, str], after: Mapping[str, str], idea: Idea
) -> Hunk:
    """The change that the idea names, by the words that they share (twice as much for
    those of the new lines); the longest of those that do."""
    named = _words(f"{idea.title} {idea.plan} {idea.summary}")

    def weight(hunk: Hunk) -> tuple[int, int]:
        new = after[hunk.path].splitlines()[slice(*hunk.new)]
        old = before.get(hunk.path, "").splitlines()[slice(*hunk.old)]
        added, lost = _words("\n".join(new)) & named, _words("\n".join(old)) & named
        return 2 * len(added) + len(lost - added), max(len(new), len(old))

    return max(hunks, key=weight)


def _words(text: str) -> set[str]:
    """Words of prose and of names in code: MLPClassifier as mlp and classifier."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)
    return {part.lower().rstrip("s") for part in parts if len(part) > 2}
