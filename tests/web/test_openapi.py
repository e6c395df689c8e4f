"""The description is true: what it says is what answers, and hypothesis finds no 5xx behind it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from jsonschema import Draft202012Validator
from jsonschema import ValidationError as JsonSchemaError
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from broadcaster.delivery import Outcome
from broadcaster.web.listening import Patience
from tests.conftest import count
from tests.web.door import Door, alert, opened

EXAMPLES = count(25, 1500)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


async def test_the_description_names_every_route_and_no_other(door: Door) -> None:
    """What is not in it does not exist."""
    _, document, _ = await door.ask("GET", "/openapi.json", key=None)
    assert document["openapi"] == "3.1.0"
    operations = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    delivery = "/v1/alerts/{id}/deliveries/{delivery}"
    assert operations == {
        "POST /v1/alerts",
        "GET /v1/alerts",
        "GET /v1/alerts/{id}",
        "GET /v1/alerts/{id}/events",
        "POST /v1/alerts/{id}/cancel",
        f"POST {delivery}/retry",
        f"POST {delivery}/confirm",
        f"POST {delivery}/retract",
        "POST /v1/preview",
        "POST /v1/preview/card",
        "GET /cards/{name}",
        "GET /v1/channels",
        "GET /openapi.json",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    }


async def test_every_reference_in_the_description_leads_somewhere(door: Door) -> None:
    """A generated client compiles."""
    _, document, _ = await door.ask("GET", "/openapi.json", key=None)
    named = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert named <= set(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_the_scenarios_alert_fits_the_description(door: Door) -> None:
    """Request and answer alike."""
    _, document, _ = await door.ask("GET", "/openapi.json", key=None)

    def validator(name: str) -> Draft202012Validator:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        return Draft202012Validator(schema)

    validator("Submission").validate(alert())
    validator("Alert").validate(await door.accept())
    with pytest.raises(JsonSchemaError, match="is not one of"):
        validator("Submission").validate(alert(status="Nonsense"))


class Running:
    """A door in a thread of its own, for clients that block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ready: Future[Door] = Future()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        patience = Patience(connections_per_address=2000, idle_seconds=5)
        async with opened(self._directory, patience=patience) as door:
            self._ready.set_result(door)
            await self._end.wait()

    def start(self) -> None:
        """Open the door."""
        self._thread.start()
        self.door = self._ready.result(timeout=20)

    def ask(
        self, question: Callable[[Door], Coroutine[Any, Any, dict[str, str]]]
    ) -> dict[str, str]:
        """Run something in the door's own loop."""
        asked = asyncio.run_coroutine_threadsafe(question(self.door), self._loop)
        return asked.result(timeout=20)

    def stop(self) -> None:
        """Close it."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=20)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Give a door that blocking clients can ask."""
    made = Running(tmp_path)
    made.start()
    yield made
    made.stop()


def steered(case: Any, turn: int, known: dict[str, str]) -> None:
    """Bring every second case past the first hurdle: an alert that exists, one field changed."""
    if case.path.endswith("/events"):  # a stream has no end of its own
        case.query = {**(case.query or {}), "until": "settled"}
    if turn % 2:
        return
    if case.path_parameters:
        case.path_parameters = {**case.path_parameters, **known}
    if case.path in ("/v1/alerts", "/v1/preview") and isinstance(case.body, dict):
        fields = list(case.body.items())
        case.body = alert(**dict(fields[turn // 2 % len(fields) :][:1] if fields else ()))
        case.media_type = "application/json"


async def prepared(door: Door) -> dict[str, str]:
    """Have alerts in the store in many states; give the ids of one that went out."""
    ended = await door.accept()
    await door.send("city")
    await door.send("crisis", outcome=Outcome.REJECTED)
    await door.ask("POST", f"/v1/alerts/{ended['id']}/cancel")
    made = await door.accept()
    await door.send("city", outcome=Outcome.UNKNOWN)
    await door.send("crisis", outcome=Outcome.REJECTED)
    await door.send("fire-brigade")
    return {"id": made["id"], "delivery": made["deliveries"][0]["id"]}


@pytest.mark.soak
@pytest.mark.limit(300)
def test_hypothesis_finds_no_5xx_and_no_answer_beside_the_description(
    running: Running, seed: int
) -> None:
    """Each operation is asked with what its description allows and with what it forbids."""
    known = running.ask(prepared)
    headers = {"Authorization": running.door.bearer("approver")}
    statuses: Counter[int] = Counter()
    schema = schemathesis.openapi.from_url(f"{running.door.url}/openapi.json")
    for result in schema.get_all_operations():
        operation = cast(Any, result).ok()

        def ask(case: Any) -> None:
            steered(case, statuses.total(), known)
            answer = case.call_and_validate(headers=headers, checks=CHECKS, timeout=10)
            statuses[answer.status_code] += 1

        strategy = operation.as_strategy() | operation.as_strategy(
            generation_mode=schemathesis.GenerationMode.NEGATIVE
        )
        quiet = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        quiet(seeded(seed)(given(case=strategy)(ask)))()
    assert {200, 202, 400, 404, 409, 422} <= set(statuses), statuses
    assert max(statuses) < 500
