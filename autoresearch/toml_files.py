"""Reading a TOML file that a person wrote, and saying what is wrong with it, and where."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoresearch.errors import BadInput


def read_toml(file: Path, kind: type[BadInput]) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise kind(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise kind(f"{file}: cannot be read: {error.strerror}") from None


def parse_toml(text: str, file: Path, kind: type[BadInput]) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        last = f"at line {text.count(chr(10)) + 1}"
        raise kind(f"{file}: not valid TOML: {error}".replace("at end of document", last)) from None


def explain(error: ValidationError, text: str, file: str) -> str:
    """The first thing wrong as one line: file, line, key, what was expected."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if not isinstance(part, int)]
    line = line_of(text, path)
    where = f"{file}, line {line}: " if line else f"{file}: " if text else ""
    key = ".".join(path)
    given = (
        "" if first["type"] in ("missing", "extra_forbidden") else f", not {first['input']!r:.60}"
    )
    message = {"missing": "is missing", "extra_forbidden": "is not a known key"}.get(
        first["type"], first["msg"][0].lower() + first["msg"][1:]
    )
    return f"{where}{key}: {message}{given}"


def line_of(text: str, path: list[str]) -> int | None:
    """Line (from 1) of a dotted key: tomllib keeps no positions, so look for table and key."""
    table, found = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        header = re.fullmatch(r"\[\s*([\w.-]+)\s*\].*", stripped)
        if header:
            table = header[1]
        key = re.match(r"([\w.-]+)\s*=", stripped)
        full = ".".join(filter(None, [table, key[1] if key else ""]))
        if full == ".".join(path[: full.count(".") + 1]) and (key or header):
            found = number
    return found
