"""What the Threads and Instagram stand-ins do with every request."""

from __future__ import annotations

import json

import pytest

from broadcaster.sandbox.meta_request import metric
from tests.sandbox.client import Client

TOKEN = "sandbox-stadt-dortmund"
PATHS = [("threads", "/v1.0/me"), ("instagram", "/v25.0/me")]


@pytest.mark.parametrize(("network", "path"), PATHS)
async def test_the_token_comes_as_a_header_or_as_a_parameter(
    network: str, path: str, client: Client
) -> None:
    """Meta takes both; without one nobody is let in."""
    header = {"Authorization": f"Bearer {TOKEN}"}
    assert (await client.get(network, path, headers=header)).status == 200
    assert (await client.get(network, path, params={"access_token": TOKEN})).status == 200
    assert (await client.get(network, path)).body["error"]["code"] == 190


@pytest.mark.parametrize(("network", "path"), PATHS)
async def test_every_answer_tells_the_usage(network: str, path: str, client: Client) -> None:
    """As a share of what is allowed, below what would make anybody stop asking."""
    answer = await client.get(network, path, params={"access_token": TOKEN})
    assert 0 <= json.loads(answer.headers["X-App-Usage"])["call_count"] <= 80


@pytest.mark.parametrize(("network", "path"), PATHS)
async def test_only_fields_that_there_are_can_be_asked_for(
    network: str, path: str, client: Client
) -> None:
    """`id` always comes; a field that nothing has is refused as Graph does."""
    query = {"access_token": TOKEN}
    assert list((await client.get(network, path, params=query)).body) == ["id"]
    answer = await client.get(network, path, params=query | {"fields": "id,username"})
    assert answer.body["username"] == "stadt_dortmund"
    answer = await client.get(network, path, params=query | {"fields": "password"})
    assert answer.body["error"]["code"] == 100


def test_a_metric_has_the_shape_of_metas_examples() -> None:
    """Name, period and a list of values."""
    found = metric("9", "views", 3)
    assert (found["name"], found["period"], found["values"]) == (
        "views",
        "lifetime",
        [{"value": 3}],
    )
    assert found["id"] == "9/insights/views/lifetime"
