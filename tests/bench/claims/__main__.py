"""`python -m tests.bench.claims [RUNS] [WORDS OF A TASK'S NAME]`: how often claims are false, gains are found and
seeds are saved, on tasks whose truth is known; before falsifiers (verdicts) and after. Goals: a false
claim in at most 5 % of runs, gains of twice the smallest one told found 9 times in 10. Every task is printed,
and what misses is said.

reruns: after the falsifiers that run the program again; end: after the sealed test as well. found: of ideas
worth the smallest gain told, or twice that. true lost: verdicts on a true gain that were refuted. null
decl.: ideas worth nothing that were called declined. extra: falsifiers' share of all experiments. field:
runs with a false claim if the first run, or the mean of all seeds, had to be higher.
"""

import sys
import time

from tests.bench.claims.runs import simulate
from tests.bench.claims.table import HEAD, leak_line, line, misses, tally
from tests.bench.claims.worlds import LEAKS, WORLDS


def main(runs: int, words: str) -> None:
    began, used = time.perf_counter(), time.process_time()
    print(f"{runs} runs a task, of 3 rounds x 10 ideas\n{HEAD}", flush=True)
    for world in (*WORLDS, *LEAKS):
        if words in world.name:
            found = tally(world, simulate(world, runs))
            print(line(world, found), flush=True)
            if world.leak:
                print(leak_line(found), flush=True)
            for missed in misses(world, found):
                print(f"    misses: {missed}{': ' + world.why if world.why else ''}", flush=True)
    took = time.perf_counter() - began, time.process_time() - used
    print(f"{took[0]:.0f} s, {took[1]:.0f} of them of the processor")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, " ".join(sys.argv[2:]))
