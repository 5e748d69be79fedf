"""The table: what came of every planted program, what it should have been, and what it took."""

import sys
import tempfile
from pathlib import Path

from tests.bench.claims.cheats import digits, variants
from tests.bench.claims.cheats.planted import Planted
from tests.bench.claims.cheats.runs import Tally, try_out

SEEDS = 4


def main() -> int:
    kind, *wanted = sys.argv[1:] or ["local"]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    groups: dict[str, tuple[tuple[tuple[str, str, str], ...], list[Planted]]] = {
        **{f"digits: {name}": ((), planted) for name, planted in digits.groups().items()},
        "digits, leaky": (variants.LEAKY, variants.leaky()),
        "digits, careless scorer": (variants.CARELESS, variants.careless()),
    }
    tallies = []
    with tempfile.TemporaryDirectory(prefix="cheats-") as folder:
        for number, (name, (edits, planted)) in enumerate(groups.items()):
            chosen = [each for each in planted if not wanted or each.name in wanted]
            if chosen:
                task = variants.copy_of(Path(folder) / f"{number}" / "digits", SEEDS, edits)
                tallies.append(try_out(task, chosen, Path(folder) / "runs", kind))
                show(name, tallies[-1])
    return summary(tallies)


def show(name: str, tally: Tally) -> None:
    print(f"\n{name}")
    for each in tally.endings:
        mark = "ok   " if each.right else "KNOWN" if each.planted.known else "WRONG"
        print(
            f"{mark} {each.planted.kind:10} {each.planted.name:30} {each.end:28} {each.reason[:150]}"
        )
    search, used = tally.search, tally.falsifiers
    print(
        f"search {search.experiments} experiments, {search.cpu_seconds:.0f} CPU-s, {tally.wall[0]:.0f} s; "
        f"falsifiers {used.experiments} experiments, {used.cpu_seconds:.0f} CPU-s, {tally.wall[1]:.0f} s",
        flush=True,
    )


def summary(tallies: list[Tally]) -> int:
    ended = [each for tally in tallies for each in tally.endings]
    cheats = [each for each in ended if each.planted.kind != "honest"]
    honest = [each for each in ended if each.planted.kind == "honest"]
    caught, stand = sum(each.right for each in cheats), sum(each.right for each in honest)
    print(
        f"\n{caught} of {len(cheats)} cheats and false gains ended as they must, {stand} of {len(honest)} honest controls stand"
    )
    cpu = [
        sum(c.cpu_seconds for c in costs)
        for costs in zip(*((t.search, t.falsifiers) for t in tallies), strict=True)
    ]
    wall = [sum(seconds) for seconds in zip(*(t.wall for t in tallies), strict=True)]
    print(
        f"the falsifiers took {cpu[1] / sum(cpu):.0%} of the CPU time of experiments and {wall[1] / sum(wall):.0%} of the wall time"
    )
    good = caught >= 0.95 * len(cheats) and stand == len(honest)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
