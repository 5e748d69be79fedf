"""`python -m tests.bench.claims [RUNS] [WORDS OF A TASK'S NAME]`: how often claims are false, gains are found and
seeds are saved, on tasks whose truth is known. Goals: false claims at most 5 %, gains of twice the
smallest one told found 9 times in 10. Every task is printed, and what misses is said.
"""

import sys
import time

from tests.bench.claims.runs import simulate
from tests.bench.claims.table import HEAD, line, misses, tally
from tests.bench.claims.worlds import WORLDS


def main(runs: int, words: str) -> None:
    began = time.perf_counter()
    print(
        f"{runs} runs a task, of 3 rounds x 10 ideas; any: share of runs with a false claim\n{HEAD}"
    )
    for world in WORLDS:
        if words in world.name:
            found = tally(world, simulate(world, runs))
            print(line(world, found), flush=True)
            for missed in misses(world, found):
                print(f"    misses: {missed}{': ' + world.why if world.why else ''}", flush=True)
    print(f"{time.perf_counter() - began:.0f} s")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, " ".join(sys.argv[2:]))
