"""Language models behind a provider or a local server, through LiteLLM, with bounded retries.

A request is one user message and no system prompt, so models that have none work as all others do.
What a reasoning model thinks aloud beside its answer is left out.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from autoresearch.catalog import KEYS, key_of, keys_of, litellm, output_limit, route, takes_schema
from autoresearch.config import ModelSettings
from autoresearch.errors import ModelError, Outage
from autoresearch.faults import lasting, pause, said, scrub
from autoresearch.llm import Answer, Request, readable
from autoresearch.metering import Meter
from autoresearch.records import Record
from autoresearch.turns import Turns

PATIENCE = 1200.0  # seconds after which a request is not tried again

# What a model may turn down and can do without, by the words of the providers that do so.
_OPTIONAL = {
    "response_format": "response.?format|json.?schema|response.?schema|output.?(format|config)"
    "|structured.?output|json.?mode|\\btools?\\b|tool_choice|input_schema",
    "temperature": "temperature",
    "reasoning_effort": "reasoning|effort|thinking",
}


class Provider:
    """A model of a provider. Safe to call from several threads.

    A rate limit, a timeout, an error of the server's and a broken connection are tried again, at
    most `settings.retries` times, with a line to `note` for each; `pause` is the first pause in
    seconds, which then doubles. Raises Outage after that, and for anything else ModelError at once,
    saying what to do. Where LiteLLM says that the model takes a JSON schema, one is sent along for
    records read as JSON; it, the temperature or the effort is left out once the model turned it down.
    Calls wait for their turn among all runs of this machine, and all wait where one was asked to.
    """

    def __init__(
        self,
        settings: ModelSettings,
        note: Callable[[str], None],
        pause: float = 1.0,
        meter: Meter | None = None,
    ) -> None:
        self._settings, self._note, self._pause, self._meter = settings, note, pause, meter
        self._turned_down: set[str] = set()
        server = settings.api_base or route(settings).partition("/")[0]
        self._turns = Turns(server, settings.per_minute)

    def answer(self, request: Request) -> Answer:
        import openai

        name, tries = self._settings.name, self._settings.retries + 1
        started, tried = time.monotonic(), 1
        while True:
            arguments = self._arguments(request)
            self._turns.wait()
            try:
                return self._try(request, arguments)
            except (openai.OpenAIError, TimeoutError) as error:
                if self._can_do_without(error, arguments):
                    continue
                self._stop_if_hopeless(error)
                seconds = pause(error, self._pause * 2 ** (tried - 1))
                if tried == tries or time.monotonic() - started + seconds > PATIENCE:
                    raise Outage(self._gave_up(error, tried)) from None
                tried += 1
                self._note(f"{name}: {said(error)}; try {tried} of {tries} in {seconds:.1f} s")
                if getattr(error, "status_code", None) == 429:
                    self._turns.hold_off(seconds)
                time.sleep(seconds)

    def _try(self, request: Request, arguments: dict[str, Any]) -> Answer:
        """One call, in the books where there are any: each try may be billed on its own."""
        import openai

        started = time.monotonic()
        if self._meter is None:
            return self._read(request, self._call(arguments), time.monotonic() - started)
        schema = len(json.dumps(arguments.get("response_format", "")))
        most_out, seconds = arguments["max_tokens"], self._settings.timeout + 1
        with self._meter.call(request, most_out, seconds, schema) as charge:
            try:
                response = self._call(arguments)
            except openai.APIStatusError as error:
                # LiteLLM gives timeouts 408 and broken connections 500: those may be billed.
                if 400 <= error.status_code < 500 and error.status_code != 408:
                    charge.release()
                raise
            return charge.settle(self._read(request, response, time.monotonic() - started))

    def _call(self, arguments: dict[str, Any]) -> Any:
        """One call, given up after `timeout` seconds: a server that sends a byte now and then never
        runs into the timeout of a socket. Raises OpenAIError or TimeoutError."""
        import openai

        outcome: list[Any] = []

        def call() -> None:
            try:
                outcome.append(litellm().completion(**arguments))
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

    def _arguments(self, request: Request) -> dict[str, Any]:
        settings = self._settings
        model = route(settings)
        arguments = {
            "model": model,
            "messages": [{"role": "user", "content": readable(request.text)}],
            "max_tokens": min(settings.max_output, output_limit(model)),
            "timeout": settings.timeout,
            # Retries are ours: bounded, reported, and never multiplied by a library's own.
            "max_retries": 0,
            "num_retries": 0,
        }
        optional = {
            "temperature": settings.temperature,
            "reasoning_effort": settings.effort,
            "response_format": response_format(request.record) if takes_schema(model) else None,
        }
        for name, value in optional.items():
            if value is not None and name not in self._turned_down:
                arguments[name] = value
        if settings.api_base is not None:
            arguments["api_base"] = settings.api_base
            if KEYS.get(model.partition("/")[0]) and not key_of(settings):
                arguments["api_key"] = "none"  # local servers need no key, the client wants one
        return arguments

    def _read(self, request: Request, response: Any, seconds: float) -> Answer:
        choice = response.choices[0]
        text = readable(choice.message.content or "")
        extra = getattr(choice.message, "provider_specific_fields", None) or {}
        refused = not text and extra.get("refusal")
        usage: Any = getattr(response, "usage", None)
        counted = bool(usage and usage.prompt_tokens > 0 and usage.completion_tokens >= 0)
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

    def _can_do_without(self, error: Exception, arguments: dict[str, Any]) -> bool:
        """Whether the provider turned down something optional, which is then left out for good."""
        if getattr(error, "status_code", None) not in (400, 422):
            return False
        for name, words in _OPTIONAL.items():
            if name in arguments and re.search(words, str(error), re.IGNORECASE):
                self._turned_down.add(name)
                self._note(f"{self._settings.name}: asked without {name} ({said(error)})")
                return True
        return False

    def _stop_if_hopeless(self, error: Exception) -> None:
        """Raise ModelError, saying what to do, for what trying again cannot mend."""
        found = lasting(error, keys_of(self._settings))
        if found:
            kind, advice = found
            raise kind(f"{self._settings.name}: {advice} ({said(error)})") from None

    def _gave_up(self, error: Exception, tried: int) -> str:
        base = self._settings.api_base
        check = f"that {scrub(base)} is running" if base else "the provider's status"
        tries = "1 try" if tried == 1 else f"{tried} tries"
        failed = f"{self._settings.name}: no answer in {tries} ({said(error)})"
        return f"{failed}; check {check}, then resume"


# --- structured output --------------------------------------------------------------------------


def response_format(record: type[Record]) -> dict[str, Any] | None:
    """What asks a provider for this record as JSON; None for one that is not JSON on the wire."""
    own = record.__mro__[: record.__mro__.index(Record)]
    if any("from_answer" in vars(each) for each in own):
        return None
    schema = record.model_json_schema()
    plain = _plain(schema, schema.get("$defs", {}))
    return {
        "type": "json_schema",
        "json_schema": {"name": record.__name__, "strict": True, "schema": plain},
    }


_KEPT = ("type", "enum", "description")


def _plain(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The part of a JSON schema that every provider takes: closed objects with all fields required,
    no references and no bounds. Bounds are checked when the answer is read."""
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
    kept = {key: node[key] for key in _KEPT if key in node}
    if "anyOf" in node:
        kept["anyOf"] = [_plain(each, definitions) for each in node["anyOf"]]
    if "items" in node:
        kept["items"] = _plain(node["items"], definitions)
    if node.get("type") == "object":
        fields = node.get("properties", {})
        kept["properties"] = {name: _plain(each, definitions) for name, each in fields.items()}
        kept |= {"required": list(fields), "additionalProperties": False}
    return kept
