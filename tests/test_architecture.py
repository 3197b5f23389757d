"""Does every import point down, and does each foreign library have one home?"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BELOW = {
    "studies": {"studies"},
    "trainables": {"trainables", "studies"},
    "reports": {"reports", "studies"},
    "tuner": {"tuner", "trainables", "reports", "studies"},
}
HOMES = {
    "ray": {"tuner/runners"},
    "optuna": {"studies"},
    "sqlalchemy": {"studies"},
    "torch": {"trainables"},
    "torchvision": {"trainables"},
    "timm": {"trainables/recipe"},
    "fsspec": {"trainables/checkpoints.py"},
    "matplotlib": {"reports"},
    "pandas": {"reports", "trainables/replay.py"},
    "starlette": {"reports/dashboard"},
    "uvicorn": {"reports/dashboard"},
    "rich": {"reports", "tuner/cli.py"},
    "typer": {"tuner/cli.py", "tuner/options.py"},
}
SOURCES = sorted(path.relative_to(ROOT) for room in BELOW for path in (ROOT / room).rglob("*.py"))


def imports(source: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / source).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_point_down(source):
    assert imports(source) & set(BELOW) <= BELOW[source.parts[0]]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_foreign_libraries_stay_at_home(source):
    for library in imports(source) & set(HOMES):
        assert any(source.is_relative_to(home) for home in HOMES[library]), f"{source} imports {library}"


def test_every_module_says_which_question_it_answers():
    silent = [str(s) for s in SOURCES if (text := (ROOT / s).read_text()) and not ast.get_docstring(ast.parse(text))]
    assert silent == []
