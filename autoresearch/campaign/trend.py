"""The picture of the nights: claims that stand, ideas tried, what was spent of what was allowed, and how each
night ended. SVG without a script or a font; sizes are in its pixels.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from xml.sax.saxutils import escape

from autoresearch.campaign.accounts import KIND_NAMES, quantity
from autoresearch.campaign.morning import Point
from autoresearch.campaign.nights import Kind
from autoresearch.campaign.purse import KINDS, amount
from autoresearch.campaign.words import money
from autoresearch.report import printable
from autoresearch.shapes import element, emblem, label, path, sample, shape, small, swatch, ticks

HEIGHTS = {"claims": 84.0, "ideas": 56.0, "spent": 84.0}
HEAD, GAP, ENDS, FOOT = 20.0, 10.0, 30.0, 38.0
FAR = 4  # times the most that was spent: a budget beyond that is written, not drawn
SCALES = {"nanodollars": 1e9, "tokens": 1.0, "gpu_seconds": 3600.0, "wall_seconds": 60.0}
UNITS = {
    "nanodollars": "dollars", "tokens": "tokens", "gpu_seconds": "GPU-h", "wall_seconds": "minutes",
}  # fmt: skip
ORDER: tuple[Kind, ...] = ("start", "resume", "verify")  # from the bottom of a bar up
JOBS: dict[Kind, str] = {"start": "new runs", "resume": "runs gone on with", "verify": "claims run again"}  # fmt: skip
# How a night ended, as a mark: its form, and what is drawn over it.
ENDINGS = {
    "budget": ("declined", "", "a budget ended"),
    "cut off": ("maintained", "", "cut off: its time was over, or it was told to stop"),
    "killed": ("maintained", "refuted", "killed: the next night wrote it down"),
    "failed": ("failed", "", "a job failed"),
    "going on, or killed": ("unfinished", "", "going on, or killed"),
}
Clean = Callable[[str], str]


def spent_kinds(points: Iterable[Point]) -> list[str]:
    """What of the spending is drawn: what has a budget in some night, and money; wall time where that is all."""
    found = [
        kind
        for kind in KINDS
        if any(getattr(p.cap, kind) is not None for p in points)
        or (kind == "nanodollars" and any(p.spent.nanodollars for p in points))
    ]
    return found or ["wall_seconds"]


def spent_of(point: Point, kind: str) -> float | None:
    """What a budget of a night counts: of wall time, the clock's."""
    return point.seconds if kind == "wall_seconds" else amount(point.spent, kind)


def draw_nights(points: Sequence[Point], width: int, clean: Clean) -> str:
    """All nights, oldest first, one below the other what there is to say of them, as one `<svg>`."""
    return _Nights(points, width, clean).whole()


@dataclass(frozen=True)
class _Panel:
    name: str
    top: float
    bottom: float
    high: float  # the value at the top

    def y(self, value: float) -> float:
        return self.bottom - min(1.0, value / self.high) * (self.bottom - self.top)


