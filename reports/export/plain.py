"""What does `tune train` need to be told? best.yaml: what to train, how well it did, and where each value was decided."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from reports.export.text import comment
from reports.reading import read_mapping, shown
from studies.decision import Decision
from studies.errors import InputError
from studies.files import write_whole
from studies.ledger import Store
from studies.plan import Plan, Segment
from studies.trial import Metric
from studies.value import Number, Value

FORMAT = 1
SOFTWARE = ("torch", "optuna", "ray", "staged-tuner")
"""What a result depends on, beside Python."""

DECIDED_BY = {
    "stage1": ("lr", "step_nums"),
    "stage2": ("batch_size", "momentum"),
    "stage3": ("schedule",),
    "stage4": ("recipe",),
}
"""What each stage decides, also where it leaves it as it was. Another recipe is a person's elsewhere."""

EXPECTED = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid tuple": "a list of numbers",
    "a valid dictionary": "names and values",
}
"""pydantic's words in a reader's."""

Interval = tuple[Number, Number]


class Export(Value):
    """A winning plan, and what training it once more is to be held against.

    task: what `--task` takes; data: what `--data` takes, None for the task's own.
    value: the metric at the plan's end, mean over the seeds; values: one a seed; interval: 95 % for the mean.
    origins: the stage that decided it, by name of the value. versions: of the software it was found with, by name.
    """

    plan: Plan
    study: str
    task: str
    data: str | None = None
    metric: Metric
    value: Number | None = None
    interval: Interval | None = None
    values: tuple[Number, ...] = ()
    origins: Annotated[dict[str, str], Field(default_factory=dict)]
    versions: Annotated[dict[str, str], Field(default_factory=dict)]


class _Measured(Value):
    """The `metric` of the file."""

    name: str
    mode: Literal["min", "max"]
    value: Number | None = None
    interval: Interval | None = None
    values: tuple[Number, ...] = ()


class _Content(Value):
    """The file."""

    format: Literal[1]
    study: str
    task: str
    data: str | None = None
    metric: _Measured
    plan: dict[str, Any]
    decided: Annotated[dict[str, str], Field(default_factory=dict)]
    versions: Annotated[dict[str, str], Field(default_factory=dict)]


def export_study(store: Store, study: str, path: Path) -> Path:
    """Write the last winner of a study down as a configuration.

    Raises: InputError if nothing has been decided yet; StorageError.
    """
    decisions, settings = decided(store, study), store.record(study).settings
    return write_export(
        path,
        decisions[-1].winner,
        study=study,
        task=settings["task"],
        data=settings.get("data"),
        decision=decisions[-1],
        origins=origins(decisions),
        versions={"python": python_version(), **{name: version(name) for name in SOFTWARE}},
    )


def decided(store: Store, study: str) -> Sequence[Decision]:
    """The decisions of a study, one at least.

    Raises: InputError.
    """
    decisions = store.decisions(study)
    if not decisions:
        go_on = store.record(study).command("resume", study)
        raise InputError(f"export: study {study!r} has no decision yet; go on with: {go_on}")
    return decisions


def origins(decisions: Sequence[Decision]) -> dict[str, str]:
    """Where each of the last winner's values was decided: the last stage that was to, or that changed it. What none was to, such
    as the batch size before stage 2, is not named."""
    where: dict[str, str] = {}
    before: dict[str, object] = {}
    for decision in decisions:
        now = decision.winner.describe()
        changed = {name for name in now if before and before.get(name) != now[name]} - {"seed", "optimizer", "recipe"}
        where |= {name: decision.stage for name in now if name in {*DECIDED_BY.get(decision.stage, ()), *changed}}
        before = now
    return where


