"""The page of a run: all of it, nothing else, and nothing that a browser would run or fetch."""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from autoresearch.chart import Chart, Mark, best_so_far, bounds
from autoresearch.claimed import falsifiers_line
from autoresearch.config import FalsifySettings, ModelSettings
from autoresearch.falsify.control import Reached
from autoresearch.falsify.grounds import ran_below
from autoresearch.page import page, write_page
from autoresearch.picture import draw
from autoresearch.records import Claims, Execution, Fidelity, Floor, Lesson, Outcome
from autoresearch.report import rows_of
from autoresearch.shapes import ticks
from autoresearch.store import Run, list_runs, read, write
from tests.bench.claims.cheats.planted import STANDS, Planted
from tests.bench.claims.cheats.runs import try_out
from tests.examples import ANALYSIS, REVIEW
from tests.falsify import lines
from tests.test_cli import ROOT, SLOPE, autoresearch
from tests.waiting import there

TEMPLATE = ROOT / "tests" / "tasks" / "template"
SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br", "link", "img", "hr", "input"}
HIDDEN = "\u202e\u2066\u200b\x1b\x07"  # turn text around, hide it, and command a terminal
NASTY = (
    f'</style></title><script>alert(1)</script>"><img src=x onerror=alert(2)>{{{{ 7 }}}}{HIDDEN}'
)


class Parsed(HTMLParser):
    """A page as a browser takes it: its elements, its text, and its tables as rows of cells."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text, self.style = "", ""
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and "tr" in self.open:
            self.rows[-1].append("")
        if tag == "br" and self.rows and self.rows[-1]:
            self.rows[-1][-1] += "\n"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            self.style += data
        else:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def pictures(text: str) -> list[ET.Element]:
    """The wide picture and the narrow one."""
    found = re.findall(r"<svg xmlns.*?</svg>", text, re.DOTALL)
    return [ET.fromstring(each) for each in found]


def drawn(picture: ET.Element, kind: str) -> list[ET.Element]:
    return [each for each in picture.iter() if kind in each.get("class", "").split()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run with a control arm: an idea that stands, a refuted one, one worth nothing, and one that
    fails, whose words, code and output are an attack on whoever shows them."""
    folder = tmp_path_factory.mktemp("page")
    last = lines.LAST
    attack = (last, f"{last}# {NASTY}\nraise ValueError({NASTY!r})\n")
    names = ("more-steps", "the-true-line", "another-start")
    planted = [each for each in lines.programs() if each.name in names]
    planted.append(Planted("onerror-alert-1", f"Shout {NASTY}", (attack,), (STANDS,)))
    changes = {"falsify": FalsifySettings(control=True), "model": ModelSettings(name="command:cat")}
    try_out(lines.task(folder), planted, folder / "runs", "local", **changes)
    return Run(list_runs(folder / "runs")[0])


@pytest.fixture(scope="module")
def text(run: Run) -> str:
    return write_page(run).read_text()


def lessons_of(run: Run) -> list[Lesson]:
    return [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]


@pytest.mark.timeout(1200)
def test_every_idea_is_in_the_table_with_the_numbers_of_its_record(run: Run, text: str) -> None:
    rows = {row[1].split("\n")[0]: row for row in Parsed(text).rows if len(row) == 9}
    lessons = lessons_of(run)
    outcomes = {lesson.verdict.outcome for lesson in lessons}
    assert {Outcome.improved, Outcome.failed} < outcomes
    assert set(rows) == {lesson.idea.slug for lesson in lessons} | {"idea"}
    for number, lesson in enumerate(lessons):
        verdict = lesson.verdict
        place, _, attempts, outcome, score, gain, p, level, seeds = rows[lesson.idea.slug]
        assert place == f"0.{number}" and attempts == str(lesson.attempts)
        assert outcome.strip().startswith(verdict.outcome.value)
        assert score == ("-" if verdict.score is None else f"{verdict.score:.4f}")
        assert gain.split(" ")[0] == ("-" if verdict.effect is None else f"{verdict.effect:+.4f}")
        if verdict.interval is not None:
            half = (verdict.interval[1] - verdict.interval[0]) / 2
            assert f"±{half:.4f}" in gain
        assert p == ("-" if verdict.p is None else f"{verdict.p:.2g}")
        assert level == f"{verdict.alpha:.2g}" and seeds == str(verdict.seeds)
    assert "negative_mse on validation, mean over the seeds run (up to 4), from score.py" in text


