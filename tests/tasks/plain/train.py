"""Tells two clouds of points apart with a perceptron that sees few of them."""

import os
import random

LEARNING_RATE = 0.1
EPOCHS = 1
MOMENTUM = 0.0

data = random.Random(5)
points = [(data.gauss(c, 1.4), data.gauss(-c, 1.4), c) for c in (-1, 1) * 400]
seeded = random.Random(int(os.environ.get("SEED", "0")))
train, held_out = seeded.sample(points[:300], 30), points[300:]
weights, speed = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
for _ in range(EPOCHS):
    for x, y, label in train:
        inputs = (x, y, 1.0)
        wrong = label - max(
            -1.0, min(1.0, sum(w * i for w, i in zip(weights, inputs, strict=True)))
        )
        for place, value in enumerate(inputs):
            speed[place] = MOMENTUM * speed[place] + LEARNING_RATE * wrong * value
            weights[place] += speed[place]
guesses = [
    sum(w * i for w, i in zip(weights, (x, y, 1.0), strict=True)) > 0 for x, y, _ in held_out
]
right = sum(guess == (label > 0) for guess, (_, _, label) in zip(guesses, held_out, strict=True))
print(f"accuracy: {right / len(held_out):.4f}")
