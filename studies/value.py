"""What is a value here? A frozen, checked record: equal content is the same thing."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Value(BaseModel):
    """Base of the frozen records that are written to files and databases.

    Unknown keys, NaN and infinity are refused; numbers are not coerced from strings or booleans.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


LARGEST = 2**53
"""Up to here every reader of JSON keeps whole numbers whole, and every database has room for them."""

RATES = (1e-10, 1e4)
"""Learning rates that may be asked for, and that Optuna's search space has: any that trains is well within."""

Count = Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
Natural = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Number = Annotated[float, Field(strict=True)]
Positive = Annotated[float, Field(strict=True, gt=0)]
LearningRate = Annotated[float, Field(strict=True, ge=RATES[0], le=RATES[1])]
NonNegative = Annotated[float, Field(strict=True, ge=0)]


def problem(error: ValidationError) -> str:
    """The first thing that is wrong, in one line: the key, what was expected, what came."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    expected = first["msg"].removeprefix("Value error, ")
    expected = expected[0].lower() + expected[1:]
    told = first["type"] in ("missing", "extra_forbidden") or "; got " in expected
    came = "" if told else f"; got {repr(first['input'])[:80]}"
    return f"{key}: {expected}{came}" if key else f"{expected}{came}"
