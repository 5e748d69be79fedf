"""The shelf of environments in the cache: what was built, its log and lock, and who uses it now.

For an environment KEY there is a folder KEY (a virtual environment) or an image with that tag, and
beside them KEY.log (its build), KEY.requirements (what exactly was installed: it outlives the
environment, so that building it again gives the same), KEY.lock (held by whoever builds it) and
KEY.used (shared by all who use it; touched when somebody begins to).
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from autoresearch.config import SandboxSettings
from autoresearch.errors import SandboxError
from autoresearch.sandbox import Watch, show_nothing

KEY = re.compile(r"[0-9a-f]{16}")


def cache_folder(settings: SandboxSettings) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return settings.cache or Path(home) / "autoresearch"


class Shelf:
    """The shelf that the settings name. What is used stays held as long as this exists.

    `watch` shows a log while an environment is built."""

    def __init__(self, settings: SandboxSettings, watch: Watch = show_nothing) -> None:
        self.settings, self.watch = settings, watch
        self.folder = cache_folder(settings).resolve() / "environments"
        self._held: dict[str, IO[str]] = {}

    def file(self, key: str, kind: str) -> Path:
        """KEY.log and its like."""
        return self.folder / f"{key}.{kind}"

    def use(self, key: str) -> None:
        """Keep an environment from being cleaned away, from before it is looked for."""
        self._make()
        if key not in self._held:
            file = self.file(key, "used").open("a")
            fcntl.flock(file, fcntl.LOCK_SH)
            self._held[key] = file
        os.utime(self.file(key, "used"))

    def leave(self) -> None:
        """Use nothing any more."""
        while self._held:
            self._held.popitem()[1].close()

    def _make(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SandboxError(
                f"the cache {self.folder} cannot be made ({error.strerror}): choose another with "
                "--set sandbox.cache=FOLDER"
            ) from None

    @contextlib.contextmanager
    def building(self, key: str) -> Iterator[None]:
        """Wait until no other process or thread builds the same environment."""
        with self.file(key, "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def unused(self, key: str) -> Iterator[bool]:
        """Whether nobody builds or uses an environment; then nobody can, until the block ends."""
        with contextlib.ExitStack() as held:
            for kind in ("lock", "used"):
                path = self.file(key, kind)
                new = not path.exists()
                file = held.enter_context(path.open("a"))
                if new:
                    os.utime(path, (0, 0))  # looking is no use
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield False
                    return
            yield True

    def every_key(self) -> list[str]:
        """Every environment that was ever used from this cache and may still be somewhere."""
        names = {path.name.partition(".")[0] for path in self.folder.glob("*")}
        return sorted(name for name in names if KEY.fullmatch(name))

    def last_used(self, key: str) -> float:
        """Seconds since the epoch; 0 where that is not known."""
        used = self.file(key, "used")
        return used.stat().st_mtime if used.exists() else 0.0
