"""Libraries of papers: a real HTTP server on loopback for arXiv, real files for folders."""

import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pymupdf
import pytest

from autoresearch import documents
from autoresearch.config import Settings
from autoresearch.documents import Folder, clean
from autoresearch.errors import BadInput
from autoresearch.papers import Arxiv, Libraries, Library, Manners, open_library
from autoresearch.records import Paper

FEED = (Path(__file__).parent / "feeds" / "arxiv.xml").read_bytes()
NOTHING = FEED[: FEED.index(b"<entry>")].replace(b">4<", b">0<") + b"</feed>"
BRISK = Manners(pace=0.0, timeout=0.5, tries=3, patience=5.0)

Step = tuple[int, dict[str, str], bytes] | str


class Mirror(ThreadingHTTPServer):
    """A server that answers from a script, then with the feed; it remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_port}/api/query"
        self.script: list[Step] = []
        self.queries: list[str] = []
        self.times: list[float] = []
        self.in_flight = self.most_in_flight = 0


class Answering(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        mirror = self.server
        mirror.in_flight += 1
        mirror.most_in_flight = max(mirror.most_in_flight, mirror.in_flight)
        mirror.times.append(time.time())
        mirror.queries.append(parse_qs(urlsplit(self.path).query)["search_query"][0])
        step = mirror.script.pop(0) if mirror.script else (200, {}, FEED)
        if step == "stall":
            time.sleep(1)
        elif step == "drip":
            self.drip()
        elif not isinstance(step, str):
            self.answer(*step)
        mirror.in_flight -= 1

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # the other side may have had enough
            self.wfile.write(body)

    def drip(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with suppress(OSError):
            for _ in range(12):
                self.wfile.write(b"<")
                time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    mirror = Mirror()
    threading.Thread(target=mirror.serve_forever, args=(0.02,), daemon=True).start()
    yield mirror
    mirror.shutdown()
    mirror.server_close()


@pytest.fixture
def notes() -> list[str]:
    return []


def settings(url: str = "http://127.0.0.1:9/", **values: object) -> Settings:
    return Settings.model_validate(
        {"model": {"name": "some/model"}, "papers": {"arxiv_url": url, **values}}
    )


@pytest.fixture
def arxiv(mirror: Mirror, tmp_path: Path, notes: list[str]) -> Callable[..., Arxiv]:
    def make(manners: Manners = BRISK, url: str = mirror.url) -> Arxiv:
        return Arxiv(settings(url).papers, tmp_path / "cache", notes.append, manners)

    return make


def write_pdf(file: Path, *pages: str, title: str = "", **options: object) -> None:
    with pymupdf.open() as document:
        for text in pages:
            document.new_page().insert_textbox((50, 50, 550, 800), text, fontsize=10)
        document.set_metadata({"title": title})
        document.save(file, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    write_pdf(
        folder / "smoothing.pdf",
        "Abstract\nSmoothing of labels for few images.\n1 Introduction\nDigits are small.",
        title="Smoothing Labels",
    )
    (folder / "shift.md").write_text("# Random shifts\n\nShifting images, and some smoothing.\n")
    (folder / "trees.txt").write_text("Growing trees\n\nOn bagging. No filter is used here.\n")
    return folder


class Listed:
    """The plainest library: what it was given, as it was given."""

    def __init__(self, *papers: Paper) -> None:
        self.papers = papers

    def search(self, query: str, limit: int) -> tuple[Paper, ...]:
        return self.papers[: max(limit, 0)]


# --- what every library keeps -------------------------------------------------------------------


@pytest.fixture(params=["arxiv", "folder", "both", "opened", "none"])
def library(
    request: pytest.FixtureRequest,
    arxiv: Callable[..., Arxiv],
    folder: Path,
    tmp_path: Path,
    notes: list[str],
) -> Library:
    if request.param == "arxiv":
        return arxiv()
    if request.param == "folder":
        return Folder(folder, notes.append)
    if request.param == "both":
        return Libraries([Folder(folder, notes.append), arxiv()])
    if request.param == "opened":
        offline = Settings.model_validate({"papers": {"folder": folder}})
        return open_library(offline, tmp_path / "cache", notes.append)
    return Libraries([])


def test_a_library_finds_at_most_the_limit(library: Library) -> None:
    papers = library.search("smoothing", 10)
    for limit in (-1, 0, 1, 2):
        assert library.search("smoothing", limit) == papers[: max(limit, 0)]


def test_a_library_gives_each_paper_once_with_an_id_a_title_and_bounded_fields(
    library: Library,
) -> None:
    papers = library.search("smoothing", 10)
    assert len({paper.id for paper in papers}) == len(papers)
    for paper in papers:
        assert paper.id.startswith(("arxiv:", "file:"))
        assert 0 < len(paper.title) <= 500
        assert 0 < len(paper.abstract) <= 5000


def test_a_library_answers_the_same_question_the_same_way_from_many_threads(
    library: Library,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: library.search("smoothing images", 5), range(16)))
    assert len(answers) == 1


@pytest.mark.parametrize("query", ["", "   ", "\0\ud800", '" AND (', "the of and", "*:*"])
def test_a_library_survives_a_query_that_says_nothing(library: Library, query: str) -> None:
    assert library.search(query, 5) == ()


def test_every_library_that_has_papers_finds_one(library: Library, notes: list[str]) -> None:
    empty = isinstance(library, Libraries) and not library._libraries
    assert bool(library.search("smoothing", 5)) is not empty
    assert notes == []


# --- arXiv --------------------------------------------------------------------------------------


def test_a_feed_becomes_papers(arxiv: Callable[..., Arxiv], mirror: Mirror) -> None:
    first, _, old, _ = arxiv().search("smoothing", 10)
    assert first == Paper(
        id="arxiv:2603.01234",
        title="Label Smoothing for Very Small Image Collections",
        abstract="We study label smoothing on collections of a few hundred images. A smoothing "
        "weight that shrinks with the margin helps when classes are confused & data are scarce.",
        authors=("Ada Fjord", "Bo Ístvan"),
        year=2026,
        url="https://arxiv.org/abs/2603.01234",
    )
    assert old.id == "arxiv:cs/0301007"


def test_an_answer_is_kept_for_the_next_process(
    arxiv: Callable[..., Arxiv], mirror: Mirror
) -> None:
    answer = arxiv().search("label smoothing", 3)
    assert len(answer) == 3
    assert arxiv().search("Label  SMOOTHING", 3) == answer
    assert len(mirror.queries) == 1
    assert len(arxiv().search("label smoothing", 2)) == 2
    assert len(mirror.queries) == 2


@pytest.mark.parametrize("junk", [b"", b"[", b'[{"id": 3}]', b"\xff\xfe\0", b"{}"])
def test_a_corrupt_answer_on_disk_is_fetched_again(
    arxiv: Callable[..., Arxiv], mirror: Mirror, tmp_path: Path, junk: bytes
) -> None:
    answer = arxiv().search("smoothing", 3)
    (kept,) = (tmp_path / "cache").glob("*.json")
    kept.write_bytes(junk)
    assert arxiv().search("smoothing", 3) == answer
    assert len(mirror.queries) == 2
    assert arxiv().search("smoothing", 3) == answer
    assert len(mirror.queries) == 2


def test_a_query_cannot_reach_the_query_language(
    arxiv: Callable[..., Arxiv], mirror: Mirror
) -> None:
    arxiv().search('few-shot) OR au:"x" ANDNOT ti:%22* AND (all:images_2 &start=5', 3)
    assert mirror.queries == [
        'all:"few shot" AND all:au AND all:x AND all:ti AND all:22 AND all:all AND all:images '
        "AND all:2 AND all:start AND all:5"
    ]


def test_a_query_too_narrow_for_any_paper_is_asked_once_more_by_best_match(
    arxiv: Callable[..., Arxiv], mirror: Mirror
) -> None:
    mirror.script = [(200, {}, NOTHING)]
    assert len(arxiv().search("smoothing unicorns", 4)) == 4
    assert mirror.queries == ["all:smoothing AND all:unicorns", "all:smoothing OR all:unicorns"]


def test_finding_nothing_is_an_answer_and_not_a_failure(
    arxiv: Callable[..., Arxiv], mirror: Mirror, notes: list[str]
) -> None:
    mirror.script = [(200, {}, NOTHING)]
    library = arxiv()
    assert library.search("unicorns", 4) == ()
    assert len(library.search("smoothing", 4)) == 4
    assert notes == []


def test_a_busy_server_is_asked_again_after_the_time_it_names(
    arxiv: Callable[..., Arxiv], mirror: Mirror, notes: list[str]
) -> None:
    mirror.script = [(503, {"Retry-After": "1"}, b"")]
    assert len(arxiv().search("smoothing", 4)) == 4
    assert mirror.times[1] - mirror.times[0] >= 1.0
    assert notes == []


def test_a_time_to_wait_may_be_a_date(
    arxiv: Callable[..., Arxiv], mirror: Mirror, notes: list[str]
) -> None:
    date = formatdate(time.time() + 2, usegmt=True)
    mirror.script = [(429, {"Retry-After": date}, b"")]
    assert len(arxiv().search("smoothing", 4)) == 4
    assert mirror.times[1] - mirror.times[0] > 0.8
    assert notes == []


def test_nobody_waits_longer_than_the_bound_on_patience(
    arxiv: Callable[..., Arxiv], mirror: Mirror, notes: list[str]
) -> None:
    mirror.script = [(503, {"Retry-After": "900"}, b"")]
    began = time.monotonic()
    assert arxiv().search("smoothing", 4) == ()
    assert arxiv().search("smoothing", 4) == ()  # another process keeps away as well
    assert time.monotonic() - began < 2
    assert len(mirror.queries) == 1
    assert "asks to wait" in notes[0]


FAILURES: dict[str, tuple[list[Step], int, str]] = {
    "busy": ([(503, {}, b"")] * 3, 3, "HTTP status 503"),
    "odd Retry-After": ([(503, {"Retry-After": "soon"}, b"")] * 3, 3, "HTTP status 503"),
    "missing": ([(404, {}, b"")], 1, "HTTP status 404"),
    "forbidden": ([(403, {"Retry-After": "1"}, b"")], 1, "HTTP status 403"),
    "stalling": (["stall"] * 3, 3, "no answer within 0.5 s"),
    "dripping": (["drip"] * 3, 3, "too slow"),
    "a page of HTML": ([(200, {}, b"<html>hello</html>")] * 3, 3, "not a whole Atom feed"),
    "garbage": ([(200, {}, b"\0\xff<<<")] * 3, 3, "not a whole Atom feed"),
    "cut short": ([(200, {}, FEED[:1500])] * 3, 3, "not a whole Atom feed"),
    "too long": ([(200, {}, FEED + b" " * (17 * 2**20))] * 3, 3, "too long"),
    "a date that is none": ([(200, {}, FEED.replace(b"2026-03-03T", b"yesterday"))], 1, ""),
    "round in circles": ([(302, {"Location": "?search_query=x"}, b"")] * 99, 0, "Redirect"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_server_is_one_note_and_no_papers_and_is_then_left_alone(
    arxiv: Callable[..., Arxiv], mirror: Mirror, notes: list[str], failure: str
) -> None:
    mirror.script, requests, reason = FAILURES[failure]
    mirror.script = list(mirror.script)
    library = arxiv()
    assert library.search("smoothing", 4) == ()
    made = len(mirror.queries)
    assert made == requests or not requests
    mirror.script.clear()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda i: library.search(f"idea {i}", 4), range(20))) == {()}
    assert len(mirror.queries) == made
    (note,) = notes
    assert reason in note
    assert "going on" in note
    assert "\n" not in note


def test_what_was_kept_is_still_found_after_a_failure(
    arxiv: Callable[..., Arxiv], mirror: Mirror
) -> None:
    library = arxiv()
    answer = library.search("smoothing", 4)
    mirror.script = [(404, {}, b"")]
    assert library.search("other", 4) == ()
    assert library.search("smoothing", 4) == answer


def test_a_failure_is_not_kept(arxiv: Callable[..., Arxiv], mirror: Mirror) -> None:
    mirror.script = [(404, {}, b"")]
    assert arxiv().search("smoothing", 4) == ()
    assert len(arxiv().search("smoothing", 4)) == 4


def test_no_connection_is_one_note(arxiv: Callable[..., Arxiv], notes: list[str]) -> None:
    library = arxiv(url="http://127.0.0.1:1/api/query")
    assert library.search("smoothing", 4) == library.search("another", 4) == ()
    (note,) = notes
    assert "no connection" in note


def test_a_cache_that_cannot_be_written_is_one_note(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes: list[str] = []
    library = Arxiv(settings(mirror.url).papers, tmp_path / "file" / "cache", notes.append, BRISK)
    assert library.search("smoothing", 4) == ()
    assert len(notes) == 1


def test_requests_keep_their_distance_and_answers_on_disk_do_not_wait(
    arxiv: Callable[..., Arxiv], mirror: Mirror
) -> None:
    library, other = arxiv(Manners(pace=0.4)), arxiv(Manners(pace=0.4))
    for word in ("one", "two"):
        library.search(word, 2)
        other.search(word, 2)
    library.search("three", 2)
    gaps = [after - before for before, after in zip(mirror.times, mirror.times[1:], strict=False)]
    assert len(gaps) == 2
    assert min(gaps) >= 0.4
    began = time.monotonic()
    arxiv(Manners(pace=60)).search("one", 2)
    assert time.monotonic() - began < 0.3


def test_processes_take_turns(mirror: Mirror, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from autoresearch.config import PaperSettings\n"
        "from autoresearch.papers import Arxiv, Manners\n"
        "settings = PaperSettings(arxiv_url=sys.argv[1])\n"
        "library = Arxiv(settings, Path(sys.argv[2]), print, Manners(pace=0.3))\n"
        "for word in ('one', 'two'): assert library.search(word + sys.argv[3], 2)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(documents.__file__).parents[1])}
    command = [sys.executable, "-c", program, mirror.url, str(tmp_path)]
    children = [subprocess.Popen([*command, name], env=environment) for name in "ab"]
    assert [child.wait() for child in children] == [0, 0]
    gaps = [after - before for before, after in zip(mirror.times, mirror.times[1:], strict=False)]
    assert len(gaps) == 3
    assert min(gaps) >= 0.3
    assert mirror.most_in_flight == 1


@pytest.mark.parametrize("stamp", ["", "soon", "9" * 400, "1e999", str(4 * 10**9)])
def test_a_senseless_lock_file_keeps_nobody_waiting(
    arxiv: Callable[..., Arxiv], tmp_path: Path, stamp: str
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "arxiv.lock").write_text(stamp)
    began = time.monotonic()
    assert arxiv(Manners(pace=0.0)).search("smoothing", 4)
    assert time.monotonic() - began < 1


def test_hostile_entries_are_cleaned_bounded_or_left_out(
    arxiv: Callable[..., Arxiv], mirror: Mirror
) -> None:
    feed = FEED.replace(b"Kernel Smoothing", "K\u202eern\u200bel \u2069".encode() + b"x" * 9000)
    feed = feed.replace(b"http://arxiv.org/abs/2511.00042v1</id>", b"javascript:alert(1)</id>")
    feed = feed.replace(
        b"http://arxiv.org/abs/2501.09999v1</id>", b"http://arxiv.org/api/errors#incorrect</id>"
    )
    mirror.script = [(200, {}, feed)]
    papers = arxiv().search("smoothing", 4)
    assert [paper.id for paper in papers] == ["arxiv:2603.01234", "arxiv:cs/0301007"]
    assert papers[1].title.startswith("An Old Note on Kernel xxx")
    assert len(papers[1].title) == 500


def test_an_entity_bomb_is_harmless(arxiv: Callable[..., Arxiv], mirror: Mirror) -> None:
    bomb = b"<!DOCTYPE feed [<!ENTITY a 'aaaaaaaaaa'>" + b"".join(
        f"<!ENTITY a{i} '{f'&a{i - 1 if i else str()};' * 10}'>".encode() for i in range(12)
    )
    feed = FEED.replace(b"<feed", bomb + b"]><feed", 1).replace(b"Kernel", b"&a11;")
    mirror.script = [(200, {}, feed)]
    began = time.monotonic()
    arxiv().search("smoothing", 4)
    assert time.monotonic() - began < 2


# --- a folder -----------------------------------------------------------------------------------


def read(folder: Path, notes: list[str], seconds: int = 20) -> dict[str, Paper]:
    library = Folder(folder, notes.append, seconds)
    papers = library.search("smoothing shift tree text paper digit", 600)
    return {paper.id: paper for paper in papers}


def test_pdf_markdown_and_text_become_papers(folder: Path, notes: list[str]) -> None:
    papers = read(folder, notes)
    assert set(papers) == {"file:smoothing.pdf", "file:shift.md", "file:trees.txt"}
    pdf = papers["file:smoothing.pdf"]
    assert (pdf.title, pdf.abstract) == ("Smoothing Labels", "Smoothing of labels for few images.")
    assert "Digits are small." in (pdf.text or "")
    assert papers["file:shift.md"].title == "Random shifts"
    assert papers["file:trees.txt"].title == "Growing trees"
    assert notes == []


def test_papers_are_ranked_by_the_words_they_share_with_the_query(folder: Path) -> None:
    library = Folder(folder, print)
    found = [paper.id for paper in library.search("label smoothing", 5)]
    assert found == ["file:smoothing.pdf", "file:shift.md"]
    assert [paper.id for paper in library.search("bagged tree", 5)] == ["file:trees.txt"]


def test_equal_papers_are_ranked_by_name(tmp_path: Path) -> None:
    for name in "cabd":
        (tmp_path / f"{name}.txt").write_text("The same text\n")
    found = [paper.id for paper in Folder(tmp_path, print).search("text", 3)]
    assert found == ["file:a.txt", "file:b.txt", "file:c.txt"]


@pytest.mark.parametrize("junk", ["", "untitled", "Microsoft Word - draft3.docx", "main.tex"])
def test_without_a_title_of_its_own_a_pdf_takes_its_largest_horizontal_text(
    tmp_path: Path, notes: list[str], junk: str
) -> None:
    with pymupdf.open() as document:
        page = document.new_page()
        page.insert_text((30, 500), "arXiv:2603.01234v2 [cs.LG]", fontsize=24, rotate=90)
        page.insert_text((100, 80), "A Title Set Large", fontsize=18)
        page.insert_text((100, 105), "On Two Lines", fontsize=18)
        page.insert_text((100, 140), "Ada Fjord", fontsize=12)
        page.insert_text((100, 170), "text of the paper", fontsize=10)
        document.set_metadata({"title": junk})
        document.save(tmp_path / "a.pdf")
    assert read(tmp_path, notes)["file:a.pdf"].title == "A Title Set Large On Two Lines"


@pytest.mark.parametrize(
    ("text", "abstract"),
    [
        ("T\nAbstract\nOne two.\n1 Introduction\nText", "One two."),
        ("T\nABSTRACT—One\ntwo.\nIndex Terms—text", "One two."),
        ("T\nAbstract. One two.\n1\nIntroduction\nText", "One two."),
        ("# T\n\n## Abstract\n\nOne two.\n\n## Methods\nText", "One two."),
        ("T\nAbstract: One\n10 papers two.\nI. INTRODUCTION", "One 10 papers two."),
        ("No such heading. Text", "No such heading. Text"),
    ],
)
def test_the_abstract_ends_where_the_next_heading_begins(
    tmp_path: Path, notes: list[str], text: str, abstract: str
) -> None:
    (tmp_path / "a.md").write_text(text + "\nsmoothing")
    assert read(tmp_path, notes)["file:a.md"].abstract.removesuffix(" smoothing") == abstract


def make_unreadable(folder: Path) -> dict[str, str]:
    """Files that are no papers, with a word of why."""
    write_pdf(folder / "whole.pdf", "text " * 300)
    whole = (folder / "whole.pdf").read_bytes()
    (folder / "whole.pdf").unlink()
    write_pdf(
        folder / "locked.pdf",
        "text",
        encryption=pymupdf.PDF_ENCRYPT_AES_256,
        user_pw="secret",
        owner_pw="more secret",
    )
    (folder / "truncated.pdf").write_bytes(whole[:60])
    (folder / "zero.pdf").write_bytes(b"")
    (folder / "zero.txt").write_bytes(b"")
    (folder / "blank.md").write_text(" \n\0\n\u200b")
    (folder / "garbage.pdf").write_bytes(b"\0\xff" * 5000)
    write_pdf(folder / "scan.pdf", "")
    os.mkfifo(folder / "pipe.txt")
    (folder / "folder.txt").mkdir()
    (folder.parent / "outside.txt").write_text("text that is private")
    (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
    (folder / "dangling.pdf").symlink_to("nowhere.pdf")
    with (folder / "huge.pdf").open("wb") as stream:
        stream.truncate(51 * 2**20)
    return {
        "locked.pdf": "encrypted",
        "truncated.pdf": "not a readable PDF",
        "zero.pdf": "empty",
        "zero.txt": "empty",
        "blank.md": "no text",
        "garbage.pdf": "not a readable PDF",
        "scan.pdf": "no text",
        "pipe.txt": "not a regular file",
        "folder.txt": "not a regular file",
        "link.txt": "link out of",
        "dangling.pdf": "not a regular file",
        "huge.pdf": "larger than 50 MiB",
    }


def test_a_file_that_is_no_paper_is_a_note_and_the_others_are_read(
    folder: Path, notes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    reasons = make_unreadable(folder)
    assert set(read(folder, notes)) == {"file:smoothing.pdf", "file:shift.md", "file:trees.txt"}
    said = dict(note.split(" is left out: ") for note in notes)
    assert set(said) == set(reasons)
    for name, reason in reasons.items():
        assert reason in said[name]
    assert capfd.readouterr() == ("", "")


def test_hidden_files_and_other_kinds_are_not_papers(folder: Path, notes: list[str]) -> None:
    (folder / "._smoothing.pdf").write_bytes(b"\0")
    (folder / "data.csv").write_text("text")
    assert len(read(folder, notes)) == 3
    assert notes == []


def nest_forms(file: Path, depth: int, width: int) -> None:
    """A PDF whose page draws a form `width` ** `depth` times: small on disk, endless to read."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Count 1 /Kids [3 0 R] >>"]
    objects.append(
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
        "/Resources << /XObject << /F 5 0 R >> >> >>"
    )
    calls = "/F Do " * width
    objects.append(f"<< /Length {len(calls)} >> stream\n{calls}\nendstream")
    for level in range(depth):
        last = level == depth - 1
        drawing = "BT /T 9 Tf (text) Tj ET" if last else calls
        resources = (
            "/Font << /T << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
            if last
            else f"/XObject << /F {6 + level} 0 R >>"
        )
        objects.append(
            f"<< /Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << {resources} >> "
            f"/Length {len(drawing)} >> stream\n{drawing}\nendstream"
        )
    body = "".join(f"{i} 0 obj {text} endobj\n" for i, text in enumerate(objects, start=1))
    file.write_text(f"%PDF-1.7\n{body}trailer << /Root 1 0 R >>\n")


