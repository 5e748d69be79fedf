"""Describing values without running what an experiment wrote. Standard library only."""

VALUE = 160  # characters
COUNTED = 10_000_000  # elements of an array that are looked at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def describe(value: "Any", depth: int = 2) -> "tuple[str, str]":
    """(type, value) of anything, without calling what the experiment wrote."""
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else full_name(kind)
    if value is None or kind in (bool, float, complex):
        return name, repr(value)
    if kind is int:
        return name, repr(value) if value.bit_length() < 200 else f"{value.bit_length()} bits"
    if kind in (str, bytes, bytearray):
        cut = "" if len(value) <= VALUE // 2 else f"… ({len(value)} in all)"
        return name, repr(value[: VALUE // 2]) + cut
    if kind in (list, tuple, set, frozenset, dict):
        return name, _of_container(value, depth)
    if kind.__module__.startswith("torch.nn.modules.") and not kind.__module__.endswith(
        "container"
    ):
        return name, str(value.extra_repr())[:VALUE]  # what its constructor was given
    if kind.__module__.partition(".")[0] in ("numpy", "torch", "pandas", "scipy", "jax", "jaxlib"):
        return name, _of_array(value)
    length = _length(value) if kind.__module__.partition(".")[0] == "collections" else ""
    return name, length


def full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"[:120]


def _of_container(value: "Any", depth: int) -> str:
    items = list(value.items())[:4] if type(value) is dict else list(value)[:4]
    if depth == 0:
        return f"{len(value)} items"
    shown = []
    for item in items:
        pair = item if type(value) is dict else (item,)
        shown.append(": ".join(_brief(each, depth - 1) for each in pair))
    more = f", … ({len(value)} in all)" if len(value) > len(items) else ""
    return f"[{', '.join(shown)}{more}]"


def _brief(value: "Any", depth: int) -> str:
    name, text = describe(value, depth)
    return text if type(value) in (bool, int, float, str, type(None)) else f"{name} {text}".strip()


def _of_array(value: "Any") -> str:
    """Shape, dtype, device, small values, and what is not finite. These types are the libraries' own."""
    parts = []
    for name in ("shape", "dtype", "device", "requires_grad", "nnz"):
        found = getattr(value, name, None)
        if found is not None and not (name == "requires_grad" and not found):
            parts.append(f"{name} {tuple(found) if name == 'shape' else found}"[:100])
    size = _size(value)
    if size is not None and size <= 6 and hasattr(value, "tolist"):
        parts.append(f"values {value.tolist()!r}"[:VALUE])
    elif size is not None and size <= COUNTED:
        parts += _range(value)
    return ", ".join(parts)


def _size(value: "Any") -> "int | None":
    shape = getattr(value, "shape", None)
    if shape is None:
        return None
    size = 1
    for each in tuple(shape):
        size *= int(each)
    return size


def _range(value: "Any") -> "list[str]":
    """Smallest and largest of the finite values, and how many are not."""
    import math

    if "float" not in str(getattr(value, "dtype", "")) and "int" not in str(value.dtype):
        return []
    detached = value.detach() if hasattr(value, "detach") else value
    low, high = float(detached.min()), float(detached.max())
    if math.isfinite(low) and math.isfinite(high):
        return [f"from {low:.4g} to {high:.4g}"]
    finite = detached.isfinite() if hasattr(detached, "isfinite") else abs(detached) < math.inf
    size = _size(value) or 0
    return [f"{size - int(finite.sum())} of {size} not finite"]


def _length(value: "Any") -> str:
    return f"{len(value)} items"


def safely(function: "Callable[..., Any]", *arguments: "Any", otherwise: "Any") -> "Any":
    """A description must not fail, whatever it is of: the exception to report is another one."""
    try:
        return function(*arguments)
    except BaseException as error:  # noqa: BLE001  # also what a hostile attribute raises
        del error
        return otherwise
