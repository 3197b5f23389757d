"""The command line: what can a person ask for?

What each command takes stands in tuner.options. Heavy libraries are imported inside the commands, so that `tune --help` answers
at once.
"""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from studies.errors import InputError, Interrupted, TaskError, TuneError
from studies.loading import loading
from studies.workspace import WORKDIR, Workspace, check_study_name, default_database, default_storage, default_study_name
from tuner.options import (
    ADD,
    CHECK,
    CLEAN,
    COMMON,
    EXPORT,
    EXTEND,
    FINISH,
    JSON,
    NOTE,
    OVERRULE,
    PLACE,
    QUICK,
    SERVE,
    STAGE1,
    STAGE2,
    STAGE3,
    STAGE4,
    STUDY,
    TRAIN,
    TRIAL,
    TRIALS,
    WHERE,
)

app = typer.Typer(
    name="tune",
    help="Tune a PyTorch training the way a patient expert would: learning rate, batch size and momentum, decay.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def command(name: str, help: str, *groups: dict[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command whose options are those of the groups; the function gets those that were given, as keywords."""
    options = {key: annotation for group in groups for key, annotation in group.items()}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def run(**given: Any) -> None:
            function(**{key: value for key, value in given.items() if value is not None})

        parameters = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=_default(annotation))
            for key, annotation in options.items()
        ]
        run.__signature__ = inspect.Signature(parameters)
        run.__annotations__ = options
        app.command(name, help=help)(run)
        return function

    return decorate


def _default(annotation: Any) -> Any:
    """What a parameter is when it was not given: required arguments have none, flags are off, the rest is None."""
    kind = annotation.__args__[0] if hasattr(annotation, "__args__") else annotation
    kind = getattr(annotation, "__origin__", kind)
    return inspect.Parameter.empty if kind in (str, int, float, Path) else False if kind is bool else None


@command("run", "All stages in order; goes on where it stopped.", COMMON, STAGE1, STAGE2, STAGE3, JSON)
def run(json: bool, **given: Any) -> None:
    _start(given, ("stage1", "stage2", "stage3"), json)


@command("stage1", "Stage 1: the learning rate and the number of steps.", COMMON, STAGE1, QUICK, JSON)
def stage1(json: bool, quick: bool = False, centre: bool = False, **given: Any) -> None:
    _start(given, ("stage1",), json, quick, centre)


@command("stage2", "Stage 2: batch size and momentum, from stage 1's winner.", COMMON, STAGE2, JSON)
def stage2(json: bool, **given: Any) -> None:
    _start(given, ("stage2",), json)


@command("stage3", "Stage 3: the decay of the rate, from stage 2's winner.", COMMON, STAGE3, JSON)
def stage3(json: bool, **given: Any) -> None:
    _start(given, ("stage3",), json)


@command("stage4", "Stage 4: the bag of tricks, each by itself and stacked, from stage 3's winner.", COMMON, STAGE4, JSON)
def stage4(json: bool, **given: Any) -> None:
    _start(given, ("stage4",), json)


@command("check", "Is a task fit to be tuned? Exit code 1 if something is wrong with it.", CHECK, JSON)
def check(task: str, json: bool, seconds: float = 60.0, **given: Any) -> None:
    from trainables.source import check_spec
    from tuner.settings import Settings

    check_spec(task)
    _check_trains("check", task)
    if not 1 <= seconds <= 86_400:
        raise InputError(f"--seconds: expected a number from 1 to 86400; got {seconds:g}")
    settings = Settings.of({}, {"task": task, **given})
    from reports.summary import write_finding
    from tuner import check as checking

    console, findings = _console(), []
    with console.status(f"checking {task}, {seconds:g} s at most"):
        for finding in checking.check(settings, seconds):
            findings.append(finding)
            write_finding(console, **asdict(finding))
    told = checking.summary(task, findings)
    if json:
        _emit(told)
    if not told["fit"]:
        raise typer.Exit(1)


@command("finish", "What folds, views, ensembles, pruning and distillation make of a winner.", STUDY, FINISH, PLACE, JSON)
def finish(study: str, json: bool, **given: Any) -> None:
    _go_on(study, {"stages": ("stage5",), **{key: given[key] for key in FINISH if key in given}}, given, json)


@command("resume", "Go on with a stopped study, as it was started.", STUDY, PLACE, JSON)
def resume(study: str, json: bool, **given: Any) -> None:
    _go_on(study, {}, given, json)