def search_path() -> list[str]:
    return [str(Path(documents.__file__).parents[1]), *filter(None, sys.path)]


def environment_of_the_reader() -> list[str]:
    """What the process that parses what strangers wrote knows of its surroundings."""
    for _ in range(100):
        time.sleep(0.1)
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                command = (process / "cmdline").read_bytes()
                if parent == str(os.getpid()) and b"autoresearch.documents" in command:
                    return (process / "environ").read_text().rstrip("\0").split("\0")
    raise AssertionError("no reader was seen")


def test_a_pdf_that_never_ends_costs_its_time_limit_and_no_other_paper(
    folder: Path, notes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    nest_forms(folder / "bomb.pdf", depth=12, width=12)
    write_pdf(folder / "zz.pdf", "text", title="After the bomb")
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, folder, notes, 4)
        assert environment_of_the_reader() == [f"PYTHONPATH={os.pathsep.join(search_path())}"]
        papers = reading.result()
    assert time.monotonic() - began < 12
    assert {"file:smoothing.pdf", "file:zz.pdf"} <= set(papers)
    (note,) = notes
    assert note.startswith("bomb.pdf is left out: reading it took more than 4 s")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pages", [1, 10**9])
def test_a_pdf_that_unpacks_without_end_is_given_up_within_its_bounds(
    tmp_path: Path, notes: list[str], pages: int
) -> None:
    """A page of 16 GiB of spaces in a few kilobytes; or a billion pages, it says."""
    packed = zlib.compress(zlib.compress(b" " * 2**26, 9), 9)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [3 0 R] >>" % pages,
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents [%s] >>"
        % (b"4 0 R " * 256),
        b"<< /Filter [/FlateDecode /FlateDecode] /Length %d >> stream\n%s\nendstream"
        % (len(packed), packed),
    ]
    body = b"".join(b"%d 0 obj %s endobj\n" % (i, text) for i, text in enumerate(objects, 1))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n" + body + b"trailer << /Root 1 0 R >>\n")
    assert len(body) < 4096
    assert read(tmp_path, notes, seconds=3) == {}
    assert len(notes) == 1
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < documents.MEMORY


