"""What must not get through: every changing route, without each of the things that a change needs."""

import http.client
import re
import socket
import sqlite3
import time
from contextlib import ExitStack, closing
from itertools import product

import pytest
from starlette.routing import Route

from reports.dashboard import app, serve
from reports.dashboard.guard import HEADERS
from studies.errors import InputError
from studies.workspace import default_storage
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("guarded")) as server:
        sample.study(server.store, "flowers", workdir=server.workdir)
        yield server


def routes(methods) -> list[tuple[str, str]]:
    """(method, address) of the app's own routes that take one of the methods, on the sample study."""
    values = {"name": "flowers", "stage": "stage1", "number": "3", "rest": ""}
    fill = lambda path: re.sub(r"{(\w+)(:\w+)?}", lambda found: values[found[1]], path)  # noqa: E731
    store = type("Store", (), {"url": "sqlite://"})()
    own = [route for route in app(store, None, "secret").routes if isinstance(route, Route)]
    return [(method, fill(route.path)) for route in own for method in sorted(route.methods & set(methods))]


def kept(server) -> str:
    """All that the storage holds: what a change would change, whichever it was."""
    with closing(sqlite3.connect(server.workdir / "studies.db")) as raw:
        return "\n".join(raw.iterdump())


CHANGING = routes({"POST", "PUT", "PATCH", "DELETE"})
READING = [address for _, address in routes({"GET"})]


