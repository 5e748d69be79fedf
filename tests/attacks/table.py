"""All attacks, and the table that the documentation shows: `python -m tests.attacks.table`."""

from collections.abc import Iterator

from tests.attacks.attack import OPEN, STOPPED, UNTRIED, Attack
from tests.attacks.programs import disk, kernel, memory, output, processes, reach, results, scoring

KINDS: dict[str, tuple[Attack, ...]] = {
    processes.KIND: processes.ATTACKS,
    memory.KIND: memory.ATTACKS,
    disk.KIND: disk.ATTACKS,
    output.KIND: output.ATTACKS,
    reach.KIND: reach.SNOOPING,
    reach.NETWORK: reach.ONLINE,
    results.KIND: results.ATTACKS,
    scoring.KIND: scoring.ATTACKS,
    kernel.KIND: kernel.ATTACKS,
}
ATTACKS = {attack.name: attack for attacks in KINDS.values() for attack in attacks}

_COLUMNS = {
    "docker": ("docker",),
    "local, bubblewrap": ("bubblewrap", "bubblewrap-user"),
    "local, no namespaces": ("landlock", "landlock-user"),
    "none": ("none",),
}
_WORDS = {STOPPED: "stopped", OPEN: "**no**", UNTRIED: "no, not tried"}


def markdown() -> str:
    lines = [f"| an attack must not | {' | '.join(_COLUMNS)} |", "|---" * 5 + "|"]
    for kind, attacks in KINDS.items():
        lines.append(f"| **{kind}** | | | | |")
        lines += [_row(attack) for attack in attacks]
    return "\n".join([*lines, "", *_reasons()]) + "\n"


def _row(attack: Attack) -> str:
    cells = [_cell(attack, backends) for backends in _COLUMNS.values()]
    return f"| {attack.name}: {attack.must_not} | {' | '.join(cells)} |"


def _cell(attack: Attack, backends: tuple[str, ...]) -> str:
    found = [attack.verdict(each) for each in backends]
    if backends == ("none",) and attack.alone:
        return "not tried"
    if len(set(found)) == 1:
        return _WORDS[found[0]]
    return f"as root {_WORDS[found[0]]}, as a plain user {_WORDS[found[1]]}"


def _reasons() -> Iterator[str]:
    """Why something is not stopped, once for each attack."""
    for attack in ATTACKS.values():
        for reason in sorted(set(attack.open.values())):
            where = ", ".join(name for name, why in attack.open.items() if why == reason)
            yield f"* *{attack.name}* ({where}): {reason}"


if __name__ == "__main__":
    print(markdown(), end="")
