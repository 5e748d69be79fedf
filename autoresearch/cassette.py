"""Cassettes: a recorded run as one compressed file, redacted, that a replay needs nothing beside.

It is gzipped JSON: a header that says what it is and how the run came out, the task's files, the
searches for papers, and the model's calls. A cassette from somebody else is as trusted as a task from
them: its programs run in the sandbox that the user chose, and it chooses no sandbox itself.
"""

import gzip
import io
import json
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints, ValidationError

from autoresearch.carried import FILE, Parcel, parcel_in
from autoresearch.errors import BadInput, RecordError
from autoresearch.journal import Call, call_key, read_calls
from autoresearch.records import Agenda, Found, Lesson, Outcome, Record
from autoresearch.redaction import redactor
from autoresearch.remembered import COPY, Remembered
from autoresearch.store import Run, cannot_write, digest, find_run, read

FORMAT = 1
LARGEST = 256 * 2**20  # bytes of a cassette's JSON

# What shapes a run's questions. Not where things are on a machine, nor how its code is contained.
_SHAPE = ("topic", "rounds", "ideas", "attempts", "parallel", "seed", "alpha", "novelty",
          "code_shown", "memory")  # fmt: skip


def _inside(name: str) -> str:
    """A relative path that stays in its folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or not name.isprintable():
        raise ValueError("not a path inside the task's folder")
    return name


_TaskPath = Annotated[str, AfterValidator(_inside)]
_Search = Annotated[
    str, StringConstraints(pattern=r"^(reading-found|round-\d+/novelty-[a-z0-9-]+)$")
]


class Result(Record):
    """How an idea came out in the recorded run."""

    name: str
    outcome: Outcome
    score: float | None
    attempts: int
    failures: tuple[str, ...]


class Header(Record):
    """What a cassette is. `origin` says where its answers are from, `prompts` are content hashes,
    `python` and `packages` what the models were told of the environment."""

    format: int
    version: str
    origin: str
    topic: str
    task: str
    settings: dict[str, Any]
    prompts: dict[str, str]
    python: str | None
    packages: tuple[str, ...]
    results: tuple[Result, ...]
    dropped: dict[str, str]  # ideas that were not tried, and why
    scores: str = ""  # "self-reported" where nothing but the programs themselves measured


class Cassette(Record):
    header: Header
    task: dict[_TaskPath, str]
    searches: dict[_Search, Found]
    calls: tuple[Call, ...]
    repairs: Remembered | None = None  # of earlier runs, that its models were told of
    carried: Parcel | None = None  # what it took over from earlier runs


# --- writing ------------------------------------------------------------------------------------


def write_cassette(run: Run, out: Path, origin: str = "") -> list[str]:
    """Write `run` to the file `out`; what a person should know of it, a line each.

    The same run gives the same bytes. `origin` is said instead of the models that answered. Papers
    keep title and abstract, not their full text. Raises BadInput where the task holds a file that is
    no text, or `out` cannot be written.
    """
    redact = redactor(run.folder)
    nothing = set() if (run.folder / FILE).exists() else {"carried"}
    cassette = redact.everywhere(_collect(run, origin).model_dump(mode="json", exclude=nothing))
    for call in cassette["calls"]:  # of the text as it now is: a replay redacts what it is asked
        call["key"] = call_key(call["where"], call["prompt"], call["text"])
    cassette["calls"].sort(key=lambda call: (call["where"], call["prompt"], call["key"]))
    text = json.dumps(cassette, indent=1, ensure_ascii=False, allow_nan=False)
    data = text.encode()
    if len(data) > LARGEST:
        raise BadInput(f"{run.folder} is too large for a cassette: keep the run's folder instead")
    _write(out, gzip.compress(data, mtime=0))
    remarks = [f"redacted {place} {count} times" for place, count in sorted(redact.counts.items())]
    if not (run.folder / "claims.json").exists():
        remarks.append("the run is not finished: a replay stops where it stopped")
    if run.settings.prompts is not None:
        own = "the run had prompts of its own: a replay needs them too (--set prompts=...)"
        remarks.append(own)
    return remarks


def _collect(run: Run, origin: str) -> Cassette:
    calls = _calls(run)
    lessons = [read(path, Lesson) for path in sorted(run.folder.glob("round-*/*/feedback.json"))]
    agendas = [read(path, Agenda) for path in sorted(run.folder.glob("round-*/think.json"))]
    python, packages = _told(run.manifest)
    header = Header(
        format=FORMAT,
        version=run.manifest.get("version", ""),
        origin=origin or _origin(run),
        topic=run.settings.topic,
        task=run.task_name,
        settings=_shape(run.settings.model_dump(mode="json", exclude_none=True)),
        prompts=run.manifest.get("prompts", {}),
        python=python,
        packages=packages,
        results=tuple(
            Result(
                name=lesson.name,
                outcome=lesson.verdict.outcome,
                score=lesson.verdict.score,
                attempts=lesson.attempts,
                failures=lesson.failures,
            )
            for lesson in lessons
        ),
        scores=str(run.manifest.get("scores", "")),
        dropped={c.idea.slug: c.reason for a in agendas for c in a.candidates if not c.kept},
    )
    files = sorted(path for path in run.task_folder.rglob("*") if path.is_file())
    return Cassette(
        header=header,
        task={str(path.relative_to(run.task_folder)): _read_text(path) for path in files},
        searches=dict(_searches(run.folder)),
        calls=calls,
        repairs=read(run.folder / COPY, Remembered) if (run.folder / COPY).exists() else None,
        carried=parcel_in(run.folder),
    )


def _origin(run: Run) -> str:
    """Where the answers of a run are from, also when it was a replay itself."""
    models = sorted({call.answer.model for call in _calls(run)})
    return str(run.manifest.get("origin") or f"recorded from {', '.join(models)}")


def _calls(run: Run) -> tuple[Call, ...]:
    journal = run.folder / "calls.jsonl"
    if not journal.is_file():
        raise BadInput(f"{run.folder}: no model calls are recorded there yet; resume it first")
    return tuple(read_calls(journal))


def _told(manifest: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """The Python version and packages that the models of a run were told of."""
    told = manifest.get("told") or manifest.get("sandbox", {})
    return told.get("python"), tuple(told.get("packages", ()))


def _shape(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a replay on another machine takes over; it never asks a library for papers."""
    papers = {key: settings.get("papers", {}).get(key) for key in ("retrieve", "keep")}
    kept = {key: settings[key] for key in _SHAPE if key in settings}
    known = {key: value for key, value in papers.items() if value is not None}
    return {**kept, "papers": {**known, "arxiv": False}}


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        said = f"{path} is not text, and a cassette holds only text: keep the run's folder instead"
        raise BadInput(said) from None


