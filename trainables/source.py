"""Which source is a task made of? Found by reading, not by importing, so that it is the same in every process."""

import ast
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from studies.errors import InputError

BUILT_IN = {
    "digits": "trainables.tasks.digits:Digits",
    "cifar10": "trainables.tasks.cifar10:Cifar10",
    "cifar10:resnet20vd": "trainables.tasks.cifar10_models:ResNet20vd",
    "cifar10:resnet56vd": "trainables.tasks.cifar10_models:ResNet56vd",
    "cifar10:shakeshake26": "trainables.tasks.cifar10_models:ShakeShake26",
    "cifar10:shakedrop110": "trainables.tasks.cifar10_models:ShakeDrop110",
}

OURS = "trainables"
"""What a task imports of this program is no part of the task."""

INSTALLED = {"site-packages", "dist-packages"}


ARITHMETIC = 1
"""Of the training itself: to be raised with every change in this folder that makes a plan end in other bits, so that states of
before are no longer gone on from."""


def check_spec(spec: str) -> tuple[str, str]:
    """(file or module, name of the class) of what `--task` names; (file, "") of a replay. Nothing of it is read or imported.

    Raises: InputError if it cannot be there.
    """
    replayed, (place, name) = spec.startswith("replay:"), _parted(spec)
    if not replayed and (not place or not name or (place.startswith(".") and not place.endswith(".py"))):
        raise InputError(f"--task: expected {', '.join(BUILT_IN)}, file.py:Name, module:Name or replay:FILE; got {spec!r}")
    if (replayed or place.endswith(".py")) and not os.path.isfile(place):  # False, and no error, where there can be no such name
        here = "" if os.path.isabs(place) else f" in {os.getcwd()}"
        raise InputError(f"--task: there is no file {place}{here}")
    return place, name


def _parted(spec: str) -> tuple[str, str]:
    if spec.startswith("replay:"):
        return spec.removeprefix("replay:"), ""
    place, _, name = BUILT_IN.get(spec, spec).rpartition(":")
    return place, name


def same_task(spec: str, cwd: str, other: str, there: str) -> bool:
    """Whether two specs, each as it is read in a folder, name the same task: the same file, or files of the same content; what
    is no file, or none any more, goes by its name."""
    (place, name), (known, named) = _parted(spec), _parted(other)
    file, before = os.path.join(cwd, place), os.path.join(there, known)
    if name != named or not (os.path.isfile(file) and os.path.isfile(before)):
        return spec == other
    return os.path.samefile(file, before) or fingerprint_of(Path(file), name, None) == fingerprint_of(Path(before), name, None)


def fingerprint_of(path: Path, name: str, data: str | None) -> str:
    """64 hex digits of a hash of a task: its class's name, the name of its data, its module's source and that of the
    modules beside it that it imports, and of those that they import; and of what trains it (ARITHMETIC).

    Another place on the disk is the same task; another content or name of one of its files is another one.
    """
    root = _root(path)
    first = f"{name}\0{data}" + (f"\0{ARITHMETIC}" if ARITHMETIC > 1 else "")  # the first states know of no number
    digest = hashlib.sha256(first.encode())
    for source in sorted(sources_of(path)):
        content = hashlib.sha256(source.read_bytes()).digest()
        digest.update(source.relative_to(root).as_posix().encode() + b"\0" + content)
    return digest.hexdigest()


def sources_of(path: Path) -> set[Path]:
    """The files that a module is made of: its own, and those beside it that it reaches by imports."""
    root, seen, waiting = _root(path), set[Path](), [path.resolve()]
    package = waiting[0].relative_to(root).parts[0]
    while waiting:
        source = waiting.pop()
        if source in seen:
            continue
        seen.add(source)
        for base, dotted in _imports(source, root):
            first = dotted.split(".")[0]
            foreign = root.name in INSTALLED and first != package  # every library would be a module beside it
            if not (base == root and (first == OURS or foreign)):
                waiting.extend(_files(base, dotted, root))
    return seen


def _root(path: Path) -> Path:
    """The folder that a module's absolute imports start from: the one that its outermost package lies in."""
    root = path.resolve().parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return root


def _imports(source: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """(folder, dotted name in it) of all that a module may import."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError):  # whoever imports it will hear of it
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((root, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = source.parents[node.level - 1] if 0 < node.level <= len(source.parents) else root
            yield from ((base, ".".join(filter(None, (node.module, alias.name)))) for alias in node.names)


def _files(base: Path, dotted: str, root: Path) -> Iterator[Path]:
    """The files that importing a dotted name may run: each package on the way, and the module."""
    parts = dotted.split(".")
    for depth in range(len(parts) + 1):
        place = base.joinpath(*parts[:depth])
        if place.is_relative_to(root):
            found = (place.with_name(f"{place.name}.py"), place / "__init__.py")
            yield from (file for file in found if place != root and file.is_file())
