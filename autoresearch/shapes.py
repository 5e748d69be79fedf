"""What the picture of a run is made of, as SVG: a form for each kind of mark, so that colours (classes of
`templates/page/page.css`) are not all that tells them apart.
"""

import math
from xml.sax.saxutils import escape, quoteattr


def element(name: str, content: str = "", **attributes: object) -> str:
    """One element; `content` is markup already, the attributes are text."""
    told = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    said = "".join(f" {key}={quoteattr(_text(value))}" for key, value in told.items())
    return f"<{name}{said}>{content}</{name}>"


def _text(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def shape(kind: str, x: float, y: float, size: float) -> str:
    """The form of a kind of mark: told apart without its colour."""
    s = size
    points = {
        "maintained": [(x, y - 1.2 * s), (x + 1.2 * s, y), (x, y + 1.2 * s), (x - 1.2 * s, y)],
        "declined": [(x - 1.1 * s, y - 0.9 * s), (x + 1.1 * s, y - 0.9 * s), (x, y + 1.1 * s)],
    }
    if kind in points:
        return element("polygon", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in points[kind]))
    if kind == "failed":
        d = f"M{x - s:.1f} {y - s:.1f}l{2 * s:.1f} {2 * s:.1f}m{-2 * s:.1f} 0l{2 * s:.1f} {-2 * s:.1f}"
        return element("path", d=d)
    return element("circle", cx=x, cy=y, r=s if kind == "improved" else 0.7 * s)


def emblem(claim: str, x: float, y: float, size: float) -> str:
    """What is drawn over the mark of a claim: a ring where it stands, a stroke where it is refuted."""
    if claim == "stands":
        return element("circle", class_="stands", cx=x, cy=y, r=size + 3.5)
    s = size + 4
    d = f"M{x - s:.1f} {y + s:.1f}l{2 * s:.1f} {-2 * s:.1f}"
    return element("path", class_="refuted", d=d) if claim == "refuted" else ""


def swatch(kind: str, claim: str = "") -> str:
    """A mark as it is in the picture, for a line of text."""
    drawn = shape(kind, 9.0, 9.0, 4.5) + emblem(claim, 9.0, 9.0, 4.5)
    return small(element("g", drawn, class_=f"mark {kind}"))


def sample(line: str) -> str:
    """A piece of one of the lines of the picture, for its legend."""
    if line == "band":
        return small(element("rect", class_="band", x=0, y=4, width=18, height=10))
    return small(element("path", class_=line, d="M0 9h18"))


def small(drawn: str) -> str:
    """What is drawn in a square of 18 pixels, for a line of text."""
    sizes = {"width": 18, "height": 18, "viewBox": "0 0 18 18", "aria_hidden": "true"}
    return element("svg", drawn, class_="swatch", **sizes)


def path(kind: str, way: str) -> str:
    return element("path", class_=kind, d=way)


def label(text: str, x: float, y: float, anchor: str = "start", class_: str = "") -> str:
    more = {"class_": class_} if class_ else {}
    return element("text", escape(text), x=x, y=y, text_anchor=anchor, **more)


def ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Round numbers between two scores, and how they are written."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10, 20) if power * m >= rough)
    first = math.ceil(low / step)
    values = [number * step for number in range(first, math.floor(high / step) + 1)]
    large = max(abs(low), abs(high)) >= 1e6 or step < 1e-6
    digits = 0 if step >= 1 else 1 - math.floor(math.log10(step) + 1e-9)
    return [(value, f"{value:.3g}" if large else _short(f"{value:.{digits}f}")) for value in values]


def _short(number: str) -> str:
    return (number.rstrip("0").rstrip(".") or "0") if "." in number else number
