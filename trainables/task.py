"""What does a person write to have a training tuned, and how is it found?"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from studies.errors import InputError, TaskError
from studies.plan import Plan
from studies.trial import Metric
from trainables.supervised import Split, Supervised

BUILT_IN = {"digits": "trainables.tasks.digits:Digits", "cifar10": "trainables.tasks.cifar10:Cifar10"}

OPTIMIZERS = {
    "sgd": lambda parameters, momentum: torch.optim.SGD(parameters, lr=1.0, momentum=momentum),
    "nesterov": lambda parameters, momentum: torch.optim.SGD(parameters, lr=1.0, momentum=momentum, nesterov=momentum > 0),
    "adam": lambda parameters, momentum: torch.optim.Adam(parameters, lr=1.0, betas=(momentum, 0.999)),
    "adamw": lambda parameters, momentum: torch.optim.AdamW(parameters, lr=1.0, betas=(momentum, 0.999), weight_decay=0.0),
    "nadam": lambda parameters, momentum: torch.optim.NAdam(parameters, lr=1.0, betas=(momentum, 0.999)),
    "rmsprop": lambda parameters, momentum: torch.optim.RMSprop(parameters, lr=1.0, momentum=momentum),
    "adagrad": lambda parameters, momentum: torch.optim.Adagrad(parameters, lr=1.0),
}
"""By name; momentum is SGD's, or the first beta. Weight decay is off: method/004 wants no regularisation in stages 1 to 3."""


class Task:
    """Supervised training: subclass it, say what the data and the model are, and what decides.

    metric, mode: the name of what decides, and "max" or "min". data(): (train, valid), each a pair (inputs, targets) of
    tensors or a map-style data set of such pairs. model(): a fresh torch.nn.Module.

    Where the defaults do not fit: loss(outputs, targets), the mean over a batch (cross-entropy for integer targets, else
    mean squared error); metrics(outputs, targets), a dict of numbers over the whole validation set, or a torchmetrics
    Metric or MetricCollection as an attribute, where that does not fit in memory (accuracy for integer targets, else none);
    optimizer(model, plan), a torch optimizer whose groups' rates count relative to the first one's.

    data_path: what --data named, or None.
    """

    metric: str = "accuracy"
    mode: str = "max"
    data_path: str | None = None

    def data(self) -> tuple[Any, Any]:
        raise NotImplementedError

    def model(self) -> nn.Module:
        raise NotImplementedError

    def loss(self, outputs: Any, targets: torch.Tensor) -> torch.Tensor:
        if targets.is_floating_point():
            return nn.functional.mse_loss(outputs.reshape(targets.shape), targets)
        return nn.functional.cross_entropy(outputs, targets)

    def metrics(self, outputs: Any, targets: torch.Tensor) -> Mapping[str, float]:
        if targets.is_floating_point():
            return {}
        return {"accuracy": (outputs.argmax(1) == targets).float().mean().item()}

    def optimizer(self, model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
        if plan.optimizer not in OPTIMIZERS:
            raise InputError(f"--optimizer: expected one of {', '.join(OPTIMIZERS)}; got {plan.optimizer!r}")
        return OPTIMIZERS[plan.optimizer](model.parameters(), plan.momentum)

    def measure(self, batches: Iterable[tuple[Any, torch.Tensor]]) -> dict[str, float]:
        """val_loss (mean over the examples) and the metrics, of (outputs, targets) batch by batch.

        Raises: TaskError if the metrics are not numbers by name.
        """
        kept, total, examples = [], 0.0, 0
        running = self.metrics if isinstance(self.metrics, nn.Module) else None
        if running is not None:
            running.reset()
        for outputs, targets in batches:
            total += float(self.loss(outputs, targets)) * len(targets)
            examples += len(targets)
            if running is not None:
                running.to(targets.device).update(outputs, targets)
            else:
                kept.append((outputs, targets))
        metrics = running.compute() if running is not None else self.metrics(*(torch.cat(parts) for parts in zip(*kept)))
        if isinstance(metrics, torch.Tensor):
            metrics = {self.metric: metrics}
        if not isinstance(metrics, Mapping):
            raise TaskError(f"metrics: expected a dict of numbers by name; got {type(metrics).__name__}")
        return {"val_loss": total / examples, **{str(name): float(value) for name, value in metrics.items()}}


class Supervision:
    """A Task as a workload (trainables.trainable.Workload): its data loaded once, its splits kept on the device."""

    def __init__(self, task: Task, name: str, fingerprint: str):
        self.task, self.name, self.fingerprint = task, name, fingerprint
        self.target = Metric(name=task.metric, mode=task.mode)
        self._splits: dict[str, tuple[Split, Split]] = {}

    @cached_property
    def _data(self) -> tuple[Any, Any]:
        halves = self.task.data()
        if not isinstance(halves, tuple | list) or len(halves) != 2:
            raise TaskError(f"{self.name}.data: expected (train, valid); got {type(halves).__name__}")
        for half, name in zip(halves, ("train", "valid")):
            if len(Split(half, "cpu")) == 0:
                raise TaskError(f"{self.name}.data: {name} has no examples")
        return tuple(halves)

    @property
    def train_examples(self) -> int:
        return len(Split(self._data[0], "cpu"))

    @property
    def valid_examples(self) -> int:
        return len(Split(self._data[1], "cpu"))

    def trainable(self, plan: Plan, device: str) -> Supervised:
        if device not in self._splits:
            self._splits[device] = tuple(Split(half, device) for half in self._data)
        return Supervised(self.task, plan, *self._splits[device], device)


class Custom:
    """A class that trains in its own way (the four methods of Trainable) as a workload."""

    train_examples = valid_examples = 0

    def __init__(self, made: type, name: str, fingerprint: str):
        self._made, self.name, self.fingerprint = made, name, fingerprint
        self.target = Metric(name=getattr(made, "metric", "loss"), mode=getattr(made, "mode", "min"))

    def trainable(self, plan: Plan, device: str) -> Any:
        offered = {
            "plan": plan,
            "device": device,
            **{name: getattr(plan, name) for name in ("batch_size", "momentum", "optimizer", "seed")},
        }
        wanted = inspect.signature(self._made).parameters
        return self._made(**{name: value for name, value in offered.items() if name in wanted})


def load_task(spec: str, data: str | None = None) -> Any:
    """The workload that `--task` names: a built-in, file.py:Name, module:Name or replay:FILE.

    data: what --data names, given to the task as data_path.

    Raises: InputError if the spec does not name a task, listing what there is; TaskError, with the traceback, if its module
    cannot be loaded.
    """
    if spec.startswith("replay:"):
        from trainables.replay import Replay

        return Replay(Path(spec.removeprefix("replay:")))
    place, _, name = BUILT_IN.get(spec, spec).rpartition(":")
    if not place or not name:
        raise InputError(f"--task: expected {', '.join(BUILT_IN)}, file.py:Name, module:Name or replay:FILE; got {spec!r}")
    made = _named(_module(place, spec), name, spec)
    fingerprint = _fingerprint(Path(inspect.getfile(made)), name, data)
    if not issubclass(made, Task):
        return Custom(made, name, fingerprint)
    made.data_path = data
    try:
        task = made()
        return Supervision(task, spec if spec in BUILT_IN else name, fingerprint)
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f"--task {spec}: {type(error).__name__}: {error}", traceback.format_exc()) from None


