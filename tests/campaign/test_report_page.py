"""The morning report as a page: the numbers of the record, nothing that a browser would run or fetch, and a
picture that can be read with any number of nights."""

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from autoresearch.budgets import Budget
from autoresearch.campaign.accounts import Use, checks, errors, quantity
from autoresearch.campaign.gains import TOPICS, draw_gains, topics_of
from autoresearch.campaign.morning import Morning, Point, morning
from autoresearch.campaign.nights import Costs, Ended, Job, Night, Nights, Plan
from autoresearch.campaign.outputs import read_facts, write_outputs
from autoresearch.campaign.paper import meter, page
from autoresearch.campaign.standing import Standing
from autoresearch.campaign.trend import draw_nights, legend
from autoresearch.campaign.words import report, summary, use
from autoresearch.store import write
from tests.campaign.test_planning import campaign, claim, ended, night, run_of, spend
from tests.test_page import HIDDEN, NASTY, SVG, Parsed, drawn, pictures

CAP = Budget.parse(["10usd"])


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    """Three nights: two claims; one of these lost and a smaller one found; a larger one, and one refuted."""
    nights = Nights(campaign(tmp_path, 2, "[verify]\nevery = 1\n"))
    first = run_of(nights, 0, 0.5, (claim("small", 0.02), claim("large", 0.04)))
    other = run_of(nights, 1, 0.25, (claim("there", 0.01),))
    night(nights, ended(nights, first), ended(nights, other))
    second = run_of(nights, 0, 0.1, (claim("between", 0.03),))
    spend(first, 0.05)
    night(nights, ended(nights, second), ended(nights, first, "verify", "large", "refuted"))
    third = run_of(nights, 1, 0.2, (claim("better", 0.05), claim("chance", 0.3, ("fresh seeds",))))
    spend(other, 0.01)
    night(nights, ended(nights, third), ended(nights, other, "verify", "there"))
    return nights


def text_of(nights: Nights) -> str:
    return page(morning(nights), nights.folder)


def row_of(text: str, *start: str) -> list[str]:
    """The one row of a table whose cells begin like that."""
    rows = [row for row in Parsed(text).rows if [c.split("\n")[0] for c in row[: len(start)]] == [*start]]  # fmt: skip
    assert len(rows) == 1, rows
    return rows[0]


def test_a_night_is_held_against_the_one_before_and_the_best_ever(nights: Nights) -> None:
    facts = morning(nights)
    one, two = (entry.key for entry in nights.campaign.entries)
    assert facts.since.night == 1
    assert (facts.since.new, facts.since.refuted) == (((two, "better"),), ((two, "chance"),))
    assert facts.since.reproduced == ((two, "there"),) and facts.since.lost == ()
    best = {each.entry: each for each in facts.since.best}
    assert (best[one].gain, best[one].before, best[one].change) == (0.03, 0.03, 0.0)
    assert (best[two].gain, best[two].before) == (0.05, 0.01)
    assert best[two].change == pytest.approx(0.04)
    text = text_of(nights)
    assert row_of(text, two, "+0.05")[2:] == ["better negative_mse", "+0.01", "+0.04"]
    assert "Against night 1, of the claims: 1 new (better); 1 refuted before it could stand (chance); 1 reproduced (there)." in report(facts)  # fmt: skip


def test_a_claim_that_was_lost_this_night_takes_its_gain_with_it(nights: Nights) -> None:
    before = morning(nights, 1)
    one = nights.campaign.entries[0].key
    assert before.since.lost == ((one, "large"),)
    best = {each.entry: each for each in before.since.best}
    # After night 0 the largest that stood was the one that night 1 could not reproduce.
    assert best[one].before == 0.04 and best[one].change == pytest.approx(-0.01)
    lost = next(each for each in before.refuted if each.idea == "large")
    assert (lost.lost, lost.test_effect) == (1, 0.04)
    assert "1 no longer stands (large)" in report(before)
    row = row_of(text_of(nights), one, "large")
    assert row[2] == "+0.04 on the sealed test" and "no longer reproduces (night 1)" in row[4]