@dataclass(frozen=True)
class _Nights:
    points: Sequence[Point]
    width: int
    clean: Clean

    @property
    def wide(self) -> bool:
        return self.width > 600

    @property
    def left(self) -> float:
        return 58.0 if self.wide else 44.0

    @property
    def right(self) -> float:
        return self.width - (96.0 if self.wide else 70.0)

    @cached_property
    def step(self) -> float:
        return (self.right - self.left) / max(1, len(self.points))

    @cached_property
    def panels(self) -> list[_Panel]:
        found, top = [], 0.0
        for name in ("claims", "ideas", *spent_kinds(self.points)):
            bottom = top + HEAD + HEIGHTS.get(name, HEIGHTS["spent"])
            found.append(_Panel(name, top + HEAD, bottom, self._high(name)))
            top = bottom + GAP
        return found

    @property
    def ends(self) -> float:
        """The height of the row of marks that say how nights ended."""
        return self.panels[-1].bottom + ENDS / 2

    def x(self, number: int) -> float:
        return self.left + (number + 0.5) * self.step

    def _high(self, name: str) -> float:
        if name in ("claims", "ideas"):
            counts = [p.standing if name == "claims" else p.ideas for p in self.points]
            return 1.15 * max([*counts, 2])
        spent = max((spent_of(p, name) or 0.0 for p in self.points), default=0.0)
        caps = [cap for p in self.points if (cap := getattr(p.cap, name)) is not None]
        near = [cap for cap in caps if not spent or cap <= FAR * spent]
        return 1.12 * max([spent, *near]) or 1.0

    def whole(self) -> str:
        parts = [part for panel in self.panels for part in self._frame(panel)]
        parts += [self._night(number, point) for number, point in enumerate(self.points)]
        parts += [self._standing(), *self._axis()]
        height = self.ends + ENDS / 2 + FOOT
        said = f"claims that stand, ideas and spending of {len(self.points)} nights"
        return element(
            "svg", "".join(parts), xmlns="http://www.w3.org/2000/svg", role="group",
            viewBox=f"0 0 {self.width} {height:.0f}", aria_label=said,
            class_="wide" if self.wide else "narrow",
        )  # fmt: skip

    def _frame(self, panel: _Panel) -> list[str]:
        """A panel's name, its axis, and, of spending, the budget."""
        whole = panel.name in ("claims", "ideas")
        scale = SCALES.get(panel.name, 1.0)
        name = {"claims": "claims that stand", "ideas": "ideas tried"}.get(panel.name, "")
        clock = ", by the clock" if panel.name == "wall_seconds" else ""
        parts = [
            label(name or f"{UNITS[panel.name]} spent{clock}", 4.0, panel.top - 7.0, class_="panel")
        ]
        for value, written in ticks(0.0, panel.high / scale, 3):
            if not whole or value == int(value):
                y = panel.y(value * scale)
                parts.append(path("grid", f"M{self.left:.1f} {y:.1f}H{self.right:.1f}"))
                parts.append(label(written, self.left - 6, y + 4, "end"))
        return parts + ([] if whole else self._caps(panel))

    def _caps(self, panel: _Panel) -> list[str]:
        """The budget of each night, and in words where it is too far away to be drawn."""
        parts, last, way = [], None, ""
        for number, point in enumerate(self.points):
            cap = getattr(point.cap, panel.name)
            if cap is None or cap > panel.high:
                last = None
                continue
            x = self.left + number * self.step
            way += f"{'M' if last is None else 'L'}{x:.1f} {panel.y(cap):.1f}h{self.step:.1f}"
            last = cap
        if way:
            parts.append(path("cap", way))
        cap = getattr(self.points[-1].cap, panel.name) if self.points else None
        if cap is not None:
            far = " (far above)" if cap > panel.high else ""
            said = f"budget {quantity(panel.name, cap)}{far}"
            parts.append(label(said, self.right, panel.top - 7.0, "end"))
        return parts

    def _night(self, number: int, point: Point) -> str:
        x, wide = self.x(number), max(0.8, min(26.0, 0.72 * self.step))
        hit = element(
            "rect", class_="hit", x=x - self.step / 2, y=self.panels[0].top, width=self.step,
            height=self.ends + ENDS / 2 - self.panels[0].top,
        )  # fmt: skip
        parts = [element("title", escape(self._said(point))), hit]
        for panel in self.panels:
            if panel.name == "claims":
                parts.append(self._dot(number, point, panel))
            elif panel.name == "ideas":
                parts.append(_bar("ideas", panel, x, wide, (0.0, point.ideas)))
            else:
                parts += _spent(panel, point, x, wide)
        if point.state in ENDINGS:
            form, over, _ = ENDINGS[point.state]
            size = min(5.0, max(2.0, 0.35 * self.step))
            drawn = shape(form, x, self.ends, size) + emblem(over, x, self.ends, size)
            parts.append(element("g", drawn, class_=f"mark {form}"))
        night = element("g", "".join(parts), class_="night")
        return element("a", night, href=f"#night-{point.night}")

    def _dot(self, number: int, point: Point, panel: _Panel) -> str:
        """A dot where their number changes; at each night where there is room."""
        same = number > 0 and self.points[number - 1].standing == point.standing
        if same and self.step < 16:
            return ""
        size = min(3.5, max(1.5, 0.35 * self.step))
        return element(
            "circle", class_="dot", cx=self.x(number), cy=panel.y(point.standing), r=size
        )

    def _said(self, point: Point) -> str:
        caps = [
            f"{KIND_NAMES[kind]}: {'not known' if spent is None else quantity(kind, spent)} of {quantity(kind, cap)}"
            for kind in KINDS
            if (cap := getattr(point.cap, kind)) is not None
            for spent in [spent_of(point, kind)]
        ]
        ended = f"{point.state}: {point.reason}" if point.reason else point.state
        said = (
            f"night {point.night}, {point.began[:10]}: {point.standing} claims stand, {point.ideas} ideas tried; "
            f"spent {money(point.spent)}; {''.join(f'{each}; ' for each in caps)}{ended}"
        )
        return printable(self.clean(said))

    def _standing(self) -> str:
        """The line of claims that stand, with its last value beside it."""
        panel, way = self.panels[0], ""
        if not self.points:
            return ""
        for number, point in enumerate(self.points):
            at = panel.y(point.standing)
            way += f"M{self.x(0):.1f} {at:.1f}" if not way else f"H{self.x(number):.1f}V{at:.1f}"
        last = self.points[-1].standing
        said = label(f"{last} {'stands' if last == 1 else 'stand'}", self.right + 4, panel.y(last) + 4, class_="name")  # fmt: skip
        return path("standing", way) + said

    def _axis(self) -> list[str]:
        foot, parts = self.ends + ENDS / 2, []
        every = max(1, math.ceil((30 if self.wide else 26) / self.step))
        for number in range(0, len(self.points), every):
            parts.append(label(f"{self.points[number].night}", self.x(number), foot + 10, "middle"))
        if any(point.state in ENDINGS for point in self.points):
            parts.append(label("ended", self.left - 6, self.ends + 4, "end"))
        return [*parts, label("night", (self.left + self.right) / 2, foot + 28, "middle")]


