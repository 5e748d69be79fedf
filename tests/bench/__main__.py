"""Benchmarks: they print figures with the goal beside them and fail nothing.

python -m tests.bench [overhead] [makespan] [large] [help] [calls] [start] [pace]
"""

import sys

from tests.bench import calls, large, makespan, overhead, pace, start, startup

BENCHES = {
    "overhead": overhead.main,
    "makespan": makespan.main,
    "large": large.main,
    "help": startup.main,
    "calls": calls.main,
    "start": start.main,
    "pace": pace.main,
}

for name in sys.argv[1:] or BENCHES:
    for line in BENCHES[name]():
        print(f"{name:9} {line}", flush=True)
