"""What is known of a language model by its name: where it is, its key, its price. Asks nobody."""

import functools
import ipaddress
import logging
import os
import re
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput
from autoresearch.faults import scrub

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
_LOCAL = ("ollama", "ollama_chat", "lm_studio", "llamafile")


@functools.cache
def litellm() -> Any:
    """The library, imported at the first call (3 to 7 s) and kept from fetching, printing and
    logging anything of its own."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    import litellm as library

    library.telemetry = False
    library.suppress_debug_info = True
    library.drop_params = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return library


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
    library = litellm()
    try:
        if not name or name.endswith("/"):
            raise ValueError(name)
        library.get_llm_provider(name)
    except (library.BadRequestError, ValueError):
        raise BadInput(
            f"unknown model {name!r}: write provider/model, for example "
            "openai/gpt-4o, anthropic/claude-sonnet-4-5 or ollama/llama3, or 'offline'; "
            "for a server of your own set model.api_base too"
        ) from None
    missing = library.validate_environment(name)["missing_keys"]
    return tuple(key for key in missing if key.endswith("_API_KEY"))


def provider_of(name: str) -> str:
    """The provider that a model's name starts with, "" where it starts with none."""
    provider, slash, _ = name.partition("/")
    known = slash and (provider in KEYS or provider in litellm().provider_list)
    return provider if known else ""


def route(settings: ModelSettings) -> str:
    """The model's name as LiteLLM wants it. With `api_base` a name that starts with no provider
    is of an OpenAI-compatible server; "openai/" in front says so of any other."""
    if settings.api_base is None or provider_of(settings.name):
        return settings.name
    return f"openai/{settings.name}"


# --- what is known of a model -------------------------------------------------------------------


def price_of(name: str, settings: ModelSettings) -> tuple[Decimal, Decimal, str] | None:
    """Dollars per million tokens in and out, and who says so; None when nobody does.

    Models on this machine or in a private network cost nothing ("local"). The price map has the
    usual tier: some providers charge more for prompts of over 128,000 tokens.
    """
    if name.startswith("command:") or is_local(name, settings):
        return Decimal(0), Decimal(0), "local"
    listed = _listed(route(settings.model_copy(update={"name": name})))
    prices = [listed.get(f"{side}_cost_per_token") for side in ("input", "output")]
    if None in prices or not any(prices):  # the map has 0 for some paid models
        return None
    import importlib.metadata

    version = importlib.metadata.version("litellm")
    ingoing, outgoing = (Decimal(str(price)) * 10**6 for price in prices)
    return ingoing, outgoing, f"LiteLLM {version} price map"


def is_local(name: str, settings: ModelSettings) -> bool:
    """Whether the model is on this machine or in a private network. Asks no name server."""
    if settings.api_base is None:
        return name.partition("/")[0] in _LOCAL
    host = urlsplit(settings.api_base).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    return address.is_private or address.is_loopback


def thinks(settings: ModelSettings) -> bool:
    """Whether it is known as a reasoning model, whose thoughts count towards its output."""
    return bool(_listed(route(settings)).get("supports_reasoning"))


def keys_of(settings: ModelSettings) -> tuple[str, ...]:
    """The environment variables that may hold the key of its provider."""
    model = route(settings)
    provider = model.partition("/")[0] if "/" in model else litellm().get_llm_provider(model)[1]
    return KEYS.get(provider) or (f"{provider.upper()}_API_KEY",)


def key_of(settings: ModelSettings) -> str:
    """The one whose key is sent with each call, "" for none."""
    return next((name for name in keys_of(settings) if os.environ.get(name)), "")


def context_of(settings: ModelSettings) -> int | None:
    """The most tokens that a question to the model may have, None where nobody says."""
    if settings.name.startswith("command:"):
        return None
    return _listed(route(settings)).get("max_input_tokens")


def output_limit(model: str) -> int:
    """The most tokens that the model can put out."""
    return int(_listed(model).get("max_output_tokens") or 10**9)


def _listed(model: str) -> dict[str, Any]:
    """What LiteLLM's map says of a model, {} when it is not there. (Its own functions for that
    would ask an Ollama server.)"""
    known = litellm().model_cost
    provider, _, name = model.partition("/")
    found: dict[str, Any] = known.get(model) or known.get(name) or {}
    return found if model in known or found.get("litellm_provider") == provider else {}


def takes_schema(model: str) -> bool:
    """Whether LiteLLM says that it can be asked for an answer of a given JSON schema."""
    if model.partition("/")[0] in ("ollama", "ollama_chat"):
        return False  # LiteLLM would ask the server
    return bool(litellm().supports_response_schema(model=model))
