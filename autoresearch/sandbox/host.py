"""What this machine has for local experiments: Landlock, bubblewrap, and a user of their own."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from autoresearch.errors import SandboxError

# Nobody's: beyond what systems and containers give out.
_USERS = range(1_900_000_000, 2_000_000_000)


def check_landlock(version: int, namespaces: bool) -> None:
    """Raises SandboxError when this version of Landlock cannot hold the wall."""
    least, why = 1, "to bound what files are seen"
    if not namespaces:
        # Without namespaces nothing else keeps signals from this user's other processes, or
        # (for another user) from cutting off files that everyone may write.
        least, why = (3, "to bound files") if os.geteuid() == 0 else (6, "to bound signals")
    if version < least:
        raise SandboxError(
            f"this kernel has Landlock {version or 'not at all'} and version {least} is needed {why}: "
            "choose --sandbox docker, install bubblewrap, or use a newer kernel"
        )


def find_bubblewrap(required: bool) -> str | None:
    """The path of a bubblewrap that works here; None when there is none."""
    program = shutil.which("bwrap")
    said = "it is not installed"
    if program:
        command = [program, "--unshare-all", "--as-pid-1", "--ro-bind", "/", "/", "--size", "4096"]
        command += ["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev", "true"]
        for _ in range(2):  # once more: a machine under load may have had no room for a moment
            tried = subprocess.run(command, capture_output=True, env={}, cwd="/")
            if tried.returncode == 0:
                return program
        said = tried.stderr.decode(errors="replace").strip()[-300:]
    if required:
        raise SandboxError(
            f"bubblewrap cannot be used here: {said}; choose another sandbox or mend it"
        )
    return None


def experiment_user() -> int | None:
    """As root, a user that no other process runs as; None: this user itself."""
    if os.geteuid() != 0:
        return None
    user = secrets.choice(_USERS)
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= user < first + count:
            return user
    return 65534  # nobody
