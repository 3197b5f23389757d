"""Is the report one safe file that tells the result first, on any screen?"""

import threading
import time
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from reports.drawing import OF_THE_PAGE
from reports.page import write_report
from reports.stages import StageResults
from studies.errors import StorageError
from studies.study import StudyState
from studies.trial import Metric, State
from studies.wish import Extend, Note, Overrule, WishRecord
from tests.reports.sample import HOSTILE, METRIC, RECORD, SETTINGS, TRACE, stage1, stage3, study


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text outside of styles."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self._inside = [], [], []
        self.source = path.read_text()
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("style", "svg"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.words.append(data)

    def values(self, name):
        return [attributes[name] for _, attributes in self.tags if attributes.get(name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "report"
    far = {**SETTINGS, "workdir": "/data/" + "tune-runs/" * 9}  # commands that no phone is wide enough for
    assert write_report(folder, replace(RECORD, settings=far), study()) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page(folder / "index.html")


def test_the_result_comes_first_then_the_stages_then_how_to_go_on(page):
    order = ["accuracy of the winner", "0.9757", "learning rate", "x 0.5 every 400 from step 2,700"]
    order += [
        "Which learning rate",
        "Which batch size",
        "Does decaying",
        "raised an error",
        "tune export digits",
        "tune train best.yaml",
    ]
    places = [page.text.index(word) for word in order]
    assert places == sorted(places)


def test_every_decision_is_told_whole(page):
    for stage in study():
        decision = stage.decision
        for told in (decision.question, *decision.words, *decision.warnings, decision.rule):
            assert " ".join(told.split()) in page.text
        for one in decision.evidence:
            assert one.label in page.text and one.outcome in page.text
    assert "a tie" in page.text and "30,000 not needed" in page.text and "10,800 shared" in page.text


@pytest.mark.parametrize("margin, told", [(1.987e-8, "2e-8 better than"), (-0.02, "0.02 worse than"), (0.0, ", as good as")])
def test_the_margin_is_told_in_its_direction(tmp_path, margin, told):
    decided = replace(stage1(), decision=stage1().decision.model_copy(update={"margin": margin}))
    assert f"{told} the runner-up" in Page(write_report(tmp_path, RECORD, [decided])).text


def test_a_failure_keeps_its_traceback_folded(page):
    assert "1 trial raised an error" in page.text
    assert all(line.strip() in page.text for line in TRACE.splitlines())
    assert not any("open" in attributes for tag, attributes in page.tags if tag == "details")


def test_it_needs_no_other_file_and_no_network(folder, page):
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert "http" not in page.source and "@import" not in page.source and "url(" not in page.source.replace("url(#", "")
    addresses = [address for address in page.values("href") if not address.startswith("#")]
    assert addresses and all((folder / address).is_file() for address in addresses)
    assert not page.values("src")


def test_figures_have_the_colours_of_the_page_which_are_others_in_the_dark(page):
    style, _, body = page.source.partition("</style>")
    assert "var(--won)" in body and not any(colour in body for colour in OF_THE_PAGE)
    assert all(style.count(f"--{name}:") == 2 for name in OF_THE_PAGE.values())


def test_what_links_point_at_is_there_once(page):
    ids = Counter(page.values("id"))
    assert ids and max(ids.values()) == 1
    for address in page.values("href") + page.values("xlink:href"):
        assert not address.startswith("#") or address[1:] in ids


def test_nobody_elses_words_become_markup(tmp_path):
    metric = Metric(name=f"acc{HOSTILE}", mode="max")
    stages = []
    for stage in (stage1(), stage3()):
        evidence = tuple(one.model_copy(update={"label": HOSTILE, "outcome": HOSTILE}) for one in stage.decision.evidence)
        told = {"metric": metric, "evidence": evidence, "words": (HOSTILE,), "question": HOSTILE, "rule": HOSTILE}
        trials = [
            replace(one, points=tuple(replace(p, values={**p.values, metric.name: 0.5}) for p in one.points))
            for one in stage.trials
        ]
        stages.append(replace(stage, metric=metric, trials=trials, decision=stage.decision.model_copy(update=told)))
    record = replace(RECORD, settings={"task": HOSTILE}, reason=HOSTILE, owner=HOSTILE)
    wishes = [WishRecord(1, Note(text=HOSTILE, stage=HOSTILE), HOSTILE, 0.0)]
    page = Page(write_report(tmp_path / "report", record, stages, wishes))
    assert "script" not in {tag for tag, _ in page.tags} and "<script" not in page.source.lower()
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE in page.text


def test_what_people_asked_for_is_told_with_who_and_when(tmp_path):
    plan = stage1().trials[0].plan
    wishes = [
        WishRecord(1, Overrule(stage="stage1", plan=plan, reason="it is\ncalmer"), "ann@lab", 1_700_000_000.0),
        WishRecord(2, Extend(stage="stage1", plan=plan), "bob@lab", 1_700_000_000.0, past=True),
    ]
    page = Page(write_report(tmp_path / "report", RECORD, [stage1()], wishes))
    when = time.strftime("Nov 2023, %H:%M %Z", time.localtime(1_700_000_000))
    for told in ("2 wishes and notes", "ann@lab", "win stage1", "calmer", "bob@lab", "before the task was edited", when):
        assert told in page.text
    assert "What was asked" not in Page(write_report(tmp_path / "report", RECORD, [stage1()])).text


def test_figures_and_tables_lie_beside_it(folder):
    pictures = {path.name for path in (folder / "figures").iterdir()}
    assert {
        "stage1-loss.png",
        "stage1-convergence.png",
        "stage2-cells.png",
        "stage3-decays.png",
        "stage1-update-ratio.png",
    } <= pictures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())
    tables = {path.stem: pd.read_csv(path) for path in (folder / "tables").iterdir()}
    assert set(tables) == {"trials", "curves", "decisions", "evidence"}
    assert len(tables["trials"]) == sum(len(stage.trials) for stage in study())


def test_a_later_report_replaces_an_earlier_one_and_nothing_else(tmp_path):
    folder = tmp_path / "report"
    write_report(folder, RECORD, [stage3()])
    (folder / "figures" / "mine.png").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    write_report(folder, RECORD, [stage1(decided=False)])
    assert sorted(path.name for path in (folder / "figures").iterdir()) == [
        "mine.png",
        "stage1-loss.png",
        "stage1-update-ratio.png",
        "stage1-validation.png",
    ]
    assert (folder / "notes.txt").exists() and not list(folder.rglob(".*"))


def test_equal_studies_give_equal_pages(tmp_path):
    first, again = (write_report(tmp_path / name, RECORD, [stage3()]) for name in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()


def test_who_reads_while_it_is_written_sees_a_whole_page(tmp_path):
    path = write_report(tmp_path / "report", RECORD, [stage1()])
    writer = threading.Thread(target=write_report, args=(path.parent, RECORD, [stage1(decided=False)]))
    writer.start()
    while writer.is_alive():
        assert path.read_text().rstrip().endswith("</html>")
    writer.join()


@pytest.mark.parametrize(
    "stages, told",
    [
        ([], "No stage has been decided"),
        ([StageResults("stage1", METRIC, [])], "No trials so far"),
        ([stage1(decided=False)], "1 running, 3 complete, 2 pruned, 1 diverged, 1 failed"),
    ],
    ids=["none", "empty", "undecided"],
)
def test_a_study_that_is_not_done_says_how_to_go_on(tmp_path, stages, told):
    record = replace(RECORD, state=StudyState.STOPPED, reason="interrupted by its driver")
    page = Page(write_report(tmp_path / "report", record, stages))
    assert told in page.text and "tune resume digits" in page.text and "tune export" not in page.text
    assert "interrupted by its driver" in page.text


def test_equal_failures_are_told_once(tmp_path):
    stage = stage1()
    trials = [replace(one, state=State.FAILED, error=TRACE) for one in stage.trials]
    page = Page(write_report(tmp_path / "report", RECORD, [replace(stage, trials=trials)]))
    assert "8 trials raised an error" in page.text and page.source.count("<pre>Traceback") == 1


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(StorageError, match="report.*cannot be written"):
        write_report(tmp_path / "report", RECORD, [])


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_on_any_screen(chromium, folder, width, scheme):
    view = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    asked, wrong = [], []
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda message: wrong.append(message.text))
    address = (Path(folder) / "index.html").as_uri()
    view.goto(address)
    assert asked == [address] and not wrong
    assert view.title() == "digits: tuning report"
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    ground, ink = view.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert (brightness(ground) > brightness(ink)) == (scheme == "light")
    words = view.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert (brightness(words) < 128) == (scheme == "light")
    view.close()


def brightness(colour):
    return sum(map(int, colour[colour.index("(") + 1 : -1].split(",")[:3])) / 3
