"""Runs attacks, several at once where they are light, here or as another user."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

from autoresearch.sandbox.confine import closed_folder
from tests.attacks.stage import Stage
from tests.attacks.table import ATTACKS

TOGETHER = 4
ROOT = Path(__file__).parents[2]
NOBODY = "65534"
Verdict = tuple[str, list[str]]


@runtime_checkable
class Shooting(Protocol):
    def begin(self, names: Iterable[str]) -> None: ...
    def verdict(self, name: str) -> Verdict: ...
    def left(self) -> list[str]: ...
    def close(self) -> None: ...


class Gallery:
    """A stage of one backend in this process."""

    def __init__(self, backend: str, folder: Path) -> None:
        folder.chmod(0o755)
        self.stage = Stage(backend, folder)
        self.pool = ThreadPoolExecutor(TOGETHER)
        self.begun: dict[str, Future[Verdict]] = {}

    def begin(self, names: Iterable[str]) -> None:
        """Start all of these that do not disturb each other, which without a wall they may."""
        if self.stage.backend == "none":
            return
        for attack in (ATTACKS[name] for name in names):
            if not attack.alone:
                self.begun[attack.name] = self.pool.submit(self.stage.verdict, attack)

    def verdict(self, name: str) -> Verdict:
        if name in self.begun:
            return self.begun[name].result()
        for each in self.begun.values():
            each.exception()
        return self.stage.verdict(ATTACKS[name])

    def left(self) -> list[str]:
        for each in self.begun.values():
            each.exception()
        return self.stage.left()

    def close(self) -> None:
        self.pool.shutdown()
        self.stage.close()


class AsPlainUser:
    """The same in a process of user 65534."""

    def __init__(self, backend: str, folder: Path) -> None:
        os.chown(folder, int(NOBODY), int(NOBODY))
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        command = [*user, python_for_all(), "-m", "tests.attacks.plain_user", str(folder), backend]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip

    def _ask(self, question: object) -> list[object]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the plain user's process has ended"
        answer: list[object] = json.loads(line)
        return answer

    def begin(self, names: Iterable[str]) -> None:
        self._ask({"begin": list(names)})

    def verdict(self, name: str) -> Verdict:
        word, problems = self._ask({"verdict": name})
        return str(word), list(map(str, problems))  # type: ignore[call-overload]

    def left(self) -> list[str]:
        return list(map(str, self._ask({"left": True})))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def python_for_all() -> str:
    """An interpreter of this version that another user can run; "" when there is none."""
    here = os.path.realpath(sys.executable)
    python = here if closed_folder(here) is None else "/usr/bin/python3"
    said = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True
    )
    return python if said.stdout.split() == list(map(str, sys.version_info[:2])) else ""
