"""The pages as a person meets them, in a real Chromium: live, to be resumed from, by keyboard, narrow and in the dark."""

import re
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from reports.stages import StageResults
from studies.ledger import Store
from studies.recipe import Recipe
from studies.study import StudyState
from studies.trial import State
from studies.workspace import default_storage
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import ROOT, driving, serving
from tests.reports.sample import trial
from tests.waiting import until

VIEWS = (
    "/",
    "/studies/{}",
    "/studies/{}/stages/stage1",
    "/studies/{}/trials/stage1/0",
    "/studies/{}/trials/stage1/4",
    "/studies/nobody",
)


@contextmanager
def browsing(chromium, server, expected="404 (Not Found)", **context):
    """A page that is logged in; what its console complains of, the expected apart, and what it asks of others fails the test."""
    with chromium.new_context(**context) as opened:
        page = opened.new_page()
        page.set_default_timeout(15_000)
        complaints = []
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda request: None if request.url.startswith((server.base, "data:")) else complaints.append(request.url)
        )
        page.goto(server.link)
        yield page
        assert [text for text in complaints if expected not in text] == []


def drawn(page) -> dict[str, list[str]]:
    """What each chart on the page is called, and the curves in it, once all of them are there."""
    until(lambda: "being drawn" not in page.inner_text("main"), seconds=60)
    until(lambda: page.evaluate("[...document.querySelectorAll('[data-chart]')].every((one) => one.data)"))
    charts = page.locator("[data-chart]").all()
    return {
        chart.evaluate("one => document.getElementById(one.getAttribute('aria-labelledby')).textContent"): chart.evaluate(
            "one => one.data.map(({ hovertemplate }) => hovertemplate ?? '')"
        )
        for chart in charts
    }


STAGES = [sample.stage1(), sample.stage2(), sample.stage3()]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Of a study that is done, and of those that the tests add."""
    with serving(tmp_path_factory.mktemp("seen"), hold=3) as server:
        sample.study(server.store, "flowers", *STAGES, workdir=server.workdir, done=True)
        yield server


def test_studies_their_stages_and_trials_are_shown(chromium, server):
    with browsing(chromium, server) as page:
        assert page.url == server.base + "/"
        line = page.get_by_role("row", name="flowers")
        assert "done" in line.inner_text() and f"accuracy {STAGES[-1].decision.value:.4f}" in line.inner_text()

        page.get_by_role("link", name="flowers").click()
        stage = page.get_by_role("region", name="Stage 1 Which learning rate, and how many steps?")
        assert "Its curve has converged at step 4000" in stage.inner_text()
        assert f"lr 10 failed: ValueError: {sample.HOSTILE}" in stage.inner_text()
        stage.get_by_text("Trials: 8").click()
        assert "train_loss is NaN at step 400" in stage.inner_text()
        assert "Converged at step 4,000; with the safety margin, 6,000 steps" in drawn(page)
        assert page.get_by_role("button", name="Resume").is_disabled()
        assert "started for is decided" in page.get_by_text("It is done").inner_text()

        stage.get_by_role("region", name="Trials of Stage 1").get_by_role("link", name="1").click()
        assert page.get_by_text("ValueError").last.inner_text().strip().endswith(sample.HOSTILE)
        page.goto(f"{server.base}/studies/flowers/trials/stage3/8")
        assert "the first 2,700 shared with another trial" in page.inner_text("main")
        assert list(drawn(page)) == ["accuracy", "train loss", "val loss", "update ratio", "learning rate, as planned"]
        assert "Stage 3, trial 2: 2,700 steps" in page.locator(".shared").inner_text()
        assert "owned" not in page.title()


def test_a_killed_driver_is_seen_and_the_study_resumed(chromium, server):
    with driving(server.workdir, "roses") as driver, browsing(chromium, server) as page:
        page.get_by_role("link", name="roses").click()
        state = page.get_by_role("status").first
        resume, stop = page.get_by_role("button", name="Resume"), page.get_by_role("button", name="Stop gently")
        assert state.inner_text() == "running" and stop.is_enabled() and not resume.count()

        driver.kill()
        driver.wait()
        until(lambda: state.inner_text().startswith("stale"), seconds=10)
        assert resume.is_enabled()

        resume.focus()
        page.keyboard.press("Enter")
        until(lambda: "Started: process" in page.inner_text("#told"))
        assert not resume.count() or resume.is_disabled()
        until(lambda: state.inner_text() == "running")
        until(lambda: state.inner_text() == "done")
        assert "tune export roses" in (go_on := page.inner_text("#go-on")) and "tune resume" not in go_on
        assert server.store.record("roses").state is StudyState.DONE
        assert len(server.starts("roses")) == 2


def tuning(workdir, *options) -> list[str]:
    """The command line of a real run, small and whole; unfused, so that bits can be compared."""
    small = "--task digits --runner serial --lrs 0.3,0.1,0.03 --batch-sizes 64,128 --momenta 0.9 --repeats 1 --no-fuse"
    return [sys.executable, "-m", "tuner", "run", "--workdir", str(workdir), *small.split(), *options]


@contextmanager
def real(workdir):
    """The server that people start."""
    command = [sys.executable, "-m", "tuner", "dashboard", "--workdir", str(workdir), "--port", "0"]
    with serving(workdir, command=command) as server:
        yield server


def decided(store, name="digits") -> list:
    """What a study's decisions say, but for the seconds that it took and whose steps were found rather than trained."""
    return [(one.stage, one.winner, one.value, one.words[:1], one.marks) for one in store.decisions(name)]


