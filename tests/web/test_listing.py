"""Filters of the list; the bad-input table has the queries that are refused."""

from __future__ import annotations

import pytest

from tests.web.door import Door


async def test_a_list_has_pages_and_filters(door: Door) -> None:
    """The newest first; `next` leads to the page after."""
    ids = [(await door.accept())["id"] for _ in range(3)]
    test = await door.accept(status="Exercise")
    _, page, _ = await door.ask("GET", "/v1/alerts?limit=2", key="reader")
    assert [one["id"] for one in page["alerts"]] == [test["id"], ids[2]]
    assert page["alerts"][1]["counts"] == {"queued": 3}
    _, rest, _ = await door.ask("GET", f"/v1/alerts?limit=2&before={page['next']}")
    assert [one["id"] for one in rest["alerts"]] == [ids[1], ids[0]]
    _, drills, _ = await door.ask("GET", "/v1/alerts?status=Exercise&state=active")
    assert [one["id"] for one in drills["alerts"]] == [test["id"]]
    _, none, _ = await door.ask("GET", "/v1/alerts?sender=nobody@example.org")
    assert none["alerts"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=200", "state=ended", "state=expired", "status=Test", "incident=DO26-0001", "limit=1"],
)
async def test_every_filter_is_understood(door: Door, query: str) -> None:
    """Also where nothing matches."""
    status, shown, _ = await door.ask("GET", f"/v1/alerts?{query}")
    assert (status, shown) == (200, {"alerts": [], "next": None})


async def test_all_faults_of_a_query_are_named(door: Door) -> None:
    """At once, as those of a body."""
    status, problem, _ = await door.ask("GET", "/v1/alerts?limit=0&state=open&colour=red")
    assert status == 400
    assert [fault["code"] for fault in problem["errors"]] == [
        "query-value",
        "query-value",
        "query-unknown",
    ]
