"""The claims of all nights: what stands, what does not, and what has changed since the night before."""

from collections.abc import Iterable, Mapping, Sequence

from autoresearch.campaign.matrix import Entry
from autoresearch.campaign.planning import Past, claims_of
from autoresearch.records import Claim, Record
from autoresearch.store import Run


class Standing(Record):
    """A claim of some night. `effect` is on validation, `test_effect` on the sealed split (None where the
    score is self-reported); `verified` is the last night that reproduced it."""

    entry: str
    topic: str
    run: str
    idea: str
    metric: str
    effect: float | None
    interval: tuple[float, float] | None
    test_effect: float | None
    test_interval: tuple[float, float] | None
    seeds: int
    self_reported: bool
    night: int | None  # that it is from
    verified: int | None
    reproduce: str

    @property
    def gain(self) -> float | None:
        """What counts: on the sealed split, or what the program said of itself where there is none."""
        return _gain(self)


class Refuted(Record):
    """A gain that is none: a falsifier refuted it before it could stand, or, where `lost` is a night, that
    night could not reproduce what had stood. The effects are what was claimed."""

    entry: str
    run: str
    idea: str
    effect: float | None
    test_effect: float | None
    self_reported: bool
    night: int | None  # that it is from
    lost: int | None
    why: str

    @property
    def gain(self) -> float | None:
        return _gain(self)


class Best(Record):
    """The largest gain of a topic among the claims that stand, and `before`, what it was after the night
    before; None where nothing stands or stood, `change` where either is None."""

    entry: str
    metric: str
    idea: str
    self_reported: bool
    gain: float | None
    before: float | None
    change: float | None


class Since(Record):
    """This night against the one before (None: it is the first). Of claims, the entry and the idea."""

    night: int | None
    new: tuple[tuple[str, str], ...] = ()
    lost: tuple[tuple[str, str], ...] = ()  # that stood before
    refuted: tuple[tuple[str, str], ...] = ()  # by a falsifier, before they could stand
    reproduced: tuple[tuple[str, str], ...] = ()
    best: tuple[Best, ...] = ()


def claims_of_all(past: Past, made: Mapping[str, int]) -> tuple[list[Standing], list[Refuted]]:
    """What stands, the largest gain first, and what is refuted; `made` is the night that finished a run."""
    standing, refuted = [], []
    for entry in past.campaign.entries:
        for run in past.finished(entry):
            for claim in claims_of(run):
                night = made.get(run.folder.name)
                if claim.refuted or past.is_refuted(run, claim):
                    refuted.append(_refuted(past, entry, run, claim, night))
                else:
                    standing.append(_standing(past, entry, run, claim, night))
    best_first = sorted(standing, key=lambda each: -(each.gain or 0.0))
    return best_first, refuted


def _gain(claim: Standing | Refuted) -> float | None:
    return claim.effect if claim.self_reported else claim.test_effect


def _refuted(past: Past, entry: Entry, run: Run, claim: Claim, night: int | None) -> Refuted:
    found = [each.reason for each in claim.evidence if each.outcome == "refuted"]
    lost = None
    if claim.refuted:
        why = f"{claim.refuted[0]}{f': {found[0]}' if found else ''}"
    else:
        lost, ended = past.verified[run.folder.name, claim.slug]
        why = f"no longer reproduces (night {lost}): {ended.reason}"
    return Refuted(
        entry=entry.key, run=run.folder.name, idea=claim.slug, effect=claim.verdict.effect,
        test_effect=claim.test_effect, self_reported=claim.self_reported, night=night, lost=lost, why=why,
    )  # fmt: skip


def _standing(past: Past, entry: Entry, run: Run, claim: Claim, night: int | None) -> Standing:
    from autoresearch.config import load_task

    verified = past.verified.get((run.folder.name, claim.slug))
    return Standing(
        entry=entry.key,
        topic=run.settings.topic,
        run=run.folder.name,
        idea=claim.slug,
        metric=load_task(run.task_folder).metric,
        effect=claim.verdict.effect,
        interval=claim.verdict.interval,
        test_effect=claim.test_effect,
        test_interval=claim.test_interval,
        seeds=claim.verdict.seeds,
        self_reported=claim.self_reported,
        night=night,
        verified=verified[0] if verified else None,
        reproduce=f"autoresearch reproduce {run.folder.name} {claim.slug} --runs {past.campaign.folder.name}/runs",
    )


def compared(
    known: Iterable[int],
    number: int | None,
    standing: Sequence[Standing],
    refuted: Sequence[Refuted],
) -> Since:
    """What stands now against what stood after the night before."""
    if number is None:
        return Since(night=None)
    before = max((night for night in known if night < number), default=None)
    lost = [each for each in refuted if each.lost == number]
    claims: list[Standing | Refuted] = [*standing, *lost]
    stood = [each for each in claims if each.night is not None and each.night < number]
    now = best_of(each for each in standing if each.night is None or each.night <= number)
    then = best_of(stood)
    best = [_change(entry, now.get(entry), then.get(entry)) for entry in {**now, **then}]
    return Since(
        night=before,
        new=_named(each for each in standing if each.night == number),
        lost=_named(lost),
        refuted=_named(each for each in refuted if each.lost is None and each.night == number),
        reproduced=_named(each for each in standing if each.verified == number),
        best=tuple(best),
    )


def _change(entry: str, now: Standing | Refuted | None, then: Standing | Refuted | None) -> Best:
    gain, before = now.gain if now else None, then.gain if then else None
    some = now or then
    return Best(
        entry=entry, metric=now.metric if isinstance(now, Standing) else "", idea=now.idea if now else "",
        self_reported=some is not None and some.self_reported, gain=gain, before=before,
        change=None if gain is None or before is None else gain - before,
    )  # fmt: skip


def best_of(claims: Iterable[Standing | Refuted]) -> dict[str, Standing | Refuted]:
    """By entry the claim with the largest gain, of those that have one."""
    found: dict[str, Standing | Refuted] = {}
    for each in claims:
        held = found.get(each.entry)
        if each.gain is not None and (held is None or each.gain > (held.gain or 0.0)):
            found[each.entry] = each
    return found


def _named(claims: Iterable[Standing | Refuted]) -> tuple[tuple[str, str], ...]:
    return tuple((each.entry, each.idea) for each in claims)
