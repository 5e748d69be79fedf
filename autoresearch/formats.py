"""The formats of tasks that other systems read, recognised from what is in a folder.

Nothing here runs anything, and nothing in the folder is changed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.errors import TaskError
from autoresearch.final_info import choose_metric, direction_of
from autoresearch.metrics import check_pattern
from autoresearch.records import Direction
from autoresearch.sandbox.results import Refused, read_json

RUN = "run_1"  # what an AI-Scientist template is told to write to, below $OUT
INFO = f"{RUN}/final_info.json"
TEXT = 8_000  # characters taken over of a text for the model
IDEAS, IDEA = 50, 2_000  # of known ideas: how many, and characters of each
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Found:
    """What a folder was recognised as, and all that its task.toml needs. `metric` is that table; None
    where only running the program once can tell what it reports."""

    kind: str
    topic: str
    goal: str
    command: tuple[str, ...]
    editable: tuple[str, ...]
    timeout: float
    metric: dict[str, Any] | None
    ideas: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # patterns of what is no part of the experiment
    prepared: bool = False  # by its prepare.py
    beside: Path | None = None  # data that it reads from outside of its folder
    remarks: tuple[str, ...] = field(default=())


def recognise(folder: Path, metric: str | None, direction: Direction | None) -> Found:
    """`metric` and `direction` are the user's. Raises TaskError that says what is missing."""
    has = {path.name for path in folder.iterdir() if path.is_file()}
    if "experiment.py" in has and has & {"prompt.json", "seed_ideas.json"}:
        return _template(folder, metric, direction)
    if {"program.md", "train.py"} <= has:
        return _repository(folder, metric, direction)
    scripts = sorted(name for name in has if name.endswith(".py"))
    if "train.py" in has or len(scripts) == 1:
        return _plain(folder, "train.py" if "train.py" in has else scripts[0], metric, direction)
    raise TaskError(
        f"{folder} is no task: it has no task.toml, and is no AI-Scientist template (experiment.py "
        "with prompt.json), no autoresearch repository (program.md with train.py) and has no train.py"
    )


# --- AI-Scientist -------------------------------------------------------------------------------


def _template(folder: Path, metric: str | None, direction: Direction | None) -> Found:
    prompt = _json_of(folder / "prompt.json")
    prompt = prompt if isinstance(prompt, dict) else {}
    about, role = (str(prompt.get(k, "")).strip()[:TEXT] for k in ("task_description", "system"))
    goal = f"{about}\n\nWhat its own model is told there: {role}" if role else about
    table: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()
    known = [folder / "run_0" / "final_info.json", folder / "final_info.json"]
    info = next((path for path in known if path.is_file()), None)
    if info is not None:
        table, remarks = choose_metric(_json_of(info), INFO, metric, direction)
    elif metric is not None:
        key = metric if "." in metric else f"*.means.{metric}"
        name = key.rpartition(".")[2]
        table = {"name": name, **direction_of(name, direction), "json": INFO, "key": key}
    return Found(
        kind="an AI-Scientist template",
        topic=_first_line(about) or f"Improving {folder.name}",
        goal=goal or f"Improve experiment.py of {folder.name}.",
        command=("experiment.py", f"--out_dir={{out}}/{RUN}"),
        editable=("experiment.py",),
        timeout=7200,  # as there
        metric=table,
        ideas=tuple(_known_ideas(folder / "seed_ideas.json")),
        beside=folder / "../../data" if "../../data" in text_of(folder / "experiment.py") else None,
        left_out=("plot.py", "latex", "notes.txt", "run_*", "prompt.json", "*ideas.json", "*.pdf"),
        remarks=remarks,
    )


def _known_ideas(path: Path) -> Iterator[str]:
    listed = _json_of(path)
    for idea in (listed if isinstance(listed, list) else [])[:IDEAS]:
        parts = (
            [idea.get("Title") or idea.get("Name"), idea.get("Experiment")]
            if isinstance(idea, dict)
            else [idea]
        )
        text = ": ".join(str(part).strip() for part in parts if part)
        if text:
            yield text[:IDEA]


# --- karpathy/autoresearch ----------------------------------------------------------------------


def _repository(folder: Path, metric: str | None, direction: Direction | None) -> Found:
    program, train = text_of(folder / "program.md"), text_of(folder / "train.py")
    code = train + text_of(folder / "prepare.py")
    name, stated = _stated_metric(program, train)
    if metric is None and name is None:
        raise TaskError(
            f"{folder}: program.md names no metric: add --metric NAME --direction minimize|maximize"
        )
    way = direction or (stated if metric in (None, name) else None)
    table = _from_output(metric or str(name), way)
    timeout, said = _timeout(program, code)
    fixed = (folder / "prepare.py").is_file()
    return Found(
        kind="a karpathy/autoresearch style repository",
        topic=f"Improving {table['name']} of {folder.name}",
        goal=f"Edit train.py so that {table['name']} becomes better (to {table['direction']}). "
        "Its program.md, without the parts on setting up, logging and looping:\n\n"
        + _goal(program),
        command=("train.py",),
        editable=("train.py",),
        timeout=timeout,
        metric=table,
        left_out=("program.md", "results.tsv", "run.log", "*.png", "*.ipynb", "uv.lock"),
        prepared=fixed,
        remarks=(
            f"the metric is the line {table['name']}:, to {table['direction']}; {said}"
            + ("; prepare.py is fixed and is run once for the data" if fixed else ""),
        ),
    )


