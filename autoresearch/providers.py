"""Language models behind a provider or a local server, through LiteLLM, with bounded retries."""

import functools
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput, ModelError
from autoresearch.llm import Answer, Request, readable

LONGEST_PAUSE = 60.0  # seconds between two tries, whatever Retry-After asks for
PATIENCE = 1200.0  # seconds after which a request is not tried again

# The variables that may hold a provider's key; any one will do.
KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openrouter": ("OPENROUTER_API_KEY",),
    "mistral": ("MISTRAL_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "xai": ("XAI_API_KEY",),
    "ollama": (),
    "ollama_chat": (),
}


@functools.cache
def _litellm() -> Any:
    """The library, imported at the first call (3 to 7 s) and kept from fetching, printing and
    logging anything of its own."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return litellm


# --- before a run -------------------------------------------------------------------------------


_URL = re.compile(r"https?://([^/\s@]+@)?(\[[\da-fA-F:]+\]|[^/\s:\[\]]+)(:\d{1,5})?(/\S*)?")


def check_model(settings: ModelSettings) -> None:
    """Raise BadInput unless the model's name leads somewhere and its key is set. Calls nobody."""
    if settings.api_base is not None:
        if not _URL.fullmatch(settings.api_base):
            raise BadInput(
                "model.api_base: write a URL such as http://localhost:8000/v1, "
                f"not {scrub(settings.api_base)!r}"
            )
        return
    provider, _, model = settings.name.partition("/")
    keys = KEYS[provider] if model and provider in KEYS else _missing_keys(settings.name)
    if keys and not any(os.environ.get(key) for key in keys):
        raise BadInput(
            f"{settings.name} needs a key: set the environment variable {' or '.join(keys)} "
            "(or try --model offline, which needs none)"
        )


def _missing_keys(name: str) -> tuple[str, ...]:
    """API keys that LiteLLM would miss; other credentials may come from files, so it may try."""
    litellm = _litellm()
    try:
        if not name or name.endswith("/"):
            raise ValueError(name)
        litellm.get_llm_provider(name)
    except (litellm.BadRequestError, ValueError):
        raise BadInput(
            f"unknown model {name!r}: write provider/model, for example "
            "openai/gpt-4o, anthropic/claude-sonnet-4-5 or ollama/llama3, or 'offline'; "
            "for a server of your own set model.api_base too"
        ) from None
    missing = litellm.validate_environment(name)["missing_keys"]
    return tuple(key for key in missing if key.endswith("_API_KEY"))


def _route(settings: ModelSettings) -> str:
    """The model's name as LiteLLM wants it. With `api_base` a name that starts with no provider
    is of an OpenAI-compatible server; "openai/" in front says so of any other."""
    if settings.api_base is None:
        return settings.name
    provider, slash, _ = settings.name.partition("/")
    known = slash and (provider in KEYS or provider in _litellm().provider_list)
    return settings.name if known else f"openai/{settings.name}"


# --- calls --------------------------------------------------------------------------------------


