"""The files that a night leaves for people and for CI, in the campaign's directory.

report.html report.md   the morning report; summary.md is the short form for the page of a CI job
junit.xml               each job as a test case
campaign.json           the same facts for other programs
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from autoresearch.campaign.matrix import Campaign, WebhookTable
from autoresearch.campaign.morning import Morning, morning
from autoresearch.campaign.nights import Ended, Nights
from autoresearch.campaign.paper import page
from autoresearch.campaign.words import report, summary
from autoresearch.errors import BadInput
from autoresearch.redaction import redactor
from autoresearch.report import printable
from autoresearch.store import write

WAIT = 1.0  # seconds before the second try of a webhook; doubled before each further one
TIMEOUT = 20.0


def write_outputs(campaign: Campaign, send: bool = False) -> Iterator[str]:
    """Write all of them for the last night; a line on each thing that a person wants to know. With
    `send` the webhook is told too."""
    nights = Nights(campaign)
    if not nights.numbers():
        raise BadInput(
            f"{campaign.folder} holds no night yet: autoresearch campaign {campaign.file}"
        )
    facts = morning(nights)
    clean = redactor(campaign.folder)
    files = {
        "report.html": page(facts, campaign.folder, clean),
        "report.md": clean(report(facts)),
        "summary.md": clean(summary(facts)),
        "junit.xml": clean(junit(facts)),
        "campaign.json": clean(facts.model_dump_json(indent=1)),
    }
    for name, text in files.items():
        write(campaign.folder / name, text)
    yield f"wrote {campaign.folder / 'report.html'} and report.md"
    if send and campaign.webhook is not None:
        yield tell(campaign.webhook, files["campaign.json"])


def junit(facts: Morning) -> str:
    """Each job as a test case: failed, refuted and broken jobs as failures, what a budget or the clock
    ended as skipped."""
    cases = list(facts.jobs)
    failed = sum(_is_bad(each) for each in cases)
    skipped = sum(each.state in ("budget", "cut off") for each in cases)
    suite = ElementTree.Element(
        "testsuite", name=f"{facts.campaign} night {facts.number}", tests=str(len(cases)),
        failures=str(failed), skipped=str(skipped), errors="0",
        time=f"{sum(each.spent.wall_seconds for each in cases):.3f}",
    )  # fmt: skip
    for each in cases:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"{facts.campaign}.{each.job.kind}",
            name=each.job.name, time=f"{each.spent.wall_seconds:.3f}",
        )  # fmt: skip
        if _is_bad(each):
            ElementTree.SubElement(case, "failure", message=_text(each.reason), type=each.state)
        elif each.state != "done":
            ElementTree.SubElement(case, "skipped", message=_text(each.reason))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _is_bad(ended: Ended) -> bool:
    return ended.state in ("failed", "refuted", "drifted")


def _text(text: str) -> str:
    """Without what XML cannot hold."""
    return printable(text).encode("utf-8", "replace").decode()


def tell(webhook: WebhookTable, body: str) -> str:
    """Send the facts as JSON; what came of it. A report that does not arrive fails no night."""
    from urllib import error, request

    url = os.environ.get(webhook.url[4:], "") if webhook.url.startswith("env:") else webhook.url
    if not url.startswith(("https://", "http://")):
        return f"webhook: {webhook.url} names no http(s) address"
    said = ""
    for number in range(webhook.tries):
        if number:
            time.sleep(WAIT * 2 ** (number - 1))
        asked = request.Request(url, body.encode(), {"Content-Type": "application/json"})
        try:
            with request.urlopen(asked, timeout=TIMEOUT) as answer:
                return f"webhook: told ({answer.status})"
        except error.HTTPError as refused:
            said = f"HTTP {refused.code}"
            if refused.code < 500 and refused.code not in (408, 429):
                break
        except (OSError, ValueError) as broken:
            said = str(getattr(broken, "reason", broken))
    return f"webhook: not told after {number + 1} tries: {printable(said)[:200]}"


def read_facts(path: Path) -> Morning:
    """What `campaign.json` holds."""
    return Morning.model_validate(json.loads(path.read_text()))
