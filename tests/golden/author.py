"""Record the golden run: `python -m tests.golden.author OUT [SANDBOX]`, again whenever a prompt changes.

The real loop on the digits task, in a real sandbox, with the answers in `answers/` for a model. A file
is named by the step that asks, and by the prompt where a step asks two: `round-00/1-x/0-patch.md`,
`reading-query.md`; a second try at the same question is in `….try-2.md`. A first line `finish: length`
(or `refusal`) is not part of the answer but says how it ended.
"""

import re
import shutil
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

from autoresearch.assembly import open_lab, start
from autoresearch.cassette import write_cassette
from autoresearch.config import PaperSettings, SandboxSettings, Settings
from autoresearch.errors import ModelError
from autoresearch.journal import Recorded
from autoresearch.llm import Answer, Request
from autoresearch.loop import research
from autoresearch.prompts import shipped
from tests.engine import BASE_IMAGE

HERE = Path(__file__).parent
ANSWERS, PAPERS = HERE / "answers", HERE / "papers"
ORIGIN = "authored, not recorded from a provider"
TASK = {  # what the golden task changes in the shipped one: fewer runs, and room for slow machines
    "seeds = 5": "seeds = 3",
    'timeout = "2m"': 'timeout = "10m"',  # a model is told what share of it the baseline takes
    "2 GiB and two minutes": "2 GiB and ten minutes",
}


class Authored:
    """A model that answers from files, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self.used: set[Path] = set()

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self._asked[request.where, request.prompt] += 1
            number = self._asked[request.where, request.prompt]
        name = request.where if number == 1 else f"{request.where}.try-{number}"
        last = request.prompt.rpartition("/")[2]
        files = [self._folder / f"{each}.md" for each in (name, f"{request.where}-{last}")]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise ModelError(f"write {files[0]}; it answers this:\n{request.text}")
        with self._lock:
            self.used.add(file)
        text = file.read_text()
        ended = re.match(r"finish: (\w+)\n", text)
        return Answer(
            text=text.removeprefix(ended[0] if ended else ""),
            finish=ended[1] if ended else "stop",
            model="authored",
            tokens_in=0,
            tokens_out=0,
            dollars=None,
            seconds=0.0,
        )


def record(out: Path, kind: str, scratch: Path) -> list[str]:
    """Run the loop and write the cassette; what there is to say of it."""
    task = scratch / "digits"
    shutil.copytree(shipped("sandboxes") / "digits", task)
    text = (task / "task.toml").read_text()
    for old, new in TASK.items():
        assert text.count(old) == 1, f"task.toml no longer says {old!r}"
        text = text.replace(old, new)
    (task / "task.toml").write_text(text)
    settings = Settings(
        task=str(task),
        rounds=2,
        ideas=4,
        attempts=3,
        papers=PaperSettings(folder=PAPERS),
        sandbox=SandboxSettings.model_validate({"kind": kind, "image": BASE_IMAGE}),
        runs=scratch / "runs",
    )
    run, model = start(settings), Authored(ANSWERS)
    with run.locked():
        research(replace(open_lab(run), model=Recorded(model, run.folder / "calls.jsonl")))
    unused = sorted(str(file) for file in set(ANSWERS.rglob("*.md")) - model.used)
    return [*write_cassette(run, out, ORIGIN), *(f"{file} was never asked for" for file in unused)]


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    out, kind = Path(sys.argv[1]), (sys.argv[2:] or ["docker"])[0]
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # an experiment is another user, and reads its inputs
        for remark in record(out, kind, Path(scratch)):
            print(remark)


if __name__ == "__main__":
    main()
