"""What else is done in training, besides steps at a rate? The recipe: parts that are off unless a person switches them on.

A part is a value; `trainables.recipe` carries it out. The first line of its docstring is what `tune recipes` says of it. In a
file or a task a part may be written in full (`mixup: {alpha: 0.4}`), by its first value alone (`mixup: 0.4`), or, where
everything has a default, as `mixup: true`; `mixup: false` is off. "Text" are the method's texts, 001 to 004.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from studies.value import Count, Number, Positive, Value, problem

Probability = Annotated[float, Field(strict=True, gt=0, le=1)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Switch = Annotated[bool, Field(strict=True)]
Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(lambda names: (names,) if isinstance(names, str) else names),
    Field(min_length=1),
]


_TABLE = TypeAdapter(Annotated[dict[str, Positive], Field(min_length=1)])


def _pairs(table: Any) -> tuple[tuple[str, float], ...]:
    """A mapping as what can be hashed; its order means nothing."""
    return tuple(sorted(_TABLE.validate_python(table).items()))


Factors = Annotated[tuple[tuple[str, float], ...], BeforeValidator(_pairs), PlainSerializer(dict, return_type=dict)]
"""Factors by pattern."""


class _Choices(Value):
    """A value of which only what was chosen is written down."""

    @model_serializer(mode="wrap")
    def _chosen(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: content for name, content in dump(self).items() if content is not None}


class Part(_Choices):
    """One part of a recipe; see the module's docstring for how it is written."""

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, content: Any) -> Any:
        if content is True:
            return {}
        return content if isinstance(content, Mapping | Value) else {next(iter(cls.model_fields)): content}


class WeightDecay(Part):
    """Weight decay, as the optimizer has it: L2 in the gradient, decoupled in adamw; text 001 begins with 1e-4.

    biases_and_norms: whether they decay, too; the paper that text 002 is about (arXiv:1812.01187, 3.1) spares them.
    """

    rate: Positive
    biases_and_norms: Switch = True


class Dropout(Part):
    """The probability of every dropout layer of the model, 0 for none of it (Srivastava et al. 2014; text 001)."""

    p: Annotated[float, Field(strict=True, ge=0, lt=1)]


class L1(Part):
    """The sum of the parameters' sizes, times this, counts in the loss, so that many come near 0 (text 001)."""

    rate: Positive


class LabelSmoothing(Part):
    """The labels are mixed with so much of a uniform distribution (Szegedy et al. 2015, arXiv:1512.00567, 7; text 002).

    The model is less sure of its answers then: thresholds for them are to be set anew.
    """

    smoothing: Share


class MixUp(Part):
    """Blends of two examples and of their labels, by a share from Beta(alpha, alpha) (arXiv:1710.09412; texts 001, 002)."""

    alpha: Positive = 0.2


class CutMix(Part):
    """A rectangle of one image in another, the labels mixed by area (arXiv:1905.04899; text 002); with mixup, either by lot."""

    alpha: Positive = 1.0


class SamplePairing(Part):
    """An image becomes its mean with another one and keeps its label (Inoue 2018, arXiv:1801.02929; text 001).

    p: the probability of each image.
    """

    p: Probability = 0.5


class Flip(Part):
    """Images are mirrored, left to right, with this probability (text 002). vertical: and, independently, upside down."""

    p: Probability = 0.5
    vertical: Switch = False


class Crop(Part):
    """Images are padded by so many pixels of zeros, and cropped to their size somewhere (text 002)."""

    padding: Count = 4


class Rotate(Part):
    """Images are turned by up to so many degrees, and zoomed by factors in [1 - zoom, 1 + zoom]; zeros come in (text 001)."""

    degrees: Annotated[float, Field(strict=True, gt=0, le=180)] = 15.0
    zoom: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0


class ColorJitter(Part):
    """Brightness, contrast and saturation change by factors in [1 - x, 1 + x], in random order (text 002).

    No hue, as text 002 has it: turning colours round makes of most objects what does not exist. One number is all three.
    """

    brightness: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.4
    contrast: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.4
    saturation: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.4

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, content: Any) -> Any:
        if content is True or isinstance(content, Mapping | Value):
            return super()._in_short(content)
        return dict.fromkeys(cls.model_fields, content)


