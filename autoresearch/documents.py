"""A folder of PDF, text and Markdown files as a library of papers.

What any of them says is untrusted. PDFs are read in a process of their own (this module, run as a
program), with bounded time and memory and an empty environment: a hostile one kills that process and
no more.
"""

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from autoresearch.errors import BadInput
from autoresearch.records import Paper

TITLE, ABSTRACT, TEXT = 500, 5_000, 200_000  # characters
FILES, FILE_SIZE = 500, 50 * 2**20  # files of a folder; bytes of one file
PAGES, MEMORY = 100, 2 * 2**30  # of one PDF

STOP_WORDS = re.compile(
    "a|an|and|andnot|are|as|at|by|for|from|in|is|not|of|on|or|the|to|using|via|with"
)
_INVISIBLE = {"Cc", "Cf", "Cn", "Co", "Cs"}  # control, format (also bidi), unassigned, surrogates


def clean(text: str, limit: int, *, lines: bool = False) -> str:
    """`text` in plain characters, white space folded (line ends kept if `lines`), cut to `limit`."""
    text = unicodedata.normalize("NFKC", text[: 2 * limit])
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    if lines:
        text = re.sub(r"\s*\n\s*", "\n", re.sub(r"[^\S\n]+", " ", text))
    else:
        text = re.sub(r"\s+", " ", text)
    return text.strip()[:limit].rstrip()


class Folder:
    """The papers of a folder, read at the first search and ranked by BM25; a word must be shared.

    Subfolders, hidden files and links that lead out of the folder are not read. One note for each
    file that is no readable paper, saying why; `seconds` is what reading one PDF may take. Raises
    BadInput when there is no such folder.
    """

    def __init__(self, folder: Path, note: Callable[[str], None], seconds: int = 20) -> None:
        if not folder.is_dir():
            raise BadInput(f"papers.folder: {folder} is not a folder; give one that holds papers")
        self._folder = folder.resolve()
        self._note = note
        self._seconds = seconds
        self._lock = threading.Lock()
        self._papers: list[Paper] | None = None
        self._words: list[Counter[str]] = []

    def search(self, query: str, limit: int) -> tuple[Paper, ...]:
        """At most `limit` papers that share a word with the query, best first, ties by name."""
        with self._lock:
            if self._papers is None:
                self._papers = list(self._read())
                self._words = [_count(paper) for paper in self._papers]
        scores = _bm25(self._words, set(_split(query)))
        ranked = sorted(zip(scores, self._papers, strict=True), key=lambda pair: -pair[0])
        return tuple(paper for score, paper in ranked if score > 0)[: max(limit, 0)]

    def _read(self) -> Iterator[Paper]:
        try:
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            self._note(f"{self._folder} cannot be read ({error.strerror}); going on without it")
            return
        files = [self._folder / name for name in names if not name.startswith(".")]
        files = [file for file in files if file.suffix.lower() in (".pdf", ".txt", ".md")]
        if len(files) > FILES:
            self._note(f"{self._folder} holds {len(files)} papers; the first {FILES} are read")
        contents = {file: _read_file(file, self._folder) for file in files[:FILES]}
        contents |= _read_pdfs([file for file in contents if contents[file] is None], self._seconds)
        for file, content in contents.items():
            if isinstance(content, Paper):
                yield content
            else:
                self._note(f"{clean(file.name, TITLE)} is left out: {clean(content or '', 200)}")


# --- ranking ------------------------------------------------------------------------------------


def _split(text: str) -> list[str]:
    """Lower-case words without the commonest ones; a plural counts as its singular."""
    words = re.findall(r"[^\W_]+", text.casefold())
    return [
        w[:-1] if len(w) > 3 and w.endswith("s") else w
        for w in words
        if not STOP_WORDS.fullmatch(w)
    ]


def _count(paper: Paper) -> Counter[str]:
    return Counter(_split(" ".join([*[paper.title] * 3, paper.abstract, paper.text or ""])))


def _bm25(documents: list[Counter[str]], query: set[str]) -> list[float]:
    """Okapi BM25 with k1 = 1.2, b = 0.75 and an inverse document frequency that is never negative."""
    lengths = [sum(words.values()) for words in documents]
    mean = sum(lengths) / max(len(lengths), 1) or 1.0
    scores = [0.0] * len(documents)
    for word in sorted(query):
        holders = sum(word in words for words in documents)
        rarity = math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))
        for i, words in enumerate(documents):
            norm = 1.2 * (0.25 + 0.75 * lengths[i] / mean)
            scores[i] += rarity * 2.2 * words[word] / (words[word] + norm)
    return scores


# --- reading ------------------------------------------------------------------------------------


