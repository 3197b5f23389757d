"""What was found out about a task, in one finding?"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """wrong: tuning it would waste what it costs; doubt: look at it first; unseen: could not be found out."""

    OK = "ok"
    DOUBT = "doubt"
    WRONG = "wrong"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Finding:
    """One finding. name: what was looked at; saw: the numbers; do: what to do about it, "" if nothing."""

    name: str
    verdict: Verdict
    saw: str
    do: str = ""
