"""Which options and arguments do the commands take, and how is what they are given read?

`tune --help` imports this, so nothing heavy is imported here.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from studies.errors import InputError
from studies.workspace import WORKDIR


def numbers(kind: Callable[[str], Any]) -> Callable[[str], tuple]:
    """A parser of `1,0.1,0.01`."""

    def parse(text: str) -> tuple:
        if isinstance(text, tuple):
            return text
        try:
            return tuple(kind(part) for part in text.split(","))
        except ValueError:
            raise typer.BadParameter(f"expected {kind.__name__}s separated by commas; got {text!r}") from None

    return parse


def _option(kind: Any, help: str, *names: str, **more: Any) -> Any:
    return Annotated[Optional[kind], typer.Option(*names, help=help, show_default=False, **more)]  # noqa: UP045


def _list(kind: Callable[[str], Any], help: str, *names: str) -> Any:
    return _option(tuple, help, *names, parser=numbers(kind), metavar=f"{kind.__name__.upper()},...")


def place(text: str) -> str:
    """A URL; or a folder, which is the same one wherever it is read again."""
    if not text:
        raise typer.BadParameter("expected a folder or a URL; got ''")
    return text if "://" in text or "::" in text else os.path.abspath(text)


def _place(help: str) -> Any:
    return _option(str, help, parser=place, metavar="URL")


def recipe(path: str) -> Any:
    """The recipe in a file."""
    from reports.reading import read_mapping
    from studies.recipe import Recipe, kinds

    if isinstance(path, Recipe):
        return path
    try:
        return Recipe.read(read_mapping(Path(path), kinds()))
    except ValueError as error:
        raise InputError(f"--recipe: {path}: {error}") from None


WHERE = {
    "study": _option(str, "Name of the study; the task's name if not given."),
    "storage": _option(
        str, "Database URL (SQLite, PostgreSQL, MySQL); sqlite:///WORKDIR/studies.db if not given.", envvar="TUNE_STORAGE"
    ),
    "workdir": _option(Path, f"Folder of logs, checkpoints and reports; {WORKDIR} if not given."),
}
JSON = {"json": Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON.")]}
COMMON = {
    "task": _option(str, "digits, cifar10, cifar10:MODEL, file.py:Name, module:Name or replay:FILE; digits if not given."),
    "data": _option(str, "Folder or zip of the task's data, for tasks that take one."),
    **WHERE,
    "runner": _option(str, "ray (default), serial, or tune (Ray Tune trials)."),
    "address": _option(str, "Join the Ray cluster at this address."),
    "workers": _option(int, "Trials at a time; as many as cores (or fit the GPUs) if not given."),
    "fuse": _option(bool, "Train plans that see the same batches as one model; measured if not given.", "--fuse/--no-fuse"),
    "gpus_per_trial": _option(float, "Share of a GPU for each trial; measured if not given."),
    "trial_timeout": _option(float, "Seconds without a report after which a trial has failed; for ever if not given."),
    "threads": _option(int, "CPU threads per process; 1 if not given."),
    "processes": _option(int, "Processes (each on a GPU, if any) that share every batch of a trial; 1 if not given."),
    "readers": _option(int, "Processes that read ahead for each worker what does not fit in memory; on a GPU 4 if not given."),
    "device": _option(str, "auto (default), cpu or cuda."),
    "checkpoints": _place("Folder or URL (s3://...) that takes the states; WORKDIR/STUDY/checkpoints if not given."),
    "seed": _option(int, "First seed; 0 if not given."),
    "repeats": _option(int, "Seeds with which the leaders are repeated; 3 if not given."),
    "metric": _option(str, "What decides; the task's own metric if not given."),
    "mode": _option(str, "min or max, for --metric."),
    "optimizer": _option(str, "sgd (default), adam, adamw, ..."),
    "batch_size": _option(int, "Where stage 1 looks; 64 if not given."),
    "momentum": _option(float, "Where stage 1 looks; 0.9 if not given."),
    "recipe": _option(
        str, "YAML file of what else is done in training (see tune recipes); the task's own.", parser=recipe, metavar="FILE"
    ),
    "eval_examples": _option(int, "Training examples between two evaluations; from the task's size if not given."),
    "dry_run": _option(bool, "Only say what it would cost at most, from a few real steps.", "--dry-run"),
    "exhaustive": _option(bool, "Train every candidate to the end, drop none early.", "--exhaustive/--racing"),
}

STAGE1 = {
    "lrs": _list(float, "Rates of the sweep; 1,0.1,...,0.00001 if not given."),
    "max_steps": _option(int, "No curve is followed further; 40 epochs if not given."),
    "refine": _option(bool, "Insert points around the best rate.", "--refine/--no-refine"),
}
STAGE2 = {
    "batch_sizes": _list(int, "Batch sizes; 32,64,128,256 if not given."),
    "momenta": _list(float, "Momenta; 0,0.5,0.9,0.95 if not given."),
    "search": _option(str, "grid (default) or random."),
    "trials": _option(int, "Pairs that a random search draws; 12 if not given."),
    "lr_scaling": _option(str, "How the rate follows the batch: linear (default), sqrt or none."),
    "warmup": _option(bool, "Warm up to a rate that grew much (the default).", "--warmup/--no-warmup"),
    "warmup_shape": _option(str, "gradual (default), or constant, at the old rate: for fine-tuning, detection, segmentation."),
}
STAGE3 = {
    "starts": _list(int, "Steps at which decay begins, 0 the first; shortly before the validation's peak if not given."),
    "factors": _list(float, "Factors of the decay; 0.5,0.1 if not given."),
    "intervals": _list(int, "Steps between its drops; a quarter and an eighth of the tail if not given."),
    "lazy_interval": _option(int, "Steps between recomputations of linear and cosine rates; 100, or a tenth of all if less."),
}
STAGE4 = {
    "tricks": _list(str, "Parts of a recipe, NAME or NAME=VALUE; of the usual ones those that the task can take, if not given."),
}
FINISH = {
    "folds": _option(int, "Folds of the cross-validation; 5 if not given."),
    "prune": _option(float, "Share of the weights that pruning takes away; 0.5 if not given."),
    "skip": _list(str, "What is left out of folds, mirror, shift, seeds, leaders, pruned, student, distilled."),
}

STUDY = {"study": Annotated[str, typer.Argument(help="Name of the study.")]}
PLACE = {key: WHERE[key] for key in ("storage", "workdir")}
QUICK = {
    "quick": _option(bool, "Propose a rate from a few batches, and stop there.", "--quick"),
    "centre": _option(bool, "Sweep around the rate that --quick proposes.", "--centre"),
}

CHECK = {
    "task": Annotated[str, typer.Argument(help="digits, cifar10, file.py:Name or module:Name.")],
    **{key: COMMON[key] for key in ("data", "device", "threads", "optimizer", "batch_size", "momentum", "recipe", "seed")},
    "seconds": _option(float, "About so long may it take; 60 if not given."),
}

TRIALS = {"stage": _option(str, "Those of this stage only.")}
TRIAL = {
    "stage": Annotated[str, typer.Argument(help="stage1, ... or stage5.")],
    "number": Annotated[int, typer.Argument(help="The trial's number in it.")],
}
ADD = {"lr": Annotated[float, typer.Option(help="The learning rate.", show_default=False)]}
EXTEND = {"to": Annotated[int, typer.Option(help="The step to which it is followed.", min=1, max=2**53, show_default=False)]}
OVERRULE = {
    "stage": TRIAL["stage"],
    "number": Annotated[int | None, typer.Argument(help="The number of the trial that wins.")],
    "reason": _option(str, "Why, for those who read the decision."),
    "take_back": _option(bool, "Let the rule decide again.", "--take-back"),
}
NOTE = {
    "text": Annotated[str, typer.Argument(help="What there is to say.")],
    "stage": _option(str, "What it is on: this stage."),
    "trial": _option(int, "The trial of this number in it."),
}

EXPORT = {
    "format": _option(str, "yaml (default) or json, for tune train; timm, lightning, transformers, torch: in their own words."),
    "out": _option(Path, "Where to; STUDY's folder if not given."),
}
CLEAN = {
    "study": Annotated[str | None, typer.Argument(help="Only this one.")],
    "yes": _option(bool, "Remove what can go.", "--yes"),
}
TRAIN = {
    "config": Annotated[Path, typer.Argument(help="What `tune export` wrote.")],
    "out": _option(Path, "Folder for weights and metrics; trained/ beside the file if not given."),
    "task": _option(str, "Another task than the one in the file."),
    "data": COMMON["data"],
    "seed": _option(int, "Another seed than the one in the file."),
    "device": COMMON["device"],
    "threads": COMMON["threads"],
    "processes": COMMON["processes"],
    "readers": COMMON["readers"],
    "checkpoints": _place("Folder or URL (s3://...) that takes the states; a folder in --out if not given."),
}
SERVE = {
    "host": _option(str, "Address to listen on; 127.0.0.1 if not given."),
    "port": _option(int, "Port to listen on; 8080 if not given."),
    "token": _option(str, "A token of your own; made anew at each start if not given."),
}