def _searches(folder: Path) -> Iterator[tuple[str, Found]]:
    for path in search_files(folder):
        found = read(path, Found)
        papers = tuple(paper.model_copy(update={"text": None}) for paper in found.papers)
        name = str(path.relative_to(folder)).removesuffix(".json")
        yield name, found.model_copy(update={"papers": papers})


def search_files(folder: Path) -> list[Path]:
    """The files of a run that hold what its searches found."""
    return sorted([*folder.glob("reading-found.json"), *folder.glob("round-*/novelty-*.json")])


def _write(out: Path, data: bytes) -> None:
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        try:
            aside.write_bytes(data)
            aside.replace(out)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from None


# --- reading ------------------------------------------------------------------------------------


def read_cassette(path: Path) -> Cassette:
    """Raises RecordError naming a file that is damaged or none, BadInput for one of another format."""
    problem = f"{path} is not a whole cassette"
    try:
        with gzip.open(io.BytesIO(path.read_bytes())) as file:
            text = file.read(LARGEST + 1)
        found = json.loads(text) if len(text) <= LARGEST else None
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise RecordError(f"{problem} ({str(error)[:200]}); get it again") from None
    header = found.get("header") if isinstance(found, dict) else None
    if not isinstance(header, dict) or "format" not in header:
        raise RecordError(
            f"{problem} (it has no header); give one that `autoresearch cassette` made"
        )
    if header["format"] != FORMAT:
        has, made = f"{header['format']!r:.20}", f"{header.get('version', 'of that time')!s:.20}"
        said = f"{path} has cassette format {has}, this version reads {FORMAT}: use autoresearch {made}"
        raise BadInput(said)
    try:
        return Cassette.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise RecordError(f"{problem} ({where}: {first['msg']}); get it again") from None


@dataclass(frozen=True)
class Recording:
    """What a replay works from: a folder with `task/`, `calls.jsonl` and the searches, as a run has
    them, and what the recorded run was. `settings` are what a new run takes over."""

    folder: Path
    task_name: str
    origin: str
    settings: Mapping[str, Any]
    python: str | None
    packages: tuple[str, ...]


def open_recording(name: str, runs: Path, shelf: Path) -> Recording:
    """The run (a folder, or a name under `runs`) or the cassette (a file, unpacked once below `shelf`)
    of that name. Raises BadInput where there is none."""
    path = Path(name).expanduser()
    if path.is_file():
        return _open_cassette(path, shelf)
    run = Run(find_run(name, runs))
    settings = run.manifest["settings"]
    own = {key: settings[key] for key in ("prompts", "sandbox") if key in settings}
    return Recording(
        run.folder, run.task_name, _origin(run), _shape(settings) | own, *_told(run.manifest)
    )


def _open_cassette(path: Path, shelf: Path) -> Recording:
    cassette = read_cassette(path)
    header = cassette.header
    folder = shelf / digest(path.read_bytes())
    if not folder.is_dir():
        _unpack(cassette, folder)
    settings = _shape(header.settings)
    return Recording(folder, header.task, header.origin, settings, header.python, header.packages)


def _unpack(cassette: Cassette, folder: Path) -> None:
    lines = "".join(call.model_dump_json() + "\n" for call in cassette.calls)
    files = {"calls.jsonl": lines} | {f"task/{name}": text for name, text in cassette.task.items()}
    files |= {f"{name}.json": found.model_dump_json() for name, found in cassette.searches.items()}
    files |= {COPY: cassette.repairs.model_dump_json()} if cassette.repairs else {}
    aside = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        for name, text in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).write_text(text, newline="")
        if cassette.carried:
            cassette.carried.write_to(aside)
        aside.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was faster
            raise cannot_write(folder, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