class RandAugment(Part):
    """Each image goes through so many operations drawn from 14, all of one magnitude (arXiv:1909.13719; text 002)."""

    operations: Count = 2
    magnitude: Annotated[int, Field(strict=True, ge=0, le=30)] = 9


class AutoAugment(Part):
    """Images go through a pair of operations, by the policy of imagenet, cifar10 or svhn (arXiv:1805.09501; texts 001, 002)."""

    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet"


class Cutout(Part):
    """A square of so many pixels, its centre anywhere in the image, becomes zeros (arXiv:1708.04552; text 001)."""

    size: Count


class Noise(Part):
    """Gaussian noise of this deviation, in the inputs' own unit, is added to them (text 001)."""

    deviation: Positive


class EarlyStopping(Part):
    """Training ends after so many epochs without a better validation, and goes back to its best weights (text 001).

    After each epoch (to the nearest step) there is a look at the metric that the task is about. The path keeps its planned
    length, by which paths are shared, forked and resumed; the steps after the end do nothing and cost nothing.
    """

    patience: Count = 10


Way = Literal[
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "constant", "normal", "uniform"
]


FLAT = ("constant", "normal", "uniform")
"""The ways that need no fan."""


class Filling(Part):
    """How a tensor is filled at first (torch.nn.init).

    value: the gain of xavier and orthogonal (1 if not given; torch's for ReLU is 1.414, for tanh 1.667), the negative slope of
    kaiming (0), the constant (0), the deviation of normal (0.01), the half width of uniform (0.01).
    """

    way: Way
    value: Number | None = None


class Init(Part):
    """How weights of a kind of layers, or biases, are filled: xavier_uniform, kaiming_normal, orthogonal, ... (text 001).

    Those of which nothing is said stay as the model has them.
    """

    conv: Filling | None = None
    linear: Filling | None = None
    embedding: Filling | None = None
    bias: Filling | None = None

    @model_validator(mode="after")
    def _possible(self):
        if self == type(self).model_construct():
            raise ValueError(f"expected a filling for one of {', '.join(type(self).model_fields)}")
        if self.bias and self.bias.way not in FLAT:
            raise ValueError(f"bias: expected one of {', '.join(FLAT)}, for what has one dimension; got {self.bias.way}")
        return self


class Freeze(Part):
    """Parameters and layers of these names are not trained, norm layers among them not even followed (text 004).

    names: as model.named_parameters() has them, or those of layers; * stands for anything.
    """

    names: Patterns


class LayerRates(Part):
    """Parameters and layers of these names learn at the rate times a factor; where several match, times all (text 004)."""

    factors: Factors

    @model_validator(mode="before")
    @classmethod
    def _in_short(cls, content: Any) -> Any:
        written = isinstance(content, Value) or (isinstance(content, Mapping) and "factors" in content)
        return content if written else {"factors": content}


class LayerDecay(Part):
    """Each layer learns at the next one's rate times this factor, the last at the rate itself (arXiv:1801.06146; text 004)."""

    factor: Share


class Accumulate(Part):
    """A batch goes through the model in so many pieces, for want of memory; batch norm sees the pieces (texts 002, 003)."""

    pieces: Annotated[int, Field(strict=True, ge=2)]


class Clip(Part):
    """Gradients are scaled down to this norm, over all parameters together, where theirs is larger (arXiv:1211.5063)."""

    norm: Positive = 1.0


class Precision(Part):
    """The model computes in bfloat16 where that is enough, in training; weights and the loss stay single (arXiv:1905.12322)."""

    number: Literal["bf16"] = "bf16"


class MomentumCorrection(Part):
    """Heavy ball's velocity follows the rate when that changes (Goyal et al. 2017, arXiv:1706.02677, 3, remark 2; text 003)."""

    on: Literal[True] = True