def test_a_long_paper_is_cut(tmp_path: Path, notes: list[str]) -> None:
    write_pdf(tmp_path / "long.pdf", *["smoothing the digits " * 190] * 130, title="L" * 900)
    (tmp_path / "long.txt").write_text("text \U000e0041" * 2**20)
    papers = read(tmp_path, notes)
    for paper in papers.values():
        assert len(paper.title) <= 500
        assert len(paper.abstract) <= 5000
        assert 100_000 < len(paper.text or "") <= 200_000
    assert "\U000e0041" not in (papers["file:long.txt"].text or "")


def test_a_crowded_folder_is_read_up_to_its_bound(tmp_path: Path, notes: list[str]) -> None:
    for number in range(documents.FILES + 3):
        (tmp_path / f"{number:04}.txt").write_text(f"text {number}")
    assert len(read(tmp_path, notes)) == documents.FILES
    assert len(notes) == 1


# --- several libraries, and which ones ----------------------------------------------------------


def paper(id: str, title: str) -> Paper:
    return Paper(id=id, title=title, abstract=hashlib.sha256(title.encode()).hexdigest())


def test_merging_takes_the_best_of_each_and_keeps_the_first_librarys_copy() -> None:
    mine = Listed(paper("file:a", "Label Smoothing!"), paper("file:b", "B"))
    theirs = Listed(
        paper("arxiv:1", "C"),
        paper("arxiv:2", "label-smoothing"),
        paper("arxiv:1", "C, again"),
        paper("arxiv:3", "D"),
    )
    found = [each.id for each in Libraries([mine, theirs]).search("x", 10)]
    assert found == ["file:a", "arxiv:1", "file:b", "arxiv:3"]
    assert [each.id for each in Libraries([mine, theirs]).search("x", 1)] == ["file:a"]


