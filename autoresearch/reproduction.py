"""Reproduce an idea of a run: baseline and idea once more, from their commits, on fresh seeds.

The rule, the same for every idea and fixed before anything runs. The paired test of `paired` is made of
the fresh seeds alone. The gain *holds* when its one-sided p is below LEVEL. It *does not hold* when the
program fails, when the interval ends below KEPT of the claimed gain, or when the mean is not above zero
and the interval ends below the claimed gain. Else it is undecided, and how many seeds would settle it is
reckoned as the noise floor's smallest gain is.
"""

import importlib.metadata
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from statistics import fmean, stdev

from autoresearch.errors import BadInput
from autoresearch.falsify.evidence import FRESH_FIRST, KEPT
from autoresearch.falsify.grounds import FRESH, LIMITS, Grounds, cost_of
from autoresearch.floors import floor_of, smallest_gain
from autoresearch.harness import Lab, explain, in_parallel, measure
from autoresearch.paired import Pair, Test, example_gains, gains_of, paired_test
from autoresearch.records import Floor, Lesson, Measurement, Outcome, Task
from autoresearch.report import Row
from autoresearch.reproduced import (
    FOLDER,
    Drawn,
    Fresh,
    Reproduction,
    claim_of,
    folders_of,
    is_of,
    standing_of,
)
from autoresearch.samedata import same_data
from autoresearch.store import Desk, Run, read

LEVEL = 0.05  # of the one test that is made
FEWEST, MOST = 2, 1000  # seeds: one shows no scatter
Told = Callable[[str], None]  # is told of each seed that is done


def lesson_of(row: Row) -> Lesson:
    """The lesson of an idea that can be reproduced. Raises BadInput for one without a score."""
    place = f"{row.round}.{row.number} {row.idea.slug}"
    if row.lesson is None:
        raise BadInput(f"{place} is not measured yet: resume the run first")
    if row.lesson.commit is None or row.lesson.verdict.outcome is Outcome.failed:
        raise BadInput(
            f"{place} has no score that could be reproduced: {row.lesson.verdict.reason[:300]}"
        )
    return row.lesson


def open_reproduction(run: Run, lesson: Lesson, wanted: int | None) -> Desk:
    """Where the next reproduction of an idea is: the one that was not finished, or a new one.

    Raises BadInput where that many seeds cannot be run.
    """
    if wanted is not None and not FEWEST <= wanted <= MOST:
        raise BadInput(f"--seeds {wanted}: give {FEWEST} to {MOST}; one seed shows no scatter")
    if not (run.folder / "code.git").is_dir():
        raise BadInput(
            f"{run.folder} has no code.git, where its programs are: restore it from a copy of the run"
        )
    folders, slug = folders_of(run.folder), lesson.idea.slug
    for folder in folders:
        if is_of(folder, lesson) and not (folder / "result.json").is_file():
            _check_count(folder, wanted)
            return run.desk.at(FOLDER).at(folder.name)
    number = 1 + max((int(each.name.split("-")[0]) for each in folders), default=-1)
    return run.desk.at(FOLDER).at(f"{number:02}-{slug}")


def _check_count(folder: Path, wanted: int | None) -> None:
    drawn = read(folder / "seeds.json", Drawn) if (folder / "seeds.json").is_file() else None
    if drawn is not None and wanted not in (None, len(drawn.seeds)):
        raise BadInput(
            f"{folder} was not finished and has {len(drawn.seeds)} seeds, not {wanted}: leave out --seeds "
            "to go on with it, or delete that folder"
        )


def reproduce(
    run: Run, lab: Lab, desk: Desk, lesson: Lesson, wanted: int | None, told: Told
) -> Reproduction:
    """Draw fresh seeds, run baseline and idea with each, and decide; every step is on disk."""
    drawn = desk.step("seeds", Drawn, partial(_draw, lab, lesson, wanted))
    return desk.step("result", Reproduction, lambda: _made(run, lab, desk, lesson, drawn, told))


