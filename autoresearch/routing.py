"""Which model answers for which role, and which one stands in while it cannot."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.catalog import check_model, provider_of
from autoresearch.command import PREFIX, Command, find_program
from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput, ModelError, PromptRefused, PromptTooLong
from autoresearch.llm import Answer, Model, Request
from autoresearch.metering import Meter
from autoresearch.providers import Provider
from autoresearch.roles import ROLES, Role, RoleSettings

WHOLE_RUN = ("offline", "replay:")  # models that play all roles of a run, or none
REST = 300.0  # seconds in which a model that failed is passed over


def chain_of(settings: ModelSettings, role: Role) -> tuple[ModelSettings, ...]:
    """The models of a role, the first choice first, each with all that it is asked with.

    A role has what `[model]` says where its own section says nothing. An `api_base` that was not given
    for a model is that of another one of the same provider; a name that starts with no provider is of
    whatever server was given.
    """
    own = getattr(settings, role) or RoleSettings()
    given = own.model_dump(exclude_none=True)
    names = given.pop("fallback", settings.fallback)
    blank = settings.model_copy(update={"fallback": (), **dict.fromkeys(ROLES)})
    if "name" in given and "api_base" not in given:
        given["api_base"] = _server(given["name"], blank)
    first = blank.model_copy(update=given)
    chain = [first]
    for name in names:
        following = {"name": name, "api_base": _server(name, first, blank)}
        chain.append(first.model_copy(update=following))
    return tuple(dict.fromkeys(chain))


def _server(name: str, *others: ModelSettings) -> str | None:
    """The `api_base` that a model shares with one of the others."""
    if name.startswith(PREFIX):
        return None
    for other in others:
        if other.api_base is not None and (
            name == other.name or provider_of(name) in ("", provider_of(other.name))
        ):
            return other.api_base
    return None


def check_models(settings: ModelSettings) -> None:
    """Raise BadInput unless every model that a role or a fallback names can be asked. Calls nobody."""
    for model in dict.fromkeys(each for role in ROLES for each in chain_of(settings, role)):
        if model.name.startswith(WHOLE_RUN):
            raise BadInput(
                f"{model.name} cannot be the model of one role or a fallback: it answers a whole run, "
                "given as --model"
            )
        check_one(model)


def check_one(settings: ModelSettings) -> None:
    """Raise BadInput unless this one model can be asked."""
    if settings.name.startswith(PREFIX):
        find_program(settings.name)
    else:
        check_model(settings)


def open_model(
    settings: ModelSettings, note: Callable[[str], None], meter: Meter | None = None
) -> Model:
    """The model that answers for these settings, on its own: without roles and fallbacks."""
    if settings.name.startswith(PREFIX):
        return Command(settings, meter)
    return Provider(settings, note, meter=meter)


@dataclass(frozen=True)
class _Link:
    settings: ModelSettings
    model: Model

    @property
    def place(self) -> tuple[str, str | None]:
        return self.settings.name, self.settings.api_base


class Router:
    """Asks the model of a request's role, and the next of its fallbacks when that gives no answer.

    `make(name, settings)` makes each single model. A model that failed is passed over for REST
    seconds, by all roles, unless the others fail too or it was only the prompt that it did not take.
    Raises what the last one raised where there is no other. Safe to call from several threads.
    """

    def __init__(
        self,
        settings: ModelSettings,
        make: Callable[[str, ModelSettings], Model],
        note: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._note, self._clock = note, clock
        self._rested: dict[tuple[str, str | None], float] = {}  # when a model that failed is fit
        chains = {role: chain_of(settings, role) for role in ROLES}
        made = {
            each: _Link(each, make(each.name, each))
            for each in dict.fromkeys(each for chain in chains.values() for each in chain)
        }
        self._chains = {role: [made[each] for each in chain] for role, chain in chains.items()}

    def answer(self, request: Request) -> Answer:
        now = self._clock()
        chain = sorted(self._chains[request.role], key=lambda link: self._rests(link, now))
        errors: list[ModelError] = []
        for number, link in enumerate(chain, start=1):
            try:
                return link.model.answer(request)
            except ModelError as error:
                errors.append(error)
                if not isinstance(error, PromptRefused):
                    self._rested[link.place] = self._clock() + REST
            if number < len(chain):
                following = chain[number].settings.name
                self._note(f"{errors[-1]}; {following} is asked instead ({request.role})")
        raise _all_of(errors)

    def _rests(self, link: _Link, now: float) -> bool:
        return now < self._rested.get(link.place, now)


def _all_of(errors: list[ModelError]) -> ModelError:
    """One error for the failures of a whole chain, of their kind where they have one in common. Where
    one may answer a shorter prompt, that is the way out."""
    if len(errors) == 1:
        return errors[0]
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else ModelError
    if any(isinstance(error, PromptTooLong) for error in errors):
        kind = PromptTooLong
    return kind("no model answered: " + "; ".join(map(str, errors)))
