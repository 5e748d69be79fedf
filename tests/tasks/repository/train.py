"""Counts pairs of letters in a random part of the text, and smooths the counts."""

import random
import time
from itertools import pairwise

from prepare import LETTERS, evaluate_bpb, load

SMOOTHING = 8.0
FRACTION = 0.5

start = time.time()
text = load("train")
counts = [[SMOOTHING] * LETTERS for _ in range(LETTERS)]
for before, after in pairwise(text):
    if random.random() < FRACTION:
        counts[before][after] += 1
totals = [sum(row) for row in counts]
print("\rstep 1 | val_bpb: 9.9", end="")
val_bpb = evaluate_bpb(lambda a, b: counts[a][b] / totals[a])
print("\n---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {time.time() - start:.1f}")
print(f"num_letters:      {LETTERS}")
