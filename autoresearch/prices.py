"""What a run's models cost, frozen when it starts: a bill cannot change under it."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from autoresearch.catalog import price_of
from autoresearch.config import ModelSettings
from autoresearch.errors import BadInput
from autoresearch.ledger import Price
from autoresearch.roles import ROLES
from autoresearch.routing import chain_of


def price_list(settings: ModelSettings) -> dict[str, Price]:
    """The price of every model that a role or a fallback names. Raises BadInput for an unknown one."""
    models = dict.fromkeys(each for role in ROLES for each in chain_of(settings, role))
    return {each.name: _price(each) for each in models}


def _price(settings: ModelSettings) -> Price:
    found = price_of(settings.name, settings)
    if found is not None:
        return Price(input=found[0], output=found[1], source=found[2])
    if settings.price is None:
        raise BadInput(
            f"the price of {settings.name} is not known: say it with --price IN,OUT in dollars per "
            "million tokens (0,0 if it costs nothing)"
        )
    return parse_price(settings.price)


def parse_price(text: str) -> Price:
    """The price in "3,15". Raises BadInput."""
    try:
        ingoing, outgoing = (Decimal(part.strip()) for part in text.split(","))
        return Price(input=ingoing, output=outgoing, source="--price")
    except (ValueError, InvalidOperation):
        raise BadInput(f"--price {text!r}: write IN,OUT in dollars per million tokens") from None


def freeze(prices: Mapping[str, Price]) -> dict[str, dict[str, str]]:
    """The price list as run.toml keeps it."""
    return {
        name: {"input": str(price.input), "output": str(price.output), "source": price.source}
        for name, price in prices.items()
    }


def thaw(manifest: Mapping[str, Any]) -> dict[str, Price]:
    """The price list of a run.toml."""
    return {name: Price.model_validate(price) for name, price in manifest.get("prices", {}).items()}
