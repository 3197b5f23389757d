"""What is answered at which address? Each view once as a page and once as JSON, both of the same plain values."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reports.dashboard import views
from reports.dashboard.acts import Acts
from reports.dashboard.downloads import Downloads
from reports.dashboard.driver import Drivers
from reports.dashboard.pace import Pace
from reports.dashboard.recent import Recent
from reports.dashboard.render import API, html
from reports.dashboard.schema import openapi
from reports.diagnosis import Diagnosis, diagnose, diagnoses
from reports.stages import StageResults
from studies.errors import Interrupted
from studies.ledger import Store
from studies.study import StudyRecord, StudyState
from studies.trial import Trial
from studies.workspace import command

CURVES = 60
"""Of a stage, as many as can be told apart: the winner's, those under way, and the best."""
POINTS = (400, 200, 100)
"""Of a curve, about as many as a chart has pixels to tell apart; fewer where there are many curves."""
ALL_POINTS = 6_000
"""Of a chart: some 50 kB on their way to the browser."""

NEXT = {StudyState.RUNNING: "stop", StudyState.DONE: "export"}
"""What there is to be done with a study: resume it, in all other states."""


@dataclass(frozen=True)
class Charts:
    """What was drawn last. json: as the browser gets it; version: changes with it; ailments: what the curves say."""

    charts: Sequence[views.View]
    json: bytes
    version: str
    ailments: Sequence[Diagnosis] = ()

    @classmethod
    def of(cls, charts: Sequence[views.View], ailments: Sequence[Diagnosis]) -> Charts:
        version = views.version(charts)
        return cls(charts, json.dumps({"version": version, "charts": charts}, allow_nan=False).encode(), version, ailments)


NOT_YET = Charts((), b'{"version": "", "charts": []}', "")


