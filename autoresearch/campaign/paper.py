"""The morning as one file for a browser, `report.html`: like the page of a run, without scripts or anything
from elsewhere, and with links to the pages of the night's runs where these are there.
"""

import importlib.metadata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from autoresearch.campaign import words
from autoresearch.campaign.accounts import KIND_NAMES, Use
from autoresearch.campaign.gains import TOPICS, draw_gains, topics_of
from autoresearch.campaign.morning import Morning, failures
from autoresearch.campaign.trend import draw_nights, legend
from autoresearch.page import rendered
from autoresearch.shapes import element

WIDTHS = (980, 370)  # of a picture: for a screen, and for a small one
FOLDED = 31  # nights in a table that is open at once


def page(facts: Morning, folder: Path, clean: Callable[[str], str] = str) -> str:
    """The page's text, to stand in the campaign's `folder`. `clean` is told every text that is shown."""
    return rendered("campaign.html", _content(facts, folder, clean), clean)


def _content(facts: Morning, folder: Path, clean: Callable[[str], str]) -> dict[str, Any]:
    topics = topics_of(facts.trend, facts.standing)
    drawn = topics[:TOPICS]
    silent = {job.entry for job in facts.next.jobs} | {each.entry for each in facts.next.skipped}
    return {
        "facts": facts,
        "words": words,
        "kind_names": KIND_NAMES,
        "self_reported": any(each.self_reported for each in facts.standing),
        "pictures": [draw_nights(facts.trend, width, clean) for width in WIDTHS],
        "legend": legend(facts.trend),
        "gains": [draw_gains(drawn, facts.trend, width, clean) for width in WIDTHS]
        if drawn
        else [],
        "undrawn": len(topics) - len(drawn),
        "silent": len(silent - {topic.entry for topic in topics}),
        "failures": failures(facts).most_common(),
        "folded": len(facts.trend) > FOLDED,
        "meter": meter,
        "link": lambda run: _link(folder, run),
        "jobs": list(zip(facts.jobs, facts.checks, strict=True)),
        "written": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} by autoresearch {importlib.metadata.version('autoresearch')}",
    }


def _link(folder: Path, run: str | None) -> str:
    """Where the page of a run is, from this one; "" where there is none."""
    there = run is not None and (folder / "runs" / run / "report.html").is_file()
    return f"runs/{quote(str(run), safe='')}/report.html" if there else ""


def meter(use: Use) -> str:
    """What was spent of a budget, as a bar in a frame; what is beyond the budget is beyond the frame."""
    if not use.cap or use.spent is None:
        return ""
    share = min(use.spent / use.cap, 1.2)
    title = element("title", f"{100 * use.spent / use.cap:.1f} % of the budget")
    bar = element("rect", class_="bar start", x=1.0, y=3.0, width=140 * share, height=8.0)
    frame = element("rect", class_="frame", x=1.0, y=1.0, width=140.0, height=12.0)
    return element(
        "svg",
        title + bar + frame,
        class_="meter",
        width=172,
        height=14,
        viewBox="0 0 172 14",
        role="img",
    )