@pytest.mark.long
def test_a_run_appears_and_grows_is_killed_and_resumed_to_the_decisions_of_an_uninterrupted_one(chromium, tmp_path):
    whole = tmp_path / "whole"
    long = ("--max-steps", "2000", "--exhaustive")  # else it is over before its curves have been seen to grow
    subprocess.run(tuning(whole, *long), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    traces = "[...document.querySelectorAll('[data-chart=loss]')].flatMap((one) => one.data ?? [])"
    length = f"Math.max(0, ...{traces}.map((trace) => trace.x.length))"
    with real(tmp_path) as server, browsing(chromium, server) as page:
        with subprocess.Popen(tuning(tmp_path, *long), cwd=ROOT, stderr=subprocess.DEVNULL) as driver:
            page.get_by_role("link", name="digits").click(timeout=60_000)
            state = page.get_by_role("status").first
            assert state.inner_text() == "running"
            before = until(lambda: page.evaluate(length), seconds=60)
            until(lambda: page.evaluate(length) > before, seconds=60)
            driver.kill()
        until(lambda: state.inner_text().startswith("stale"), seconds=10)
        page.get_by_role("button", name="Resume").click()
        until(lambda: state.inner_text() == "done", seconds=180)
        with closing(Store(default_storage(whole))) as other:
            assert decided(server.store) == decided(other)


@pytest.mark.long
def test_a_winner_overruled_on_the_page_is_followed_by_the_later_stages_until_it_is_taken_back(chromium, tmp_path):
    subprocess.run(tuning(tmp_path, "--max-steps", "200"), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    with real(tmp_path) as server, browsing(chromium, server) as page:
        before = decided(server.store)
        other = next(trial for trial in server.store.trials("digits", "stage1", 1) if trial.plan.lr == 0.03)
        page.goto(f"{server.base}/studies/digits/trials/stage1/{other.number}")
        page.get_by_text("Let it win Stage 1").click()
        page.get_by_label("Why").fill("it's calmer")
        assert f"tune overrule digits stage1 {other.number} --reason 'it'" in page.locator("#overrule code").inner_text()
        page.get_by_role("button", name="Overrule").click()
        until(lambda: "Started: process" in page.inner_text("#overrule"))
        page.goto(f"{server.base}/studies/digits")
        state = page.get_by_role("status").first
        until(lambda: state.inner_text() == "done", seconds=120)
        winners = [decision.winner for decision in server.store.decisions("digits")]
        assert [winner.lr for winner in winners] == [0.03, *(winner.lr for winner in winners[1:])] and len(winners) == 3
        assert {winner.lr for winner in winners[1:]} <= {0.03, 0.06, 0.09, 0.009}  # of this batch, or scaled from it
        assert "it's calmer" in page.locator("#stage1 .decision").inner_text()

        page.get_by_text("Take it back").click()
        page.get_by_role("button", name="Let the rule decide again").click()
        until(lambda: decided(server.store) == before and state.inner_text() == "done", seconds=120)


def test_what_a_form_asks_for_is_said_as_a_command_and_done_by_keyboard(chromium, server):
    sample.study(server.store, "daisies", workdir=server.workdir)
    clipboard = ["clipboard-read", "clipboard-write"]
    with browsing(chromium, server, expected="400 (Bad Request)", permissions=clipboard) as page:
        page.goto(f"{server.base}/studies/daisies")
        page.get_by_text("Write a note").click()
        page.get_by_role("textbox", name="Note").fill("it's\n<b>odd</b>")
        assert """tune note daisies 'it'"'"'s\n<b>odd</b>' --workdir""" in page.locator("#note code").inner_text()
        page.locator("#note [data-copy]").dblclick()
        until(lambda: page.inner_text("#note [data-copy]") == "Copied")
        until(lambda: "Copy" in page.inner_text("#note [data-copy]").split())
        assert "it'" in page.evaluate("navigator.clipboard.readText()")
        button = page.get_by_role("button", name="Write it down")
        button.press("Enter")
        page.get_by_text("note on the study: it's <b>odd</b>").wait_for()
        assert page.get_by_role("textbox", name="Note").input_value() == ""
        until(lambda: button.evaluate("one => one === document.activeElement"))

        page.get_by_text("Trials: 8").click()
        page.get_by_role("region", name="Trials of Stage 1").get_by_role("link", name="3").click()
        page.get_by_text("Follow it further").click()
        page.get_by_label("To step").fill("9000")
        page.get_by_label("and resume the study").first.uncheck()
        page.get_by_label("To step").press("Enter")
        page.get_by_text("to step 9000. Now resume the study.").wait_for()
        assert server.store.wishes("daisies")[-1].wish.plan.steps == 9000
        assert server.starts("daisies") == []


def test_a_command_is_copied_from_a_page_of_another_machine_too(chromium, server):
    with browsing(chromium, server) as page:
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as by plain http
        page.goto(f"{server.base}/studies/flowers")
        button = page.locator("#go-on [data-copy]").first
        button.click()
        until(lambda: button.inner_text() in ("Copied", "Selected"))
        assert page.evaluate("String(getSelection())") == button.get_attribute("data-copy")


def test_a_curve_says_whose_it_is_and_leads_to_its_trial(chromium, server):
    with browsing(chromium, server) as page:
        page.goto(f"{server.base}/studies/flowers")
        drawn(page)
        chart = page.locator("#stage1-charts-loss [data-chart]")
        chart.scroll_into_view_if_needed()
        place = chart.evaluate(
            """one => {
                const { data, _fullLayout: { xaxis, yaxis } } = one, box = one.getBoundingClientRect();
                const line = data.find(({ meta }) => meta === 3), at = line.x.length >> 1;
                return [box.x + xaxis._offset + xaxis.d2p(line.x[at]), box.y + yaxis._offset + yaxis.d2p(line.y[at])];
            }"""
        )
        page.mouse.move(*place)
        page.mouse.move(place[0] + 1, place[1])
        until(lambda: "0.1, trial 3" in chart.locator(".hoverlayer").text_content())
        page.mouse.down()
        page.mouse.up()
        page.wait_for_url("**/trials/stage1/3")


def test_a_resume_that_fails_says_why(chromium, server):
    sample.study(server.store, "tulips", workdir=server.workdir)
    broken = server.workdir / "broken"
    with browsing(chromium, server) as page:
        page.goto(f"{server.base}/studies/tulips")
        broken.touch()
        page.get_by_role("button", name="Resume").click()
        until(lambda: "ended with exit code 1" in page.inner_text("main"))
        broken.unlink()
        assert "the task is broken" in page.inner_text("pre")
        assert page.get_by_role("button", name="Resume").is_enabled()


def test_what_a_reader_has_opened_stays_while_the_page_lives(chromium, server):
    sample.study(server.store, "lilies", workdir=server.workdir)
    with browsing(chromium, server) as page:
        page.goto(f"{server.base}/studies/lilies")
        page.get_by_text("Let another trial win").click()
        page.locator("#stage1-overrule select").select_option("7")  # the last of all
        page.get_by_text("Trials: 8").click()
        page.get_by_role("region", name="Trials of Stage 1").get_by_role("link", name="2").focus()
        with driving(server.workdir, "lilies"):
            page.get_by_text("Trials: 9").wait_for()
            assert page.get_by_role("region", name="Trials of Stage 1").is_visible()
            assert page.locator("#stage1-overrule select").input_value() == "7"
            assert page.evaluate("document.activeElement.textContent") == "2"


def test_an_empty_storage_says_what_to_do_and_a_server_that_is_gone_is_noticed(chromium, tmp_path):
    with serving(tmp_path) as server, browsing(chromium, server, expected="ERR_CONNECTION") as page:
        assert "No study yet" in page.inner_text("main")
        assert f"tune run --workdir {tmp_path}" in page.inner_text("main")
        sample.study(server.store, "flowers")
        page.get_by_role("link", name="flowers").wait_for()
        server.process.kill()
        page.get_by_role("alert").wait_for()
        assert "Start `tune dashboard` again" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone(chromium, server, scheme):
    size = {"width": 375, "height": 700}
    sample.study(server.store, f"{scheme}-{'0' * 70}")
    with browsing(chromium, server, color_scheme=scheme, viewport=size) as page:
        for view in VIEWS:
            page.goto(server.base + view.format("flowers"))
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 375, f"{view} is {width} px wide"
            assert page.get_by_role("heading", level=1).count() == 1
            assert page.get_by_role("main").count() == 1
        page.goto(server.base)
        page.set_viewport_size({"width": 1280, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_optunas_dashboard_shows_the_same_storage(chromium, server):
    with browsing(chromium, server) as page:
        page.get_by_role("link", name="Optuna").click()
        page.get_by_text("flowers/stage1").wait_for()


def test_the_json_says_what_the_page_says(server):
    study = server.client.get("/tuner/api/v1/studies/flowers").json()
    assert (study["state"], study["best"]["lr"], study["best"]["decided"]) == ("done", 0.1, True)
    assert [stage["name"] for stage in study["stages"]] == ["stage1", "stage2", "stage3"]
    assert study["stages"][0]["decision"]["winner"]["step_nums"] == 6000
    assert study["stages"][0]["counts"] == {"complete": 3, "pruned": 3, "diverged": 1, "failed": 1}
    trial = server.client.get("/tuner/api/v1/studies/flowers/trials/stage3/8").json()
    assert (trial["step"], trial["steps"], trial["begun"], trial["state"]) == (6000, 6000, 2700, "complete")


def test_a_study_that_is_done_says_which_stages_are_open_and_how_to_go_on(server):
    with server.store.drive("first-only", {**sample.SETTINGS, "stages": ["stage1"]}) as driver:
        sample.write(driver, STAGES[0])
        driver.done()
    study = server.client.get("/tuner/api/v1/studies/first-only").json()
    assert (study["state"], study["open"]) == ("done", ["stage2", "stage3"])
    assert study["command"].startswith("tune run --study first-only ")
    assert study["command"] in server.client.get("/studies/first-only").text
    assert "Stage 1, decided; stage2 and stage3 open" in until(
        lambda: "first-only" in (page := server.client.get("/").text) and page
    )


def test_trials_that_differ_in_their_recipe_are_told_apart_and_the_finish_has_no_winner(server):
    start = STAGES[0].decision.winner
    tricks = [start.but(recipe=Recipe(mixup=0.2), seed=1), start.but(recipe=Recipe(mixup=0.4), seed=1)]
    trials = [trial(number, plan) for number, plan in enumerate([start, *tricks])]
    decisions = (STAGES[0].decision.model_copy(update={"stage": name, "evidence": ()}) for name in ("stage4", "stage5"))
    stages = [StageResults(one.stage, sample.METRIC, trials, one) for one in decisions]
    sample.study(server.store, "tricks", *stages, workdir=server.workdir)
    page = server.client.get("/studies/tricks").text
    assert "<td>mixup 0.2</td>" in page and ", mixup 0.4, seed 1, accuracy" in page
    assert 'id="stage4-overrule"' in page and 'id="stage5-overrule"' not in page
    answers = [server.client.get(f"/studies/tricks/trials/{stage}/1").text for stage in ("stage4", "stage5")]
    assert ['id="overrule"' in text for text in answers] == [True, False]


def test_a_trials_number_may_be_as_long_as_it_likes(server):
    for kind in ("/tuner/api/v1", ""):
        assert server.client.get(f"{kind}/studies/flowers/trials/stage1/{'9' * 5000}").status_code == 404


def test_a_table_is_sorted_and_filtered_by_its_address(server):
    def numbers(query: str) -> list[str]:
        page = server.client.get(f"/studies/flowers/stages/stage2?{query}").text
        return re.findall(r'<tr id="stage2-trial-(\d+)"', page)

    trials = server.store.trials("flowers", "stage2", 1)
    assert numbers("sort=number") == [str(trial.number) for trial in trials]
    rates = [trial.plan.lr for trial in trials if trial.state is State.PRUNED]
    assert [trials[int(number)].plan.lr for number in numbers("state=pruned&sort=lr&down=1")] == sorted(rates, reverse=True)
    assert numbers("sort=value&down=1")[-1] == "0"  # it diverged: it has no value
    assert numbers("state=nothing&sort=nothing") == []
