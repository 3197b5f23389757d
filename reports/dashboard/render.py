"""How does an answer look? Templates with everything escaped; a problem says what to do, and never shows a traceback."""

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from reports import words
from reports.dashboard.guard import HEADERS
from studies.errors import BusyError, InputError, TuneError

API = "/tuner/api/v1"
PLOTLY = f"/tuner/plotly-{version('plotly')}.js"
"""One address a version: browsers may keep it for good."""
HERE = Path(__file__).parent
TITLES = {
    400: "That address is not this server’s",
    401: "Log in first",
    404: "Nothing is here",
    405: "That cannot be done here",
    409: "Not now",
    500: "This is a defect of the dashboard",
    503: "The storage cannot be read",
}


def moment(seconds: float, form: str = "%d %b %Y, %H:%M %Z") -> str:
    return time.strftime(form, time.localtime(seconds))


def coded(text: str) -> Markup:
    """The text escaped, and what stands between back-quotes as code."""
    parts = [
        escape(part) if place % 2 == 0 else Markup("<code>{}</code>").format(part) for place, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
ENVIRONMENT.filters.update(
    number=words.number,
    measured=words.measured,
    duration=words.duration,
    plan=words.plan,
    brief=words.brief,
    moment=moment,
    coded=coded,
)
ENVIRONMENT.globals.update(api=API, plotly_address=PLOTLY, count=words.count)


def html(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(ENVIRONMENT.get_template(template).render(**values), status)


def problem(request: Request, status: int, message: str) -> Response:
    """An error that says what to do; as JSON where JSON is spoken. Never a traceback."""
    if request.scope["path"].startswith(API) or request.method not in ("GET", "HEAD"):
        return JSONResponse({"error": message}, status)
    return html("problem.html", status, title=TITLES.get(status, "That did not work"), message=message, login=status == 401)


def on_http(request: Request, error: HTTPException) -> Response:
    wrong = {
        404: "There is no such page; all studies are listed on the first one.",
        405: f"{request.method} is not for this address.",
    }
    answer = problem(request, error.status_code, wrong.get(error.status_code, error.detail))
    answer.headers.update(error.headers or {})
    return answer


def on_tune(request: Request, error: TuneError) -> Response:
    status = 409 if isinstance(error, BusyError) else 404 if isinstance(error, InputError) else 503
    return problem(request, status, str(error))


def on_defect(request: Request, error: Exception) -> Response:
    where = "Its traceback is in the terminal of `tune dashboard`."
    answer = problem(request, 500, f"{where} The tuning itself is not touched; reload to try again.")
    answer.headers.update(HEADERS)  # it is answered from outside of the guard
    return answer
