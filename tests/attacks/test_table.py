"""The documentation says of every attack what the tests show."""

from pathlib import Path

from autoresearch.sandbox.probe import weakness
from tests.attacks.table import ATTACKS, markdown

ROOT = Path(__file__).parents[2]


def test_the_table_in_the_documentation_is_the_one_that_is_tested() -> None:
    text = (ROOT / "docs" / "sandboxes.md").read_text()
    assert text.partition("a test compares -->\n")[2].strip() == markdown().strip(), (
        "write the output of `python -m tests.attacks.table` below the mark in docs/sandboxes.md"
    )
    assert sum(line.count("| stopped |") > 0 for line in text.splitlines()) >= len(ATTACKS) - 5


def test_whoever_chooses_a_weaker_sandbox_is_told_in_one_line_what_it_does_not_stop() -> None:
    assert weakness("docker 20.10 (runc)") == ""
    assert "memory is measured" in weakness("local (bubblewrap, Landlock ABI 7, seccomp)")
    assert "can be seen" in weakness("local (Landlock ABI 7, seccomp; no namespaces)")
    assert "nothing is kept" in weakness("none (NOT a sandbox: a plain process)")
    assert "docs/sandboxes.md" in (ROOT / "README.md").read_text()
    assert "docs/sandboxes.md" in (ROOT / "autoresearch" / "cli.py").read_text()