def _bar(kind: str, panel: _Panel, x: float, wide: float, ends: tuple[float, float]) -> str:
    low, high = (panel.y(end) for end in ends)
    if low - high <= 0:
        return ""
    return element(
        "rect", class_=f"bar {kind}", x=x - wide / 2, y=high, width=wide, height=low - high
    )


def _spent(panel: _Panel, point: Point, x: float, wide: float) -> list[str]:
    """A bar of what each kind of job took; one of the whole where the clock counts."""
    if panel.name == "wall_seconds":
        return [_bar("clock", panel, x, wide, (0.0, point.seconds or 0.0))]
    parts, below = [], 0.0
    for kind in ORDER:
        took = amount(point.kinds[kind], panel.name) if kind in point.kinds else 0.0
        narrow = wide / 2 if kind == "verify" else wide
        parts.append(_bar(kind, panel, x, narrow, (below, below + took)))
        below += took
    return parts


def legend(points: Sequence[Point]) -> list[tuple[str, str]]:
    """A sign and what it means, for all that the picture of the nights holds."""
    found = [(sample("standing"), "claims that stand as is known today")]
    kinds = [kind for kind in spent_kinds(points) if kind != "wall_seconds"]
    for kind in ORDER:
        if any(amount(p.kinds[kind], each) for p in points if kind in p.kinds for each in kinds):
            x, wide = (6, 6) if kind == "verify" else (3, 12)
            bar = element("rect", class_=f"bar {kind}", x=x, y=3, width=wide, height=12)
            found.append((small(bar), f"spent on {JOBS[kind]}"))
    if any(getattr(p.cap, kind) is not None for p in points for kind in KINDS):
        found.append((sample("cap"), "the night's budget"))
    for state, (form, over, said) in ENDINGS.items():
        count = sum(point.state == state for point in points)
        if count:
            found.append((swatch(form, over), f"{said} ({count})"))
    return found
