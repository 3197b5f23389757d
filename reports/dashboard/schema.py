"""What can a program ask, and of what form are the answers? The API's own description, made of its routes: OpenAPI."""

import inspect
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from starlette.routing import Route

from reports.dashboard.acts import Act
from reports.dashboard.render import API
from studies.value import LARGEST

REFUSALS = {
    "400": "something is wrong with the request",
    "401": "the token is missing",
    "403": "Origin is not this server's own",
    "404": "there is no such study, stage or trial",
    "405": "that is not for this address",
    "409": "not now: it is running, or done",
    "411": "the length of the body is missing",
    "413": "the body is too long",
    "415": "the body is not JSON",
    "503": "the storage cannot be read or written",
}


def openapi(routes: Iterable[Route]) -> dict[str, Any]:
    """The description of those of the routes that speak JSON."""
    paths: dict[str, Any] = {}
    for route in routes:
        if route.path.startswith(API):
            verb = "post" if "POST" in (route.methods or ()) else "get"
            paths.setdefault(re.sub(r":\w+}", "}", route.path), {})[verb] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tune dashboard", "version": version("staged-tuner")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _object(error={"type": "string"})},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    act = getattr(route.endpoint, "__self__", None)
    told = act.does if isinstance(act, Act) else route.endpoint
    found: dict[str, Any] = {
        "summary": inspect.getdoc(told),
        "parameters": [_parameter(name, kind) for name, kind in re.findall(r"{(\w+)(:number)?}", route.path)],
        "responses": {status: _answer(text, {"$ref": "#/components/schemas/Error"}) for status, text in REFUSALS.items()},
    }
    if isinstance(act, Act):
        taken = act.body.model_json_schema()
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": taken}}}
        found["responses"]["202"] = _answer("taken; what comes of it", _object(told={"type": "string"}))
    else:
        found["responses"]["200"] = _answer("as it is known now; `version` changes with it", {"type": "object"})
    return found


def _parameter(name: str, kind: str) -> dict[str, Any]:
    value = {"type": "integer", "minimum": 0, "maximum": LARGEST} if kind else {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": value}


def _answer(text: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": content}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
