"""What is done with a winner at last? method/004's list ends with it: other folds, other views, fewer weights. (Several models:
studies.plan.)"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from studies.value import Count, Natural, Value


class Fold(Value):
    """Trained on all but one of so many equal parts of all examples, validated on that one (k-fold cross-validation)."""

    kind: Literal["fold"] = "fold"
    index: Natural
    of: Annotated[int, Field(strict=True, ge=2)]

    @model_validator(mode="after")
    def _among_them(self) -> "Fold":
        if self.index >= self.of:
            raise ValueError(f"index: expected below {self.of}, got {self.index}")
        return self

    @property
    def words(self) -> str:
        return f"fold {self.index + 1} of {self.of}"


class Views(Value):
    """Evaluated on the mean of what the model says to an image, to its mirror image, and to it shifted by so many pixels
    (test-time augmentation). Training is as without."""

    kind: Literal["views"] = "views"
    mirror: bool = False
    shift: Natural = 0

    @property
    def words(self) -> str:
        views = [*(["mirror images"] if self.mirror else []), *([f"shifts by {self.shift}"] if self.shift else [])]
        return f"with {' and '.join(views) or 'no other view'}"


class Pruned(Value):
    """From step `at` on without this share of the weights, those that were the smallest there, over all layers (Han et al. 2015,
    arXiv:1506.02626)."""

    kind: Literal["pruned"] = "pruned"
    share: Annotated[float, Field(strict=True, gt=0, lt=1)]
    at: Count

    @property
    def words(self) -> str:
        return f"without {100 * self.share:.0f} % of the weights"