def test_the_first_night_and_one_without_claims_say_so(tmp_path: Path) -> None:
    nights = Nights(campaign(tmp_path, 1))
    night(nights)
    text = Parsed(text_of(nights)).text
    assert "This is the first night" in text and "No topic has a gain that stands yet." in text
    assert "1 topic" not in text and "Nothing was to be done." in text
    assert "The first night, of the claims: nothing new" in report(morning(nights))


def test_numbers_are_those_of_the_json_beside_it(nights: Nights) -> None:
    list(write_outputs(nights.campaign))
    facts = json.loads((nights.folder / "campaign.json").read_text())
    text = (nights.folder / "report.html").read_text()
    parsed = Parsed(text)
    assert read_facts(nights.folder / "campaign.json").since.night == facts["since"]["night"]
    cells = {row[1].split(" ")[0]: row for row in parsed.rows if len(row) == 6 and " negative_mse" in row[1]}  # fmt: skip
    assert set(cells) == {each["idea"] for each in facts["standing"]}
    for each in facts["standing"]:
        low, high = each["test_interval"]
        assert cells[each["idea"]][2] == f"{each['test_effect']:+.4g}\n[{low:+.4g}, {high:+.4g}]"
        assert each["reproduce"] in parsed.text
    for each in facts["uses"]:
        spent = quantity(each["kind"], each["spent"]) if each["spent"] is not None else "not known"
        names = {"nanodollars": "dollars", "tokens": "tokens", "wall_seconds": "wall time"}
        assert row_of(text, each["scope"], names[each["kind"]])[2] == spent
    for point in facts["trend"]:
        (row,) = [row for row in parsed.rows if len(row) == 7 and row[0] == str(point["night"])]
        assert row[4] == str(point["standing"])
        assert row[5].startswith(f"${point['spent']['nanodollars'] / 1e9:.4f}")
    assert sum(p["spent"]["nanodollars"] for p in facts["trend"]) == facts["spent"]["nanodollars"]
    assert {
        use["scope"]: use["spent"] for use in facts["uses"] if use["kind"] == "nanodollars"
    } == {
        "campaign": 1_110_000_000,
        "night": 210_000_000,
    }


def job(
    kind: str = "start", entry: str = "a", estimate: float | None = None, **more: object
) -> Job:
    costs = None if estimate is None else Costs(nanodollars=round(estimate * 1e9))
    return Job(kind=kind, entry=entry, why="w", estimate=costs, **more)  # type: ignore[arg-type]


def took(
    what: Job, dollars: float, state: str = "done", run: str | None = "r", tries: int = 1
) -> Ended:
    return Ended(
        job=what, run=run, state=state, reason="", exit_code=0, began="b", ended="e", tries=tries,
        spent=Costs(nanodollars=round(dollars * 1e9)),
    )  # type: ignore[arg-type]  # fmt: skip


def test_an_estimate_is_checked_against_all_tries_of_the_jobs_that_came_to_their_end() -> None:
    wanted = job(estimate=2.0)
    first = took(wanted, 1.0, "budget")
    second = took(wanted.model_copy(update={"run": "r"}), 3.0, tries=2)
    cheap = took(job(entry="b", estimate=2.0), 1.0, run="s")
    cut = took(job(entry="c", estimate=5.0), 0.1, "cut off", run="t")
    new = took(job(entry="d"), 7.0, run="u")
    found = checks([second, cheap, cut, new], [first, second, cheap, cut, new])
    assert [each.ratios.get("nanodollars") for each in found] == [2.0, 0.5, 0.02, None]
    assert [each.whole for each in found] == [True, True, False, True]
    (error,) = errors(found)
    assert (error.jobs, error.estimate, error.spent, error.ratio) == (2, 4e9, 5e9, 1.25)
    assert error.off == pytest.approx((2 + 1) / 4)


def test_estimates_and_what_was_spent_are_shown_and_what_was_cut_off_is_no_check(
    tmp_path: Path,
) -> None:
    nights = Nights(campaign(tmp_path, 2))
    entries = [entry.key for entry in nights.campaign.entries]
    runs = [run_of(nights, number, 0.3) for number in range(2)]
    told = [
        ended(nights, run, state=state).model_copy(update={"job": job("start", entry, 0.2)})
        for run, entry, state in zip(runs, entries, ("done", "cut off"), strict=True)
    ]
    night(nights, *told)
    text, facts = text_of(nights), morning(nights)
    line = "dollars: $0.3000 spent of $0.2000 estimated, 1.50 times as much, over 1 job that came to its end; a job was off by 50 % on average"
    assert line in Parsed(text).text and line in report(facts)  # fmt: skip
    assert row_of(text, "start", entries[1], "dollars")[3:] == [
        "$0.2000",
        "$0.3000",
        "1.50 (did not come to its end)",
    ]