def test_titles_without_letters_are_not_taken_for_one_another() -> None:
    papers = Listed(paper("arxiv:1", "?"), paper("arxiv:2", "!"))
    assert len(Libraries([papers]).search("x", 10)) == 2


def test_settings_choose_the_libraries(folder: Path, mirror: Mirror, tmp_path: Path) -> None:
    def found(chosen: Settings) -> set[str]:
        papers = open_library(chosen, tmp_path / "cache", print).search("smoothing", 20)
        return {paper.id.split(":")[0] for paper in papers}

    assert found(settings(mirror.url)) == {"arxiv"}
    assert found(settings(mirror.url, folder=folder)) == {"arxiv", "file"}
    assert found(settings(mirror.url, folder=folder, arxiv=False)) == {"file"}
    asked = len(mirror.queries)
    assert found(Settings.model_validate({"papers": {"arxiv_url": mirror.url}})) == set()
    assert len(mirror.queries) == asked


def test_a_missing_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"papers\.folder: .*nowhere is not a folder"):
        open_library(settings(folder=tmp_path / "nowhere"), tmp_path, print)


def test_heavy_libraries_load_when_first_used() -> None:
    program = (
        "import sys, autoresearch.papers\n"
        "print([name for name in ('arxiv', 'requests', 'lxml', 'pymupdf') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(documents.__file__).parents[1])}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_cleaned_text_has_no_control_invisible_or_surrogate_characters() -> None:
    dirty = "\x1b[2Ja\ud800b\u202e \ufb01ne\u00ad\r\n\n  \u00a0c\U000e0041\x00"
    assert clean(dirty, 50) == "[2Jab fine c"
    assert clean(dirty, 50, lines=True) == "[2Jab fine\nc"
    assert clean("abc def", 4) == "abc"
