"""What does a person write to have a training tuned, and how is it found?"""

import importlib
import importlib.util
import inspect
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils.data import default_collate

from studies.errors import InputError, TaskError
from studies.finish import Fold
from studies.plan import Plan
from studies.recipe import Recipe
from studies.trial import Metric
from trainables.finish import folded
from trainables.machine import begin, count
from trainables.measuring import accuracy, hits
from trainables.randomness import seed_everything
from trainables.recipe.optimizers import make_optimizer
from trainables.source import BUILT_IN, check_spec, fingerprint_of, sources_of
from trainables.split import Split
from trainables.supervised import Supervised
from trainables.trainable import Trainable, Workload

AHEAD = 4
"""Processes that read for a training on a GPU, which leaves the cores to them."""


class Task:
    """Supervised training: subclass it, say what the data and the model are, and what decides.

    metric, mode: the name of what decides, and "max" or "min"; without them accuracy where the targets are integers, else
    val_loss. data(): (train, valid), each a pair (inputs, targets) of tensors or a map-style data set of such pairs.
    model(): a fresh torch.nn.Module; whatever training changes in it must be in its state_dict. An input that is a tuple
    or a dict is given to it as several arguments.

    Where the defaults do not fit: collate(items), what makes a batch (inputs, targets) of a data set's items (torch's
    default_collate, which wants tensors of one shape); loss(outputs, targets), the mean over a batch (cross-entropy for integer
    targets, else mean squared error); metrics(outputs, targets), a dict of numbers over the whole validation set, or a
    torchmetrics Metric or MetricCollection as an attribute, where that does not fit in memory (accuracy for integer targets, else
    none); optimizer(model, plan), a torch optimizer whose groups' rates count relative to the first one's. student(), a smaller
    model for `tune finish` to distil into.

    recipe: parts of a recipe (studies.recipe) by name, as a recipe file has them; --recipe takes their place.
    data_path: what --data named, or None; there when data() is called.
    """

    metric: str | None = None
    mode: str | None = None
    recipe: Mapping[str, Any] = MappingProxyType({})
    data_path: str | None = None

    def data(self) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} needs a method data(self) that returns (train, valid)")

    def model(self) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} needs a method model(self) that returns a torch.nn.Module")

    def student(self) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} needs a method student(self), a smaller model, to distil into it")

    def collate(self, items: list[tuple[Any, Any]]) -> tuple[Any, Any]:
        return default_collate(items)

    def loss(self, outputs: Any, targets: torch.Tensor) -> torch.Tensor:
        if targets.is_floating_point():
            return nn.functional.mse_loss(outputs.reshape(targets.shape), targets.to(outputs.dtype))
        return nn.functional.cross_entropy(outputs, targets.long())

    def metrics(self, outputs: Any, targets: torch.Tensor) -> Mapping[str, float]:
        return accuracy([hits(outputs, targets)])

    def optimizer(self, model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
        return make_optimizer(model, plan)


class Supervision:
    """A Task as a workload (trainables.trainable.Workload): its data loaded once, its splits kept on the device.

    readers: processes that read ahead what cannot be kept; None: AHEAD on a GPU, none on a CPU, whose cores train.

    Raises: TaskError, from the first use of the data, if that is not what a Task's should be.
    """

    def __init__(self, task: Task, name: str, fingerprint: str, readers: int | None = None):
        self.task, self.name, self.fingerprint, self._readers = task, name, fingerprint, readers
        self._splits: dict[str, tuple[Split, Split]] = {}

    @cached_property
    def target(self) -> Metric:
        if (self.task.metric, self.task.mode) != (None, None):
            return _target(self.name, self.task.metric, self.task.mode)
        _, targets = self.splits("cpu")[1].take(torch.tensor([0]))
        continuous = isinstance(targets, torch.Tensor) and targets.is_floating_point()
        return Metric(name="val_loss", mode="min") if continuous else Metric(name="accuracy", mode="max")

    @cached_property
    def recipe(self) -> Recipe:
        try:
            return Recipe.read(self.task.recipe)
        except ValueError as error:
            raise TaskError(f"{self.name}.recipe: {error}") from None

    @property
    def train_examples(self) -> int:
        return len(self.splits("cpu")[0])

    @property
    def valid_examples(self) -> int:
        return len(self.splits("cpu")[1])

    @property
    def image_side(self) -> int:
        """Pixels of the shorter side of its images; 0 if its inputs are none."""
        inputs, _ = self.splits("cpu")[0].take(torch.tensor([0]))
        return min(inputs.shape[-2:]) if isinstance(inputs, torch.Tensor) and inputs.dim() == 4 else 0

    @property
    def has_student(self) -> bool:
        """Whether the task has a smaller model."""
        return type(self.task).student is not Task.student

    def trainable(self, plan: Plan, device: str, kind: Callable[..., Supervised] = Supervised) -> Supervised:
        begin(device)
        splits = self.splits(device) if not isinstance(plan.finish, Fold) else self._folds(plan.finish, plan.seed, device)
        own = frozenset(name for name in ("loss", "metrics", "optimizer") if _is_own(self.task, name))
        return kind(self.task, plan, *splits, device, self.target, own)

    @cached_property
    def _data(self) -> tuple[Any, Any]:
        with blamed(f"{self.name}.data"):
            seed_everything("data")  # so that a split drawn at random is the same in every process
            halves = self.task.data()
        if not isinstance(halves, tuple | list) or len(halves) != 2:
            raise TaskError(f"{self.name}.data: expected (train, valid); got {type(halves).__name__}")
        return halves[0], halves[1]

    def _folds(self, fold: Fold, seed: int, device: str) -> tuple[Split, Split]:
        train, valid = folded(*self._data, fold, seed)
        return self._split(train, device), self._split(valid, device)

    def splits(self, device: str) -> tuple[Split, Split]:
        """Both halves of the data, for training on the device."""
        if device not in self._splits:
            halves = self._data
            with blamed(f"{self.name}.data: train"):
                train = self._split(halves[0], device)
            with blamed(f"{self.name}.data: valid"):
                valid = self._split(halves[1], device)
            self._splits[device] = train, valid
        return self._splits[device]

    def _split(self, half: Any, device: str) -> Split:
        readers = self._readers if self._readers is not None else 0 if device == "cpu" else min(AHEAD, count("cpu"))
        if multiprocessing.current_process().daemon:  # which may have no children
            readers = 0
        return Split(half, device, readers, self.task.collate if _is_own(self.task, "collate") else None)


def _is_own(task: Task, method: str) -> bool:
    """Whether it is not Task's, be it the class's or given to this very object."""
    return getattr(getattr(task, method), "__func__", None) is not vars(Task)[method]


class Custom:
    """A class that trains in its own way (the four methods of Trainable) as a workload.

    Raises: TaskError if it does not say what decides.
    """

    train_examples = valid_examples = 0
    recipe = Recipe()

    def __init__(self, made: type, name: str, fingerprint: str):
        self._made, self.name, self.fingerprint = made, name, fingerprint
        self.target = _target(name, getattr(made, "metric", None), getattr(made, "mode", None))

    def trainable(self, plan: Plan, device: str) -> Trainable:
        if plan.recipe:
            raise InputError(f"recipe: expected a Task, whose training it is for; {self.name} trains in its own way")
        if plan.finish:
            raise InputError(f"finish: expected a Task, whose data and model it needs; {self.name} trains in its own way")
        offered = {
            "plan": plan,
            "device": device,
            **{name: getattr(plan, name) for name in ("batch_size", "momentum", "optimizer", "seed")},
        }
        wanted = inspect.signature(self._made).parameters
        begin(device)
        seed_everything(plan.seed, "initialisation")
        return self._made(**{name: value for name, value in offered.items() if name in wanted})


def check_unedited(workload: Workload, spec: str, fingerprint: str) -> None:
    """Raises: TaskError if the task is no longer the one of this fingerprint, with which a run has begun."""
    if workload.fingerprint != fingerprint:
        raise TaskError(f"--task {spec}: edited while this run was under way; run again to tune it as it is now")


def load_task(spec: str, data: str | None = None, readers: int | None = None) -> Workload:
    """The workload that `--task` names: a built-in, file.py:Name, module:Name or replay:FILE.

    data: what --data names, given to the task as data_path. readers: see Supervision.

    Raises: InputError if the spec does not name a task, listing what there is; TaskError, with the traceback, if its module
    cannot be loaded.
    """
    place, name = check_spec(spec)
    if spec.startswith("replay:"):
        from trainables.replay import Replay

        return Replay(Path(place))
    seed_everything("task")  # what it draws when it is imported or made is the same in every process
    module = _module(place, spec)
    made = _named(module, name, spec)
    fingerprint = fingerprint_of(Path(module.__file__ or ""), name, data)
    if not issubclass(made, Task):
        return Custom(made, name, fingerprint)
    with blamed(f"--task {spec}"):
        task = made()
        task.data_path = data
        workload = Supervision(task, spec if spec in BUILT_IN else name, fingerprint, readers)
    if task.metric is not None:
        workload.target  # noqa: B018  what is wrong with it shows before the data is loaded
    return workload


@contextmanager
def blamed(where: str) -> Iterator[None]:
    """What the task's own code raises is a TaskError with its traceback; ours says where."""
    try:
        yield
    except InputError:
        raise
    except TaskError as error:
        raise TaskError(f"{where}: {error}", error.traceback) from error
    except (Exception, SystemExit) as error:
        raise TaskError(f"{where}: {type(error).__name__}: {error}", traceback.format_exc()) from error


def _target(name: str, metric: Any, mode: Any) -> Metric:
    if not isinstance(metric, str) or not metric or mode not in ("min", "max"):
        raise TaskError(f"{name}: expected metric, a name, and mode, 'min' or 'max'; got metric = {metric!r}, mode = {mode!r}")
    return Metric(name=metric, mode=mode)


def _module(place: str, spec: str) -> ModuleType:
    if not place.endswith(".py") and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with blamed(f"--task {spec}: cannot be loaded"):
        if place.endswith(".py"):
            return _file_module(Path(place).resolve())
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name and f"{place}.".startswith(f"{error.name}."):
                there = ", ".join([*(name for name in BUILT_IN if name.startswith(f"{place}:")), "file.py:Name or module:Name"])
                raise InputError(f"--task {spec}: there is no module {place!r}; expected {there}") from None
            raise
        if not getattr(module, "__file__", None):
            raise InputError(f"--task {spec}: {place!r} is a folder, no module; expected file.py:Name or module:Name")
        return module


def _file_module(path: Path) -> ModuleType:
    """The module in a file, as the file and the modules beside it are now."""
    name = f"task_{path.stem}_{fingerprint_of(path, str(path), None)[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    beside = {str(source) for source in sources_of(path)}
    for stale in [key for key, module in list(sys.modules.items()) if getattr(module, "__file__", None) in beside]:
        del sys.modules[stale]
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


METHODS = ("train", "evaluate", "state", "restore")


def _named(module: ModuleType, name: str, spec: str) -> type:
    made = getattr(module, name, None)
    if _trains(made):
        return made
    there = ", ".join(key for key, value in vars(module).items() if _trains(value)) or "none"
    if made is None:
        raise InputError(f"--task {spec}: there is no {name}; tasks in it: {there}")
    missing = [method for method in METHODS if getattr(made, method, None) is getattr(Trainable, method)]
    what = f"has no {' and no '.join(missing)}" if missing else "is no subclass of Task or Trainable"
    raise InputError(f"--task {spec}: {name} {what}; tasks in it: {there}")


def _trains(made: Any) -> bool:
    """Whether it is a subclass of Task, or a class with the four methods of Trainable."""
    if not inspect.isclass(made) or made in (Task, Trainable):
        return False
    own = [getattr(made, method, None) for method in METHODS]
    return issubclass(made, Task) or all(callable(one) and one is not getattr(Trainable, m) for one, m in zip(own, METHODS))