@command("status", "How the studies stand.", {"study": Annotated[str | None, typer.Argument(help="Only this one.")]}, PLACE, JSON)
def status(json: bool, study: str | None = None, **given: Any) -> None:
    from reports.progress import troubles
    from reports.summary import run_summary, wish_summary, write_status

    store = _store(given)
    records = [store.record(study)] if study else store.studies()
    told = {record.name: _results(store, record.name) for record in records}
    troubled = troubles(_workspace(store, study, given).log) if study else []
    wishes = store.wishes(study) if study else []
    write_status(_console(), records, told, whole=study is not None, troubles=troubled, wishes=wishes)
    if json:
        summaries = [run_summary(record, told[record.name]) for record in records]
        _emit(summaries[0] | {"wishes": list(map(wish_summary, wishes))} if study else {"studies": summaries})


@command("trials", "List a study's trials, by the numbers that extend, overrule and note take.", STUDY, TRIALS, PLACE, JSON)
def trials(study: str, json: bool, stage: str | None = None, **given: Any) -> None:
    from reports.summary import trial_summary, write_trials

    store = _store(given)
    store.record(study)
    found = _results(store, study)
    chosen = [one for one in found if stage in (None, one.name)]
    if stage and not chosen:
        raise InputError(f"--stage: expected one of {', '.join(one.name for one in found) or 'none, so far'}; got {stage!r}")
    write_trials(_console(), chosen)
    if json:
        _emit({"study": study, "trials": [trial_summary(one, trial) for one in chosen for trial in one.trials]})


@command("stop", "Ask a running study, wherever its driver is, to save and stop.", STUDY, PLACE, JSON)
def stop(study: str, json: bool, **given: Any) -> None:
    record = _store(given).stop(study)
    again = record.command("resume", study)
    _tell(f"{study}: asked {record.owner} to finish its steps, save and leave; go on later with: {again}")
    if json:
        _emit({"study": study, "asked": record.owner})


@command("add", "Add a learning rate to the sweep of stage 1.", STUDY, ADD, PLACE, JSON)
def add(study: str, lr: float, json: bool, **given: Any) -> None:
    _ask(_store(given), study, json, kind="rate", lr=lr)


@command("extend", "Follow a trial to a later end, from where it stands.", STUDY, TRIAL, EXTEND, PLACE, JSON)
def extend(study: str, stage: str, number: int, to: int, json: bool, **given: Any) -> None:
    store = _store(given)
    plan = store.trial(study, stage, number, points=1).plan
    if to <= plan.steps:
        raise InputError(f"--to: trial {number} of {stage} ends at step {plan.steps}; expected a later end, got {to}")
    settings = store.record(study).settings
    if settings["task"].startswith("replay:"):  # a table has an end
        from trainables.task import load_task

        _go_back(settings.get("cwd", "."))
        load_task(settings["task"]).trainable(plan.to(to), "cpu")
    _ask(store, study, json, kind="extend", stage=stage, plan=plan.to(to))


@command("overrule", "Let another trial win a stage; the later stages follow it.", STUDY, OVERRULE, PLACE, JSON)
def overrule(
    study: str, stage: str, json: bool, number: int | None = None, reason: str = "", take_back: bool = False, **given: Any
) -> None:
    if (number is None) != take_back:
        raise InputError("overrule: expected the number of the trial that wins, or --take-back, to let the rule decide again")
    if not take_back and not reason.strip():
        raise InputError("--reason: expected why this trial is to win, for those who read the decision")
    store = _store(given)
    plan = None if take_back else store.trial(study, stage, number, points=1).plan
    _ask(store, study, json, kind="overrule", stage=stage, plan=plan, reason=reason)


@command("note", "Write a note on a study, a stage or a trial.", STUDY, NOTE, PLACE, JSON)
def note(study: str, text: str, json: bool, stage: str | None = None, trial: int | None = None, **given: Any) -> None:
    _ask(_store(given), study, json, kind="note", text=text, stage=stage, number=trial)


@command("report", "Write the report: a page, figures and tables.", STUDY, PLACE, JSON)
def report(study: str, json: bool, **given: Any) -> None:
    store = _store(given)
    folder = _workspace(store, study, given).report  # an unknown study is told of before the drawing is imported
    with loading():
        from reports.page import report_study

    page = report_study(store, study, folder)
    _tell(f"report: {page}")
    if json:
        _emit({"study": study, "report": str(page)})


