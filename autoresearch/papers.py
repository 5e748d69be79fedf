"""Libraries of papers: arXiv, a folder of files, or several merged.

No library raises because a source is broken: it says so in one `note`, and the run goes on with the
papers there are. What papers say is untrusted: cleaned and cut to a bound on the way in.
"""

import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from autoresearch.config import PaperSettings, Settings
from autoresearch.documents import ABSTRACT, STOP_WORDS, TITLE, Folder, clean
from autoresearch.records import Paper

Note = Callable[[str], None]


class Library(Protocol):
    def search(self, query: str, limit: int) -> tuple[Paper, ...]:
        """At most `limit` papers for a keyword query, best first. Safe to call from threads."""
        ...


def open_library(settings: Settings, cache: Path, note: Note) -> Library:
    """What the settings ask for; raises BadInput when the folder of papers is missing.

    arXiv's answers are kept in `cache`, for as long as that folder exists.
    """
    libraries: list[Library] = []
    if settings.papers.folder is not None:
        libraries.append(Folder(settings.papers.folder.expanduser(), note))
    if settings.papers.arxiv and settings.model.name != "offline":
        libraries.append(Arxiv(settings.papers, cache, note))
    return Libraries(libraries)


class NoPapers:
    """A library without papers."""

    def search(self, query: str, limit: int) -> tuple[Paper, ...]:
        return ()


class Libraries:
    """Several libraries as one: their best papers first, each paper once, as the first one has it."""

    def __init__(self, libraries: Sequence[Library]) -> None:
        self._libraries = libraries

    def search(self, query: str, limit: int) -> tuple[Paper, ...]:
        seen: set[str] = set()
        found = [
            [paper for paper in library.search(query, limit) if _is_new(paper, seen)]
            for library in self._libraries
        ]
        ranks = zip_longest(*found)
        return tuple(paper for rank in ranks for paper in rank if paper)[: max(limit, 0)]


def _is_new(paper: Paper, seen: set[str]) -> bool:
    title = "".join(character for character in paper.title.casefold() if character.isalnum())
    names = {paper.id, title or paper.id}
    new = not names & seen
    seen |= names
    return new


# --- arXiv --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Manners:
    """How arXiv is asked: seconds between requests (three, says arXiv), seconds until a request is
    given up, requests for one page, and seconds for one search including all its waiting."""

    pace: float = 3.0
    timeout: float = 20.0
    tries: int = 3
    patience: float = 60.0


class Arxiv:
    """arXiv's search, one request at a time, answers kept on disk.

    After the first failure it stays silent: later searches only find what was kept.
    """

    def __init__(
        self, settings: PaperSettings, cache: Path, note: Note, manners: Manners | None = None
    ) -> None:
        self._url = settings.arxiv_url
        self._cache = cache
        self._note = note
        self._manners = manners or Manners()
        self._lock = threading.Lock()
        self._failed = False

    def search(self, query: str, limit: int) -> tuple[Paper, ...]:
        terms = _terms(query)
        if not terms or limit < 1:
            return ()
        key = json.dumps([self._url, terms, limit])
        file = self._cache / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
        with self._lock:
            kept = _read_cache(file)
            if kept is not None or self._failed:
                return kept or ()
            try:
                papers = self._fetch(terms, limit)
                _write_cache(file, papers)
            except (_NoAnswer, OSError) as error:
                self._failed = True
                reason = clean(str(error), 200)
                self._note(f"arXiv cannot be searched ({reason}); going on with the papers at hand")
                return ()
        return papers

    def _fetch(self, terms: list[str], limit: int) -> tuple[Paper, ...]:
        self._cache.mkdir(parents=True, exist_ok=True)
        import arxiv

        # The client neither limits its time nor heeds Retry-After, so it tries once, through a door
        # that does.
        client = arxiv.Client(page_size=limit, delay_seconds=0, num_retries=0)
        client._session = _Door(client._session, self._cache / "arxiv.lock", self._manners)
        url = self._url.replace("{", "{{").replace("}", "}}")
        client.query_url_format = f"{url}{'&' if '?' in url else '?'}{{}}"
        papers: list[Paper] = []
        # All the words first; a query too narrow for any paper is then asked by its best matches.
        for joint in (" AND ", " OR "):
            search = arxiv.Search(joint.join(terms), max_results=limit)
            try:
                papers = [paper for entry in client.results(search) if (paper := _entry(entry))]
            except (arxiv.ArxivError, ValueError) as error:
                raise _NoAnswer(str(error)) from None
            if papers or len(terms) == 1:
                break
        return tuple(papers)


