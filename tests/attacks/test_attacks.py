"""Hostile programs against every sandbox, judged by what the host sees afterwards."""

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


@pytest.fixture(scope="session")
def gallery(request: pytest.FixtureRequest) -> Iterator[Shooting]:
    backend = request.param
    chosen = [
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "callspec", None) and item.callspec.params.get("gallery") == backend
        if item.callspec.params.get("name", AFTER) != AFTER
    ]
    with tempfile.TemporaryDirectory(prefix=f"attacks-{backend}-") as folder:
        try:
            opened = open_gallery(backend, Path(folder))
        except SandboxError as absent:
            needed = "BUBBLEWRAP" if "bubblewrap" in backend else "LANDLOCK"
            if os.environ.get(f"AUTORESEARCH_REQUIRE_{needed}") == "1":
                raise
            pytest.skip(f"NO {needed}: {absent}")
        try:
            opened.begin(chosen)
            yield opened
        finally:
            opened.close()


AFTER = "nothing is left of all of them"
# Without a wall only what does no harm is tried: what is open there shows that the host would see it.
TRIED = {backend: tuple(ATTACKS) for backend in BACKENDS}
TRIED["none"] = tuple(
    name
    for name, attack in ATTACKS.items()
    if attack.verdict("none") != UNTRIED and not attack.alone
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "gallery" in metafunc.fixturenames:
        # In this order, one gallery after the other: opening one begins all of its attacks.
        pairs = [(backend, name) for backend, names in TRIED.items() for name in (*names, AFTER)]
        metafunc.parametrize(("gallery", "name"), pairs, indirect=["gallery"])


def test_an_attack_achieves_what_the_table_says_and_no_more(
    gallery: Shooting, name: str, request: pytest.FixtureRequest
) -> None:
    if name == AFTER:
        assert gallery.left() == []
        return
    backend = request.node.callspec.params["gallery"]
    verdict, problems = gallery.verdict(name)
    wanted = ATTACKS[name].verdict(backend)
    assert verdict == wanted, f"{backend}: {name} must not {ATTACKS[name].must_not}: {problems}"


def test_there_are_enough_attacks_and_what_is_open_has_a_reason() -> None:
    assert len(ATTACKS) == sum(map(len, KINDS.values())) >= 55
    assert sum(ATTACKS[name].verdict("none") == OPEN for name in TRIED["none"]) >= 10
    for attack in ATTACKS.values():
        assert attack.must_not and set(attack.open) <= set(BACKENDS) - {"none"}
        assert all(len(reason) > 10 for reason in attack.open.values())
