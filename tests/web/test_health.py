"""Liveness and readiness, open to everybody."""

from __future__ import annotations

from tests.web.door import Door


async def test_the_process_answers_without_a_key(door: Door) -> None:
    """A load balancer has none."""
    assert (await door.ask("GET", "/healthz", key=None))[:2] == (200, {"status": "ok"})


async def test_readiness_names_its_reasons(door: Door) -> None:
    """503 with all of them, so that whoever looks knows what to do."""
    assert (await door.ask("GET", "/readyz", key=None))[0] == 200
    door.reasons += ["the disk is full", "nobody can be told"]
    status, problem, _ = await door.ask("GET", "/readyz", key=None)
    assert (status, problem["code"]) == (503, "not-ready")
    assert problem["detail"] == "the disk is full; nobody can be told"


async def test_a_head_request_is_answered_without_a_body(door: Door) -> None:
    """Probes use it."""
    status, shown, _ = await door.ask("HEAD", "/healthz", key=None)
    assert (status, shown) == (200, "")
