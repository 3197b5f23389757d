from pathlib import Path

import pytest

from trainables import source
from trainables.source import fingerprint_of, sources_of

FILES = {
    "task.py": "import os, torch\nimport beside\nfrom garden import beds\nfrom garden.tools.rake import handle as grip\n",
    "beside.py": "def later():\n    from lazy import thing\n",
    "lazy.py": "import beside  # in a circle\n",
    "garden/__init__.py": "from . import soil\n",
    "garden/soil.py": "from .tools import spade\nfrom ..task import nothing\n",
    "garden/beds.py": "import garden.water as w\n",
    "garden/water.py": "",
    "garden/tools/__init__.py": "",
    "garden/tools/spade.py": "from ...beside import later\nfrom .... import beyond\n",
    "garden/tools/rake.py": "",
}
OTHERS = {"unused.py": "", "garden/unused.py": "import unused", "trainables/__init__.py": "", "os/path.txt": ""}


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, text in {**FILES, **OTHERS}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def fingerprint(folder: Path, name: str = "Flowers", data: str | None = None) -> str:
    return fingerprint_of(folder / "task.py", name, data)


def test_a_task_is_made_of_what_it_reaches_by_imports(folder):
    assert {source.relative_to(folder).as_posix() for source in sources_of(folder / "task.py")} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_an_edit_of_any_of_its_files_is_another_task(folder, name):
    before = fingerprint(folder)
    (folder / name).write_text(FILES[name] + "# edited\n")
    assert fingerprint(folder) != before


@pytest.mark.parametrize("name", OTHERS)
def test_an_edit_of_another_file_is_not(folder, name):
    before = fingerprint(folder)
    (folder / name).write_text("edited = True\n")
    assert fingerprint(folder) == before


def test_name_and_data_count_and_the_place_does_not(folder, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved") / "here"
    before = fingerprint(folder)
    assert len({before, fingerprint(folder, "Trees"), fingerprint(folder, data="a.zip"), fingerprint(folder, data="b.zip")}) == 4
    folder.rename(moved)
    assert fingerprint(moved) == before


def test_a_module_in_a_package_reaches_by_names_from_its_root(folder):
    (folder / "garden/water.py").write_text("from garden.tools import spade\nimport lazy\n")
    told = {source.name for source in sources_of(folder / "garden/water.py")}
    assert told == {"water.py", "__init__.py", "soil.py", "spade.py", "task.py", "lazy.py", "beside.py", "beds.py", "rake.py"}


def test_libraries_beside_an_installed_task_are_not_its_own(tmp_path):
    site = tmp_path / "site-packages"
    for name, text in {
        "flowers/__init__.py": "",
        "flowers/task.py": "import torch\nfrom flowers import soil",
        "flowers/soil.py": "",
    }.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    (site / "torch.py").write_text("")
    assert {source.name for source in sources_of(site / "flowers/task.py")} == {"task.py", "soil.py", "__init__.py"}


def test_a_neighbour_that_does_not_parse_is_hashed_all_the_same(folder):
    (folder / "beside.py").write_text("def (")
    before = fingerprint(folder)
    (folder / "beside.py").write_bytes(b"\x00\xff")
    assert fingerprint(folder) != before


def test_training_that_computes_otherwise_takes_no_state_of_before(tmp_path, monkeypatch):
    (tmp_path / "task.py").write_text("")
    before = fingerprint_of(tmp_path / "task.py", "Task", None)
    monkeypatch.setattr(source, "ARITHMETIC", source.ARITHMETIC + 1)
    assert fingerprint_of(tmp_path / "task.py", "Task", None) != before