def _read_file(file: Path, home: Path) -> Paper | str | None:
    """The paper of a text file, or why a file is none; None for a PDF that may be opened."""
    try:
        if not file.resolve().is_relative_to(home):
            return "it is a link out of the folder"
        if not file.is_file():
            return "it is not a regular file"
        size = file.stat().st_size
        if not 0 < size <= FILE_SIZE:
            return f"it is larger than {FILE_SIZE >> 20} MiB" if size else "it is empty"
        if file.suffix.lower() == ".pdf":
            return None
        with file.open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(2 * TEXT)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    heading = re.search(r"^# +(.+)", text, re.MULTILINE) if file.suffix.lower() == ".md" else None
    return _paper(file.name, heading[1] if heading else "", text)


def _read_pdfs(files: list[Path], seconds: int) -> dict[Path, Paper | str | None]:
    """The paper of each PDF, or why there is none."""
    papers: dict[Path, Paper | str | None] = {}
    while files:
        answers = _run_reader(files, seconds)
        for file, answer in zip(files, answers, strict=False):
            problem, title, text = (str(part) for part in answer)
            papers[file] = problem or _paper(file.name, title, text)
        files = files[len(answers) :]
        if files:  # the reader died of this one
            papers[files.pop(0)] = f"reading it took more than {seconds} s or crashed the reader"
    return papers


def _run_reader(files: list[Path], seconds: int) -> list[list[str]]:
    """[problem, title, text] of each file, up to the one that the process did not survive."""
    path = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    command = [sys.executable, "-P", "-m", "autoresearch.documents", str(seconds), *map(str, files)]
    environment = {"PYTHONPATH": os.pathsep.join(path)}
    reader = subprocess.run(command, env=environment, capture_output=True, check=False)
    lines = reader.stdout.decode().split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _paper(name: str, title: str, text: str) -> Paper | str:
    text = clean(text, TEXT, lines=True)
    if not text:
        return "it holds no text (a scan without recognised characters?)"
    name = clean(name, TITLE)
    first = text.split("\n", 1)[0].strip(" #*=_-")
    title = clean(title, TITLE) or clean(first, TITLE) or name
    return Paper(id=f"file:{name}", title=title, abstract=_abstract(text), text=text)


_ABSTRACT = re.compile(r"^\W*abstract\b[\s.:*_—–-]*", re.IGNORECASE | re.MULTILINE)
_HEADING = re.compile(
    r"^(#+ |[1I]\.?\s+[A-Z]|\W*(?i:introduction|keywords|index terms|ccs concepts)\b)", re.MULTILINE
)


def _abstract(text: str) -> str:
    """From the word "Abstract" to the next heading; the first 1200 characters where it is missing."""
    start = _ABSTRACT.search(text[:20_000])
    if not start:
        return clean(text[:1200], ABSTRACT)
    rest = text[start.end() : start.end() + ABSTRACT]
    end = _HEADING.search(rest, 1)
    return clean(rest[: end.start()] if end else rest, ABSTRACT)


# --- the process that reads PDFs ----------------------------------------------------------------


def _load_pymupdf() -> Any:
    import pymupdf as untyped

    pymupdf: Any = untyped
    pymupdf.set_messages(path=os.devnull)
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    return pymupdf


def _serve(seconds: int, files: list[str]) -> None:
    """Print [problem, title, text] as one line of JSON for each PDF."""
    pymupdf = _load_pymupdf()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for file in files:
        signal.alarm(seconds)  # not caught: it ends this process also in the middle of C code
        try:
            answer = _extract(file, pymupdf)
        except (RuntimeError, ValueError, MemoryError, pymupdf.mupdf.FzErrorBase) as error:
            answer = [
                f"it is not a readable PDF ({str(error)[:150] or type(error).__name__})",
                "",
                "",
            ]
        print(json.dumps(answer), flush=True)


def _extract(file: str, pymupdf: Any) -> list[str]:
    with pymupdf.open(file, filetype="pdf") as document:
        if document.needs_pass:
            return ["it is encrypted; save it without a password", "", ""]
        title = (document.metadata or {}).get("title") or ""
        if re.search(r"untitled|microsoft word|\.(docx?|tex|dvi|pdf|indd)\b", title, re.IGNORECASE):
            title = ""
        text = ""
        for number in range(min(document.page_count, PAGES)):
            page = document[number]
            if number == 0:
                title = title.strip() or _largest(page, pymupdf)
            text += page.get_text(flags=pymupdf.TEXTFLAGS_TEXT | pymupdf.TEXT_DEHYPHENATE) + "\n"
            if len(text) > TEXT:
                break
        return ["", title[: 2 * TITLE], text[: 2 * TEXT]]


def _largest(page: Any, pymupdf: Any) -> str:
    """The horizontal text set in the largest type (so not the stamp in arXiv's margin)."""
    spans = [
        (round(span["size"], 1), span["text"])
        for block in page.get_text("dict", flags=pymupdf.TEXTFLAGS_TEXT)["blocks"]
        for line in block.get("lines", ())
        if line["dir"] == (1.0, 0.0)
        for span in line["spans"]
        if span["text"].strip()
    ]
    size = max((size for size, _ in spans), default=0)
    return " ".join(text for each, text in spans if each == size)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2:])
