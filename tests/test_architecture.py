"""The listing is the design: layers, doors and sizes, read from the source."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "autoresearch"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_shipped" not in path.parts)

# From the top down; a module may import from rows below its own, never from its own row or above.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"taskcli", "runcli", "campaigncli"},
    {"session"},
    {"campaign"},
    {"cleaning", "doctor", "taskcheck", "newtask"},
    {"assembly", "scorercheck", "formscheck", "noisecheck", "smokecheck", "adoption"},
    {
        "replayed",
        "walls",
        "models",
        "prices",
        "carrying",
        "loop",
        "display",
        "detail",
        "buildlog",
        "reproduction",
        "page",
        "application",
    },
    {"plotted"},
    {"claimed", "falsify", "statement"},
    {"picture", "reproduced"},
    {"report", "shapes", "chart", "think", "practice", "feedback"},
    {"briefing", "samedata"},
    {"harness"},
    {"offline", "routing", "papers", "workspace", "repository", "reported", "foreign"},
    {"providers", "command"},
    {"catalog", "metering", "turns"},
    {"formats", "pace"},
    {"sandbox", "cassette"},
    {"journal"},
    {"llm"},
    {"blind_search", "repairs", "codemap"},
    {"mutations", "outlines"},
    {"rewrites"},
    {"alternatives", "sourcecode", "textedits"},
    {"spending", "carried"},
    {"ledger", "shortening"},
    {"budgets"},
    {"store", "documents", "faults", "differences", "redaction", "leash", "remembered"},
    {"stopping"},
    {"prompts", "floors"},
    {"levels"},
    {"leaks", "nonsense"},
    {"tables", "findings", "paired"},
    {"config"},
    {"final_info"},
    {"metrics", "toml_files", "recipe", "in_a_copy"},
    {"roles", "records"},
    {"blocks"},
    {"answers"},
    {"errors"},
]
DOORS = {
    "litellm": {"catalog"},
    "docker": {"sandbox"},
    "git": {"workspace"},
    "pymupdf": {"documents"},
    "arxiv": {"papers"},
    "urllib3": {"papers", "sandbox"},
    "typer": {"cli", "taskcli", "runcli", "campaigncli"},
    "jinja2": {"prompts", "page"},
    "json_repair": {"answers"},
    "tokenizers": {"think"},
    "tomli_w": {"store", "foreign"},
    "pyflakes": {"practice"},
    "regex": {"metrics"},
    "pynvml": {"sandbox"},
    "torch": set(),
}


def part_of(path: Path) -> str:
    """The top-level part a module belongs to: a phase, `sandbox`, or the module itself."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def level_of(part: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward_and_siblings_never_import_each_other(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        return
    for name in imports_of(path):
        if not name.startswith("autoresearch."):
            continue
        other = name.split(".")[1]
        if other != part:
            assert level_of(other) > level_of(part), f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_library_has_one_door(path: Path) -> None:
    for name in imports_of(path):
        library = name.split(".")[0]
        if library in DOORS:
            assert part_of(path) in DOORS[library], f"{path} imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= (540 if path.name == "records.py" else 300)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and path.name != "cli.py":
            assert node.end_lineno - node.lineno < 40, f"{path}: {node.name}"


def test_there_are_not_too_many_modules() -> None:
    assert len(MODULES) <= 195  # docs/decisions/0002


@pytest.mark.parametrize(
    "phase, name", [("think", "propose"), ("practice", "pursue"), ("feedback", "reflect")]
)
def test_each_phase_has_one_public_function_of_at_most_25_lines(phase: str, name: str) -> None:
    tree = ast.parse((PACKAGE / phase / "__init__.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == [name]
    assert functions[0].end_lineno - functions[0].lineno < 25


def test_nothing_heavy_is_imported_at_the_top_of_a_module() -> None:
    heavy = {
        "litellm",
        "docker",
        "pymupdf",
        "arxiv",
        "git",
        "numpy",
        "scipy",
        "torch",
        "tokenizers",
        "pynvml",
        "rich",
    }
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & heavy, path


def test_no_test_uses_a_mock() -> None:
    banned = "unittest" + ".mock"
    for path in (PACKAGE.parent / "tests").rglob("*.py"):
        assert banned not in path.read_text() or path.name == "test_architecture.py", path
