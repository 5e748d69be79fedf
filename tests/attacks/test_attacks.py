"""Hostile programs against every sandbox, judged by what the host sees afterwards."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import SandboxError
from tests.attacks.attack import BACKENDS, OPEN, ROOTS, UNTRIED
from tests.attacks.gallery import AsPlainUser, Gallery, Shooting, python_for_all
from tests.attacks.table import ATTACKS, KINDS
from tests.engine import docker_or_skip


def open_gallery(backend: str, folder: Path) -> Shooting:
    """As whom the backend's name says; without root, everything is a plain user's anyway."""
    if backend == "docker":
        docker_or_skip()
    if backend in ROOTS:
        if os.geteuid() != 0 and backend != "docker":
            pytest.skip(f"NOT ROOT: {backend} is tried as {backend}-user")
        return Gallery(backend, folder)
    if os.geteuid() != 0:
        return Gallery(backend, folder)
    if not python_for_all():
        pytest.skip("NO PYTHON OF THIS VERSION THAT A PLAIN USER CAN RUN")
    return AsPlainUser(backend, folder)


class Galleries:
    """One gallery at a time. Opening one begins all of its attacks that were chosen, so it must not be
    opened twice: pytest would do that for a fixture with two parameters."""

    def __init__(self, chosen: dict[str, list[str]]) -> None:
        self.chosen, self.backend = chosen, ""
        self.held = contextlib.ExitStack()

    def of(self, backend: str) -> Shooting:
        if backend != self.backend:
            self.held.close()
            self.backend = backend
            self.opened = self._open(backend)
        if isinstance(self.opened, Shooting):
            return self.opened
        pytest.skip(self.opened)

    def _open(self, backend: str) -> Shooting | str:
        """The gallery, or why there is none here."""
        folder = tempfile.TemporaryDirectory(prefix=f"attacks-{backend}-")
        try:
            opened = open_gallery(backend, Path(self.held.enter_context(folder)))
        except SandboxError as absent:
            needed = "BUBBLEWRAP" if "bubblewrap" in backend else "LANDLOCK"
            if os.environ.get(f"AUTORESEARCH_REQUIRE_{needed}") == "1":
                raise
            return f"NO {needed}: {absent}"
        except pytest.skip.Exception as absent:
            return str(absent)
        self.held.callback(opened.close)
        opened.begin(self.chosen[backend])
        return opened


@pytest.fixture(scope="module")
def galleries(request: pytest.FixtureRequest) -> Iterator[Galleries]:
    chosen: dict[str, list[str]] = {backend: [] for backend in BACKENDS}
    for item in request.session.items:
        given = getattr(item, "callspec", None) and item.callspec.params
        if given and "backend" in given and given.get("name", AFTER) in ATTACKS:
            chosen[given["backend"]].append(given["name"])
    opened = Galleries(chosen)
    with contextlib.closing(opened.held):
        yield opened


AFTER = "nothing is left of all of them"
# Without a wall only what does no harm is tried: what is open there shows that the host would see it.
TRIED = {backend: tuple(ATTACKS) for backend in BACKENDS}
TRIED["none"] = tuple(
    name
    for name, attack in ATTACKS.items()
    if attack.verdict("none") != UNTRIED and not attack.alone
)


# One gallery after the other.
SHOTS = [(backend, name) for backend, names in TRIED.items() for name in (*names, AFTER)]


@pytest.mark.parametrize(("backend", "name"), SHOTS)
def test_an_attack_achieves_what_the_table_says_and_no_more(
    galleries: Galleries, backend: str, name: str
) -> None:
    gallery = galleries.of(backend)
    if name == AFTER:
        assert gallery.left() == []
        return
    verdict, problems = gallery.verdict(name)
    wanted = ATTACKS[name].verdict(backend)
    assert verdict == wanted, f"{backend}: {name} must not {ATTACKS[name].must_not}: {problems}"


def test_there_are_enough_attacks_and_what_is_open_has_a_reason() -> None:
    assert len(ATTACKS) == sum(map(len, KINDS.values())) >= 55
    assert sum(ATTACKS[name].verdict("none") == OPEN for name in TRIED["none"]) >= 10
    for attack in ATTACKS.values():
        assert attack.must_not and set(attack.open) <= set(BACKENDS) - {"none"}
        assert all(len(reason) > 10 for reason in attack.open.values())
