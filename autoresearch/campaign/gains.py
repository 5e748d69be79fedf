"""The largest gain of each topic, night by night, as small pictures: their metrics have no common axis.

SVG without a script or a font; sizes are in its pixels, gains in the unit of a topic's metric.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from autoresearch.campaign.morning import Point
from autoresearch.campaign.standing import Standing
from autoresearch.campaign.words import gain
from autoresearch.report import printable
from autoresearch.shapes import element, label, path, shape, ticks

TOPICS = 8  # drawn; of the others it is said how many there are
LETTER = 6.3  # width of a letter, at most, on average
Clean = Callable[[str], str]


@dataclass(frozen=True)
class Topic:
    """A topic with a gain: after each night its largest one, None before there was any."""

    entry: str
    metric: str
    self_reported: bool
    gains: tuple[float | None, ...]
    ideas: dict[float, str]  # which idea a gain is of

    @property
    def changed(self) -> int:
        """The place of the night that changed it last."""
        pairs = zip((None, *self.gains), self.gains, strict=False)
        return max(n for n, (before, after) in enumerate(pairs) if before != after)


def topics_of(points: Sequence[Point], standing: Iterable[Standing]) -> list[Topic]:
    """All that have a gain, those first in which there was a change last."""
    claims: dict[str, list[Standing]] = {}
    for each in standing:
        claims.setdefault(each.entry, []).append(each)
    found = [
        Topic(
            entry=entry, metric=mine[0].metric, self_reported=mine[0].self_reported,
            gains=tuple(point.best.get(entry) for point in points),
            ideas={each.gain: each.idea for each in reversed(mine) if each.gain is not None},
        )
        for entry, mine in claims.items()
        if any(entry in point.best for point in points)
    ]  # fmt: skip
    return sorted(found, key=lambda topic: -topic.changed)


def draw_gains(topics: Sequence[Topic], points: Sequence[Point], width: int, clean: Clean) -> str:
    """A small picture for each of the topics, each with an axis of its own from 0, as one `<svg>`."""
    columns = 2 if width > 600 and len(topics) > 1 else 1
    wide, high = width / columns, 118.0
    drawn = [
        element(
            "g", "".join(_topic(topic, points, wide, clean)),
            transform=f"translate({place % columns * wide:.1f} {place // columns * high:.1f})",
        )
        for place, topic in enumerate(topics)
    ]  # fmt: skip
    return element(
        "svg", "".join(drawn), xmlns="http://www.w3.org/2000/svg", role="group",
        viewBox=f"0 0 {width} {math.ceil(len(topics) / columns) * high:.0f}",
        aria_label=f"largest gains of {len(topics)} topics, night by night",
        class_="wide" if width > 600 else "narrow",
    )  # fmt: skip


def _topic(topic: Topic, points: Sequence[Point], width: float, clean: Clean) -> list[str]:
    left, right, top, bottom = 52.0, width - 74.0, 26.0, 92.0
    known = [each for each in topic.gains if each is not None]
    low, high = min(0.0, *known), max(0.0, *known)
    high += 0.12 * (high - low) or 1.0
    step = (right - left) / len(points)

    def at(number: int, value: float) -> tuple[float, float]:
        y = bottom - (value - low) / (high - low) * (bottom - top)
        return left + (number + 0.5) * step, y

    parts = [label(_name(topic, width, clean), 4.0, 14.0, class_="panel")]
    for value, written in ticks(low, high, 3):
        y = at(0, value)[1]
        parts.append(path("grid", f"M{left:.1f} {y:.1f}H{right:.1f}"))
        parts.append(label(written, left - 6, y + 4, "end"))
    for number in sorted({0, len(points) - 1}):
        said = f"night {points[number].night}"
        parts.append(label(said, at(number, 0.0)[0], bottom + 15, "middle"))
    spots = [(n, *at(n, value)) for n, value in enumerate(topic.gains) if value is not None]
    way = f"M{spots[0][1]:.1f} {spots[0][2]:.1f}" + "".join(
        f"H{x:.1f}V{y:.1f}" for _, x, y in spots[1:]
    )
    parts.append(path("gain reported" if topic.self_reported else "gain", way))
    for n, x, y in spots:
        if n == 0 or topic.gains[n] != topic.gains[n - 1]:
            parts.append(_change(topic, n, points[n].night, (x, y), clean))
    return [*parts, label(gain(known[-1], None), right + 4, spots[-1][2] + 4, class_="name")]


def _name(topic: Topic, width: float, clean: Clean) -> str:
    """The topic and its metric, in the room there is."""
    end = f"; {topic.metric}{', self-reported' if topic.self_reported else ''}"
    end = printable(clean(end))[:40]
    name, room = printable(clean(topic.entry)), int((width - 12) / LETTER) - len(end)
    return f"{name if len(name) <= room else f'{name[: max(room, 1) - 1]}…'}{end}"


def _change(topic: Topic, place: int, night: int, spot: tuple[float, float], clean: Clean) -> str:
    value = topic.gains[place]
    worth = "self-reported, unconfirmed" if topic.self_reported else "on the sealed test"
    idea = topic.ideas.get(value, "an idea") if value is not None else ""
    said = f"{topic.entry}, night {night}: {gain(value, None)} {topic.metric} {worth}, by {idea}"
    kind = "unfinished" if topic.self_reported else "improved"
    drawn = element("title", escape(printable(clean(said)))) + shape(kind, *spot, 4.0)
    return element("g", drawn, class_=f"mark {kind}")