def test_a_budget_of_a_night_is_the_one_that_its_file_gave(nights: Nights) -> None:
    path = nights.night_folder(0) / "campaign.toml"
    path.write_text(path.read_text().replace('night = ["10usd"]', 'night = ["7usd", "2h"]'))
    caps = [point.cap.describe() for point in morning(nights).trend]
    assert caps == ["7usd, 2h", "10usd", "10usd"]


def test_the_page_refers_to_pages_of_runs_that_are_there_and_to_nothing_else(
    nights: Nights,
) -> None:
    run = morning(nights).standing[0].run
    write(nights.runs_folder / run / "report.html", "<p>a page</p>")
    list(write_outputs(nights.campaign))
    text = (nights.folder / "report.html").read_text()
    parsed = Parsed(text)
    links = set(parsed.values("href"))
    away = {link for link in links if not link.startswith("#")}
    assert away == {f"runs/{run}/report.html"} and (nights.folder / away.pop()).is_file()
    anchors = parsed.values("id")
    assert len(anchors) == len(set(anchors))
    assert {link[1:] for link in links if link.startswith("#")} <= set(anchors)
    assert not {tag for tag, _ in parsed.elements} & {"script", "img", "link", "iframe", "object"}
    for tag, attributes in parsed.elements:
        assert not {"src", "srcset", "style", "action", "data"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    (policy,) = (a["content"] for _, a in parsed.elements if "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(parsed.style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


FREE = {"reason", "why", "basis", "idea", "topic", "entry", "metric", "reproduce", "failure"}


def hostile(value: Any, keys: set[str]) -> Any:
    """The same facts, with every text that someone else may have written as an attack."""
    if isinstance(value, dict):
        return {
            NASTY if key in keys else key: NASTY
            if key in FREE and isinstance(item, str)
            else hostile(item, keys)
            for key, item in value.items()
        }
    return [hostile(item, keys) for item in value] if isinstance(value, list) else value


def test_what_others_say_stays_text_wherever_it_is_shown(nights: Nights) -> None:
    plain = json.loads(morning(nights).model_dump_json())
    keys = {entry.key for entry in nights.campaign.entries}
    learnt = dict.fromkeys(("entry", "run", "idea", "reason", "failure"), "x")
    attacked = hostile(plain | {"learnt": [learnt | {"outcome": "failed"}]}, keys)
    attacked["since"]["new"] = [[NASTY, NASTY]]
    facts = Morning.model_validate(attacked | {"campaign": NASTY})
    text = page(facts, nights.folder)
    parsed = Parsed(text)
    assert "script" not in {tag for tag, _ in parsed.elements}
    assert "img" not in {tag for tag, _ in parsed.elements}
    assert parsed.text.count("<script>alert(1)</script>") > 30 and "{{ 7 }}" in parsed.text
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert not set(HIDDEN) & set(text)
    assert len(pictures(text)) == 4  # each is well-formed
    for said in (re.sub("`[^`\n]*`", "", text) for text in (report(facts), summary(facts))):
        assert "<script" not in said and "<img" not in said and not set(HIDDEN) & set(said)


def test_secrets_of_this_machine_are_on_no_page(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "correct<horse&battery"
    monkeypatch.setenv("MY_API_KEY", secret)
    run = run_of(nights, 0, 0.1)
    night(nights, ended(nights, run).model_copy(update={"reason": f"refused {secret}", "state": "failed"}))  # fmt: skip
    list(write_outputs(nights.campaign))
    said = Parsed((nights.folder / "report.html").read_text()).text
    assert "refused {secret}" in said and "battery" not in said


def test_what_is_self_reported_says_so_wherever_it_is_shown(tmp_path: Path) -> None:
    nights = Nights(campaign(tmp_path, 1))
    own = claim("boast", None).model_copy(update={"self_reported": True, "test_interval": None})
    night(nights, ended(nights, run_of(nights, 0, 0.1, (own,))))
    facts, text = morning(nights), text_of(nights)
    assert facts.trend[-1].best == {facts.standing[0].entry: 0.05}  # as the program says
    said = Parsed(text).text
    assert "Some gains here are self-reported" in said and "no sealed test" in said
    assert "self-reported, unconfirmed, from night 0" in said
    assert row_of(text, facts.standing[0].entry, "+0.05")[1].endswith("self-reported")
    for picture in pictures(text)[2:]:
        assert any("self-reported" in (each.text or "") for each in drawn(picture, "panel"))
        assert len(drawn(picture, "reported")) == 1 and not drawn(picture, "improved")
    assert "+0.05 negative\\_mse (self-reported)" in report(facts)


def test_a_gain_whose_sealed_split_stayed_closed_is_not_among_the_confirmed_gains(
    tmp_path: Path,
) -> None:
    nights = Nights(campaign(tmp_path, 1))
    night(nights, ended(nights, run_of(nights, 0, 0.1, (claim("closed", None),))))
    facts = morning(nights)
    assert facts.trend[-1].standing == 1 and facts.trend[-1].best == {} == {**facts.trend[-1].best}
    assert facts.since.best == ()


def point(number: int, state: str = "done", **more: object) -> Point:
    facts = {
        "night": number, "began": "2026-11-28T01:00:00Z", "state": state, "reason": "r", "ideas": 3 * number % 7,
        "standing": number // 3, "best": {}, "spent": Costs(nanodollars=2 * 10**9, wall_seconds=60),
        "kinds": {
            "start": Costs(nanodollars=10**9), "resume": Costs(nanodollars=5 * 10**8),
            "verify": Costs(nanodollars=5 * 10**8),
        },
        "seconds": 60.0, "cap": CAP,
    }  # fmt: skip
    return Point.model_validate(facts | more)


STATES = ("done", "budget", "cut off", "killed", "failed", "done")


@pytest.mark.parametrize("count", [1, 2, 30, 300])
@pytest.mark.parametrize("width", [370, 980])
def test_a_picture_of_any_number_of_nights_has_a_title_for_each_and_labels_that_are_apart(
    count: int, width: int
) -> None:
    points = [point(number, STATES[number % 6]) for number in range(count)]
    picture = ET.fromstring(draw_nights(points, width, str))
    titles = [each.findtext(f"{SVG}title") or "" for each in drawn(picture, "night")]
    assert len(titles) == count and all(
        title.startswith(f"night {number}, 2026-11-28: {number // 3} claims stand")
        and f"dollars: $2.0000 of $10.0000; {STATES[number % 6]}" in title
        for number, title in enumerate(titles)
    )
    assert len(drawn(picture, "mark")) == sum(each.state != "done" for each in points)
    _, _, wide, high = map(float, picture.get("viewBox", "").split())
    boxes = []
    for each in picture.iter(f"{SVG}text"):
        x, y, size = float(each.get("x", "")), float(each.get("y", "")), 5.5 * len(each.text or "")
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[each.get("text-anchor", "")] * size
        boxes.append((left, y - 8, left + size, y))
        assert left >= -1 and left + size <= wide + 1 and 0 <= y <= high, each.text
    for number, (a, b, c, d) in enumerate(boxes):
        for left, top, right, bottom in boxes[number + 1 :]:
            assert not (a < right and c > left and b < bottom and d > top)


def test_what_was_spent_is_stacked_by_job_as_high_as_it_was_and_the_budget_is_above_it() -> None:
    picture = ET.fromstring(draw_nights([point(0, cap=Budget.parse(["4usd"]))], 980, str))
    heights = {kind: float(drawn(picture, kind)[0].get("height", "")) for kind in ("start", "resume", "verify")}  # fmt: skip
    assert heights["start"] == pytest.approx(2 * heights["resume"], abs=0.2)
    assert heights["resume"] == pytest.approx(heights["verify"], abs=0.11)
    tops = {kind: float(drawn(picture, kind)[0].get("y", "")) for kind in heights}
    assert tops["verify"] < tops["resume"] < tops["start"]
    bottom = tops["start"] + heights["start"]
    (line,) = drawn(picture, "cap")
    cap = float(re.findall(r"M[\d.]+ ([\d.]+)", line.get("d", ""))[0])
    assert bottom - cap == pytest.approx(2 * (bottom - tops["verify"]), abs=0.5)  # 4 of 2 dollars


def test_a_budget_far_above_does_not_hide_what_was_spent() -> None:
    picture = ET.fromstring(draw_nights([point(0, cap=Budget.parse(["1000usd"]))], 980, str))
    assert not drawn(picture, "cap") and float(drawn(picture, "start")[0].get("height", "")) > 20
    assert "budget $1,000.0000 (far above)" in [each.text for each in picture.iter(f"{SVG}text")]


def test_how_nights_ended_is_told_by_forms_and_counted_in_the_legend() -> None:
    points = [point(number, state) for number, state in enumerate(STATES)]
    words = " ".join(said for _, said in legend(points))
    for said in (
        "a budget ended (1)",
        "killed: the next night wrote it down (1)",
        "a job failed (1)",
    ):
        assert said in words
    marks = drawn(ET.fromstring(draw_nights(points, 980, str)), "mark")
    forms = {
        tuple((part.tag, len(part.get("points", "").split())) for part in mark) for mark in marks
    }
    assert len(marks) == len(forms) == 4


def standing(entry: str, idea: str, gain: float, night: int) -> Standing:
    return Standing(
        entry=entry, topic="t", run="r", idea=idea, metric="accuracy", effect=gain, interval=None, test_effect=gain,
        test_interval=None, seeds=2, self_reported=False, night=night, verified=None, reproduce="x",
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 9, 40])
def test_topics_that_changed_last_are_drawn_and_the_others_are_counted(
    nights: Nights, count: int
) -> None:
    claims = [standing(f"topic-{number}", f"idea-{number}", 0.1 + number, number) for number in range(count)]  # fmt: skip
    points = [
        point(n, best={each.entry: each.gain for each in claims if (each.night or 0) <= n})
        for n in range(count)
    ]
    topics = topics_of(points, claims)
    assert [topic.entry for topic in topics] == [f"topic-{n}" for n in reversed(range(count))]
    for width in (370, 980):
        picture = ET.fromstring(draw_gains(topics[:TOPICS], points, width, str))
        titles = [mark.findtext(f"{SVG}title") or "" for mark in drawn(picture, "mark")]
        assert len(titles) == min(count, TOPICS)
        last = count - 1
        assert f"topic-{last}, night {last}: {0.1 + last:+.4g} accuracy on the sealed test, by idea-{last}" in titles  # fmt: skip
    facts = morning(nights).model_copy(update={"trend": tuple(points), "standing": tuple(claims)})
    said = Parsed(page(facts, nights.folder)).text
    more = count - TOPICS
    assert ("more topic" in said) == (more > 0)
    if more > 1:
        assert f"{more} more topics have a gain" in said


def test_a_night_that_was_killed_is_told_from_one_that_was_cut_off(tmp_path: Path) -> None:
    nights = Nights(campaign(tmp_path, 1))
    for code in (137, 3):
        number = nights.begin(Plan(jobs=(), books=nights.books()))
        nights.close(
            Night(number=number, began="2026-11-28T00:00:00Z", ended="2026-11-28T00:10:00Z", state="cut off",
                  reason="so", before=Costs(), after=Costs(), exit_code=code)
        )  # fmt: skip
    nights.begin(Plan(jobs=(), books=nights.books()))
    facts = morning(nights)
    assert [each.state for each in facts.trend] == ["killed", "cut off", "going on, or killed"]
    assert [each.seconds for each in facts.trend] == [None, 600.0, None]
    assert "This night was killed, or is going on" in Parsed(text_of(nights)).text


def test_bars_of_budgets_are_as_long_as_their_shares_and_go_beyond_the_frame() -> None:
    half = Use(scope="night", kind="tokens", spent=50, cap=100)
    over = half.model_copy(update={"spent": 110})
    widths = [float(re.findall(r'class="bar start"[^>]* width="([\d.]+)"', meter(each))[0]) for each in (half, over)]  # fmt: skip
    assert widths == [70.0, 154.0] and use(half) == ("50", "100", "50.0 %")
    unknown = half.model_copy(update={"spent": None})
    assert meter(unknown) == "" and use(unknown) == ("not known", "100", "")
