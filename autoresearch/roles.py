"""The roles that a language model has in a run, and the settings of the model that plays each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Role = Literal["think", "rank", "code", "debug", "analyse", "review", "judge"]
ROLES: tuple[Role, ...] = ("think", "rank", "code", "debug", "analyse", "review", "judge")
ROLE_OF: Mapping[str, Role] = {  # by the prompt's name
    "think/query": "think",
    "think/attributes": "think",
    "think/ideas": "think",
    "think/rank": "rank",
    "think/novelty": "judge",
    "practice/code": "code",
    "practice/debug": "debug",
    "feedback/analysis": "analyse",
    "feedback/review": "review",
    "feedback/fidelity": "review",
}

Effort = Literal["minimal", "low", "medium", "high"]
Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)
]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoleSettings(Section):
    """How one role's model is asked; what is None is as `[model]` says.

    A text in place of the section is the model's name. `api_base` is taken over only by a model of
    the same provider: a request, and the key with it, never goes to the server of another one.
    """

    name: str | None = None
    api_base: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    effort: Effort | None = None
    max_output: int | None = Field(default=None, ge=256)
    timeout: float | None = Field(default=None, gt=0)
    retries: int | None = Field(default=None, ge=0)
    fallback: Names | None = None
    price: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class ModelSettings(Section):
    """Which language model answers, and how it is asked; then what differs for a role.

    `fallback` are the models that are asked, in this order, while the first cannot answer. `effort`
    is how long a reasoning model thinks; others are not sent it.
    """

    name: str = "offline"
    api_base: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    effort: Effort | None = None
    max_output: int = Field(default=16_000, ge=256)  # tokens
    timeout: float = Field(default=300.0, gt=0)  # seconds for one call
    retries: int = Field(default=5, ge=0)
    per_minute: float | None = Field(default=None, gt=0)  # calls, of all runs on this machine
    fallback: Names = ()
    price: str | None = None  # "3,15": dollars per million tokens in and out, where nobody knows
    think: RoleSettings | None = None
    rank: RoleSettings | None = None
    code: RoleSettings | None = None
    debug: RoleSettings | None = None
    analyse: RoleSettings | None = None
    review: RoleSettings | None = None
    judge: RoleSettings | None = None
