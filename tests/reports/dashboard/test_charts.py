"""Do the charts of a page have every word inside of them, however wide the window?"""

from reports.stages import StageResults
from studies.plan import Plan, constant
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import eventually, serving
from tests.reports.dashboard.test_browser import browsing, drawn
from tests.reports.sample import stage2, stage4, trial

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
                eventually(lambda: page.evaluate(SIZES) == [[True, height] for height in heights])
                assert page.evaluate(CUT) == []
            numbers = page.locator("#stage4-charts-tricks .xtick").all_text_contents()
            assert numbers and all(float(one) < 1.1 for one in numbers)
