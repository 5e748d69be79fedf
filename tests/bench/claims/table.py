"""What many simulated runs come to, as lines of text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autoresearch.records import Outcome
from tests.bench.claims.runs import Tried
from tests.bench.claims.worlds import World

MOST_FALSE, LEAST_FOUND = 0.05, 0.90


@dataclass(frozen=True)
class Tally:
    """Shares: of runs with any false claim, of false ones among a run's claims (0 without a claim; mean
    over runs), for the verdicts and for the field's rules; of the ideas of a size that were found; of
    ideas without effect called declined; of the seeds that were run."""

    false: tuple[float, float]
    one_run: tuple[float, float]
    mean: tuple[float, float]
    found: dict[float, float | None]
    wrongly_declined: float
    seeds: float
    counted: int  # ideas worth twice the smallest gain


def tally(world: World, runs: Iterable[Sequence[Tried]]) -> Tally:
    done = [list(run) for run in runs]
    ideas = [idea for run in done for idea in run]
    nothing = [idea for idea in ideas if idea.effect == 0]
    twice = sum(idea.size == 2 for idea in ideas)
    return Tally(
        false=_false([[(i.effect, i.outcome is Outcome.improved) for i in run] for run in done]),
        one_run=_false([[(i.effect, i.one_run) for i in run] for run in done]),
        mean=_false([[(i.effect, i.mean) for i in run] for run in done]),
        found={size: _found(ideas, size) for size in (0.5, 1.0, 2.0)},
        wrongly_declined=_share([i.outcome is Outcome.declined for i in nothing]) or 0.0,
        seeds=sum(idea.seeds for idea in ideas) / len(ideas) / world.seeds,
        counted=twice,
    )


def _false(runs: list[list[tuple[float, bool]]]) -> tuple[float, float]:
    """Of runs, given each idea's true effect and whether it was claimed."""
    shares = []
    for run in runs:
        claims = [effect for effect, claimed in run if claimed]
        shares.append(sum(effect <= 0 for effect in claims) / max(len(claims), 1))
    return sum(share > 0 for share in shares) / len(runs), sum(shares) / len(runs)


def _found(ideas: list[Tried], size: float) -> float | None:
    return _share([idea.outcome is Outcome.improved for idea in ideas if idea.size == size])


def _share(flags: list[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


HEAD = (
    f"{'':38}{'verdicts':>14}{'gain found at':>22}{'no effect':>11}{'seeds':>7}"
    f"{'one run':>14}{'mean of seeds':>15}\n"
    f"{'task':38}{'any':>7}{'FDP':>7}{'0.5x':>8}{'1x':>7}{'2x':>7}{'declined':>11}{'run':>7}"
    f"{'any':>7}{'FDP':>7}{'any':>8}{'FDP':>7}"
)


def line(world: World, found: Tally) -> str:
    gains = "".join(
        f"{_percent(found.found[size]):>{w}}" for size, w in ((0.5, 8), (1.0, 7), (2.0, 7))
    )
    (one_any, one_share), (mean_any, mean_share) = found.one_run, found.mean
    return (
        f"{world.name:38}{found.false[0]:>7.1%}{found.false[1]:>7.1%}{gains}{found.wrongly_declined:>11.1%}"
        f"{found.seeds:>7.0%}{one_any:>7.0%}{one_share:>7.0%}{mean_any:>8.0%}{mean_share:>7.0%}"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def misses(world: World, found: Tally) -> Iterator[str]:
    """Which of the goals were not reached."""
    twice = found.found[2.0]
    if found.false[0] > MOST_FALSE:
        yield f"any false claim in {found.false[0]:.1%} of runs"
    if found.false[1] > MOST_FALSE:
        yield f"false discovery proportion {found.false[1]:.1%}"
    if twice is not None and twice < LEAST_FOUND:
        yield f"of gains of twice the size {twice:.1%} found"
    if twice is None and world.works != "none":
        yield "a gain of twice the size would be beyond a perfect score"
