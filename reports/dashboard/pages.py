"""What is answered at which address? Each view once as a page and once as JSON, both of the same plain values."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reports.dashboard import views
from reports.dashboard.driver import Drivers, hidden
from reports.dashboard.recent import Recent
from reports.dashboard.render import API, html
from reports.stages import StageResults
from studies.ledger import Store
from studies.study import StudyRecord, StudyState
from studies.trial import Trial

if TYPE_CHECKING:
    from reports.dashboard.pictures import Picture

POINTS = 500
"""Of a curve, about as many as a figure has pixels to tell apart."""
ALL_POINTS = 100_000
"""Of a stage's curves together: what is read and drawn in about a second."""


class Pages:
    """The views of one storage. What is slow to find is found seldom, however many watch."""

    def __init__(self, store: Store, drivers: Drivers):
        self._store, self._drivers, self._recent = store, drivers, Recent()

    def routes(self) -> list[Route]:
        """Every address of ours; a method other than GET changes something."""
        study, trial = "/studies/{name}", "/studies/{name}/trials/{stage}/{number:int}"
        return [
            Route("/", self.studies),
            Route(study, self.study),
            Route(study + "/figures/{stage}/{figure}.svg", self.figure),
            Route(study + "/stages/{stage}", self.stage),
            Route(trial, self.trial),
            Route(trial + "/curves/{place:int}.svg", self.curve),
            Route(API + "/studies", self.studies_json),
            Route(API + study, self.study_json),
            Route(API + trial, self.trial_json),
            Route(API + study + "/resume", self.resume, methods=["POST"]),
        ]

    # What is known

    def _records(self) -> dict[str, StudyRecord]:
        return self._recent.get("studies", time.monotonic(), lambda: {record.name: record for record in self._store.studies()})

    def _body(self, record: StudyRecord) -> views.View:
        """What a study's trials say: anew only where the driver has written since."""

        def find() -> views.View:
            names, going = self._store.stages(record.name), not settled(record)
            stages = [views.stage(self._results(record.name, name, 1), going) for name in names]
            return {"stages": stages, "best": views.best(stages), "digest": views.version([going, stages])}

        return self._recent.get(("body", record.name), (record.state, record.updated), find, settled(record))

    def _overview(self, name: str) -> views.View:
        """A study without its figures, which are drawn for those only who look at them."""
        record = self._records().get(name) or self._store.record(name)
        launch, body, space = self._drivers.launch(name), self._body(record), self._drivers.workspace(record)
        ended = launch.process.returncode if launch and settled(record) else None
        starting = launch is not None and launch.alive and settled(record)
        next_step = "export" if record.state == StudyState.DONE else "resume"
        head = {
            "name": name,
            "task": str(record.settings.get("task", "")),
            "state": "starting" if starting else record.state.value,
            "reason": "its driver is dead or silent" if record.state == StudyState.STALE else record.reason,
            "owner": record.owner,
            "created": record.created,
            "settings": views.settings(record.settings),
            "refusal": self._drivers.refusal(record),
            "log": space.resumed if ended else space.log,
            "command": self._drivers.shown(next_step, name, workdir=space.workdir),
            "exit_code": ended,
        }
        return {**head, **body, "settled": settled(record), "version": views.version([head, body["digest"]])}

    def _study(self, name: str) -> views.View:
        study = self._overview(name)
        figures = {part["name"]: self._figures(study, part) for part in study["stages"]}
        shown = [one.digest for drawn in figures.values() for one in (drawn or {}).values()]
        return {**study, "figures": figures, "version": views.version([study["version"], shown])}

    def _figures(self, study: views.View, part: views.View) -> dict[str, Picture] | None:
        """A stage's figures as they were drawn last; None before the first time."""
        points = max(20, min(POINTS, ALL_POINTS // len(part["rows"]))) if part["rows"] else POINTS

        def draw() -> dict[str, Picture]:
            from reports.dashboard import pictures  # pandas and matplotlib: a second that the first page need not wait for

            return pictures.stage_pictures(self._results(study["name"], part["name"], points))

        return self._recent.peek(("figures", study["name"], part["name"]), study["digest"], draw, study["settled"])

    def _results(self, study: str, stage: str, points: int) -> StageResults:
        decision = next((one for one in self._store.decisions(study) if one.stage == stage), None)
        metric = self._store.metric(study, stage)
        if metric is None:  # deleted since it was listed
            raise HTTPException(404)
        return StageResults(stage, metric, self._store.trials(study, stage, points), decision)

    def _studies(self) -> list[views.View]:
        return [self._overview(name) for name in self._records()]

    def _stage(self, study: views.View, request: Request) -> tuple[views.View, views.View]:
        for part in study["stages"]:
            if part["name"] == request.path_params["stage"]:
                return study, part
        raise HTTPException(404)

    def _trial(self, request: Request) -> views.View:
        study, part = self._stage(self._overview(request.path_params["name"]), request)
        row = next((row for row in part["rows"] if row["number"] == request.path_params["number"]), None)
        if row is None:
            raise HTTPException(404)
        key, state = (study["name"], part["name"], row["number"]), views.version([row, part["metric"]])
        over = row["state"] != "running"
        trial = self._recent.get(key, state, lambda: self._find_trial(*key), over)
        return {"study": study, "part": part, "row": row, "trial": trial, "version": state, "over": over}

    def _find_trial(self, name: str, stage: str, number: int) -> Trial:
        return next(trial for trial in self._store.trials(name, stage, points=POINTS) if trial.number == number)

    # Pages

    def studies(self, request: Request) -> Response:
        found = self._studies()
        url, start = hidden(self._store.url), self._drivers.shown("run")
        return html("studies.html", studies=found, version=versions(found), url=url, start=start)

    def study(self, request: Request) -> Response:
        study = self._study(request.path_params["name"])
        return html("study.html", study=study, log=views.tail(study["log"]), most=views.ROWS)

    def stage(self, request: Request) -> Response:
        study, part = self._stage(self._study(request.path_params["name"]), request)
        pages = max(1, math.ceil(len(part["rows"]) / views.PAGE))
        given = request.query_params.get("page", "1")
        page = min(max(int(given), 1), pages) if given.isascii() and given.isdecimal() and len(given) < 9 else 1
        rows = part["rows"][(page - 1) * views.PAGE : page * views.PAGE]
        return html("stage.html", study=study, part=part, rows=rows, page=page, pages=pages)

    def trial(self, request: Request) -> Response:
        found = self._trial(request)
        return html("trial.html", **found, measured=views.measured(found["trial"], found["part"]["metric"]))

    # Pictures

    def figure(self, request: Request) -> Response:
        study, part = self._stage(self._study(request.path_params["name"]), request)
        found = (study["figures"][part["name"]] or {}).get(request.path_params["figure"])
        if found is None:
            raise HTTPException(404)
        return drawn(found)

    def curve(self, request: Request) -> Response:
        found, place = self._trial(request), request.path_params["place"]
        measured = views.measured(found["trial"], found["part"]["metric"])
        if place >= len(measured):
            raise HTTPException(404)
        from reports.dashboard import pictures

        key = ("curve", found["study"]["name"], found["part"]["name"], found["row"]["number"], place)
        return drawn(
            self._recent.get(key, found["version"], lambda: pictures.curve(found["trial"], measured[place]), found["over"])
        )

    # JSON

    def studies_json(self, request: Request) -> Response:
        found = self._studies()
        return JSONResponse({"version": versions(found), "studies": [views.summary(study) for study in found]})

    def study_json(self, request: Request) -> Response:
        return JSONResponse(views.summary(self._study(request.path_params["name"])))

    def trial_json(self, request: Request) -> Response:
        found = self._trial(request)
        return JSONResponse({"version": found["version"], **found["row"]})

    # Changes

    async def resume(self, request: Request) -> Response:
        if await body(request) != {}:
            raise HTTPException(400, "Expected {}: a study is resumed with the settings that it was started with.")
        launch = await run_in_threadpool(self._drivers.resume, request.path_params["name"])
        return JSONResponse({"told": f"Started: process {launch.process.pid}.", "pid": launch.process.pid}, 202)


def settled(record: StudyRecord) -> bool:
    """Nobody writes to it: what is known of it now stays."""
    return record.state != StudyState.RUNNING


def versions(studies: list[views.View]) -> str:
    return views.version([study["version"] for study in studies])


def drawn(picture: Picture) -> Response:
    """Its own styles are in it, and nothing else is let in."""
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(picture.svg, media_type="image/svg+xml", headers=headers)


async def body(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise HTTPException(400, "Expected a JSON object as the body.") from None
