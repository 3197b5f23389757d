"""How does a study look as one page? The result first, then every stage: question, decision, figures, candidates, cost."""

import io
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from reports import drawing, words
from reports.diagnosis import Diagnosis, diagnoses
from reports.figures import CAPTIONS, figures
from reports.frames import tables
from reports.stages import StageResults, results
from reports.summary import WARNINGS, cost_in_words
from studies.decision import Candidate, Decision
from studies.errors import StorageError
from studies.files import write_whole
from studies.ledger import Store
from studies.study import StudyRecord
from studies.trial import State, Trial
from studies.wish import WishRecord

DPI = 160
POINTS = 400
"""Of a curve, more than a figure can show."""
FIRST_ROWS = 12
"""Of the candidates; the others are folded."""

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(
    number=words.number,
    duration=words.duration,
    schedule=words.schedule,
    plan=words.plan,
    cost=cost_in_words,
    last_line=words.last_line,
    moment=lambda seconds: time.strftime("%d %b %Y, %H:%M %Z", time.localtime(seconds)),
)
ENVIRONMENT.globals.update(measured=words.measured, count=words.count)


@dataclass(frozen=True)
class Picture:
    """A figure on the page. file: of its PNG, relative to the page."""

    name: str
    title: str
    caption: str
    file: str
    drawn: Markup


@dataclass(frozen=True)
class Section:
    """A stage on the page."""

    stage: StageResults
    pictures: Sequence[Picture]
    ailments: Sequence[Diagnosis] = ()

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def decision(self) -> Decision | None:
        return self.stage.decision

    @property
    def states(self) -> str:
        return ", ".join(f"{number:,} {state.value}" for state, number in words.states(self.stage.trials).items())

    @property
    def rows(self) -> Sequence[tuple[Candidate, str, str]]:
        """The candidates, with their values to the same number of decimals, and the intervals of those that have one."""
        evidence = self.decision.evidence if self.decision else ()
        told = iter(words.alike([one.value for one in evidence if one.value is not None]))
        return [
            (
                one,
                "–" if one.value is None else next(told),
                " to ".join(words.interval_alike(one.value, one.interval)[1:]) if one.interval else "",
            )
            for one in evidence
        ]


@dataclass(frozen=True)
class Drawn:
    """The figures of a stage: as they are on the page, and as files by their names. key: tells what they were drawn from."""

    key: str
    pictures: Sequence[Picture]
    files: Mapping[str, bytes]


def report_study(store: Store, study: str, folder: Path, drawn: dict[str, Drawn] | None = None) -> Path:
    """Write the report of a study as it stands; its page. drawn: see write_report.

    Raises: InputError if there is no such study; StorageError.
    """
    return write_report(folder, store.record(study), results(store, study, points=POINTS), store.wishes(study), drawn)


def write_report(
    folder: Path,
    study: StudyRecord,
    stages: Sequence[StageResults],
    wishes: Sequence[WishRecord] = (),
    drawn: dict[str, Drawn] | None = None,
) -> Path:
    """Write index.html (which needs no other file), figures/STAGE-NAME.png and tables/NAME.csv; the path of the page.

    Every file is written whole, the page last; figures and tables of an earlier report that have no successor are removed.
    drawn: what an earlier report has left here by stage, for stages that are as they were; this one leaves its own.
    Raises: StorageError.
    """
    drawn = {} if drawn is None else drawn
    for stage in stages:
        key = repr(stage)  # what has not converged is no number, and so never equal to itself
        if stage.name not in drawn or drawn[stage.name].key != key:
            drawn[stage.name] = _draw(stage, key)
    decided = [stage.name for stage in stages if stage.decision]
    sections = [Section(stage, drawn[stage.name].pictures, diagnoses(stage, study, decided)) for stage in stages]
    images = {name: image for stage in stages for name, image in drawn[stage.name].files.items()}
    sheets = {f"tables/{name}.csv": frame.to_csv(index=False) for name, frame in tables(stages).items()}
    for name, content in {**images, **sheets}.items():
        write_whole(folder / name, content)
    _tidy(folder, keep={*images, *sheets})
    return write_whole(folder / "index.html", render(study, sections, sorted(sheets), wishes))


def _draw(stage: StageResults, key: str) -> Drawn:
    pictures, files = [], {}
    for name, figure in figures(stage).items():
        file = f"figures/{stage.name}-{name.replace('_', '-')}.png"
        title = figure.axes[0].get_title(loc="left").replace("\n", " ").replace("\\$", "$")
        files[file] = png(figure)
        pictures.append(Picture(name, title, CAPTIONS[name], file, inline(figure, f"{stage.name}-{name}")))
    return Drawn(key, pictures, files)


def _tidy(folder: Path, keep: set[str]) -> None:
    """Remove what an earlier report wrote and this one does not have."""
    for path in [*folder.glob("figures/stage*-*.png"), *folder.glob("tables/*.csv")]:
        if path.relative_to(folder).as_posix() not in keep:
            try:
                path.unlink()
            except OSError as error:
                raise StorageError(f"{path}: cannot be removed: {error.strerror or error}") from error


def render(study: StudyRecord, sections: Sequence[Section], sheets: Sequence[str], wishes: Sequence[WishRecord] = ()) -> str:
    """The page as HTML; everything that comes from a task, a person or a traceback is escaped."""
    decided = [section.decision for section in sections if section.decision]
    best = decided[-1] if decided else None
    failures = [(section.name, trial) for section in sections for trial in section.stage.trials if trial.state is State.FAILED]
    return ENVIRONMENT.get_template("page.html").render(
        study=study,
        sections=sections,
        best=best,
        result=words.interval_alike(best.value, best.interval) if best and best.value is not None else ["–"],
        training=sum(decision.cost.seconds for decision in decided),
        trials=sum(len(section.stage.trials) for section in sections),
        failures=_alike(failures),
        wishes=wishes,
        sheets=sheets,
        first_rows=FIRST_ROWS,
        first_warnings=WARNINGS,
    )


def _alike(failures: Sequence[tuple[str, Trial]]) -> Mapping[str, Sequence[tuple[str, Trial]]]:
    """Failures by traceback: a task that raises, raises in every trial."""
    found: dict[str, list[tuple[str, Trial]]] = {}
    for stage, trial in failures:
        found.setdefault(trial.error.strip(), []).append((stage, trial))
    return found


def png(figure: Figure) -> bytes:
    """The figure as a file, laid out for good: `inline` draws it in the same layout, as finding it takes half of the time."""
    out = io.BytesIO()
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(out)  # savefig would draw it twice
    figure.set_layout_engine("none")
    return out.getvalue()


def inline(figure: Figure, name: str) -> Markup:
    """A figure as part of the page: cut below its title, in the page's font and colours, with ids of its own and no address."""
    out = io.StringIO()
    width, height = 72 * figure.get_size_inches()
    [title] = figure.findobj(lambda artist: artist.get_gid() == drawing.TITLE)
    top = height - 72 * title.get_window_extent().y0 / figure.dpi - 4
    title.set_text("")  # the page has it, in its own type
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    body = out.getvalue().partition("<svg")[2].partition(">")[2]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"(font(?:-family)?: [^;\"]*?)'DejaVu Sans'[^;\"]*", r"\1var(--text)", body)
    for colour, name in drawing.OF_THE_PAGE.items():
        body = body.replace(colour, f"var(--{name})")
    return Markup(f'<svg viewBox="0 {top:.1f} {width:.1f} {height - top:.1f}" aria-hidden="true">{body}')