class Pages:
    """The views of one storage. What is slow to find is found seldom, however many watch."""

    def __init__(self, store: Store, drivers: Drivers):
        self._store, self._drivers, self._recent = store, drivers, Recent()
        self._pace = Pace()
        self._acts, self._downloads = Acts(store, drivers), Downloads(store)

    def routes(self) -> list[Route]:
        """Every address of ours; a method other than GET changes something."""
        study = "/studies/{name}"
        stage, trial = study + "/stages/{stage}", study + "/trials/{stage}/{number:number}"
        routes = [
            Route("/", self.studies),
            Route(study, self.study),
            Route(stage, self.stage),
            Route(trial, self.trial),
            Route(study + "/report.zip", self._downloads.report),
            Route(study + "/best.yaml", self._downloads.export),
            Route(API + "/studies", self.studies_json),
            Route(API + study, self.study_json),
            Route(API + stage + "/charts", self.stage_charts),
            Route(API + trial, self.trial_json),
            Route(API + trial + "/charts", self.trial_charts),
            *(Route(API + study + act.path, act.post, methods=["POST"]) for act in self._acts.all()),
        ]
        described = openapi(routes)
        return [*routes, Route(API + "/openapi.json", lambda request: JSONResponse(described))]

    # What is known

    def _records(self) -> dict[str, StudyRecord]:
        return self._recent.get("studies", time.monotonic(), lambda: {record.name: record for record in self._store.studies()})

    def _body(self, record: StudyRecord) -> views.View:
        """What a study's trials say: anew only where the driver has written since."""
        state = (record.state, record.updated)

        def find() -> views.View:
            names, going = self._store.stages(record.name), not settled(record)
            stages = [views.stage(self._results(record.name, name), going) for name in names]
            done, wanted = (sum(part[what] for part in stages) for what in ("done", "wanted"))
            left = self._pace.left(record.name, time.monotonic(), done, wanted) if going else None
            return {"stages": stages, "best": views.best(stages), "left": left, "digest": views.version(state)}

        return self._recent.get(("body", record.name), state, find, settled(record))

    def _results(self, study: str, stage: str) -> StageResults:
        """A stage with the first and last points of its curves."""
        decision = next((one for one in self._store.decisions(study) if one.stage == stage), None)
        metric = self._store.metric(study, stage)
        if metric is None:  # deleted since it was listed
            raise HTTPException(404)
        return StageResults(stage, metric, self._store.trials(study, stage, 1), decision)

    def _overview(self, name: str) -> views.View:
        """A study without its charts, which are drawn for those only who look at them."""
        record = self._records().get(name) or self._store.record(name)
        launch, body, space = self._drivers.launch(name), self._body(record), self._drivers.workspace(record)
        ended = launch.process.returncode if launch and settled(record) else None
        broke = ended not in (None, 0, Interrupted.exit_code)
        starting = settled(record) and self._drivers.starting(record)
        state = "starting" if starting else record.state.value
        still_open = views.still_open(record, body["stages"])
        go_on = ("run", "--study") if still_open and state == StudyState.DONE else (NEXT.get(state, "resume"),)
        wishes = self._recent.get(("wishes", name), (record.state, record.updated), lambda: self._store.wishes(name))
        head = {
            "name": name,
            "task": str(record.settings.get("task", "")),
            "state": state,
            "reason": "" if starting else "its driver is dead or silent" if record.state == StudyState.STALE else record.reason,
            "owner": record.owner,
            "created": record.created,
            "settings": views.settings(record.settings),
            "planned": len(record.settings.get("stages", ())),
            "refusal": self._drivers.refusal(record),
            "log": space.resumed if broke else space.log,
            "command": record.command(*go_on, name),
            "open": still_open,
            "exit_code": ended if broke else None,
            "wishes": [views.wished(wish, wishes) for wish in reversed(wishes)],
        }
        version = views.version([head, body["digest"]])
        told = {"record": record, "decided": [part["name"] for part in body["stages"] if part["decision"]]}
        return {**head, **body, **told, "space": space, "settled": settled(record), "version": version}

    def _study(self, name: str) -> views.View:
        study = self._overview(name)
        charts = {part["name"]: self._stage_charts(study, part) for part in study["stages"]}
        shown = [drawn.version for drawn in charts.values()]
        return {**study, "charts": charts, "version": views.version([study["version"], shown])}

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
        trial = self._curves(study, part, row, POINTS[0])
        key, state = ("trial", study["name"], part["name"], row["number"]), progress(row)

        def draw() -> Charts:
            from reports.dashboard import charts

            others = [other for other in self._shown(study, part).trials if other.number != trial.number]
            found = diagnose(trial, part["metric"], others, study["record"], study["decided"])
            ailments = [Diagnosis(finding, (trial,)) for finding in found]
            return Charts.of(charts.trial_charts(trial, views.measured(trial, part["metric"])), ailments)

        drawn = self._recent.peek(key, (state, study["digest"]), draw, study["settled"]) or NOT_YET
        version = views.version([state, drawn.version, study["wishes"], study["state"]])
        return {"study": study, "part": part, "row": row, "trial": trial, "charts": drawn, "version": version}

    def _curves(self, study: views.View, part: views.View, row: views.View, points: int) -> Trial:
        """A trial with its curves: read again only where it has gone on since."""
        key = ("curves", study["name"], part["name"], row["number"], points)
        read = partial(self._store.trial, study["name"], part["name"], row["number"], points)
        return self._recent.get(key, progress(row), read, settled=True)

    def _shown(self, study: views.View, part: views.View) -> StageResults:
        """A stage with as many trials and points as can be told apart."""
        rows = views.leading(part["rows"], CURVES)
        points = next((points for points in POINTS if points * len(rows) <= ALL_POINTS), POINTS[-1])
        trials = [self._curves(study, part, row, points) for row in rows]
        return StageResults(part["name"], part["metric"], trials, part["decision"])

    def _stage_charts(self, study: views.View, part: views.View) -> Charts:
        """A stage's charts as they were drawn last."""

        def draw() -> Charts:
            from reports.dashboard import charts  # pandas and matplotlib: a second that the first page need not wait for

            results = self._shown(study, part)
            return Charts.of(charts.stage_charts(results), diagnoses(results, study["record"], study["decided"]))

        key = ("charts", study["name"], part["name"])
        return self._recent.peek(key, study["digest"], draw, study["settled"]) or NOT_YET

    # Pages

    def studies(self, request: Request) -> Response:
        found = self._studies()
        start = command("run", workdir=self._drivers.workdir, storage=self._store.shown)
        return html("studies.html", studies=found, version=versions(found), url=self._store.shown, start=start)

    def study(self, request: Request) -> Response:
        study = self._study(request.path_params["name"])
        return html("study.html", study=study, log=views.tail(study["log"]), most=views.ROWS, curves=CURVES)

    def stage(self, request: Request) -> Response:
        study, part = self._stage(self._overview(request.path_params["name"]), request)
        asked = {name: request.query_params.get(name, "") for name in ("state", "sort", "down", "page")}
        rows = views.chosen(part["rows"], asked["state"], asked["sort"], asked["down"] == "1")
        pages, given = max(1, math.ceil(len(rows) / views.PAGE)), asked["page"]
        page = min(max(int(given), 1), pages) if given.isascii() and given.isdecimal() and len(given) < 9 else 1

        def address(**changes: Any) -> str:
            return "?" + urlencode({name: value for name, value in {**asked, "page": "", **changes}.items() if value})

        shown = rows[(page - 1) * views.PAGE : page * views.PAGE]
        found: views.View = {"study": study, "part": part, "rows": shown, "page": page, "pages": pages}
        return html("stage.html", **found, asked=asked, address=address)

    def trial(self, request: Request) -> Response:
        found = self._trial(request)
        study, part, row, plan = found["study"], found["part"], found["row"], found["trial"].plan
        shared = views.relatives(plan, row["number"], part["name"], study["stages"])
        here = (part["name"], row["number"])
        wishes = [wish for wish in study["wishes"] if (wish["stage"], wish["number"]) == here]
        log = views.trial_log(views.tail(study["space"].log, views.WHOLE_LOG), plan, part["name"])
        told: views.View = {"path": views.path(plan), "shared": shared, "log": log}
        return html("trial.html", **found, **told, wishes=wishes)

    # JSON

    def studies_json(self, request: Request) -> Response:
        """All studies, in the order in which they were created."""
        found = self._studies()
        return JSONResponse({"version": versions(found), "studies": [views.summary(study) for study in found]})

    def study_json(self, request: Request) -> Response:
        """A study: its stages and what they decided, without their trials."""
        return JSONResponse(views.summary(self._study(request.path_params["name"])))

    def stage_charts(self, request: Request) -> Response:
        """What is drawn of a stage: lines, bands and words."""
        study, part = self._stage(self._overview(request.path_params["name"]), request)
        return drawn(self._stage_charts(study, part))

    def trial_json(self, request: Request) -> Response:
        """A trial: its plan, and how far it has come."""
        found = self._trial(request)
        return JSONResponse({**found["row"], "version": found["version"], "plan": found["trial"].plan.describe()})

    def trial_charts(self, request: Request) -> Response:
        """What is drawn of a trial."""
        return drawn(self._trial(request)["charts"])


def settled(record: StudyRecord) -> bool:
    """Nobody writes to it: what is known of it now stays."""
    return record.state != StudyState.RUNNING


def versions(studies: list[views.View]) -> str:
    return views.version([study["version"] for study in studies])


def progress(row: views.View) -> tuple:
    """Changes when there is more to be read of a trial."""
    return row["step"], row["steps"], row["state"]


def drawn(charts: Charts) -> Response:
    return Response(charts.json, media_type="application/json")