class Provider:
    """A model of a provider. Safe to call from several threads.

    A rate limit, a timeout, an error of the server's and a broken connection are tried again, at
    most `settings.retries` times, with a line to `note` for each; `pause` is the first pause in
    seconds, which then doubles. Anything else raises ModelError at once, saying what to do.
    """

    def __init__(
        self, settings: ModelSettings, note: Callable[[str], None], pause: float = 1.0
    ) -> None:
        self._settings, self._note, self._pause = settings, note, pause

    def answer(self, request: Request) -> Answer:
        import openai

        name, tries = self._settings.name, self._settings.retries + 1
        started, tried = time.monotonic(), 1
        while True:
            call_started = time.monotonic()
            try:
                response = self._call(request.text)
                return self._read(request, response, time.monotonic() - call_started)
            except (openai.OpenAIError, TimeoutError) as error:
                self._stop_if_hopeless(error)
                pause = _pause(error, self._pause * 2 ** (tried - 1))
                if tried == tries or time.monotonic() - started + pause > PATIENCE:
                    raise ModelError(self._gave_up(error, tried)) from None
                tried += 1
                self._note(f"{name}: {_said(error)}; try {tried} of {tries} in {pause:.1f} s")
                time.sleep(pause)

    def _call(self, text: str) -> Any:
        """One call, given up after `timeout` seconds: a server that sends a byte now and then never
        runs into the timeout of a socket. Raises OpenAIError or TimeoutError."""
        import openai

        arguments = self._arguments(text)
        outcome: list[Any] = []

        def call() -> None:
            try:
                outcome.append(_litellm().completion(**arguments))
            except openai.OpenAIError as error:
                outcome.append(error)

        thread = threading.Thread(target=call, daemon=True, name="model call")
        thread.start()
        thread.join(self._settings.timeout + 1)
        if not outcome and thread.is_alive():
            raise TimeoutError(f"no whole answer within {self._settings.timeout:g} s")
        if not outcome:
            raise ModelError(f"{self._settings.name}: the call failed inside LiteLLM; report this")
        if isinstance(outcome[0], openai.OpenAIError):
            raise outcome[0]
        return outcome[0]

    def _arguments(self, text: str) -> dict[str, Any]:
        settings = self._settings
        model = _route(settings)
        arguments = {
            "model": model,
            "messages": [{"role": "user", "content": readable(text)}],
            "max_tokens": min(settings.max_output, _output_limit(model)),
            "timeout": settings.timeout,
            # Retries are ours: bounded, reported, and never multiplied by a library's own.
            "max_retries": 0,
            "num_retries": 0,
        }
        if settings.temperature is not None:
            arguments["temperature"] = settings.temperature
        if settings.api_base is not None:
            arguments["api_base"] = settings.api_base
            names = KEYS.get(model.partition("/")[0], ())
            if names and not any(os.environ.get(name) for name in names):
                arguments["api_key"] = "none"  # local servers need no key, the client wants one
        return arguments

    def _read(self, request: Request, response: Any, seconds: float) -> Answer:
        choice = response.choices[0]
        text = readable(choice.message.content or "")
        extra = getattr(choice.message, "provider_specific_fields", None) or {}
        refused = not text and extra.get("refusal")
        usage: Any = getattr(response, "usage", None)
        counted = bool(usage and usage.prompt_tokens)
        return Answer(
            text=text,
            model=readable(str(response.model or self._settings.name)),
            # A server that does not count: about four characters to a token.
            tokens_in=usage.prompt_tokens if counted else -(-len(request.text) // 4),
            tokens_out=usage.completion_tokens if counted else -(-len(text) // 4),
            dollars=response._hidden_params.get("response_cost") if counted else None,
            seconds=seconds,
            finish="refusal" if refused else str(choice.finish_reason or "stop"),
        )

    def _stop_if_hopeless(self, error: Exception) -> None:
        """Raise ModelError, saying what to do, for what trying again cannot mend."""
        provider = _route(self._settings).partition("/")[0]
        keys = KEYS.get(provider) or (f"{provider.upper()}_API_KEY",)
        advice = _advice(error, " or ".join(keys))
        if advice:
            raise ModelError(f"{self._settings.name}: {advice} ({_said(error)})") from None

    def _gave_up(self, error: Exception, tried: int) -> str:
        base = self._settings.api_base
        check = f"that {scrub(base)} is running" if base else "the provider's status"
        said = f"{self._settings.name}: no answer in {tried} tries ({_said(error)})"
        return f"{said}; check {check}, then resume"


def _output_limit(model: str) -> int:
    prices = _litellm().model_cost
    known = prices.get(model) or prices.get(model.partition("/")[2]) or {}
    return int(known.get("max_output_tokens") or 10**9)


_QUOTA = re.compile(
    "insufficient_quota|exceeded your current quota|insufficient (balance|credit)|credit balance",
    re.IGNORECASE,
)
_ADVICE = (
    ("content.?(policy|filter|management)", "the content filter refused it; reword the topic"),
    ("context.?(window|length)|prompt is too long", "the prompt is too long for it; choose a model "
     "with a longer context"),
    ("model .{0,200}not found", "there is no such model; check model.name"),
    ("no module named|pip install", "LiteLLM needs another package for it; install that"),
)  # fmt: skip


def _advice(error: Exception, key_name: str) -> str:
    """What to do about an error that another try cannot mend, "" for one that it may."""
    status = getattr(error, "status_code", None) or 0
    text = str(error)
    # A quota by the minute uses the same words, and says when to come back.
    if status == 402 or (_QUOTA.search(text) and "retry" not in text and not _asked(error)):
        return "the account's quota is used up; add credit, then resume"
    if status in (401, 403) or "Missing credentials" in text:
        return f"the provider refused the key; set {key_name} to a valid one, then resume"
    for pattern, advice in _ADVICE:
        if re.search(pattern, text, re.IGNORECASE):
            return advice
    if status == 404:
        return "there is no such model; check model.name and model.api_base"
    if 400 <= status < 500 and status not in (408, 409, 425, 429):
        return "the provider does not accept the request"
    return ""


def _asked(error: Exception) -> str:
    """The Retry-After header, "" when there is none."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    return str(headers.get("retry-after") or "")


def _pause(error: Exception, growing: float) -> float:
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


def _said(error: Exception) -> str:
    """The error's first line without LiteLLM's prefixes, and without keys."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"^((litellm\.)?\w+(Error|Exception|Timeout)\s*[:-]\s*)+", "", line)
    return f"{scrub(line.partition('Traceback')[0].strip()):.240}"


_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)


def scrub(text: str) -> str:
    """The text without the values of environment variables that hold secrets, and without the
    password of a URL."""
    secrets = {
        value: name for name, value in os.environ.items() if _SECRET_NAME.search(name) and value
    }
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= 6:  # "1" and "true" are no secrets, and would leave nothing readable
            text = text.replace(value, f"[{secrets[value]}]")
    return re.sub(r"(://[^/\s:@]*:)[^/\s@]+@", r"\1…@", text)
