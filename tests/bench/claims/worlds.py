"""Tasks whose truth is known: what an idea is worth is set, and its measurements are drawn.

The score of an example with a seed is made of what the program does with that example, a shift of the
whole run that the seed decides, and a scatter of its own. A program that starts from another one keeps
part of what that does with each example: a lucky idea's children are lucky on the same examples.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

Array = np.ndarray[Any, Any]
ACCURACY, LEAST, MOST = 0.7, 0.02, 0.995  # of the 0/1 baseline, and how far an idea can go
CARRIED = 0.5  # without example scores: the correlation of a run's luck on validation and on test
COPIES = 0.5  # the share of rows that have a copy in training, in the world of copies
# Where a program is scored: as the search does; with seeds it never used; on the pool in another order;
# taught wrong labels; on the sealed split.
Where = Literal["search", "fresh", "shuffled", "permuted", "test"]
# How an idea may seem to gain, and where that shows. Each is drawn so that one falsifier can see it.
SHOWS: dict[str, tuple[Where, ...]] = {
    "copies": ("search", "fresh", "shuffled", "test"),  # right on rows that have a copy in training
    "validation": ("search", "fresh", "shuffled"),  # fitted to the validation rows
    "seeds": ("search", "shuffled", "test"),  # with the seeds of the search only
    "order": ("search", "fresh", "test"),  # from where a row stands in the pool
    "labels": ("search", "fresh", "shuffled", "permuted", "test"),  # knows labels without training
}


@dataclass(frozen=True)
class World:
    """`shift`, `cell` and `change` are standard deviations: of a run over the seeds, of an example with a
    seed, and of what a change of the program does to an example. For 0/1 scores they are in units of the
    scatter of examples' difficulty. `paired` is the part of a run's shift that its seed gives to every
    program; an idea's own shifts are `wild` times as large for half of the ideas. `diverges` is how
    often a run of an idea fails badly, by six shifts; the other runs make up for it. `leak` is how one
    idea in ten seems to gain, and is worth nothing."""

    name: str
    seeds: int
    scores: Literal["none", "binary", "continuous"]
    pool: int = 300
    shift: float = 0.1
    cell: float = 0.5
    change: float = 0.3
    paired: float = 0.0
    wild: float = 1.0
    tails: Literal["normal", "t3"] = "normal"
    diverges: float = 0.0
    works: Literal["few", "many", "none", "leaky"] = "few"  # of its ideas
    leak: str = ""
    why: str = ""  # what to know about its figures

    def draw(self, random: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Noise of variance 1."""
        if self.tails == "t3":
            return random.standard_t(3, shape) / np.sqrt(3)
        return random.standard_normal(shape)

    @property
    def spread(self) -> float:
        """The standard deviation of a baseline's value over the seeds, about."""
        if self.scores == "none":
            return self.shift
        if self.scores == "continuous":
            return float(np.hypot(self.shift, self.cell / np.sqrt(self.pool)))
        latent = np.sqrt(1 + self.shift**2 + self.cell**2)
        slope = np.exp(-(ndtri(ACCURACY) ** 2) / 2) / np.sqrt(2 * np.pi)
        return float(np.hypot(self.shift / latent * slope, 0.3 / np.sqrt(self.pool)))


@dataclass(frozen=True)
class Program:
    """A program's true gain over the baseline, what it does with each example of validation and of test
    (2 x examples), and what it seems to gain by the world's leak."""

    effect: float
    pattern: Array
    wild: float = 1.0
    capped: bool = False  # its effect is less than was asked for: the score cannot be that high
    leaked: float = 0.0


@dataclass(frozen=True)
class Ran:
    """Some runs of a program: each one's shift, and what it lost by failing badly."""

    shifts: Array
    lost: Array


def baseline(world: World, random: np.random.Generator) -> Program:
    width = world.pool if world.scores != "none" else 1
    scale = 1.0 if world.scores == "binary" else 0.0
    return Program(0.0, scale * world.draw(random, (2, width)))


def change(world: World, random: np.random.Generator, start: Program, effect: float) -> Program:
    """A program made from `start`, worth `effect` in all."""
    news = world.draw(random, start.pattern.shape)
    kept = np.sqrt(1 - world.change**2) if world.scores == "binary" else 1.0
    size = world.change if world.scores != "none" else 0.0
    wild = world.wild if random.random() < 0.5 else 1.0
    pattern = kept * start.pattern + size * news
    made = replace(start, effect=effect, pattern=pattern, wild=wild, capped=False)
    if world.scores != "binary":
        return made
    reached = float(np.clip(ACCURACY + effect, LEAST, MOST)) - ACCURACY
    return replace(made, effect=reached, capped=abs(reached - effect) > 1e-9)


def shared(world: World, random: np.random.Generator, count: int) -> Array:
    """What each of that many seeds gives to every program."""
    return world.draw(random, (count,))