def test_each_row_and_each_mark_leads_to_a_section_of_its_own(run: Run, text: str) -> None:
    parsed = Parsed(text)
    anchors = parsed.values("id")
    assert len(anchors) == len(set(anchors))
    wanted = {f"#idea-{row.round}-{row.number}" for row in rows_of(run)}
    assert set(parsed.values("href")) == wanted and wanted <= {f"#{each}" for each in anchors}
    assert len(parsed.values("href")) == 3 * len(wanted)  # the table and both pictures


def test_the_page_refers_to_nothing_and_its_policy_allows_nothing(text: str) -> None:
    parsed = Parsed(text)
    assert {tag for tag, _ in parsed.elements} & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
    } == set()
    for tag, attributes in parsed.elements:
        assert not {"src", "srcset", "style", "action", "data"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#").startswith("#"), tag
    assert "url(" not in parsed.style and "@import" not in parsed.style
    (policy,) = (a["content"] for _, a in parsed.elements if "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(parsed.style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_what_a_model_a_program_and_its_output_say_stays_text(run: Run, text: str) -> None:
    failed = next(x for x in lessons_of(run) if x.verdict.outcome is Outcome.failed)
    assert NASTY[:60] in failed.idea.title and NASTY[:60] in failed.diff
    assert "onerror=alert(2)" in failed.failures[0]
    said = Parsed(text).text
    assert said.count("<script>alert(1)</script>") >= 4  # title, plan, diff, failure
    assert "{{ 7 }}" in said
    assert not [c for c in text if not c.isprintable() and c != "\n"]


def test_the_pictures_are_well_formed_and_hold_a_mark_with_its_words_for_each_idea(
    run: Run, text: str
) -> None:
    wide, narrow = pictures(text)
    assert wide.get("class") == "wide" and narrow.get("class") == "narrow"
    for picture in (wide, narrow):
        marks = drawn(picture, "mark")
        assert len(marks) == len(lessons_of(run))
        titles = [mark.find(f"{SVG}title").text or "" for mark in marks]  # type: ignore[union-attr]
        for lesson in lessons_of(run):
            (title,) = (each for each in titles if f" {lesson.idea.slug}: " in each)
            assert lesson.verdict.outcome.value in title
        forms = {mark.get("class", "").split()[-1]: [e.tag for e in mark][-2:] for mark in marks}
        assert len(drawn(picture, "stands")) >= 1 and len(drawn(picture, "refuted")) >= 1
        assert forms["failed"][-1] == f"{SVG}path" and len(drawn(picture, "band")) == 1
    labels = [each.text for each in drawn(wide, "name")]
    assert "0.1 the-true-line refuted" in labels and any("more-steps" in (x or "") for x in labels)


def test_the_control_arm_and_the_baseline_are_drawn_where_their_records_say(
    run: Run, text: str
) -> None:
    reached = read(run.folder / "falsify" / "control.json", Reached)
    floor = read(run.folder / "floor.json", Floor)
    assert reached.best is not None
    said = Parsed(text).text
    assert (
        f"blind search with {reached.ideas} ideas, reached {floor.mean + reached.best:.4f}" in said
    )
    wide, _ = pictures(text)
    scale = {
        float(each.text or ""): float(each.get("y", "")) - 4
        for each in wide.iter(f"{SVG}text")
        if each.get("text-anchor") == "end"
    }
    (low, at_low), (high, at_high) = min(scale.items()), max(scale.items())

    def score_at(kind: str) -> float:
        (line,) = drawn(wide, kind)
        y = float(line.get("d", "").split()[1].split("H")[0])
        return low + (y - at_low) / (at_high - at_low) * (high - low)

    assert score_at("baseline") == pytest.approx(floor.mean, abs=0.005)
    assert score_at("control") == pytest.approx(floor.mean + reached.best, abs=0.005)


def test_each_claim_is_there_in_full(run: Run, text: str) -> None:
    said = Parsed(text).text
    claims = read(run.folder / "claims.json", Claims).claims
    assert {bool(claim.refuted) for claim in claims} == {True, False}
    rows = ["|".join(row) for row in Parsed(text).rows]
    for claim in claims:
        assert claim.commit in said and claim.verdict.reason in said
        for each in claim.evidence:
            took = each.cost
            cells = [str(took.experiments), f"{took.seconds:.1f}", f"{took.cpu_seconds:.1f}"]
            end = "|".join(cells if took.experiments else ["-", "", ""])
            found = [row for row in rows if row.startswith(f"{each.falsifier}|{each.outcome}|")]
            assert any(each.reason in row and row.endswith(end) for row in found), each
        for each_untested in claim.untested:
            assert each_untested in said
        if claim.test_effect is not None:
            assert (
                f"sealed test, opened once|{claim.test_score:.4f}|{claim.test_baseline:.4f}|{claim.test_effect:+.4f}|"
                in "\n".join(rows)
            )
            assert claim.gap is not None and f"|{claim.gap:+.4f}|" in "\n".join(rows)
    assert f"autoresearch reproduce {run.folder.name} 0.0" in said
    assert claims[0].environment and claims[0].environment in said
    assert "a refuted claim is not scored on the sealed test split" in said


def test_opinions_are_marked_as_a_models_and_escaped(run: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(run.folder, tmp_path / "copy", symlinks=True)))
    claims = read(copy.folder / "claims.json", Claims)
    fidelity = Fidelity(faithful="partly", reason=f"fidelity {NASTY}")
    changed = tuple(each.model_copy(update={"fidelity": fidelity}) for each in claims.claims)
    write(
        copy.folder / "claims.json", claims.model_copy(update={"claims": changed}).model_dump_json()
    )
    for path in copy.folder.glob("round-*/*/feedback.json"):
        given = {
            "analysis": ANALYSIS.model_copy(update={"explanation": f"analysis {NASTY}"}),
            "review": REVIEW.model_copy(update={"weaknesses": (f"weakness {NASTY}",)}),
        }
        write(path, read(path, Lesson).model_copy(update=given).model_dump_json())
    text = page(copy)
    said = Parsed(text).text
    ideas, claimed = len(lessons_of(run)), len(changed)
    assert said.count("analysis </style>") == ideas
    assert said.count("weakness </style>") == ideas and said.count("fidelity </style>") == claimed
    assert said.count("opinion of command:cat") == 2 * ideas + claimed
    assert "it decides nothing" in said
    assert not [c for c in text if not c.isprintable() and c != "\n"]


def test_what_falsifiers_took_is_told_against_all_experiments_of_the_run(
    run: Run, text: str
) -> None:
    claims = read(run.folder / "claims.json", Claims)
    ran = [path for path in run.folder.rglob("*-run.json")]
    seconds = {path: read(path, Execution).seconds for path in ran}
    tests = claims.shared.seconds + sum(
        each.cost.seconds for claim in claims.claims for each in claim.evidence
    )
    below = [p for p in ran if "falsify" in p.parts and "control" not in p.parts]
    assert tests == pytest.approx(sum(seconds[path] for path in below))
    line = falsifiers_line(run)
    whole = sum(seconds.values())
    share = 100 * tests / whole
    assert line.startswith(f"{tests:.1f} of {whole:.1f} s ({share:.0f} %) and ")
    assert "; the control arm " in line and line in Parsed(text).text
    assert claims.everything.experiments == len(ran)
    left = next(run.folder.glob("round-*/*/*-out"))
    planted = left / "mine-run.json"  # any experiment can leave such a file
    planted.write_text("no record of ours")
    try:
        assert len(list(ran_below(run.folder))) == len(ran)
    finally:
        planted.unlink()


def chart(*marks: Mark, better: int = 1, **changes: object) -> Chart:
    plain = Chart("score", better, 0.5, 0.01, 0.05, None, marks)
    return replace(plain, **changes)  # type: ignore[arg-type]


def mark(number: int, kind: str, score: float | None, claim: str = "") -> Mark:
    around = None if score is None else (score - 0.02, score + 0.02)
    return Mark(f"0.{number}", f"idea-{number}", kind, score, around, claim, f"idea {number}")  # type: ignore[arg-type]


def test_the_best_so_far_follows_what_improved_and_is_not_refuted() -> None:
    up = chart(
        mark(0, "maintained", 0.9), mark(1, "improved", 0.6, "stands"), mark(2, "failed", None),
        mark(3, "improved", 0.99, "refuted"), mark(4, "improved", 0.55, "stands"), mark(5, "improved", 0.7),
    )  # fmt: skip
    assert best_so_far(up) == [0.5, 0.6, 0.6, 0.6, 0.6, 0.7]
    down = chart(
        mark(0, "declined", 0.8), mark(1, "improved", 0.4), mark(2, "improved", 0.45), better=-1
    )
    assert best_so_far(down) == [0.5, 0.4, 0.4]
    assert best_so_far(chart()) == []


def test_one_far_away_score_does_not_hide_the_others_and_says_what_it_is() -> None:
    far = chart(
        *(mark(n, "improved", 0.55 + n / 100) for n in range(4)), mark(4, "declined", -80.0)
    )
    low, high = bounds(far)
    assert 0.2 < low < 0.5 < 0.6 < high < 0.9
    picture = ET.fromstring(draw(far, 980))
    assert len(drawn(picture, "beyond")) == 1
    assert "-80" in [each.text for each in drawn(picture, "value")]


@pytest.mark.parametrize("count", [0, 1, 2, 40, 500])
@pytest.mark.parametrize("width", [370, 980])
def test_a_picture_of_any_number_of_ideas_has_readable_labels(count: int, width: int) -> None:
    kinds = ("improved", "maintained", "failed", "improved", "declined", "unfinished")
    marks = []
    for number in range(count):
        kind = kinds[number % 6]
        score = None if kind in ("failed", "unfinished") else 0.5 + 0.3 * (number * 37 % 101) / 101
        claim = ("stands", "refuted")[number // 3 % 2] if kind == "improved" else ""
        marks.append(mark(number, kind, score, claim))
    picture = ET.fromstring(draw(chart(*marks, control=0.62), width))
    assert len(drawn(picture, "mark")) == count and len(drawn(picture, "control")) == 1
    _, _, wide, high = map(float, picture.get("viewBox", "").split())
    boxes = []
    for each in drawn(picture, "name"):
        left, base = float(each.get("x", "")), float(each.get("y", ""))
        boxes.append((left, base - 9, left + 5.5 * len(each.text or ""), base + 2))
        assert left >= 0 and boxes[-1][2] <= wide and boxes[-1][1] >= 0 and base <= high
    for number, (a, b, c, d) in enumerate(boxes):
        for left, top, right, bottom in boxes[number + 1 :]:
            assert not (a < right and c > left and b < bottom and d > top)
    assert bool(boxes) == (count > 0)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 1.0), (0.87, 0.913), (-3e7, 2e9), (1e-9, 3e-9), (-1.4, -0.06), (97.0, 98.0)],
)
def test_an_axis_has_a_few_different_round_numbers(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 2 <= len(found) <= 7 and len({written for _, written in found}) == len(found)
    near = 1e-9 * (high - low)
    assert all(low - near <= value <= high + near for value, _ in found)
    assert all(
        float(written) == pytest.approx(value, rel=0.01, abs=1e-12) for value, written in found
    )


def test_an_interrupted_run_has_a_page_that_says_so_and_a_budget_that_ends_leaves_one(
    tmp_path: Path,
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "autoresearch", "run", "--task", str(SLOPE), "--model", "offline",
         "--rounds", "2", "--ideas", "4", "--parallel", "1", "--sandbox", "local"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 100
    while not there(tmp_path, "runs/*/round-00/*/feedback.json"):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.02)
    going_on = page(Run(list_runs(tmp_path / "runs")[0]))
    child.send_signal(signal.SIGKILL)
    child.wait()
    (folder,) = list_runs(tmp_path / "runs")
    assert "is going on" in Parsed(going_on).text and not (folder / "report.html").exists()
    done = autoresearch("report", folder.name, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == str(folder.resolve() / "report.html")
    said = Parsed((folder / "report.html").read_text()).text
    assert "This run is not finished: it was interrupted." in said
    assert f"autoresearch resume {folder.name} goes on" in said
    assert "None yet: what improved is tested when the search is over." in said
    assert "not finished (at the bottom)" in said
    (folder / "report.html").unlink()
    ended = autoresearch("resume", folder.name, "--budget", "1s", cwd=tmp_path)
    assert ended.returncode == 3 and "report.html" in ended.stdout, ended.stderr
    assert "it was interrupted" in Parsed((folder / "report.html").read_text()).text


def test_a_run_without_a_noise_floor_leaves_no_page_and_one_can_be_asked_for(
    tmp_path: Path,
) -> None:
    ended = autoresearch(
        "run", "--task", str(SLOPE), "--sandbox", "local", "--budget", "1s", cwd=tmp_path
    )
    (folder,) = list_runs(tmp_path / "runs")
    assert ended.returncode == 3 and not (folder / "report.html").exists()
    assert autoresearch("report", folder.name, cwd=tmp_path).returncode == 0
    said = Parsed((folder / "report.html").read_text()).text
    assert "The baseline has not been measured yet" in said and "There are no ideas yet." in said
    missing = autoresearch("report", "never-ran", cwd=tmp_path)
    assert missing.returncode == 2 and "no run 'never-ran'" in missing.stderr


def test_a_finished_run_leaves_its_page_and_a_self_reported_one_says_so_all_over_it(
    tmp_path: Path,
) -> None:
    done = autoresearch(
        "run", "--task", str(TEMPLATE), "--rounds", "1", "--ideas", "4", "--sandbox", "local",
        cwd=tmp_path, COLUMNS="200",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = list_runs(tmp_path / "runs")
    text = (folder / "report.html").read_text()
    assert f"page      {folder.resolve() / 'report.html'}" in done.stdout
    assert "falsifiers took" in done.stdout
    said = Parsed(text).text
    assert (
        "All scores here are self-reported: the program's own figure, checked by nothing." in said
    )
    assert "Stands (self-reported, unconfirmed)" in said.replace("stands", "Stands")
    assert "there is no sealed test, the score is the program's own figure" in said
    assert "sealed test, opened once" not in said and "best so far on what is reported" in said
    for picture in pictures(text):
        words = [each.text for each in picture.iter(f"{SVG}text")]
        assert "val_loss_mean (self-reported); lower is better" in words
        assert "self-reported: the program's own figure, checked by nothing" in words
    notes = json.dumps(Parsed(text).rows)
    assert "on validation" not in notes and '"validation' not in notes


def test_show_goes_on_without_a_template_engine(run: Run) -> None:
    program = (
        "import sys; from autoresearch.cli import app; app(sys.argv[1:], standalone_mode=False); "
        "assert not {'jinja2', 'autoresearch.page', 'autoresearch.picture'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "show", str(run.folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "falsifiers took" in done.stdout
