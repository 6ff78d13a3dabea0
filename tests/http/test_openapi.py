"""The OpenAPI document: sound, complete, and true."""

from __future__ import annotations

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.web import Site
from workdocket.domain.errors import CATALOGUE
from workdocket.schema import Validator
from workdocket.surfaces.openapi import body_schema, document
from workdocket.surfaces.tools import TOOLS


@pytest.mark.scenario("http-openapi")
@pytest.mark.parametrize("secured", [True, False])
def test_the_document_is_one_of_openapi_3_1(secured: bool) -> None:
    OpenAPIV31SpecValidator(document(secured=secured)).validate()


@pytest.mark.scenario("http-openapi")
def test_every_tool_and_every_status_is_in_it() -> None:
    found = document(secured=True)
    for name, spec in TOOLS.items():
        path = found["paths"][f"/v1/{name}"]
        assert set(path) == ({"get", "post"} if spec.hints[0] else {"post"})
        assert {str(kind.http) for kind in CATALOGUE.values()} <= path["post"]["responses"].keys()
        assert set(path["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]) == set(
            spec.args.model_fields
        )


@pytest.mark.scenario("http-openapi")
async def test_it_says_whether_a_token_is_asked_for(here: Site) -> None:
    assert {} in (await here.client.get("/v1/openapi.json")).json()["security"]
    secret = await here.token("ann")
    asked = await here.client.get("/v1/openapi.json", headers={"Authorization": f"Bearer {secret}"})
    assert asked.json()["security"] == [{"token": []}]


@pytest.mark.scenario("http-openapi")
@pytest.mark.parametrize("name", TOOLS)
def test_what_it_says_of_a_body_is_a_sound_schema(name: str) -> None:
    Validator(body_schema(name), name)


@pytest.mark.scenario("http-openapi")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("propose", {"type": "test.echo", "payload": {"message": "hi"}, "priority": 5, "meta": None}),
        ("propose", {"type": "test.echo", "payload": '{"message": "hi"}', "depends_on": "[]"}),
        ("list_orders", {"state": None, "limit": 3, "meta": {"a": 1}}),
        ("events", {"after": 0}),
        ("events", {"after": "0"}),
    ],
)
async def test_what_it_allows_is_taken(here: Site, tool: str, arguments: dict[str, Any]) -> None:
    assert Validator(body_schema(tool), tool).findings(arguments) == []
    assert (await here.post(tool, **arguments)).status_code == 200
