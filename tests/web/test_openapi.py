"""The description is true: what it says is what answers, and hypothesis finds no 5xx behind it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
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

    def __enter__(self) -> Door:
        self._thread.start()
        return self._ready.result(timeout=20)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=20)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Door]:
    """Give a door that blocking clients can ask."""
    with Running(tmp_path) as door:
        yield door


@pytest.mark.soak
@pytest.mark.limit(300)
def test_hypothesis_finds_no_5xx_and_no_answer_beside_the_description(
    running: Door, seed: int
) -> None:
    """Each operation is asked with what its description allows and with what it forbids."""
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    headers = {"Authorization": running.bearer("approver")}
    tried = 0
    for result in schema.get_all_operations():
        operation = cast(Any, result).ok()

        def ask(case: Any) -> None:
            nonlocal tried
            tried += 1
            if case.path.endswith("/events"):  # a stream has no end of its own
                case.query = {**(case.query or {}), "until": "settled"}
            case.call_and_validate(headers=headers, checks=CHECKS, timeout=10)

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
    assert tried >= EXAMPLES