def _stated_metric(program: str, train: str) -> tuple[str | None, Direction | None]:
    """The metric that program.md asks for and shows in its example of a summary."""
    shown = re.findall(r"^([A-Za-z]\w*):[ \t]+[-+]?[\d.]+(?:[eE][-+]?\d+)?[ \t]*$", program, re.M)
    asked = re.finditer(
        r"\b(lowest|highest|minimi[sz]e|maximi[sz]e)\s+(?:the\s+)?[`*]*([A-Za-z]\w*)", program, re.I
    )
    for found in asked:
        if found[2] in shown or re.search(rf"\b{found[2]}\b\s*:", train):
            low = found[1].lower()[:3] in ("low", "min")
            return found[2], Direction.minimize if low else Direction.maximize
    name = shown[0] if shown else "val_bpb" if "val_bpb:" in train else None
    better = re.search(r"\b(lower|higher)\b[^.\n]{0,20}\bbetter\b", program, re.I)
    if better is None:
        return name, None
    return name, Direction.minimize if better[1].lower() == "lower" else Direction.maximize


def _timeout(program: str, code: str) -> tuple[float, str]:
    """Seconds after which a run is ended, and where that is from."""
    unit = r"(\d+(?:\.\d+)?)[ -]*(second|minute|hour)"
    ended = re.search(rf"exceeds?\s+~?{unit}", program, re.I)
    if ended:
        return _duration(ended), f"a run is ended after {ended[1]} {ended[2]}s, as program.md says"
    budget = re.search(rf"budget[^.\n]{{0,20}}?\b{unit}", program, re.I)
    seconds = _duration(budget) if budget else 0.0
    constant = re.search(r"^TIME_BUDGET\s*=\s*(\d+)(?:\s*\*\s*(\d+))?", code, re.M)
    if not seconds and constant:
        seconds = float(int(constant[1]) * int(constant[2] or 1))
    if seconds:
        return 2 * seconds + 60, f"a budget of {seconds:g} s, ended after twice that and a minute"
    return 600.0, "no time budget is stated: a run is ended after 600 s"


def _duration(found: re.Match[str]) -> float:
    return float(found[1]) * _SECONDS[found[2][0].lower()]


def _goal(program: str) -> str:
    """The sections of program.md that say what to do, not how an agent there is to work."""
    sections = re.split(r"^(?=#{1,6} )", program, flags=re.M)
    how = re.compile(r"#{1,6} .*(set.?up|logging|results|output|loop)", re.I)
    return "".join(part for part in sections if not how.match(part)).strip()[:TEXT]


# --- a plain folder -----------------------------------------------------------------------------


def _plain(folder: Path, script: str, metric: str | None, direction: Direction | None) -> Found:
    if metric is None or direction is None:
        raise TaskError(
            f"{folder} has no task.toml; to run its {script} as it is, say what it prints and which "
            r"way is better: --metric 'accuracy: (\S+)' --direction maximize|minimize"
        )
    table = _from_output(metric, direction)
    about = next((text_of(p) for p in folder.glob("README*") if p.is_file()), "").strip()[:TEXT]
    return Found(
        kind=f"a plain folder with {script}",
        topic=f"Improving {table['name']} of {folder.name}",
        goal=f"Change the code so that {table['name']}, which {script} prints, becomes better (to "
        f"{table['direction']})." + (f"\n\n{about}" if about else ""),
        command=(script,),
        editable=("**/*.py",),
        timeout=600,
        metric=table,
        remarks=(f"the metric is what {table['pattern']} finds, to {table['direction']}",),
    )


# --- what they share ----------------------------------------------------------------------------


def _from_output(metric: str, direction: Direction | None) -> dict[str, Any]:
    """The metric table for a pattern, or for a name that is printed before a colon."""
    if "(" not in metric:
        return _line(metric, direction)
    try:
        check_pattern(metric)
    except ValueError as error:
        raise TaskError(f"--metric {metric}: {error}") from None
    words = re.sub(r"\(\?.|\\.|\[[^]]*\]", " ", metric)
    found = re.search(r"[A-Za-z][\w-]*(?: [A-Za-z][\w-]*)*", words)
    name = found[0] if found else "metric"
    return {"name": name, **direction_of(name, direction), "pattern": metric}


def _line(name: str, direction: Direction | None) -> dict[str, Any]:
    pattern = rf"^\s*{re.escape(name)}\s*[:=]\s*(\S+)"
    return {"name": name, **direction_of(name, direction), "pattern": pattern}


def _first_line(text: str) -> str:
    """The first sentence of a text, short enough for a topic."""
    return re.split(r"(?<=[.!?])\s", " ".join(text.split()))[0][:200]


def text_of(path: Path) -> str:
    """A text file's content, bounded; "" where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(10**6)
    except OSError:
        return ""


def _json_of(path: Path) -> Any:
    """A JSON file of the folder, None where there is none. Raises TaskError for a damaged one."""
    if not path.exists():
        return None
    try:
        return read_json(path)
    except Refused as error:
        raise TaskError(f"{path.parent}: {error}; mend that file") from None
