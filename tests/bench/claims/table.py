"""What many simulated runs come to, as lines of text."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from autoresearch.records import Outcome
from tests.bench.claims.falsified import RULES, SEALED
from tests.bench.claims.runs import Tried
from tests.bench.claims.worlds import World

MOST_FALSE, LEAST_FOUND = 0.05, 0.90


@dataclass(frozen=True)
class Tally:
    """Shares: of runs with any false claim, of false ones among a run's claims (0 without a claim; mean
    over runs), for the verdicts, for what stands of them after all falsifiers but the sealed test, for
    what stands at the end, and for the field's rules; of the ideas of a size that were found, by
    verdicts and at the end; of verdicts on a true gain that were refuted; of ideas without effect called
    declined; of the seeds that were run; of a run's experiments that falsifiers took."""

    verdicts: tuple[float, float]
    unsealed: tuple[float, float]
    claims: tuple[float, float]
    one_run: tuple[float, float]
    mean: tuple[float, float]
    found: dict[float, float | None]
    standing: dict[float, float | None]
    twice: int  # ideas worth twice the smallest gain told
    lost: float | None
    wrongly_declined: float
    seeds: float
    extra: float
    honest: Counter[
        str
    ]  # verdicts on a true gain by what refuted them first; "" for those that stand
    leaking: Counter[str]  # on a leak that is worth nothing


def tally(world: World, runs: Iterable[Sequence[Tried]]) -> Tally:
    done = [list(run) for run in runs]
    ideas = [idea for run in done for idea in run]
    nothing = [idea for idea in ideas if idea.effect == 0 and not idea.leaked]
    improved = [idea for idea in ideas if idea.fate is not None]
    honest = [idea for idea in improved if idea.effect > 0 and not idea.leaked]
    leaking = [idea for idea in improved if idea.effect <= 0 and idea.leaked]
    search = sum(idea.seeds for idea in ideas) + world.seeds * len(done)
    extra = sum(idea.fate.experiments for idea in improved if idea.fate)
    return Tally(
        verdicts=_false(done, lambda idea: idea.fate is not None),
        unsealed=_false(done, lambda i: i.fate is not None and i.fate.by in (None, SEALED)),
        claims=_false(done, lambda idea: idea.claimed),
        one_run=_false(done, lambda idea: idea.one_run),
        mean=_false(done, lambda idea: idea.mean),
        found=_found(ideas, lambda idea: idea.fate is not None),
        standing=_found(ideas, lambda idea: idea.claimed),
        twice=sum(idea.size == 2 for idea in ideas),
        lost=_share([not idea.claimed for idea in honest]),
        wrongly_declined=_share([i.outcome is Outcome.declined for i in nothing]) or 0.0,
        seeds=sum(idea.seeds for idea in ideas) / len(ideas) / world.seeds,
        extra=extra / (search + extra),
        honest=Counter(idea.fate.by or "" for idea in honest if idea.fate),
        leaking=Counter(idea.fate.by or "" for idea in leaking if idea.fate),
    )


def _false(runs: list[list[Tried]], claimed: Callable[[Tried], bool]) -> tuple[float, float]:
    """The share of runs with a false claim, and the mean share of false ones among a run's claims."""
    shares = []
    for run in runs:
        claims = [idea.effect for idea in run if claimed(idea)]
        shares.append(sum(effect <= 0 for effect in claims) / max(len(claims), 1))
    return sum(share > 0 for share in shares) / len(runs), sum(shares) / len(runs)


def _found(ideas: list[Tried], claimed: Callable[[Tried], bool]) -> dict[float, float | None]:
    return {
        size: _share([claimed(idea) for idea in ideas if idea.size == size])
        for size in (0.5, 1.0, 2.0)
    }


def _share(flags: list[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


HEAD = (
    f"{'':36}|{'any false claim':^19}|{'FDP':^5}|{'found, 1x':^11}|{'found, 2x':^11}|{'true':^6}|{'null':^6}"
    f"|{'seeds':^6}|{'extra':^6}|{'field: any':^12}\n"
    f"{'task':36}|{'verdict':>7}{'reruns':>7}{'end':>5}|{'end':>5}|{'verd.':>6}{'end':>5}|{'verd.':>6}{'end':>5}"
    f"|{'lost':>6}|{'decl.':>6}|{'run':>6}|{'runs':>6}|{'1 run':>6}{'mean':>6}"
)


def line(world: World, found: Tally) -> str:
    gains = [f"{_percent(found.found[n]):>6}{_percent(found.standing[n]):>5}" for n in (1.0, 2.0)]
    return (
        f"{world.name:36}|{found.verdicts[0]:>7.1%}{found.unsealed[0]:>7.1%}{found.claims[0]:>5.1%}"
        f"|{found.claims[1]:>5.1%}|{gains[0]}|{gains[1]}|{_percent(found.lost, 1):>6}"
        f"|{found.wrongly_declined:>6.1%}|{found.seeds:>6.0%}|{found.extra:>6.0%}"
        f"|{found.one_run[0]:>6.0%}{found.mean[0]:>6.0%}"
    )


def _percent(share: float | None, digits: int = 0) -> str:
    return "-" if share is None else f"{share:.{digits}%}"


def leak_line(found: Tally) -> str:
    """What ends the verdicts on the leak, and those on true gains."""
    leaking, honest = found.leaking, found.honest
    return (
        f"    {leaking.total()} verdicts on the leak, ended by {_by(leaking)}\n"
        f"    {honest.total()} verdicts on true gains, ended by {_by(honest)}"
    )


def _by(fates: Counter[str]) -> str:
    ended = [f"{rule} {fates[rule] / fates.total():.1%}" for rule in RULES if fates[rule]]
    return ", ".join(ended) or "none"


def misses(world: World, found: Tally) -> Iterator[str]:
    """Which of the goals were not reached, at the end."""
    twice = found.standing[2.0]
    if found.claims[0] > MOST_FALSE:
        yield f"any false claim in {found.claims[0]:.1%} of runs"
    if found.claims[1] > MOST_FALSE:
        yield f"false discovery proportion {found.claims[1]:.1%}"
    if twice is not None and twice < LEAST_FOUND:
        yield f"of {found.twice} gains of twice the size {twice:.1%} found"
    if twice is None and world.works != "none":
        yield "a gain of twice the size would be beyond a perfect score"