def send(server, method, address, headers, body=b"{}"):
    """As it stands: no client's library mends the address or the headers."""
    connection = http.client.HTTPConnection(server.host, timeout=10)
    connection.putrequest(method, address, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body and "content-length" not in headers and "transfer-encoding" not in headers:
        connection.putheader("content-length", str(len(body)))
    connection.endheaders()
    if body and "content-length" not in headers:
        connection.send(body)
    answer = connection.getresponse()
    try:
        answer.text = answer.read().decode(errors="replace")
    except ConnectionResetError:  # the server has answered and closed without reading what was sent
        answer.text = ""
    connection.close()
    return answer


def good(server) -> dict[str, str]:
    cookies = server.client.cookies
    return {"host": server.host, "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), **server.changing}


BODIES = [
    b"{}",
    b'{"lr": 0.5, "resume": true}',
    b'{"steps": 9000, "resume": true}',
    b'{"number": 2, "reason": "to see", "resume": true}',
    b'{"text": "a note"}',
]
"""Each of them changes something where everything else is right, as the tests of acting show."""
WRONG = {
    "no token": {"cookie": None},
    "another token": {"cookie": "tune-8080=0"},
    "a wrong bearer": {"cookie": None, "authorization": "Bearer guess"},
    "another host": {"host": "evil.example"},
    "a rebound host": {"host": "evil.example:{port}"},
    "a host without its port": {"host": "127.0.0.1"},
    "no host": {"host": None},
    "another origin": {"origin": "http://evil.example"},
    "another port's origin": {"origin": "http://127.0.0.1:1"},
    "no origin": {"origin": None},
    "an opaque origin": {"origin": "null"},
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "plain text": {"content-type": "text/plain"},
    "JSON by the end of its name": {"content-type": "text/plain; application/json"},
    "no type": {"content-type": None},
    "a body that is too long": {"content-length": "1000000000"},
    "a body of unknown length": {"transfer-encoding": "chunked"},
}


def test_there_are_changing_routes():
    assert {address.rpartition("/")[2] for _, address in CHANGING} == {"resume", "stop", "rates", "extend", "overrule", "notes"}


@pytest.mark.parametrize(("route", "wrong"), list(product(CHANGING, WRONG)), ids=str)
def test_a_change_without_what_it_needs_changes_nothing(server, route, wrong):
    changes = {name: value and value.format(port=server.host.partition(":")[2]) for name, value in WRONG[wrong].items()}
    headers = {name: value for name, value in {**good(server), **changes}.items() if value is not None}
    before = kept(server)
    for body in BODIES:
        assert 400 <= send(server, *route, headers, body).status < 500
    assert (server.starts(), kept(server)) == ([], before)


@pytest.mark.parametrize("route", CHANGING, ids=str)
def test_a_change_with_another_method_changes_nothing(server, route):
    before = kept(server)
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = send(server, method, route[1], good(server), BODIES[0])
        assert answer.status in (400, 405)
        assert "access-control-allow-origin" not in answer.headers
    assert (server.starts(), kept(server)) == ([], before)


@pytest.mark.parametrize("route", CHANGING, ids=str)
def test_a_change_with_another_body_changes_nothing(server, route):
    before = kept(server)
    for body in (b"", b"{", b"[]", b'{"workdir": "/tmp"}', b"null", b"\xff", b'{"lr": NaN}', b'{"steps": true}', b'{"text": 1}'):
        assert send(server, *route, good(server), body).status == 400
    assert (server.starts(), kept(server)) == ([], before)


@pytest.mark.parametrize("address", [*READING, "/dashboard", "/api/studies", "/api/studies/1", "/nowhere"])
def test_nothing_is_read_without_the_token(server, address):
    answer = send(server, "GET", address, {"host": server.host}, b"")
    assert answer.status == 401
    assert "flowers" not in answer.text.replace(address, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("address", ["/api/studies", "/api/studies/1", "/api/studies/1/rename", "/api/studies/1/note"])
def test_optunas_dashboard_can_only_be_read(server, method, address):
    assert send(server, method, address, good(server)).status == 405


def test_the_link_logs_in_and_leaves_no_token_behind(server):
    client = server.stranger()
    query = server.link.partition("?")[2]
    answer = client.get(f"/studies/flowers?page=2&{query}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies/flowers?page=2")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert query.removeprefix("token=") not in cookie
    assert client.get("/").status_code == 200
    assert server.stranger().get("/?token=guess").status_code == 401
    for path in ("//evil.example/", "/%5Cevil.example/"):
        answer = send(server, "GET", f"{path}?{query}", {"host": server.host}, b"")
        assert (answer.status, answer.headers["location"]) == (303, "/evil.example/")


def test_the_token_serves_programs_as_a_bearer(server):
    token = server.link.partition("token=")[2]
    headers = {"authorization": f"Bearer {token}"}
    answer = server.stranger().get("/tuner/api/v1/studies", headers=headers)
    assert [study["name"] for study in answer.json()["studies"]] == ["flowers"]
    notes = "/tuner/api/v1/studies/flowers/notes"
    assert server.stranger().post(notes, headers=headers, json={"text": "by a program"}).status_code == 202
    foreign = {**headers, "origin": "http://evil.example"}
    assert server.stranger().post(notes, headers=foreign, json={"text": "by a page"}).status_code == 403
    assert [record.text for record in server.store.wishes("flowers")] == ["by a program"]


CLIMBS = (
    "../" * 6,
    "..%2f" * 6,
    "%2e%2e/" * 6,
    "%2e%2e%2f" * 6,
    "..%5c" * 6,
    "..\\" * 6,
    "..%252f" * 6,
    "..%c0%af" * 6,
    "....//" * 4,
    "./.././../" * 3,
    "/",
    "%00",
)


@pytest.mark.parametrize(
    "path",
    [
        f"{root}{climb}{target}"
        for root in (
            "/tuner/static/",
            "/studies/",
            "/studies/flowers/figures/",
            "/studies/flowers/stages/",
            "/static/",
            "/csv/",
            "/",
        )
        for climb in CLIMBS
        for target in ("etc/passwd", "flowers/tune.log", "studies.db")
    ],
)
def test_no_path_of_a_client_is_opened(server, path):
    answer = send(server, "GET", path, {**good(server), "accept-encoding": "gzip"}, b"")
    assert 400 <= answer.status < 500
    assert "root:" not in answer.text and "SQLite format" not in answer.text


def test_two_hundred_who_never_finish_asking_keep_nobody_waiting(server):
    host, _, port = server.host.partition(":")
    with ExitStack() as stack:
        for place in range(200):
            slow = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            slow.sendall(f"GET / HTTP/1.1\r\nhost: {server.host}\r\nx-slow: {place}".encode())
        began = time.monotonic()
        assert send(server, "GET", "/", good(server), b"").status == 200
        assert time.monotonic() - began < 5


def test_every_answer_carries_the_headers(server):
    wanted = {200: "/", 303: f"/?{server.link.partition('?')[2]}", 404: "/nowhere"}
    for status, address in wanted.items():
        answer = send(server, "GET", address, good(server), b"")
        assert (answer.status, dict(HEADERS, **answer.headers)) == (status, dict(answer.headers, **HEADERS))
    refused = [
        send(server, "GET", "/", {"host": server.host}, b""),
        send(server, "GET", "/", {"host": "evil.example"}, b""),
        send(server, "GET", "/tuner/api/v1/studies/nobody", good(server), b""),
        send(server, "PUT", "/", good(server)),
        send(server, "POST", "/", {**good(server), "content-length": "1000001"}),
        send(server, "POST", "/", {**good(server), "origin": "null"}),
        send(server, "POST", "/", {**good(server), "content-type": "text/plain"}),
    ]
    assert [answer.status for answer in refused] == [401, 400, 404, 405, 413, 403, 415]
    for answer in refused:
        assert HEADERS.items() <= {name.lower(): value for name, value in answer.headers.items()}.items()


def test_what_is_wrong_is_said_without_a_traceback(tmp_path):
    with serving(tmp_path) as server:
        sample.study(server.store, "flowers", workdir=tmp_path)
        client = server.client
        missing = client.get("/studies/nobody")
        assert missing.status_code == 404 and "there are: flowers" in missing.text
        with sqlite3.connect(tmp_path / "studies.db") as raw:
            raw.execute("UPDATE tuner_decisions SET decision = '{}'")
            raw.execute("UPDATE tuner_studies SET updated = updated + 1")
        broken = client.get("/studies/flowers", headers={"connection": "close"})  # the server gives up such a connection
        assert broken.status_code == 500 and "Traceback" not in broken.text
        assert HEADERS.items() <= broken.headers.items()
        with sqlite3.connect(tmp_path / "studies.db") as raw:
            raw.execute("DROP TABLE tuner_studies")
        away = client.get("/studies/other")
        assert away.status_code == 503 and "no such table" in away.text


def test_the_users_mistakes_are_one_clear_line(tmp_path, server):
    port = int(server.host.partition(":")[2])
    url = default_storage(tmp_path)
    with pytest.raises(InputError, match=f"--port {port}: taken by another program; choose another, or 0 for any free one"):
        serve(url, tmp_path, port=port)
    with pytest.raises(InputError, match="--port 70000: expected 0 to 65535"):
        serve(url, tmp_path, port=70000)
    with pytest.raises(
        InputError, match="--host 0.0.0.0: others can reach it, so give a token of your own of at least 8 characters"
    ):
        serve(url, tmp_path, host="0.0.0.0")
    with pytest.raises(InputError, match="--host 203.0.113.1 --port 0: cannot listen there: "):
        serve(url, tmp_path, host="203.0.113.1", port=0, token="long enough")
