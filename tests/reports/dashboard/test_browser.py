"""The pages as a person meets them, in a real Chromium: live, to be resumed from, by keyboard, narrow and in the dark."""

import subprocess
import sys
from contextlib import contextmanager

import pytest

from studies.study import StudyState
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import ROOT, driving, eventually, serving

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
    eventually(lambda: "being drawn" not in page.inner_text("main"), seconds=60)
    eventually(lambda: page.evaluate("[...document.querySelectorAll('[data-chart]')].every((one) => one.data)"))
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
        assert "nothing left to do" in page.get_by_text("It is done").inner_text()

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
        eventually(lambda: state.inner_text().startswith("stale"), seconds=10)
        assert resume.is_enabled()

        resume.focus()
        page.keyboard.press("Enter")
        eventually(lambda: "Started: process" in page.inner_text("#told"))
        assert not resume.count() or resume.is_disabled()
        eventually(lambda: state.inner_text() == "running")
        eventually(lambda: state.inner_text() == "done")
        assert server.store.record("roses").state is StudyState.DONE
        assert len(server.starts("roses")) == 2


@pytest.mark.long
def test_a_killed_tuning_run_is_resumed_to_its_decision(chromium, tmp_path):
    tune = [sys.executable, "-m", "tuner"]
    options = "--task digits --runner serial --lrs 0.3,0.1,0.03 --max-steps 200"
    run = [*tune, "stage1", "--workdir", str(tmp_path), *options.split()]
    dashboard = [*tune, "dashboard", "--workdir", str(tmp_path), "--port", "0"]
    with serving(tmp_path, command=dashboard) as server, browsing(chromium, server) as page:
        with subprocess.Popen(run, cwd=ROOT, stderr=subprocess.DEVNULL) as driver:
            eventually(lambda: any(trial.points for trial in server.store.trials("digits", "stage1")), seconds=60)
            page.get_by_role("link", name="digits").click()
            state = page.get_by_role("status").first
            eventually(lambda: state.inner_text() == "running")
            driver.kill()
        eventually(lambda: state.inner_text().startswith("stale"), seconds=10)
        page.get_by_role("button", name="Resume").click()
        eventually(lambda: state.inner_text() == "done", seconds=120)
        assert "the learning rate" in page.locator(".decision").inner_text()


def test_a_resume_that_fails_says_why(chromium, server):
    sample.study(server.store, "tulips", workdir=server.workdir)
    broken = server.workdir / "broken"
    with browsing(chromium, server) as page:
        page.goto(f"{server.base}/studies/tulips")
        broken.touch()
        page.get_by_role("button", name="Resume").click()
        eventually(lambda: "ended with exit code 1" in page.inner_text("main"))
        broken.unlink()
        assert "the task is broken" in page.inner_text("pre")
        assert page.get_by_role("button", name="Resume").is_enabled()


def test_what_a_reader_has_opened_stays_while_the_page_lives(chromium, server):
    sample.study(server.store, "lilies", workdir=server.workdir)
    with browsing(chromium, server) as page:
        page.goto(f"{server.base}/studies/lilies")
        page.get_by_text("Trials: 8").click()
        page.get_by_role("region", name="Trials of Stage 1").get_by_role("link", name="2").focus()
        with driving(server.workdir, "lilies"):
            page.get_by_text("Trials: 9").wait_for()
            assert page.get_by_role("region", name="Trials of Stage 1").is_visible()
            assert page.evaluate("document.activeElement.textContent") == "2"


def test_an_empty_storage_says_what_to_do_and_a_server_that_is_gone_is_noticed(chromium, tmp_path):
    with serving(tmp_path) as server, browsing(chromium, server, expected="ERR_CONNECTION") as page:
        assert "No study yet" in page.inner_text("main")
        assert f"tune run --storage {server.store.url}" in page.inner_text("main")
        sample.study(server.store, "flowers")
        page.get_by_role("link", name="flowers").wait_for()
        server.process.kill()
        page.get_by_role("alert").wait_for()
        assert "Start `tune dashboard` again" in page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone(chromium, server, scheme):
    size = {"width": 375, "height": 700}
    with browsing(chromium, server, color_scheme=scheme, viewport=size) as page:
        for view in VIEWS:
            page.goto(server.base + view.format("flowers"))
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 375, f"{view} is {width} px wide"
            assert page.get_by_role("heading", level=1).count() == 1
            assert page.get_by_role("main").count() == 1


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