@command("export", "Write the winner down as a configuration.", STUDY, EXPORT, PLACE, JSON)
def export(study: str, json: bool, format: str | None = None, out: Path | None = None, **given: Any) -> None:
    from reports.export import FORMATS, TRAINERS, export_study, suffix

    format = format or ("json" if out and out.suffix == ".json" else "yaml")
    if format not in FORMATS:
        raise InputError(f"--format: expected one of {', '.join(FORMATS)}; got {format!r}")
    if out and format != "yaml" and out.suffix != suffix(format):
        raise InputError(f"--out: expected a file that ends in {suffix(format)}, for --format {format}; got {str(out)!r}")
    store = _store(given)
    workspace, notes = _workspace(store, study, given), ()
    if format in TRAINERS:
        from tuner import pipeline

        path = out.absolute() if out else workspace.export_for(format, suffix(format))
        _go_back(store.record(study).settings.get("cwd", "."))
        notes = pipeline.export_for(format, store, workspace, path)
        _tell("\n".join([f"exported: {path}; its first lines say how to use it", *(f"note: {note}" for note in notes)]))
    else:
        path = export_study(store, study, out or workspace.export.with_suffix(suffix(format)))
        _tell(f"exported: {path}; train it with: tune train {path}")
    if json:
        _emit({"study": study, "export": str(path), "format": format, "notes": notes})


@command("recipes", "What a recipe can switch on: augmentation, regularisation, initialisation, layers, large batches.", JSON)
def recipes(json: bool) -> None:
    from studies.recipe import ELSEWHERE, described

    parts = described()
    for part in parts:
        values = (f"{key}={value['default']}" if value else key for key, value in part["values"].items())
        _tell(f"{part['name']} ({', '.join(values)}): {part['what']}")
    _tell("\nNo parts, but elsewhere:")
    for name, where in ELSEWHERE.items():
        _tell(f"{name}: {where}")
    if json:
        _emit({"parts": parts, "elsewhere": ELSEWHERE})


@command("clean", "Show which of the studies' states can go, and what they take.", CLEAN, PLACE, JSON)
def clean(json: bool, yes: bool = False, study: str | None = None, **given: Any) -> None:
    store, litter = _store(given), []
    records = [store.record(study)] if study else store.studies()
    workspaces = [_workspace(store, record.name, given) for record in records]  # seen from here
    from tuner import clean as cleaning

    for record, workspace in zip(records, workspaces):
        _go_back(record.settings.get("cwd", "."))
        try:
            litter.append(cleaning.clean(store, workspace, remove=yes))
        except TuneError as error:
            if study:
                raise
            _tell(f"{record.name}: left alone: {error}")
    for line in (line for one in litter for line in one.lines()):
        _tell(line)
    if json:
        _emit(litter[0].summary() if study else {"studies": [one.summary() for one in litter]})


@command("train", "Train an exported configuration once more.", TRAIN, JSON)
def train(config: Path, json: bool, **given: Any) -> None:
    from tuner.settings import Settings

    Settings.of({}, {key: value for key, value in given.items() if key != "out"})
    from reports.export import read_export
    from trainables.source import check_spec

    check_spec(given.get("task", read_export(config).task))  # before PyTorch is imported, which takes seconds
    from reports.progress import ProgressView
    from tuner import train as training

    outcome = training.train(config, ProgressView(_console()), **given)
    for note in outcome.notes:
        _tell(note)
    _tell(f"{outcome.metric} {outcome.value:.4g}: {outcome.verdict}\nweights: {outcome.folder / 'weights.pt'}")
    if json:
        _emit(outcome.summary())


@command("dashboard", "Watch the studies of a storage, and resume them.", SERVE, PLACE)
def dashboard(host: str = "127.0.0.1", port: int = 8080, token: str | None = None, **given: Any) -> None:
    from reports.dashboard.server import serve

    serve(_store(given, new=True).url, _workdir(given), host=host, port=port, token=token)


KEYS = {"rate.lr": "--lr", "overrule.reason": "--reason", "note.text": "TEXT", "note.number": "--trial"}
"""What the command line calls the keys of a wish."""


def _ask(store: Any, study: str, json: bool, **content: Any) -> None:
    """Write down what a person asks for, and say who will see to it."""
    from reports.summary import wish_summary
    from studies.study import StudyState
    from studies.wish import Note, read_wish

    try:
        wish = read_wish(content)
    except InputError as error:
        key, _, rest = str(error).partition(":")
        raise InputError(f"{KEYS.get(key, key)}:{rest}") from None
    record = store.wish(study, wish)
    now = store.record(study)
    running, go_on = now.state is StudyState.RUNNING, now.command("resume", study)
    how = f"{now.owner} takes it up by itself" if running else f"go on with: {go_on}"
    _tell(f"{study}: written down: {wish.words}" + ("" if isinstance(wish, Note) else f"; {how}"))
    if json:
        _emit({"study": study, "state": now.state.value, "wish": wish_summary(record)})


