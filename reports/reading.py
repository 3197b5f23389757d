"""What does a file say that somebody may have written by hand? Plain data, or in one line why not."""

import io
import json
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from studies.errors import InputError

LARGEST = 100_000
"""Bytes. An export takes about 1,000; a pure reader of YAML takes some 4 s for so many."""

DEEPEST = 10
NESTED = f"nested too deeply, expected {DEEPEST} levels at most"


def read_mapping(path: Path, keys: Iterable[str], written_by: str = "") -> dict[str, Any]:
    """The names and values in a file of YAML, or of JSON if it ends in .json.

    keys: which there may be, for whom it has none. written_by: the command that writes such a file, if one does.

    Raises: InputError in one line: file, place, what was expected, what came.
    """
    text = _text(path, written_by)
    try:
        content = _parsed(path, text, keys)
        _only_text_keys(content)
        return content
    except (ValueError, RecursionError) as error:
        told = NESTED if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise InputError(f"{path}: {told}") from None


def _text(path: Path, written_by: str) -> str:
    try:
        if path.is_dir():
            raise InputError(f"{path}: expected a file, got a folder")
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: expected an ordinary file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file" + (f"; write one with: {written_by}" if written_by else "")) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > LARGEST:
        raise InputError(f"{path}: expected at most {LARGEST:,} bytes, got more")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text, got the byte 0x{data[error.start]:02x} at {error.start}") from None


def _parsed(path: Path, text: str, keys: Iterable[str]) -> dict[str, Any]:
    """The content as plain data: nothing in the file is carried out, and nothing in it is said twice."""
    if path.suffix == ".json":
        content = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    else:
        content = _parsed_yaml(text)
    if not isinstance(content, dict):
        raise ValueError(f"expected keys and values ({', '.join(keys)}), got {shown(content)}")
    return content


def _parsed_yaml(text: str) -> Any:
    yaml = YAML(typ="safe", pure=True)
    try:
        depth = 0
        for event in yaml.parse(io.StringIO(text)):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError(NESTED)
            for kind in ("anchor", "tag"):
                if getattr(event, kind, None) is not None:
                    line = event.start_mark.line + 1
                    raise ValueError(f"line {line}: expected plain values, got the {kind} {str(getattr(event, kind))!r}")
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}not YAML: {(error.problem or error.context or '').strip()}") from None
    except YAMLError as error:
        raise ValueError(f"not YAML: {str(error).strip().splitlines()[0]}") from None


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice}: given twice")
    return dict(pairs)


def _no_number(word: str) -> None:
    raise ValueError(f"expected finite numbers, got {word}")


def _only_text_keys(content: Any, where: str = "") -> None:
    """Raises: ValueError. (Of JSON all keys are; YAML may have numbers and lists there.)"""
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in parts:
        if isinstance(content, dict) and not isinstance(key, str):
            raise ValueError(f"{where or 'the file'}: expected names as keys, got {shown(key)}")
        _only_text_keys(value, f"{where}.{key}" if where and isinstance(key, str) else f"{where}[{key}]" if where else str(key))


def shown(value: Any) -> str:
    """A value in an error: short, whatever it is, and without a line break."""
    names = {dict: "a mapping", list: "a list", tuple: "a list", type(None): "nothing"}
    return names.get(type(value)) or reprlib.repr(value)