def run(world: World, random: np.random.Generator, program: Program, common: Array) -> Ran:
    """The program with each of the seeds."""
    own = world.draw(random, common.shape)
    size = world.shift * program.wild
    shifts = size * (np.sqrt(world.paired) * common + np.sqrt(1 - world.paired) * own)
    bad = random.random(common.shape) < world.diverges if world.diverges else np.zeros(common.shape)
    return Ran(shifts, 6 * world.shift * (world.diverges - bad) if program.wild else 0.0 * bad)


def score(
    world: World, random: np.random.Generator, program: Program, ran: Ran, where: Where = "search"
) -> tuple[Array, Array | None]:
    """The runs' values, one a seed, and their examples' scores, seeds x examples. A run that is lucky,
    or failed, is so on test as well; the examples there are others."""
    effect = _gain(world, program, where)
    if world.scores == "none":
        shifts = ran.shifts
        if where == "test":
            own = world.shift * program.wild * world.draw(random, shifts.shape)
            shifts = CARRIED * shifts + np.sqrt(1 - CARRIED**2) * own
        return effect + shifts + ran.lost, None
    offset = program.pattern[int(where == "test")] + (ran.shifts + ran.lost)[:, None]
    offset = offset + world.cell * world.draw(random, (len(ran.shifts), world.pool))
    if world.scores == "continuous":
        scores = effect + offset
    else:  # what is normal in all its parts is right as often as this threshold says
        latent = np.sqrt(1 + (world.shift * program.wild) ** 2 + world.cell**2)
        threshold = ndtri(np.clip(ACCURACY + effect, LEAST, MOST)) * latent
        scores = (threshold + offset > 0).astype(float)
    return scores.mean(axis=1), scores


def _gain(world: World, program: Program, where: Where) -> Any:
    """What the program gains there on average: of one example, or of each. Taught wrong labels it
    knows as much as the baseline does."""
    effect = 0.0 if where == "permuted" else program.effect
    if not program.leaked or where not in SHOWS[world.leak]:
        return effect
    if world.leak != "copies":
        return effect + program.leaked
    return effect + np.where(copies(world), program.leaked / COPIES, 0.0)


def copies(world: World) -> Array:
    """Which of the examples have a copy in training: the first ones."""
    share = COPIES if world.leak == "copies" else 0.0
    return np.arange(world.pool) < share * world.pool


TOO_FEW = "a size with room below a perfect score is only told where the seeds happen to agree"
WIDER = "the size told is that of ideas which scatter like the baseline"
WORLDS = (
    World("values only, 3 seeds", 3, "none"),
    World("values only, 5 seeds", 5, "none"),
    World("values only, 10 seeds", 10, "none"),
    World("values only, 2 seeds", 2, "none"),
    World("0/1, 300 rows, 2 seeds", 2, "binary", why=TOO_FEW),
    World("0/1, 300 rows, 3 seeds", 3, "binary"),
    World("0/1, 300 rows, 5 seeds", 5, "binary"),
    World("0/1, 1000 rows, 5 seeds", 5, "binary", pool=1000),
    World("0/1, 100 rows, 5 seeds", 5, "binary", pool=100),
    World("0/1, 300 rows, noisy seeds, 5", 5, "binary", shift=0.4, why=TOO_FEW),
    World("0/1, 300 rows, still seeds, 5", 5, "binary", shift=0.0, cell=0.1),
    World("0/1, 300 rows, large changes, 5", 5, "binary", change=0.7),
    World("continuous, 300 rows, 3 seeds", 3, "continuous"),
    World("continuous, 300 rows, 5 seeds", 5, "continuous"),
    World("continuous, examples decide, 5", 5, "continuous", shift=0.02, change=1.0),
    World("continuous, heavy tails, 5", 5, "continuous", tails="t3"),
    World("values only, heavy tails, 5", 5, "none", tails="t3"),
    World("values only, ideas scatter x 3, 5", 5, "none", wild=3.0, why=WIDER),
    World("0/1, ideas scatter x 3, 5", 5, "binary", shift=0.2, wild=3.0),
    World("0/1, seeds half paired, 5", 5, "binary", shift=0.3, paired=0.5),
    World("values only, 1 run in 10 diverges, 5", 5, "none", diverges=0.1),
    World("0/1, half of the ideas work, 5", 5, "binary", works="many"),
    World("0/1, nothing works, 5 seeds", 5, "binary", works="none"),
    World("values only, nothing works, 5 seeds", 5, "none", works="none"),
)  # fmt: skip
LEAKS = tuple(
    World(f"leak: {leak}{noise}", 5, "binary", shift=shift, works="leaky", leak=leak)
    for leak in SHOWS
    for noise, shift in (("", 0.1), (", noisy seeds", 0.2))
)
