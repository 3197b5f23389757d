"""Who may ask for what? Every request passes here first, and every answer leaves with the same headers.

A page that a person merely visits can make their browser send requests to this machine. So: an exact Host (against
rebound names), a token that the browser keeps in a strict cookie, and for whatever changes something an exact Origin (which
a program that brings the token need not send) and a content type that a foreign form cannot send.
"""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterator
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1_000_000
NO_TOKEN = "Open the link that `tune dashboard` printed when it started: it logs this browser in."
WRONG_TOKEN = f"That is not the token of this server, which may have been started again. {NO_TOKEN}"
READING = ("GET", "HEAD")
OPEN = "/tuner/static/"
"""What the page that asks for the token is made of: readable without one."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

Problem = Callable[[Request, int, str], Response]
"""Makes the answer to (request, status, what is wrong and what to do)."""


class Guard:
    """Lets a request through to the app, or answers it with what is missing.

    token: the secret; hosts: the exact values of Host that are this server, port included.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str], problem: Problem):
        self._app, self._token, self._hosts, self._problem = app, token, frozenset(hosts), problem
        self._pass = hmac.new(token.encode(), b"dashboard cookie", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"a dashboard answers http only, got {scope['type']}")
        request = Request(scope)
        answer = self._host(request) or self._body(request) or self._login(request) or self._change(request)
        await (answer or self._app)(scope, receive, hardened(send))

    def _host(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) == 1 and hosts[0].lower() in self._hosts:
            return None
        valid = f"This server answers to {', '.join(sorted(self._hosts))} only"
        return self._problem(request, 400, f"{valid}; through a tunnel, use the same port at both ends.")

    def _body(self, request: Request) -> Response | None:
        """Judged by what is announced: nothing of it is read."""
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdecimal():
            return self._closing(request, 411, "Send the length of the body (Content-Length), and the body in one piece.")
        if int(length) > MAX_BODY:
            return self._closing(request, 413, f"Expected a body of at most {MAX_BODY} bytes, got {length}.")
        return None

    def _closing(self, request: Request, status: int, message: str) -> Response:
        answer = self._problem(request, status, message)
        answer.headers["connection"] = "close"
        return answer

    def _login(self, request: Request) -> Response | None:
        given = request.query_params.get("token")
        if given is not None and request.method in READING:
            return self._enter(request) if same(given, self._token) else self._problem(request, 401, WRONG_TOKEN)
        if request.scope["path"].startswith(OPEN) or self._known(request):
            return None
        return self._problem(request, 401, NO_TOKEN)

    def _enter(self, request: Request) -> Response:
        """To the same address without the token, which shall not stay in the browser's history."""
        rest = urlencode([(key, value) for key, value in parse_qsl(request.url.query) if key != "token"])
        address = "/" + quote(request.scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        answer = RedirectResponse(address, status_code=303)
        answer.set_cookie(cookie_name(request), self._pass, httponly=True, samesite="strict", path="/")
        return answer

    def _known(self, request: Request) -> bool:
        if (given := bearer(request)) is not None:
            return same(given, self._token)
        return same(request.cookies.get(cookie_name(request), ""), self._pass)

    def _change(self, request: Request) -> Response | None:
        if request.method in READING:
            return None
        origins = request.headers.getlist("origin")
        if origins != [f"http://{request.headers['host']}"] and (origins or bearer(request) is None):
            return self._problem(request, 403, "Changes are taken from this server's own pages only (Origin).")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return self._problem(request, 415, "Changes are taken as application/json only (Content-Type).")
        return None


def bearer(request: Request) -> str | None:
    """The token that a program sends; no page of somebody else's can make a browser send one."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given if scheme.lower() == "bearer" else None


def same(given: str, secret: str) -> bool:
    """Whether they are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(), secret.encode())


def cookie_name(request: Request) -> str:
    """One a port: browsers send the cookies of a machine to all of its ports, and two dashboards shall not log each other out."""
    return f"tune-{request.url.port or 80}"


def hardened(send: Send) -> Send:
    """The same channel, adding the headers. What an answer says itself stays, a content policy within ours of framing."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if headers["content-security-policy"] != POLICY:
                headers.append("content-security-policy", "frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
        await send(message)

    return sending


def host_values(names: Collection[str], port: int) -> Iterator[str]:
    """What browsers send as Host for these names: IPv6 in brackets, port 80 left out."""
    for name in names:
        name = f"[{name}]" if ":" in name else name.lower()
        yield f"{name}:{port}"
        if port == 80:
            yield name