def write_export(
    path: Path,
    plan: Plan,
    *,
    study: str,
    task: str,
    decision: Decision,
    data: str | None = None,
    origins: Mapping[str, str] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Write the plan down for `tune train` and for readers, as YAML with comments (as JSON if the path ends in .json).

    The same arguments give the same bytes. decision: the one that the plan won, with the metric it reached.
    Raises: StorageError.
    """
    content = {
        "format": FORMAT,
        "study": study,
        "task": task,
        **({"data": data} if data is not None else {}),
        "metric": {
            **decision.metric.model_dump(),
            "value": decision.value,
            "interval": decision.interval and list(decision.interval),
            **({"values": list(decision.values)} if decision.values else {}),
        },
        "plan": plan.describe(),
        "decided": dict(origins or {}),
        "versions": dict(sorted((versions or {}).items())),
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n" if path.suffix == ".json" else _commented(content, path.name)
    return write_whole(path, text)


def _commented(content: Mapping[str, Any], name: str) -> str:
    """YAML, with what a reader needs to know beside each value."""
    content = _quoted(content)
    document, metric, plan = (CommentedMap(part) for part in (content, content["metric"], content["plan"]))
    for key in ("interval", "values"):
        if metric.get(key):
            metric[key] = _in_line(metric[key])
    plan["schedule"] = CommentedSeq(_in_line(_ordered(part)) for part in plan["schedule"])
    seeds = len(metric.get("values", ())) or 1
    _beside(metric, "value", "at the end of the plan" + (f", mean over {seeds} seeds" if seeds > 1 else ""))
    if metric["interval"]:
        _beside(metric, "interval", "95 %, of the mean")
    decided = {key: f"decided by {comment(stage)}" for key, stage in content["decided"].items()}
    for key in plan:
        told = ["optimizer updates"] if key == "step_nums" else ["the rate, segment by segment"] if key == "schedule" else []
        if told := [*told, *filter(None, [decided.get(key)])]:
            _beside(plan, key, "; ".join(told))
    document["metric"], document["plan"] = metric, plan
    how = f"tune train {comment(name)}"
    document.yaml_set_start_comment(f"The winner of a staged tuning run. Train it once more with:  {how}")
    yaml, out = YAML(), io.StringIO()
    yaml.width = 1_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(document, out)
    return out.getvalue()


def _quoted(content: Any) -> Any:
    """Text with control characters in double quotes, the one style in which ruamel writes all of them so that they come back."""
    if isinstance(content, Mapping):
        return {key: _quoted(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_quoted(value) for value in content]
    return DoubleQuotedScalarString(content) if isinstance(content, str) and not content.isprintable() else content


def _beside(part: CommentedMap, key: str, words: str) -> None:
    if key in ("schedule", "recipe"):  # its value begins on the next line, where ruamel would put the comment
        part.yaml_set_comment_before_after_key(key, before=words, indent=2)
    else:
        part.yaml_add_eol_comment(words, key, column=28)


def _ordered(segment: Mapping[str, Any]) -> dict[str, Any]:
    """A segment as it reads best; a constant rate has nothing to recompute."""
    first = {name: segment[name] for name in ("steps", "shape", "lr")}
    return first | {name: value for name, value in segment.items() if (name, segment["shape"]) != ("interval", "constant")}


def _in_line(part: Any) -> Any:
    """A list or a mapping on one line of its own."""
    flow = CommentedMap(part) if isinstance(part, Mapping) else CommentedSeq(part)
    flow.fa.set_flow_style()
    return flow


def read_export(path: Path) -> Export:
    """What `write_export` wrote, or somebody by hand.

    Raises: InputError in one line: file, key, what was expected, what came, the valid choices.
    """
    content = read_mapping(path, _Content.model_fields, f"tune export STUDY --out {path.name}")
    try:
        file = _Content(**content)
        plan = _plan(file.plan)
    except ValidationError as error:
        raise InputError(f"{path}: {_problem(error, (), _Content)}") from None
    except ValueError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    shared = {name: getattr(file, name) for name in ("study", "task", "data", "versions")}
    metric = Metric(name=file.metric.name, mode=file.metric.mode)
    measured = {name: getattr(file.metric, name) for name in ("value", "interval", "values")}
    return Export(plan=plan, metric=metric, origins=file.decided, **measured, **shared)


def _plan(content: dict[str, Any]) -> Plan:
    for name in ("lr", "step_nums"):
        if name in content and (isinstance(content[name], bool) or not isinstance(content[name], int | float)):
            raise ValueError(f"plan.{name}: expected a number, got {shown(content[name])}")
    try:
        return Plan.read(content)
    except ValidationError as error:
        raise ValueError(_problem(error, ("plan",), Plan)) from None
    except ValueError as error:
        raise ValueError(f"plan.{error}") from None


def _problem(error: ValidationError, base: tuple[str, ...], model: type[Value]) -> str:
    """What is wrong first, in a line; a key that is not known comes before one that is missing, as it is often that one."""
    found = sorted(error.errors(include_url=False, include_context=True), key=lambda one: one["type"] != "extra_forbidden")[0]
    kind, place, why = found["type"], found["loc"], found.get("ctx", {})
    key = _key(base, model, place)
    if kind == "extra_forbidden":
        return f"{key}: unknown key; valid keys: {', '.join(_valid_keys(model, place[:-1]))}"
    if kind == "union_tag_invalid":
        return f"{key}.{why['discriminator'][1:-1]}: expected one of {why['expected_tags']}, got {shown(why['tag'])}"
    if kind == "union_tag_not_found":
        name = why["discriminator"][1:-1]
        choices = (repr(one.model_fields[name].default) for one in _reached(model, place)[1])
        return f"{key}.{name}: missing; expected one of {', '.join(choices)}"
    if kind == "missing" and isinstance(place[-1], int):
        return f"{_key(base, model, place[:-1])}: expected two numbers, got one"
    if kind == "missing":
        return f"{key}: missing; valid keys: {', '.join(_valid_keys(model, place[:-1]))}"
    expected = found["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if kind == "value_error" and ": expected " in expected:  # of one of its keys, in our own words
        return f"{key}.{expected}"
    expected = EXPECTED.get(expected, expected)
    if kind.startswith(("greater_than", "less_than")):
        expected = f"a number {expected}"
    if "segments" in place and place[-1] == "steps" and found["input"] is None:
        return f"{key}: missing; expected a number of steps"
    return f"{key}: expected {expected}, got {shown(found['input'])}"


def _key(base: Sequence[str], model: type[Value], place: Sequence[str | int]) -> str:
    """plan.schedule[0].over, of the place at which pydantic found it: ("segments", 0, "rate", "linear", "over")."""
    names, _ = _reached(model, place)
    if names[:1] == ["segments"]:
        names = ["schedule", *names[1:2], *(name for name in names[2:] if name != "rate")]
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in [*base, *names]).lstrip(".") or "the file"


def _valid_keys(model: type[Value], inside: Sequence[str | int]) -> list[str]:
    """Of the part of the file that is at this place."""
    names, [kind] = _reached(model, inside)
    if kind is Plan and not names:
        return ["lr", "step_nums", *(name for name in Plan.model_fields if name != "segments"), "schedule"]
    if names[:1] == ["segments"]:
        return [*(name for name in Segment.model_fields if name != "rate"), *kind.model_fields]
    return list(kind.model_fields)


def _reached(model: type[BaseModel], place: Sequence[str | int]) -> tuple[list[str | int], list[type[BaseModel]]]:
    """A place as the file has it, without the kinds by which pydantic tells the records of a union apart; and the kinds of
    record that there may be."""
    names, kinds = list[str | int](), [model]
    for name in place:
        if len(kinds) > 1 and isinstance(name, str):
            kinds = [kind for kind in kinds if name in (field.default for field in kind.model_fields.values())]
            continue
        names.append(name)
        if isinstance(name, str):
            kinds = list(_records(kinds[0].model_fields[name].annotation)) if kinds and name in kinds[0].model_fields else []
    return names, kinds


def _records(kind: Any) -> Iterator[type[BaseModel]]:
    """Those in an annotation."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _records(part)