def _start(given: dict[str, Any], stages: tuple[str, ...], json: bool, quick: bool = False, centre: bool = False) -> None:
    """Start a study, or go on with the one of that name: what is given now replaces what it was started with."""
    dry_run, quick = given.pop("dry_run", False), quick and not centre
    fresh = "storage" not in given and not default_database(_workdir(given)).exists()
    if fresh and not dry_run and not quick:
        _prepare(given)  # nothing can be recorded, so Ray starts while all else is imported
    store = None if fresh else _store(given)
    study, settings = _meant(given, stages, store)
    if quick or centre:
        proposal = _propose(settings)
        _tell(f"{proposal.lr:g} is the proposed rate ({proposal.sure}); {proposal.batches} batches were trained for it")
        if quick:
            return _emit(asdict(proposal)) if json else None
        settings = settings.model_copy(update={"lrs": proposal.around})
    if dry_run:
        return _forecast(settings, study, store, json)
    _drive(
        settings, store or _store(given, new=True), study, json
    )  # by now, what is wrong has been told before anything is written


def _meant(given: dict[str, Any], stages: tuple[str, ...], store: Any) -> tuple[str, Any]:
    """The study that is meant, by name, and its settings; from where it was started, if that is where its task is.

    store: where it may be recorded; None if there is nothing yet.
    """
    from trainables.source import same_task
    from tuner.settings import Settings

    own = {"stages": stages, "workdir": str(_workdir(given)), "cwd": os.getcwd()}
    options = {key: value for key, value in given.items() if key not in WHERE}
    study = check_study_name(given.get("study", default_study_name(given.get("task", Settings().task))))
    recorded = next((record.settings for record in store.studies() if record.name == study), {}) if store else {}
    was = recorded.get("cwd", ".")
    if recorded and not given.keys() & {"task", "data"}:
        own["cwd"] = was
        _go_back(was)
    elif recorded and not same_task(task := given.get("task", recorded["task"]), own["cwd"], recorded["task"], was):
        there, here = f"{recorded['task']} in {was}", f"{task} in {own['cwd']}"
        raise InputError(f"--study: {study!r} tunes {there}, not {here}; choose another name with --study")
    return study, Settings.of(recorded, options | own)


def _forecast(settings: Any, study: str, store: Any, json: bool) -> None:
    from reports.summary import write_forecast
    from trainables.machine import settle
    from trainables.parallel import gathered, load_spread
    from tuner.forecast import at_a_time, forecast
    from tuner.settings import start_of

    device = settle(settings.device, settings.threads, settings.processes)
    workload = load_spread(settings.task, settings.data, settings.processes, device, settings.threads)
    with gathered(workload):
        settings = settings.resolve(workload)
        decided, wishes = (store.decisions(study), store.wishes(study)) if store else ((), ())
        begun = [name for name in store.stages(study) if store.fingerprint(study, name) == workload.fingerprint] if store else ()
        trials = {name: store.trials(study, name) for name in begun}
        told = forecast(settings, workload, device, start_of(settings, decided, study), decided, trials, wishes)
    write_forecast(_console(), [asdict(stage) for stage in told], at_a_time(settings, device))
    if json:
        _emit({"forecast": [asdict(stage) | {"device_hours": stage.device_hours} for stage in told]})


def _prepare(given: Mapping[str, Any]) -> None:
    from trainables.source import check_spec
    from tuner.runners import prepare

    check_spec(given.get("task", "digits"))
    prepare(**{key: given[key] for key in ("runner", "address", "workers", "threads", "processes") if key in given})


def _drive(settings: Any, store: Any, study: str, json: bool) -> None:
    from tuner.runners import check_runner
    from tuner.settings import rests_on

    check_runner(settings.runner)
    store.check_free(study)  # before PyTorch is imported, which takes seconds, and Ray started
    heeded = store.heeded(study)
    if all(record.number <= heeded for record in store.wishes(study)):  # for others it would begin with an earlier stage
        rests_on(settings, store.decisions(study), study)
    _prepare(settings.model_dump())
    with loading():
        from reports.progress import ProgressView, log_to
        from reports.summary import run_summary, write_decisions
        from tuner import pipeline

    workspace = Workspace(Path(settings.workdir), study)
    console = _console()
    log_to(workspace.log, console)
    try:
        pipeline.tune(settings, store, workspace, ProgressView(console))
    finally:
        if json and any(record.name == study for record in store.studies()):  # what is refused at the start leaves no study
            _emit(run_summary(store.record(study), _results(store, study)))
    write_decisions(console, store.decisions(study))
    _tell(
        f"report: {workspace.report / 'index.html'}\nexported: {workspace.export}; train it with: tune train {workspace.export}"
    )


