"""What a failed call to a model says: whether to try again, when, what to do; and without secrets."""

import os
import random
import re
import time
from email.utils import parsedate_to_datetime

from autoresearch.errors import ModelError, PromptRefused, PromptTooLong

LONGEST_PAUSE = 60.0  # seconds between two tries, whatever Retry-After asks for

_QUOTA = re.compile(
    "insufficient_quota|exceeded your current quota|insufficient (balance|credit)|credit balance",
    re.IGNORECASE,
)
_ADVICE: tuple[tuple[str, type[ModelError], str], ...] = (
    ("content.?(policy|filter|management)", PromptRefused,
     "the content filter refused it; reword the topic"),
    ("context.?(window|length|size|limit)|prompt is too long|input token count|reduce the length",
     PromptTooLong,
     "the prompt is too long for it; choose a model with a longer context"),
    ("model .{0,200}not found", ModelError, "there is no such model; check model.name"),
    ("no module named|pip install", ModelError,
     "LiteLLM needs another package for it; install that"),
)  # fmt: skip


def lasting(error: Exception, keys: tuple[str, ...]) -> tuple[type[ModelError], str] | None:
    """The error and what to do about it where another try cannot mend it, None where one may.

    `keys` are the variables that may hold the provider's key.
    """
    status = getattr(error, "status_code", None) or 0
    text = str(error)
    # A quota by the minute uses the same words, and says when to come back.
    if status == 402 or (_QUOTA.search(text) and "retry" not in text and not _asked(error)):
        return ModelError, "the account's quota is used up; add credit, then resume"
    if status in (401, 403) or "Missing credentials" in text:
        names = " or ".join(keys)
        return ModelError, f"the provider refused the key; set {names} to a valid one, then resume"
    for pattern, kind, advice in _ADVICE:
        if re.search(pattern, text, re.IGNORECASE):
            return kind, advice
    if status == 404:
        return ModelError, "there is no such model; check model.name and model.api_base"
    if 400 <= status < 500 and status not in (408, 409, 425, 429):
        return PromptRefused, "the provider does not accept the request"
    return None


def _asked(error: Exception) -> str:
    """The Retry-After header, "" when there is none."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    return str(headers.get("retry-after") or "")


def pause(error: Exception, growing: float) -> float:
    """Seconds to wait: what the provider asks for, else `growing`, with jitter."""
    asked = _asked(error)
    try:
        seconds = float(asked)
    except ValueError:
        seconds = _until(asked)
    if not 0 < seconds < float("inf"):
        return min(growing, LONGEST_PAUSE) * random.uniform(0.5, 1)
    return min(seconds, LONGEST_PAUSE)


def _until(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return 0.0


def said(error: Exception) -> str:
    """The error's first line without LiteLLM's prefixes, and without keys."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"^((litellm\.)?\w+(Error|Exception|Timeout)\s*[:-]\s*)+", "", line)
    return f"{scrub(line.partition('Traceback')[0].strip()):.240}"


_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)


def scrub(text: str) -> str:
    """The text without secrets, the passwords of URLs included."""
    return re.sub(r"(://[^/\s:@]*:)[^/\s@]+@", r"\1…@", without_secrets(text))


def without_secrets(text: str) -> str:
    """The text without the values of environment variables that hold secrets."""
    secrets = {
        value: name for name, value in os.environ.items() if _SECRET_NAME.search(name) and value
    }
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= 6:  # "1" and "true" are no secrets, and would leave nothing readable
            text = text.replace(value, f"[{secrets[value]}]")
    return text
