"""The API keeps to its own description, whatever is sent to it; and the description leaves no changing route out."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from starlette.routing import Route

from reports.dashboard import app
from reports.dashboard.schema import openapi
from tests.reports.dashboard import sample
from tests.reports.dashboard.conftest import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("described")) as server:
        sample.study(server.store, "flowers", workdir=server.workdir, done=True)
        yield server


ROUTES = [route for route in app(type("Store", (), {"url": "sqlite://"})(), None, "secret").routes if isinstance(route, Route)]
schema = schemathesis.openapi.from_dict(openapi(ROUTES))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_the_api_keeps_to_its_description(case, server):
    if "name" in case.path_parameters and len(str(case.path_parameters["name"])) % 4:  # most of them on a study that there is
        case.path_parameters |= {"name": "flowers", **({"stage": "stage1"} if "stage" in case.path_parameters else {})}
    token = server.link.partition("token=")[2]
    headers = {"authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=server.base, headers=headers, checks=CHECKS)


def test_every_changing_route_is_described(server):
    served = server.client.get("/tuner/api/v1/openapi.json").json()
    changing = {route.path.replace(":number", "") for route in ROUTES if route.methods and "POST" in route.methods}
    assert changing == {path for path, verbs in served["paths"].items() if "post" in verbs} != set()