def _draw(lab: Lab, lesson: Lesson, wanted: int | None) -> Drawn:
    """Seeds from the operating system: nothing in the run foretells them."""
    used = set(Grounds(lab).fresh_seeds(2 * max(FRESH_FIRST, lab.task.seeds)))
    for folder in folders_of(lab.desk.folder):
        if (folder / "seeds.json").is_file():
            used.update(read(folder / "seeds.json", Drawn).seeds)
    free = [seed for seed in FRESH if seed not in used]
    return Drawn(
        name=lesson.name,
        commit=str(lesson.commit),
        baseline=lab.floor.commit,
        seeds=tuple(
            secrets.SystemRandom().sample(free, wanted or max(FRESH_FIRST, lab.task.seeds))
        ),
        began=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _made(run: Run, lab: Lab, desk: Desk, lesson: Lesson, drawn: Drawn, told: Told) -> Reproduction:
    unchecked = same_data(lab)
    pairs = _measure(lab, desk, drawn, told)
    decided = _decide(run, lab, lesson, pairs)
    return Reproduction(
        name=drawn.name,
        slug=lesson.idea.slug,
        commit=drawn.commit,
        baseline=drawn.baseline,
        began=drawn.began,
        ended=_now(),
        metric=lab.task.metric,
        split="self-reported" if lab.task.reported else "validation",
        standing=standing_of(run, lesson),
        claimed=lesson.verdict,
        scores=tuple(Fresh(seed=m.seed, baseline=b.value, idea=m.value) for m, b in pairs),
        effect=decided.effect,
        interval=(decided.test.low, decided.test.high) if decided.test else None,
        p=decided.test.p if decided.test else None,
        test=decided.test.name if decided.test else "none",
        holds=decided.holds,
        reason=decided.reason,
        sandbox=lab.sandbox.name,
        environment=lab.environment_hash,
        differs=(*_differences(run, lab), *unchecked),
        cost=cost_of([each.execution for pair in pairs for each in pair]),
    )


def _decide(run: Run, lab: Lab, lesson: Lesson, pairs: Sequence[Pair]) -> "Decision":
    """By the rule; a gain that is there again does not bring back a claim that was refuted."""
    floor = _floor(lab, [base for _, base in pairs])
    decided = decide(lab.task, lesson.verdict.effect, pairs, floor)
    claim = claim_of(run, lesson.name)
    if not decided.holds or claim is None or not claim.refuted:
        return decided
    return replace(
        decided, reason=f"{decided.reason}; the claim stays refuted by {claim.refuted[0]}"
    )


def _measure(lab: Lab, desk: Desk, drawn: Drawn, told: Told) -> list[Pair]:
    """Idea and baseline with each seed. A baseline that fails is data here, not an error."""
    base, mine = (lab.workspace.export(commit) for commit in (drawn.baseline, drawn.commit))

    done = count(1)

    def one(number: int) -> Pair:
        seed = drawn.seeds[number]
        pair = (
            measure(lab, desk, f"idea-seed-{seed}", mine, seed),
            measure(lab, desk, f"baseline-seed-{seed}", base, seed),
        )
        idea, baseline = (_say(each) for each in pair)
        told(f"{next(done)} of {len(drawn.seeds)}: seed {seed}: baseline {baseline}, idea {idea}")
        return pair

    return in_parallel(lab, one, range(len(drawn.seeds)))


def _say(measured: Measurement) -> str:
    if measured.value is None:
        return " ".join(explain(measured).split())[:200]
    return f"{measured.value:.4f}"


def _differences(run: Run, lab: Lab) -> list[str]:
    here = importlib.metadata.version("autoresearch")
    pairs = (
        ("sandbox", run.manifest["sandbox"]["name"], lab.sandbox.name),
        ("autoresearch", run.manifest.get("version"), here),
    )
    return [f"{what} was {was} and is {now}" for what, was, now in pairs if was != now]


# --- the rule -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decision:
    """Whether a gain is there again, why, and the test it was decided by."""

    holds: bool | None
    reason: str
    effect: float | None = None
    test: Test | None = None


def decide(task: Task, claimed: float | None, pairs: Sequence[Pair], floor: Floor) -> Decision:
    """Whether the gain is there, by the rule above, from the idea's and the baseline's measurements.
    `claimed` is None or not above zero where no gain was; `floor` is of all the baseline's seeds."""
    lost = _lost(pairs)
    if lost is not None:
        return lost
    gains = gains_of(pairs, task)
    effect, test = math.fsum(gains) / len(gains), paired_test(gains, example_gains(pairs))
    if test is None:
        said = f"the gain is {effect:+.4g} with every seed"
        unsure = Decision(None, f"{said}: without scatter nothing can be tested", effect)
        return unsure if effect > 0 else Decision(False, said, effect)
    if effect > 0 and test.p < LEVEL:
        return Decision(True, _held(test, claimed or 0.0), effect, test)
    refuted = _refuted(claimed or 0.0, effect, test)
    if refuted:
        return Decision(False, refuted, effect, test)
    return Decision(None, _advice(claimed or 0.0, gains, floor), effect, test)


def _lost(pairs: Sequence[Pair]) -> Decision | None:
    """Where scores are missing. What a limit ended may be for want of a faster machine."""
    base = next((base for _, base in pairs if base.value is None), None)
    if base is not None:
        return Decision(None, f"the baseline gives no score with seed {base.seed}: {explain(base)}")
    failed = [mine for mine, _ in pairs if mine.value is None]
    if not failed:
        return None
    broken = [mine for mine in failed if mine.execution.ended not in LIMITS]
    first = (broken or failed)[0]
    said = f"no score with {len(failed)} of {len(pairs)} fresh seeds; with {first.seed}: "
    return Decision(False if broken else None, said + explain(first))


def _held(test: Test, claimed: float) -> str:
    said = f"the gain is above zero, p = {test.p:.2g} (below {LEVEL:g})"
    if test.high < KEPT * claimed:
        said += f"; but less than {KEPT:.0%} of the claimed {claimed:+.4g}"
    return said


def _refuted(claimed: float, effect: float, test: Test) -> str:
    """Why the gain does not hold; "" where that cannot be said."""
    if claimed <= 0:
        return "the gain is not above zero, and none was claimed" if effect <= 0 else ""
    if test.high < KEPT * claimed:
        return f"the interval ends below {KEPT:.0%} of the claimed {claimed:+.4g}"
    if effect > 0 or test.high >= claimed:
        return ""
    return f"the gain is not above zero, and the interval ends below the claimed {claimed:+.4g}"


def _floor(lab: Lab, fresh: Sequence[Measurement]) -> Floor:
    """The noise floor of all the baseline's seeds, at this test's level."""
    measured = [each for each in (*lab.floor.measurements, *fresh) if each.value is not None]
    values = [float(each.value or 0.0) for each in measured]
    floor = floor_of(lab.floor.commit, tuple(measured), values, lab.settings)
    return floor.model_copy(update={"alpha": LEVEL})


def _advice(claimed: float, gains: Sequence[float], floor: Floor) -> str:
    """How many seeds would show the gain that was seen, or claimed where that is less. An idea that
    scatters more than the baseline does needs more of them."""
    seeds, scatter = len(gains), max(floor.deviation or 0.0, stdev(gains) / math.sqrt(2))
    floor = floor.model_copy(update={"deviation": scatter})
    gain = min((each for each in (fmean(gains), claimed) if each > 0), default=0.0)
    wanted = seeds + 1
    while wanted <= MOST and (smallest_gain(floor, wanted) or 0.0) > gain:
        wanted += math.ceil(wanted / 20)
    said = f"{seeds} seeds neither show a gain nor exclude it"
    if wanted > MOST:
        return f"{said}; {MOST} would not find one of {gain:+.4g} 4 times in 5"
    wanted = wanted if wanted > seeds + 1 else 2 * seeds  # by bad luck: these should have shown it
    return f"{said}; give --seeds {wanted} to find one of {gain:+.4g}"