class Recipe(_Choices):
    """Parts that are on; equal recipes are the same.

    Nothing is on by default: stages 1 to 3 look for the optimum of the loss, and text 004 wants no regularisation there. What the
    texts name beside these parts is ELSEWHERE.
    """

    weight_decay: WeightDecay | None = None
    dropout: Dropout | None = None
    l1: L1 | None = None
    label_smoothing: LabelSmoothing | None = None
    mixup: MixUp | None = None
    cutmix: CutMix | None = None
    sample_pairing: SamplePairing | None = None
    flip: Flip | None = None
    crop: Crop | None = None
    rotate: Rotate | None = None
    color_jitter: ColorJitter | None = None
    randaugment: RandAugment | None = None
    autoaugment: AutoAugment | None = None
    cutout: Cutout | None = None
    noise: Noise | None = None
    early_stopping: EarlyStopping | None = None
    init: Init | None = None
    freeze: Freeze | None = None
    layer_rates: LayerRates | None = None
    layer_decay: LayerDecay | None = None
    accumulate: Accumulate | None = None
    clip: Clip | None = None
    precision: Precision | None = None
    momentum_correction: MomentumCorrection | None = None

    @model_validator(mode="before")
    @classmethod
    def _without(cls, content: Any) -> Any:
        """False switches a part off, as True switches it on."""
        if not isinstance(content, Mapping):
            return content
        return {name: None if part is False else part for name, part in content.items()}

    def __bool__(self) -> bool:
        return any(True for _ in self.parts())

    @classmethod
    def read(cls, content: Any) -> "Recipe":
        """What a file or a task says.

        Raises: ValueError in one line: the key, what was expected, what came, the valid choices.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"expected parts by name, some of {', '.join(kinds())}; got {type(content).__name__}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["type"] != "extra_forbidden":
                raise ValueError(problem(error)) from None
            kind: Any = cls
            for name in first["loc"][:-1]:
                kind = get_args(kind.model_fields[name].annotation)[0]
            key = ".".join(map(str, first["loc"]))
            if key in ELSEWHERE:
                raise ValueError(f"{key} is no part of a recipe: {ELSEWHERE[key]}") from None
            raise ValueError(f"{key}: expected one of {', '.join(kind.model_fields)}") from None

    def parts(self) -> Iterator[tuple[str, Part]]:
        """Those that are on, by name, in the order of the fields."""
        return ((name, part) for name in type(self).model_fields if (part := getattr(self, name)) is not None)


ELSEWHERE = {
    "shake_shake": "a network, trainables.models.shakeshake26 or --task cifar10:shakeshake26 (text 001)",
    "shakedrop": "a network, trainables.models.shakedrop110 or --task cifar10:shakedrop110 (text 001)",
    "gaussian_blur": "left out, as grayscale is: of no use unless the data are such (text 002)",
    "sync_batch_norm": "--processes on GPUs has it by itself (texts 002, 003)",
    "warmup": "stage 2 warms up to a rate that grew much, unless --no-warmup; see --warmup-shape, too (texts 002, 003)",
    "schedule": "stage 3 finds the decay (text 004)",
    "restarts": "in best.yaml a segment of the schedule may be cosines, shape: restarts with over and growth (text 002)",
    "optimizer": "--optimizer names it; in best.yaml a segment of the schedule may have its own, adam, then sgd (text 001)",
}
"""Where the rest of what the texts name is, by the name under which it might be looked for."""


def kinds() -> dict[str, type[Part]]:
    """All parts there are, by name."""
    return {name: get_args(field.annotation)[0] for name, field in Recipe.model_fields.items()}


def described() -> list[dict[str, Any]]:
    """All parts there are, as `tune recipes` shows them: name, what it does, values, with the defaults that they have."""
    return [
        {
            "name": name,
            "what": (kind.__doc__ or "").splitlines()[0],
            "values": {
                key: {} if field.is_required() or field.default is None else {"default": field.default}
                for key, field in kind.model_fields.items()
            },
        }
        for name, kind in kinds().items()
    ]
