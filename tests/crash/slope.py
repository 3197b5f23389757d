"""What is trained here? The way down a slope: high up only a high rate gets on, further down it is the rougher for it."""

import math
import time
from pathlib import Path


class Slope:
    metric, mode = "height", "min"

    def __init__(self, momentum, seed, batch_size):
        self._pace, self._seed = 0.2 / (1 - momentum), seed
        self._least, self._noise = batch_size / 4000, 16 / batch_size
        self._step, self._way, self._roughness = 0, 2.0, 0.0

    def train(self, steps, lr):
        while (stuck := Path("stuck")).exists():
            stuck.write_text("it is")
            time.sleep(0.01)
        total = 0.0
        for _ in range(steps):
            self._descend(lr * self._pace)
            total += self._height()
        return total / steps

    def _descend(self, pace):
        self._step += 1
        if pace > 1:
            self._way *= 1 + pace
        elif self._way < 0.3:
            self._way *= 0.95
        elif pace > self._least:
            self._way *= 0.85
        self._roughness += 0.5 * (pace * self._noise - self._roughness)

    def _height(self):
        return self._way**2 + self._roughness * (1 + 0.02 * math.sin(self._step + self._seed))

    def evaluate(self):
        return {"height": self._height()}

    def state(self):
        return {"step": self._step, "way": self._way, "roughness": self._roughness}

    def restore(self, state):
        self._step, self._way, self._roughness = state["step"], state["way"], state["roughness"]
