"""The picture of a run: what each idea scored, beside the baseline, as SVG without a script or a font.

Sizes are in pixels of the picture, scores in the unit of the task's metric.
"""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from autoresearch.chart import Chart, Mark, best_so_far, bounds, found_at
from autoresearch.shapes import element, emblem, label, path, shape, ticks

LETTER = 6.3  # width of a letter of a label, at most, on average
LINE = 14  # height of a line of labels
CLOSE = 12  # how near a label may come to a mark that is not its own
STRIP = 26  # height of the strip below the axis for what has no score
LABELLED = 12  # claims with their whole names; of more only the numbers are written
Box = tuple[float, float, float, float]  # left, top, right, bottom


def draw(chart: Chart, width: int) -> str:
    """The picture, that many pixels wide, as one `<svg>`."""
    return _Drawing(chart, width).whole()


class _Drawing:
    """One drawing under way: the scales, and which places have a label already."""

    def __init__(self, chart: Chart, width: int):
        self.chart, self.width = chart, width
        self.wide = width > 600
        self.height = 400 if self.wide else 330
        self.left, self.right = (66.0, width - 92.0) if self.wide else (48.0, width - 62.0)
        self.top, strip = 30.0, STRIP if any(m.score is None for m in chart.marks) else 0
        self.foot = self.height - 40.0
        self.bottom = self.foot - strip
        self.low, self.high = bounds(chart)
        count = len(chart.marks)
        self.step = (self.right - self.left) / max(1, count)
        self.size = min(5.0, max(2.0, 0.35 * self.step))
        self.interval = "interval" if self.size > 2.5 else "interval crowded"
        self.marks = [self._box(number) for number in range(count)]
        self.taken: list[Box] = [
            (0.0, 0.0, LETTER * (len(chart.metric) + 18), 18.0)
        ]  # the axis' name

    def x(self, number: int) -> float:
        return self.left + (number + 0.5) * self.step

    def y(self, score: float) -> float:
        """The height of a score; what is beyond the axis is at its end."""
        share = (score - self.low) / (self.high - self.low)
        return self.bottom - min(1.0, max(0.0, share)) * (self.bottom - self.top)

    def beyond(self, score: float) -> int:
        """-1 for a score above what the axis shows, 1 for one below, 0 for one that it shows."""
        return (score < self.low) - (score > self.high)

    def _at(self, mark: Mark) -> float:
        if mark.score is None:
            return (self.bottom + self.foot) / 2
        room = 10.0 if self.beyond(mark.score) else 0.0  # for the arrow below or above it
        return min(max(self.y(mark.score), self.top + room), self.bottom - room)

    def _ends(self, mark: Mark) -> tuple[float, float]:
        """The upper and the lower end of what is drawn of a mark."""
        ends = [self.y(end) for end in mark.interval or ()] + [self._at(mark)]
        return min(ends), max(ends)

    def _box(self, number: int) -> Box:
        mark, x = self.chart.marks[number], self.x(number)
        high, low = self._ends(mark)
        room = (
            self.size + 6
        )  # a label closer to another mark than to its own would be read as that one's
        return x - room, high - self.size, x + room, low + self.size

    def whole(self) -> str:
        parts = [*self._grid(), *self._lines()]
        marks = range(len(self.chart.marks))
        parts += [
            self._mark(n) for n in sorted(marks, key=lambda n: self.chart.marks[n].claim != "")
        ]
        parts += [*self._labels(), *self._margin()]
        said = f"{self.chart.metric} of {len(self.chart.marks)} ideas, beside the baseline"
        return element(
            "svg", "".join(parts), xmlns="http://www.w3.org/2000/svg", role="group",
            viewBox=f"0 0 {self.width} {self.height}", aria_label=said,
            class_="wide" if self.wide else "narrow",
        )  # fmt: skip

    def _grid(self) -> list[str]:
        parts = []
        for value, written in ticks(self.low, self.high):
            y = self.y(value)
            parts.append(path("grid", f"M{self.left:.1f} {y:.1f}H{self.right:.1f}"))
            parts.append(label(written, self.left - 6, y + 4, "end"))
        marks = self.chart.marks
        every = max(1, math.ceil((30 if self.wide else 26) / self.step))
        for number in range(0, len(marks), every):
            parts.append(label(marks[number].place, self.x(number), self.foot + 15, "middle"))
        for number in range(1, len(marks)):
            if marks[number].round != marks[number - 1].round:
                x = self.left + number * self.step
                parts.append(path("round", f"M{x:.1f} {self.top:.1f}V{self.foot:.1f}"))
        way = "higher" if self.chart.better > 0 else "lower"
        parts.append(label(f"{self.chart.metric}; {way} is better", 4.0, 14.0))
        middle = (self.left + self.right) / 2
        parts.append(label("ideas, by round and number", middle, self.height - 6.0, "middle"))
        if self.chart.warning:
            parts.append(
                label(self.chart.warning, self.left + 4, self.top + LINE - 2, class_="warning")
            )
            self.taken.append((self.left, self.top, self.right, self.top + LINE))
        return parts

    def _lines(self) -> list[str]:
        chart, across = self.chart, f"H{self.right:.1f}"
        parts = []
        if chart.deviation:
            top, low = (self.y(chart.baseline + sign * chart.deviation) for sign in (1, -1))
            across_all = self.right - self.left
            parts.append(
                element(
                    "rect", class_="band", x=self.left, y=top, width=across_all, height=low - top
                )
            )
        for name, score in self._levels():
            if name != "best":
                parts.append(path(name, f"M{self.left:.1f} {self.y(score):.1f}{across}"))
        bests = best_so_far(chart)
        steps = "".join(
            f"H{self.x(n):.1f}V{self.y(best):.1f}"
            for n, (best, before) in enumerate(zip(bests, [chart.baseline, *bests], strict=False))
            if best != before
        )
        if steps:
            way = f"M{self.left:.1f} {self.y(chart.baseline):.1f}{steps}{across}"
            parts.append(path("best", way))
        return parts

    def _levels(self) -> list[tuple[str, float]]:
        """The lines that go across the picture, by class."""
        found, bests = found_at(self.chart), best_so_far(self.chart)
        levels = [("baseline", self.chart.baseline)]
        if found is not None and self.low <= found <= self.high:
            levels.append(("found", found))
        if self.chart.control is not None:
            levels.append(("control", self.chart.control))
        if bests and bests[-1] != self.chart.baseline:
            levels.append(("best", bests[-1]))
        return levels

    def _margin(self) -> list[str]:
        """The names of the lines, at their right ends, one below the other where they are close."""
        names = {
            "baseline": "baseline",
            "found": "least gain",
            "control": "control arm",
            "best": "best",
        }
        levels = sorted(self._levels(), key=lambda each: self.y(each[1]))
        parts, last = [], 0.0
        for left, (name, score) in zip(range(len(levels) - 1, -1, -1), levels, strict=True):
            y = max(self.y(score) + 4, last + LINE - 1)
            y = last = min(y, self.bottom + 4 - left * (LINE - 1))
            parts.append(label(names[name], self.right + 4, y))
        return parts

    def _mark(self, number: int) -> str:
        mark, x = self.chart.marks[number], self.x(number)
        y = self._at(mark)
        parts = [element("title", escape(mark.said))]
        if mark.interval and mark.score is not None:
            high, low = self._ends(mark)
            parts.append(path(self.interval, f"M{x:.1f} {high:.1f}V{low:.1f}"))
        parts += [shape(mark.kind, x, y, self.size), emblem(mark.claim, x, y, self.size)]
        way = 0 if mark.score is None else self.beyond(mark.score)
        if way:  # an arrow head: it is farther away
            tip = f"M{x - 4:.1f} {y + way * 8:.1f}l4 {way * 5}l4 {-way * 5}"
            parts.append(path("beyond", tip))
        drawn = element("g", "".join(parts), class_=f"mark {mark.kind}")
        return element("a", drawn, href=f"#idea-{mark.place.replace('.', '-')}")

    def _labels(self) -> list[str]:
        """Names of what claims something, and scores of what is beyond the axis, where there is room."""
        marks = list(enumerate(self.chart.marks))
        claims = [each for each in marks if each[1].claim]
        claims.sort(key=lambda e: (e[1].claim == "refuted", -self.chart.better * (e[1].score or 0)))
        whole = self.wide and len(claims) <= LABELLED
        parts = []
        for number, mark in claims:
            end = " refuted" if mark.claim == "refuted" else ""
            texts = [f"{mark.place} {mark.slug}{end}"] if whole else []
            parts.append(
                self._place(number, [*texts, f"{mark.place}{end}", mark.place], mark.claim)
            )
        for number, mark in marks:
            if mark.score is not None and self.beyond(mark.score):
                parts.append(self._place(number, [f"{mark.score:.4g}"], "value"))
        return parts

    def _place(self, number: int, texts: Sequence[str], kind: str) -> str:
        """The first of the texts that has room near the mark, off the lines if it can be; "" where none has."""
        x = self.x(number)
        high, low = self._ends(self.chart.marks[number])
        y, away = self._at(self.chart.marks[number]) + 4, self.size + 7
        for text, lines in [(text, lines) for text in texts for lines in (self._strokes(), [])]:
            wide = LETTER * len(text)
            spots = [(x + away, y), (x - away - wide, y), (x - wide / 2, high - away)]
            spots += [(x - wide / 2, low + away + 9), (x - wide, high - away), (x, high - away)]
            for left, base in spots:
                box = (left, base - 10, left + wide, base + 3)
                if self._is_free(box, [*lines, *self._near(number)]):
                    self.taken.append(box)
                    return label(text, left, base, class_=f"name {kind}")
        return ""

    def _strokes(self) -> list[Box]:
        """Where the lines go, for labels to keep off."""
        levels = [(self.left, self.y(score), self.right) for _, score in self._levels()]
        bests = [self.y(best) for best in [self.chart.baseline, *best_so_far(self.chart)]]
        levels += [(self.x(n) - self.step, y, self.x(n)) for n, y in enumerate(bests)]
        return [(left, y - 1, right, y + 1) for left, y, right in levels]

    def _near(self, number: int) -> list[Box]:
        """Where a label of that mark cannot be: on a mark, or so close to another one as to be taken for its."""
        others = (box for n, box in enumerate(self.marks) if n != number)
        return [
            self.marks[number],
            *((left - CLOSE, top, right + CLOSE, bottom) for left, top, right, bottom in others),
        ]

    def _is_free(self, box: Box, others: list[Box]) -> bool:
        left, top, right, bottom = box
        inside = left >= self.left and right <= self.right and top >= 6 and bottom <= self.bottom
        others = [*self.taken, *others]
        return inside and not any(
            a < right and c > left and b < bottom and d > top for a, b, c, d in others
        )
