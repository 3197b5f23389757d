"""Do the charts of a page show what was measured, with every word inside of them, however wide the window?"""

import math

import pytest

from reports.dashboard.charts import trial_charts
from reports.stages import StageResults
from studies.plan import Plan, constant
from studies.trial import Point, Trial
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import serving
from tests.reports.dashboard.test_browser import browsing, drawn
from tests.reports.sample import stage2, stage4, trial
from tests.waiting import until


@pytest.fixture(scope="module")
def charts():
    points = (Point(5, {"train_loss": 0.5, "accuracy": math.nan}), Point(10, {"accuracy": math.inf}))
    made = trial_charts(Trial(0, constant(Plan(), 0.1, 15), points=points), ["train_loss", "accuracy"])
    return {chart["name"]: chart for chart in made}


def test_a_single_measurement_is_a_dot(charts):
    [line] = charts["train_loss"]["panels"][0]["lines"]
    assert (line["x"], line["y"], line["marker"]) == ([5], [0.5], "o")
    assert charts["train_loss"]["rows"] == [{"label": "train_loss", "trial": None, "at": 5, "value": 0.5}]


def test_values_that_are_never_finite_say_so_on_an_axis_without_numbers(charts):
    [panel] = charts["accuracy"]["panels"]
    assert [text["text"] for text in panel["words"]] == ["no finite value"] and panel["y"]["ticks"] == []


def test_the_planned_rate_lasts_to_the_last_step(charts):
    [line] = charts["lr"]["panels"][0]["lines"]
    assert (line["x"][0], line["x"][-1], line["y"][-1]) == (0, 15, 0.1)


CUT = """() => [...document.querySelectorAll("[data-chart]")].flatMap((place) => {
    const { left, right } = place.getBoundingClientRect();
    return [...place.querySelectorAll(".annotation-text")].map((text) => [text.textContent, text.getBoundingClientRect()])
        .filter(([, box]) => box.left < left || box.right > right).map(([text]) => text);
})"""
SIZES = """() => [...document.querySelectorAll("[data-chart]")].map((place) => {
    const { clientWidth, clientHeight } = place.querySelector(".main-svg");
    return [place.clientWidth === clientWidth, clientHeight];
})"""


def test_a_chart_keeps_its_height_and_its_words_whatever_the_width(chromium, tmp_path):
    search = stage2()
    longer = trial(len(search.trials), constant(Plan(batch_size=16, momentum=0.5), 0.02, 32_000))  # than the winner's
    with serving(tmp_path) as server:
        results = StageResults("stage2", search.metric, [*search.trials, longer], search.decision)
        sample.study(server.store, "flowers", results, stage4(), workdir=server.workdir, done=True)
        with browsing(chromium, server, viewport={"width": 390, "height": 800}) as page:
            page.goto(f"{server.base}/studies/flowers")
            drawn(page)
            heights = [height for _, height in page.evaluate(SIZES)]
            for width in (390, 844, 1280, 390):
                page.set_viewport_size({"width": width, "height": 800})
                until(lambda: page.evaluate(SIZES) == [[True, height] for height in heights])
                assert page.evaluate(CUT) == []
            numbers = page.locator("#stage4-charts-tricks .xtick").all_text_contents()
            assert numbers and all(float(one) < 1.1 for one in numbers)
