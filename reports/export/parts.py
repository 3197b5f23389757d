"""Which parts of a recipe can a trainer be told of? Those that it names; others are refused, or left to do."""

from collections.abc import Collection

from reports.export.phases import Unsayable
from studies.plan import Plan
from studies.recipe import Part


def left(plan: Plan, trainer: str, said: Collection[str]) -> tuple[str, ...]:
    """A note of the parts of the recipe besides those that are said, if there are any.

    Raises: Unsayable if the optimizer changes on the way.
    """
    if any(segment.optimizer not in (None, plan.optimizer) for segment in plan.segments):
        raise Unsayable(f"{trainer} has no word for a change of the optimizer on the way")
    others = [in_words(name, part) for name, part in plan.recipe.parts() if name not in said]
    return (f"left to you is the rest of the recipe: {', '.join(others)}",) if others else ()


def in_words(name: str, part: Part) -> str:
    """mixup (alpha 0.2)."""
    values = part.model_dump(mode="json")
    return f"{name} ({', '.join(f'{key} {value}' for key, value in values.items())})" if values else name


def in_pieces(plan: Plan, trainer: str) -> tuple[int, int]:
    """(examples of a piece, pieces of a batch).

    Raises: Unsayable if the pieces are not of one size.
    """
    pieces = plan.recipe.accumulate.pieces if plan.recipe.accumulate else 1
    if plan.batch_size % pieces:
        raise Unsayable(f"{trainer} accumulates over pieces of one size, and {plan.batch_size} examples are not {pieces} such")
    return plan.batch_size // pieces, pieces