def _go_on(study: str, changes: dict[str, Any], given: dict[str, Any], json: bool) -> None:
    """Drive a study with its recorded settings, and these changes."""
    from tuner.settings import Settings

    Settings.of({}, changes)  # what is wrong is told before anything is opened
    store = _store(given)
    moved = {"workdir": str(_workdir(given))} if "workdir" in given else {}
    settings = Settings.of(store.record(study).settings, changes | moved)
    _go_back(settings.cwd)
    _drive(settings, store, study, json)


def _go_back(cwd: str) -> None:
    """To where a study was started: its task may be a file there."""
    if Path(cwd).is_dir():
        os.chdir(cwd)


def _propose(settings: Any) -> Any:
    from trainables.machine import settle
    from trainables.task import load_task
    from tuner.quick import propose

    _check_trains("--quick", settings.task)
    workload = load_task(settings.task, settings.data)
    return propose(workload, settings.resolve(workload).start, settle(settings.device, settings.threads))


def _check_trains(what: str, task: str) -> None:
    if task.startswith("replay:"):
        raise InputError(f"{what}: expected a task that trains; {task} is a table of recorded curves")


def _workdir(given: dict[str, Any]) -> Path:
    return Path(given.get("workdir", WORKDIR)).absolute()


def _store(given: dict[str, Any], new: bool = False) -> Any:
    """The store that --storage names, or the workdir's SQLite file. new: where somebody names a workdir, it need not be there."""
    with loading():
        from studies.ledger import Store

    if "storage" not in given:
        if "workdir" in given and not new and not os.path.exists(default_database(_workdir(given))):
            raise InputError(f"--workdir: expected a folder with studies; there are none in {_workdir(given)}")
        try:
            _workdir(given).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--workdir: expected a folder that can be written to; {error}") from None
    return Store(given.get("storage", default_storage(_workdir(given))))


def _workspace(store: Any, study: str, given: dict[str, Any]) -> Workspace:
    """Where --workdir says that a study is, as it may have been moved; else where it was left."""
    return Workspace(_workdir(given) if "workdir" in given else Path(store.record(study).settings["workdir"]), study)


def _results(store: Any, study: str) -> Any:
    from reports.stages import results

    return results(store, study)


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _emit(content: Any) -> None:
    """One line of JSON on stdout. What is not finite is null: JSON has no word for it."""
    from pydantic_core import to_json

    print(to_json(content, inf_nan_mode="null").decode())


def _version(asked: bool) -> None:
    if asked:
        print(f"staged-tuner {version('staged-tuner')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[bool, typer.Option("--version", help="Name and version.", callback=_version, is_eager=True)] = False,
) -> None:
    pass


def main() -> None:
    """The program: every error a person can act on is one line on stderr and its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's way to say Ctrl-C
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # what its library for several processes warns of is as it should be
    sys.exit(_run(sys.argv[1:]))


LONGEST = 1_000
"""Characters of an error: what it quotes may be a file's content, or a page pasted by mistake."""


def _line(text: str) -> str:
    """On one line, without what would move a terminal's cursor, and cut in the middle if it is long."""
    line = " ".join(text.splitlines())
    line = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


_UsageError = typer.BadParameter.__mro__[1]  # click's own; newer typers carry a click of their own


def _run(arguments: list[str]) -> int:
    try:
        code = app(args=arguments, prog_name="tune", standalone_mode=False) or 0
        if code == Interrupted.exit_code:  # what newer typers make of Ctrl-C
            raise KeyboardInterrupt
        return code
    except _UsageError as error:
        _tell(f"tune: {_line(error.format_message())}" if arguments else error.format_message())
        return 2
    except (typer.Abort, KeyboardInterrupt):
        _tell("tune: interrupted; run the same command again to go on")
        return 130
    except TaskError as error:
        _tell(f"tune: {_line(str(error))}" + (f"\n{error.traceback}" if error.traceback else ""))
        return error.exit_code
    except TuneError as error:
        _tell(f"tune: {_line(str(error))}")
        return error.exit_code
