"""What the falsifiers make of a claim whose truth is known: the product's own rules decide, on
measurements that are drawn. In worlds with a leak all rules that are statistics are tried, elsewhere the two
whose measurements are new ones of the same program: fresh seeds and the sealed test split."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from autoresearch.falsify.evidence import (
    PERMUTED_MOST,
    Found,
    fresh_looks,
    in_another_order,
    on_fresh_seeds,
    on_test,
    with_wrong_labels,
    without_copies,
)
from autoresearch.falsify.trial import FALSIFIERS
from tests.bench.claims.worlds import Array, Program, Ran, Where, World, copies, run, score, shared

COPIES, FRESH, ORDER, LABELS = "copies", "fresh seeds", "another order", "wrong labels"
SEALED = "sealed test"
RULES = (COPIES, FRESH, ORDER, LABELS, SEALED)
NAMES = {  # of the product's falsifiers
    "leakage through duplicates": COPIES,
    "fresh seeds": FRESH,
    "order and batch invariance": ORDER,
    "label permutation": LABELS,
}
Scored = tuple[Array, Array | None]  # values, and examples' scores


@dataclass(frozen=True)
class Claim:
    """A program that its verdict called improved, its runs with the search's seeds, and their scores."""

    program: Program
    ran: Ran
    scored: Scored


@dataclass(frozen=True)
class Fate:
    """The first rule that refutes a claim (None: it stands), and how many experiments were run for it, the
    baseline's too where no other claim had asked for them."""

    by: str | None
    experiments: int


@dataclass
class Stand:
    """One run's falsifiers, beside a baseline that is drawn once for all of its claims."""

    world: World
    random: np.random.Generator
    base: Claim
    drawn: dict[Where, tuple[Array, Scored]] = field(default_factory=dict)
    asked: set[tuple[Where, int]] = field(default_factory=set)  # of the baseline

    def falsify(self, claims: list[Claim]) -> list[Fate]:
        """The fate of each: the rules in the product's order, then one opening of the seal."""
        fates = [self._rerun(claim, len(claims)) for claim in claims]
        standing = [n for n, fate in enumerate(fates) if fate.by is None]
        found = on_test([self._on_test(claims[n]) for n in standing])
        for number, sealed in zip(standing, found, strict=True):
            if not sealed.holds:
                fates[number] = replace(fates[number], by=SEALED)
        return fates

    def _rerun(self, claim: Claim, claims: int) -> Fate:
        experiments, before = 0, len(self.asked)
        rules = self._rules(claim, claims)
        for name in (NAMES[each] for each in FALSIFIERS if NAMES.get(each) in rules):
            found = rules[name]()
            experiments += len(found.values)
            if found.refutes:
                return Fate(name, experiments + len(self.asked) - before)
        return Fate(None, experiments + len(self.asked) - before)

    def _rules(self, claim: Claim, claims: int) -> dict[str, Callable[[], Found]]:
        known = claim.scored[0] - self.base.scored[0]
        claimed, searched = float(known.mean()), self.world.seeds

        def fresh() -> Found:
            return on_fresh_seeds(self._gain(claim, "fresh"), searched, claims)

        def order() -> Found:
            there = self._gain(claim, "shuffled")
            return in_another_order(lambda n: float(known[n]) - there(n), claimed, searched)

        def labels() -> Found:
            return with_wrong_labels(self._gain(claim, "permuted"), claimed)

        if not self.world.leak:
            return {FRESH: fresh}
        twice = partial(self._without_copies, claim)
        return {COPIES: twice, FRESH: fresh, ORDER: order, LABELS: labels}

    def _gain(self, claim: Claim, where: Where) -> Callable[[int], float]:
        """The paired gain of the n-th run there. All are drawn, what is asked for is noted."""
        common, base = self._baseline(where)
        program, ran = claim.program, claim.ran
        if where != "shuffled":
            ran = run(self.world, self.random, program, common)
        gains = score(self.world, self.random, program, ran, where)[0] - base[0]

        def gain(number: int) -> float:
            self.asked.add((where, number))
            return float(gains[number])

        return gain

    def _baseline(self, where: Where) -> tuple[Array, Scored]:
        """What the seeds there give to every program, and the baseline with them."""
        if where not in self.drawn:
            most = {"fresh": max(fresh_looks(self.world.seeds)), "permuted": PERMUTED_MOST}
            common, ran, program = np.empty(0), self.base.ran, self.base.program
            if where in most:
                common = shared(self.world, self.random, most[where])
                ran = run(self.world, self.random, program, common)
            self.drawn[where] = common, score(self.world, self.random, program, ran, where)
        return self.drawn[where]

    def _without_copies(self, claim: Claim) -> Found:
        mine, base, twice = claim.scored[1], self.base.scored[1], copies(self.world)
        if mine is None or base is None or not twice.any():
            return Found([], False)
        rows = (mine - base).mean(axis=0)
        return Found([], without_copies(rows.tolist(), rows[~twice].tolist()))

    def _on_test(self, claim: Claim) -> tuple[list[float], Array | None]:
        """The gains on other examples, of the same runs, and those of the examples."""
        mine = score(self.world, self.random, claim.program, claim.ran, "test")
        base = self._baseline("test")[1]
        rows = None if mine[1] is None or base[1] is None else mine[1] - base[1]
        return (mine[0] - base[0]).tolist(), rows
