"""How does an answer look? Templates with everything escaped; a problem says what to do, and never shows a traceback."""

import math
import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from reports.dashboard.guard import HEADERS
from studies.errors import BusyError, InputError, TuneError

API = "/tuner/api/v1"
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


def number(value: float | None, digits: int = 4) -> str:
    """A value for a reader: so many significant digits, a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def moment(seconds: float, form: str = "%d %b %Y, %H:%M") -> str:
    return time.strftime(form, time.localtime(seconds))


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
ENVIRONMENT.filters.update(number=number, moment=moment, duration=duration)
ENVIRONMENT.globals.update(api=API)


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
