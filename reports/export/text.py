"""How is text written so that every reader takes it for what it is?"""

import json
from collections.abc import Mapping
from typing import Any


def comment(text: str) -> str:
    """Text from elsewhere, on one line, without what YAML allows nowhere."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def yaml(fields: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """A line for each field, with its comment. Values are JSON, which is YAML."""
    lines = []
    for name, value in fields.items():
        line = f"{name}: {_value(value)}"
        lines.append(f"{line:<32}  # {comments[name]}\n" if name in comments else f"{line}\n")
    return "".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_value(part)}' for name, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    text = json.dumps(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text  # 1e-05 is text to PyYAML