class _NoAnswer(Exception):
    """A request failed. `again` is in how many seconds it may be repeated, None for never."""

    def __init__(self, message: str, again: float | None = None) -> None:
        super().__init__(message)
        self.again = again


class _Door:
    """Where one search's requests leave: timed, bounded in number and size, and at arXiv's pace.

    The lock file holds the time from which any process may send the next one.
    """

    def __init__(self, session: Any, turn: Path, manners: Manners) -> None:
        self._session = session
        self._turn = turn
        self._manners = manners
        self._end: float | None = None  # of our patience, from the first turn on

    def get(self, url: str, headers: Mapping[str, str]) -> Any:
        """The response to a GET, with status 200 and an Atom feed in `content`, or _NoAnswer."""
        for left in reversed(range(self._manners.tries)):
            with self._turn.open("a+") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                self._wait(turn)
                again: float | None = None
                try:
                    return self._send(url, {**headers, "Accept-Encoding": "identity"})
                except _NoAnswer as error:
                    again = error.again
                    if again is None or not left:
                        raise
                finally:
                    turn.truncate(0)
                    turn.write(str(time.time() + max(self._manners.pace, again or 0)))
        raise AssertionError("unreachable: the last try returns or raises")

    def _wait(self, turn: Any) -> None:
        turn.seek(0)
        written = turn.read()
        start = float(written) if re.fullmatch(r"\d+(\.\d+)?", written) else 0.0
        seconds = start - time.time()
        self._end = self._end or time.monotonic() + self._manners.patience
        if 0 < seconds <= 3600:  # more than an hour is a clock that was set back
            if time.monotonic() + seconds > self._end:
                raise _NoAnswer(f"it asks to wait {seconds:.0f} s")
            time.sleep(seconds)

    def _send(self, url: str, headers: Mapping[str, str]) -> Any:
        import urllib3

        timeout = self._manners.timeout
        try:
            with self._session.get(url, headers=headers, timeout=timeout, stream=True) as response:
                if response.status_code != 200:
                    message = f"HTTP status {response.status_code}"
                    raise _NoAnswer(message, _again(response.status_code, response.headers))
                end, content = time.monotonic() + timeout, b""
                while part := response.raw.read1(2**16):
                    content += part
                    if time.monotonic() > end or len(content) > 16 * 2**20:
                        raise _NoAnswer("its answer is too slow or too long", 0)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            slow = "timed out" in str(error).lower()
            reason = (
                f"no answer within {timeout:g} s"
                if slow
                else f"no connection: {type(error).__name__}"
            )
            raise _NoAnswer(reason, 0) from None
        if b"http://www.w3.org/2005/Atom" not in content or not content.rstrip().endswith(
            b"</feed>"
        ):
            raise _NoAnswer("its answer is not a whole Atom feed", 0)
        response._content = content
        return response


def _again(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before repeating a request that got this status; None: do not."""
    if status not in (429, 500, 502, 503, 504):
        return None
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), 3600.0)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), 3600.0)


def _terms(query: str) -> list[str]:
    """The query's words as arXiv search terms. What is not a word never reaches the query language."""
    words = re.findall(r"\w+(?:-\w+)*", clean(query, 400).lower().replace("_", " "))
    kept = [word for word in dict.fromkeys(words) if not STOP_WORDS.fullmatch(word)][:12]
    return [f'all:"{word.replace("-", " ")}"' if "-" in word else f"all:{word}" for word in kept]


def _entry(entry: Any) -> Paper | None:
    """The paper of a feed's entry; None when it has no arXiv id (so arXiv reports errors)."""
    match = re.search(r"/abs/((?:[a-z][A-Za-z.-]*/)?\d[\d.]{3,15}?)(?:v\d+)?$", entry.entry_id)
    if not match:
        return None
    return Paper(
        id=f"arxiv:{match[1]}",
        title=clean(entry.title, TITLE),
        abstract=clean(entry.summary, ABSTRACT),
        authors=tuple(clean(author.name, 100) for author in entry.authors[:50]),
        year=entry.published.year,
        url=f"https://arxiv.org/abs/{match[1]}",
    )


_PAPERS = TypeAdapter(tuple[Paper, ...])


def _read_cache(file: Path) -> tuple[Paper, ...] | None:
    try:
        return _PAPERS.validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def _write_cache(file: Path, papers: tuple[Paper, ...]) -> None:
    aside = file.with_suffix(f".{os.getpid()}")
    aside.write_bytes(_PAPERS.dump_json(papers))
    os.replace(aside, file)
