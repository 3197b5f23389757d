"""How is the winner handed on? As best.yaml, which `tune train` reads; and in the words of the trainers people use.

A trainer is a module: SUFFIX, what its files end in; USE, how to, in lines that may name the file or module; written(plan,
examples), the text that says the plan and, in a line each, what it says otherwise. What it cannot say is Unsayable.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from reports.export import lightning, timm, torch, transformers
from reports.export.phases import Unsayable
from reports.export.plain import Export, decided, export_study, read_export, write_export
from reports.export.text import comment
from studies.decision import Decision
from studies.errors import InputError
from studies.files import write_whole
from studies.plan import Plan

__all__ = [
    "COUNT_IN_EPOCHS",
    "FORMATS",
    "TRAINERS",
    "Export",
    "decided",
    "export_study",
    "read_export",
    "suffix",
    "write_export",
    "write_for",
]

TRAINERS: Mapping[str, ModuleType] = {"timm": timm, "lightning": lightning, "transformers": transformers, "torch": torch}

FORMATS = ("yaml", "json", *TRAINERS)
"""What --format takes; `tune train` reads the first two."""

COUNT_IN_EPOCHS = ("timm",)
"""Those that must know how many examples an epoch has."""


def suffix(form: str) -> str:
    """What a file of this format ends in."""
    return TRAINERS[form].SUFFIX if form in TRAINERS else f".{form}"


def write_for(
    trainer: str, path: Path, plan: Plan, *, study: str, decision: Decision, examples: int | None = None
) -> tuple[str, ...]:
    """Write the plan down for a trainer; what the file says otherwise than the plan, in a line each (the file says so, too).

    decision: the one that the plan won. examples: training examples of an epoch, for trainers that count in epochs; None if
    the task does not say.

    Raises: InputError if the trainer has no words for the plan, naming the formats that have; StorageError.
    """
    plan = _common(plan)
    try:
        text, notes = TRAINERS[trainer].written(plan, examples)
    except Unsayable as error:
        able = ", ".join(form for form in FORMATS if form not in TRAINERS or form != trainer and _says(form, plan))
        raise InputError(f"--format {trainer}: {error}; formats that can say the plan: {able}") from None
    value = "" if decision.value is None else f": {decision.metric.name} {decision.value:.4g}"
    use = (line.format(file=path.name, module=path.stem) for line in TRAINERS[trainer].USE)
    head = [f"The winner of the study {study}{value}.", *use, *(f"NOTE: {note}" for note in notes)]
    write_whole(path, "".join(f"# {comment(line)}".rstrip() + "\n" for line in head) + "\n" + text)
    return notes


def _common(plan: Plan) -> Plan:
    """Heavy ball whose velocity follows the rate is what everybody else calls SGD (arXiv:1706.02677, 3, remark 2); so is one that
    has nothing to follow."""
    steady = not plan.momentum or [segment.rate.shape for segment in plan.segments] == ["constant"]
    if plan.optimizer != "heavyball" or not (plan.recipe.momentum_correction or steady):
        return plan
    return plan.but(optimizer="sgd", recipe=plan.recipe.model_copy(update={"momentum_correction": None}))


def _says(trainer: str, plan: Plan) -> bool:
    """Whether it can, where every step ends an epoch."""
    try:
        TRAINERS[trainer].written(plan, plan.batch_size)
    except Unsayable:
        return False
    return True