def _module(place: str, spec: str) -> ModuleType:
    try:
        if place.endswith(".py"):
            return _file_module(Path(place).resolve())
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
        return importlib.import_module(place)
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name == place.partition(".")[0]:
            raise InputError(f"--task {spec}: there is no module {place!r}; expected file.py:Name or module:Name") from None
        raise TaskError(f"--task {spec}: cannot be loaded: {type(error).__name__}: {error}", traceback.format_exc()) from None


def _file_module(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"--task: there is no file {path}")
    name = f"task_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    specification = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _named(module: ModuleType, name: str, spec: str) -> type:
    made = getattr(module, name, None)
    if inspect.isclass(made) and (
        issubclass(made, Task) or all(hasattr(made, m) for m in ("train", "evaluate", "state", "restore"))
    ):
        return made
    there = [
        key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, Task) and value is not Task
    ]
    what = "is no subclass of Task or Trainable" if made is not None else "is not there"
    raise InputError(f"--task {spec}: {name} {what}; tasks in it: {', '.join(there) or 'none'}")


def _fingerprint(path: Path, name: str, data: str | None) -> str:
    """Hash of the task's source, of the modules beside it that it imports (and those that they import), and of its data's
    name: found by reading, not by importing, so that it is the same in every process."""
    digest = hashlib.sha256(f"{name}\0{data}".encode())
    for source in sorted(_sources(path, path.parent, set())):
        digest.update(source.relative_to(path.parent).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def _sources(path: Path, folder: Path, seen: set[Path]) -> set[Path]:
    if path in seen or not path.is_file():
        return seen
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1] if node.level else folder
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names] + [node.module or ""]
            for dotted in names:
                _follow(base, dotted, folder, seen)
            continue
        for dotted in names:
            _follow(folder, dotted, folder, seen)
    return seen


def _follow(base: Path, dotted: str, folder: Path, seen: set[Path]) -> None:
    parts = [part for part in dotted.split(".") if part]
    for depth in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:depth])
        if folder in place.parents:
            for candidate in (place.with_suffix(".py"), place / "__init__.py"):
                _sources(candidate, folder, seen)
