"""How is a storage served to a browser on this machine?"""

import errno
import gc
import secrets
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import uvicorn
from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from reports.dashboard.driver import Command, Drivers, resume_command
from reports.dashboard.guard import OPEN, Guard, host_values
from reports.dashboard.pages import Pages
from reports.dashboard.render import HERE, PLOTLY, on_defect, on_http, on_tune, problem
from studies.errors import InputError, TuneError
from studies.ledger import Store

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WILDCARD = ("", "0.0.0.0", "::")
SHORTEST_TOKEN = 8
OPTUNAS = ("dashboard", "api", "static", "csv", "favicon.ico")
"""What Optuna's dashboard answers to: it works at the root of a server only."""


class Optuna:
    """Optuna's own dashboard of the same storage, to be read. Made when first asked for: its import takes a while."""

    def __init__(self, url: str):
        self._url = url
        self._app: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            from optuna_dashboard import wsgi

            self._app = WSGIMiddleware(wsgi(self._url))
        await self._app(scope, receive, send)


def app(
    store: Store,
    workdir: Path,
    token: str,
    *,
    hosts: Collection[str] = tuple(host_values(LOOPBACK, 8080)),
    command: Command = resume_command,
) -> Starlette:
    """The dashboard of one storage.

    token: what a browser logs in with; hosts: the exact values of Host that are this server; command: what starts a
    study's driver. Routes other than GET change something; all of them are in `.routes`.
    """
    pages = Pages(store, Drivers(store, workdir, command))
    optuna = Optuna(store.url)
    answers: dict[Any, Any] = {HTTPException: on_http, TuneError: on_tune, Exception: on_defect}
    return Starlette(
        routes=[
            *pages.routes(),
            Mount(OPEN.rstrip("/"), StaticFiles(directory=HERE / "static")),
            Route(PLOTLY, charting),
            *(Route(f"/{part}{{rest:path}}", optuna, methods=["GET"]) for part in OPTUNAS),
        ],
        middleware=[Middleware(Guard, token, hosts, problem), Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)],
        exception_handlers=answers,
    )


def charting(request: Request) -> Response:
    """Plotly's script, which its Python package carries: 5 MB, once a browser."""
    script = files("plotly") / "package_data" / "plotly.min.js"
    kept = {"cache-control": "private, max-age=31536000, immutable"}
    return FileResponse(str(script), media_type="text/javascript", headers=kept)


def say(text: str) -> None:
    """At once, even into a pipe: without the link nobody gets in."""
    print(text, flush=True)


def serve(
    store_url: str,
    workdir: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    announce: Callable[[str], None] = say,
    command: Command = resume_command,
) -> None:
    """Serve until interrupted. Announces a link that logs in; port 0 is any free one.

    Raises: InputError if the port is taken, the host is none of this machine, or a host that others can reach comes without a
    token; StorageError if the storage cannot be read.
    """
    if host not in LOOPBACK and len(token or "") < SHORTEST_TOKEN:
        wanted = f"a token of your own of at least {SHORTEST_TOKEN} characters: --token ..."
        raise InputError(f"--host {host}: others can reach it, so give {wanted}")
    token = token or secrets.token_urlsafe(24)
    store = Store(store_url)
    gc.set_threshold(100_000, 50, 50)  # trials by the ten thousand make no cycles, and searching them keeps all who ask waiting
    with listen(host, port) as listening:
        port = listening.getsockname()[1]
        names = names_of(host)
        config = uvicorn.Config(
            app(store, workdir, token, hosts=tuple(host_values(names, port)), command=command),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=2,
        )
        announce(f"Dashboard of {store.shown}: http://{next(iter(host_values(names[:1], port)))}/?token={quote(token)}")
        with suppress(KeyboardInterrupt):  # which is how a person ends it
            uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections.

    Raises: InputError.
    """
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the end of an answer waits 40 ms
        return listening
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"--port {port}: taken by another program; choose another, or 0 for any free one") from None
        raise InputError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from None
    except OverflowError:
        raise InputError(f"--port {port}: expected 0 to 65535") from None


def names_of(host: str) -> list[str]:
    """What this server may be called in a Host header, the name for its own link first."""
    if host in LOOPBACK:
        return [host, *(name for name in LOOPBACK if name != host)]
    machine = [socket.gethostname(), socket.getfqdn()]
    if host not in WILDCARD:
        return [host, *machine]
    families = (socket.AF_INET, socket.AF_INET6)
    cards = psutil.net_if_addrs().values()
    addresses = [entry.address.partition("%")[0] for card in cards for entry in card if entry.family in families]
    return list(dict.fromkeys([*machine, *LOOPBACK, *addresses]))
