"""Placeholders for what must not leave this machine in a file: keys, and where things are."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_SHORTEST = 8  # characters: a shorter value of such a variable is no key, and may be a common word
_SECRET = (
    r"(?<![A-Za-z0-9])(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}"
    r"|(?<=Bearer )[A-Za-z0-9._~+/-]{12,}=*"
    r"|(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|hf_|xox[baprs]-|AKIA|AIza)[A-Za-z0-9_-]{12,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----"
)
_INSIDE = ("/", "/work", "/data", "/out", "/tmp")  # a sandbox's own folders are nobody's


@dataclass
class Redactor:
    """Puts placeholders into texts and counts them. `places` are patterns, in order."""

    places: Mapping[str, str]
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, text: str) -> str:
        for place, name in self.places.items():
            text, count = re.subn(place, name, text)
            if count:
                self.counts[name] += count
        return text

    def everywhere(self, value: Any) -> Any:
        """A value of JSON with every text in it redacted."""
        if isinstance(value, dict):
            return {key: self.everywhere(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.everywhere(item) for item in value]
        return self(value) if isinstance(value, str) else value


def redactor(run: Path) -> Redactor:
    """For the texts of the run in that folder, on this machine and with this environment's secrets."""
    values = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    secrets = [re.escape(value) for value in sorted(values) if len(value) >= _SHORTEST]
    folders = {
        os.path.expanduser("~"): "{home}",
        os.getcwd(): "{here}",
        str(Path(__file__).parents[1]): "{product}",
        str(run.parent): "{runs}",
        str(run): "{run}",
    }
    longest_first = sorted(folders.items(), key=lambda item: -len(item[0]))
    places = {
        rf"(?<![\w.-]){re.escape(folder)}(?![\w-])": name
        for folder, name in longest_first
        if folder not in _INSIDE
    }
    return Redactor(dict.fromkeys([*secrets, _SECRET], "{secret}") | places)
