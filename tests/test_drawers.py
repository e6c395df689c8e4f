"""Cards are drawn in a process of their own: it may fail, hang or die, and nothing else does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench.samples import LANGUAGES
from broadcaster import drawers
from broadcaster.drawers import Drawers
from broadcaster.drawing import CardFault, draw

GERMAN = LANGUAGES["de"]
# A city's own template that never ends for one title, and is the project's for all others.
ENDLESS = """
{%- if card.title == "endless" -%}
{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}
{%- endif -%}
"""
PARENT = """
import asyncio, sys
from pathlib import Path
from dataclasses import replace
from bench.samples import LANGUAGES
from broadcaster.drawers import Drawers

async def main():
    drawers = Drawers(Path(sys.argv[1]))
    await drawers.start()
    await drawers.draw(LANGUAGES["de"])
    print(drawers.pid, flush=True)
    if sys.argv[2] == "drawing":
        await drawers.draw(replace(LANGUAGES["de"], title="endless"))
    await asyncio.sleep(60)

asyncio.run(main())
"""


@asynccontextmanager
async def started(
    templates: Path | None = None, limit_seconds: float = drawers.LIMIT_SECONDS
) -> AsyncIterator[Drawers]:
    """Give drawers that are ended afterwards."""
    made = Drawers(templates, limit_seconds)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Give a directory of templates that hang when a title says so."""
    card = tmp_path / "card"
    card.mkdir()
    own = Path(drawers.__file__).parents[1] / "templates" / "card" / "card.svg.j2"
    card.joinpath("card.svg.j2").write_text(ENDLESS + own.read_text(encoding="utf-8"))
    return tmp_path


def pid(of: Drawers) -> int:
    """Return the worker's process, which must be there."""
    assert of.pid is not None
    return of.pid


def is_there(process: int) -> bool:
    """Say whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def gone(process: int) -> bool:
    """Wait until a process has ended, 10 s at most."""
    for _ in range(200):
        if not is_there(process):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_the_worker_draws_what_draw_does() -> None:
    """Byte for byte, in whatever order cards are asked for."""
    specs = [replace(spec, width=1080, height=1080) for spec in LANGUAGES.values()]
    async with started() as made:
        pictures = await asyncio.gather(*(made.draw(spec) for spec in specs))
    assert pictures == [draw(spec) for spec in specs]


async def test_previews_stand_behind_the_cards_of_alerts() -> None:
    """However many people look at drafts meanwhile: an alert's card waits for one of them."""
    done: list[str] = []

    async def draw(name: str, work: Awaitable[bytes]) -> None:
        await work
        done.append(name)

    async with started() as made:
        looks = [asyncio.create_task(draw("preview", made.preview(GERMAN))) for _ in range(6)]
        await asyncio.sleep(0)
        await draw("card", made.draw(GERMAN))
        await asyncio.gather(*looks)
    assert done.index("card") <= 1
    assert len(done) == 7


async def test_starting_waits_for_nothing() -> None:
    """A daemon that starts is not held up by fonts; the first card waits for the worker."""
    before = time.perf_counter()
    async with started() as made:
        assert time.perf_counter() - before < 0.1
        assert await made.draw(GERMAN)


async def test_it_starts_by_itself_when_it_must() -> None:
    """A card that is asked for before `start` is drawn as well."""
    made = Drawers()
    try:
        assert await made.draw(GERMAN)
    finally:
        await made.close()


async def test_a_fault_comes_through_and_costs_no_worker() -> None:
    """The sentence is the drawing's own; the same process draws the next card."""
    async with started() as made:
        await made.draw(GERMAN)
        worker = pid(made)
        with pytest.raises(CardFault, match=r"title has U\+5317"):
            await made.draw(replace(GERMAN, title="北京"))
        with pytest.raises(CardFault, match="U\\+D800"):
            await made.draw(replace(GERMAN, title="\ud800"))
        assert await made.draw(GERMAN)
        assert made.pid == worker


async def test_a_worker_that_dies_in_the_middle_is_a_fault_and_another_takes_over(
    endless: Path,
) -> None:
    """Killed while it draws (no memory left): that card fails, the next one is drawn."""
    async with started(endless) as made:
        await made.draw(GERMAN)
        worker = pid(made)
        drawing = asyncio.create_task(made.draw(replace(GERMAN, title="endless")))
        await asyncio.sleep(0.2)
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(CardFault, match="ended"):
            await drawing
        assert await made.draw(GERMAN) == draw(GERMAN)
        assert made.pid != worker


async def test_a_worker_that_died_between_two_cards_costs_no_card() -> None:
    """Nobody was waiting: another one is started for the next card."""
    async with started() as made:
        await made.draw(GERMAN)
        worker = pid(made)
        os.kill(worker, signal.SIGKILL)
        assert await gone(worker)
        await asyncio.sleep(0.2)
        assert await made.draw(GERMAN) == draw(GERMAN)


async def test_a_drawing_that_takes_too_long_is_ended(endless: Path) -> None:
    """Past the limit the worker is killed; what waited behind it is drawn by the next."""
    async with started(endless, limit_seconds=2.0) as made:
        await made.draw(GERMAN)
        worker = pid(made)
        slow = asyncio.create_task(made.draw(replace(GERMAN, title="endless")))
        await asyncio.sleep(0)
        behind = asyncio.create_task(made.draw(GERMAN))
        with pytest.raises(CardFault, match="longer than 2 s"):
            await slow
        assert await behind == draw(GERMAN)
        assert await gone(worker)


async def test_a_drawing_nobody_waits_for_any_more_is_not_taken_for_another(
    endless: Path,
) -> None:
    """After a cancellation the next card is the one that was asked for."""
    async with started(endless) as made:
        await made.draw(GERMAN)
        drawing = asyncio.create_task(made.draw(replace(GERMAN, title="endless")))
        await asyncio.sleep(0.1)
        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing
        assert await made.draw(LANGUAGES["ar"]) == draw(LANGUAGES["ar"])


async def test_the_loop_goes_on_while_a_card_is_drawn(endless: Path) -> None:
    """Sending never waits for drawing: the event loop is not held for a tenth of a second."""
    async with started(endless, limit_seconds=1.0) as made:
        await made.draw(GERMAN)
        drawing = asyncio.create_task(made.draw(replace(GERMAN, title="endless")))
        longest = 0.0
        while not drawing.done():
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - before)
        with pytest.raises(CardFault):
            await drawing
    assert longest < 0.5


async def test_the_worker_runs_at_lower_priority() -> None:
    """Where both want the processor, sending has it."""
    async with started() as made:
        await made.draw(GERMAN)
        expected = min(os.getpriority(os.PRIO_PROCESS, 0) + drawers.NICENESS, 19)
        assert os.getpriority(os.PRIO_PROCESS, pid(made)) == expected


async def test_closing_ends_the_worker() -> None:
    """Nothing is left running, and nothing is drawn any more."""
    async with started() as made:
        await made.draw(GERMAN)
        worker = pid(made)
    assert not is_there(worker)
    with pytest.raises(CardFault, match="stopping"):
        await made.draw(GERMAN)


async def test_closing_at_once_leaves_nothing() -> None:
    """Also while the worker is still getting ready."""
    async with started() as made:
        while made.pid is None:
            await asyncio.sleep(0)
        worker = pid(made)
    assert await gone(worker)


@pytest.mark.parametrize("doing", ["nothing", "drawing"])
async def test_no_worker_outlives_its_daemon(doing: str, endless: Path) -> None:
    """After kill -9 of the daemon the worker ends as well, also in the middle of a drawing."""
    command = [sys.executable, "-c", PARENT, str(endless), doing]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        await asyncio.sleep(0.3)
        assert is_there(worker)
        parent.kill()
    assert await gone(worker)


async def test_a_worker_that_cannot_start_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text goes without its card, and the next card tries again."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with started() as made:
        with pytest.raises(CardFault, match="does not start"):
            await made.draw(GERMAN)
        monkeypatch.undo()
        assert await made.draw(GERMAN)


async def test_a_broken_template_is_told_with_each_card(tmp_path: Path) -> None:
    """The worker starts all the same: the fault names the template, not the process."""
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "card.svg.j2").write_text("{% if %}")
    async with started(tmp_path) as made:
        for _ in range(2):
            with pytest.raises(CardFault, match="template does not work"):
                await made.draw(GERMAN)


async def test_what_the_worker_prints_is_no_answer(tmp_path: Path) -> None:
    """Only answers go through the pipe; a stray line of a library goes to standard error."""
    program = (
        "import sys; from broadcaster import drawers;"
        "drawers.draw = lambda *given: print('stray') or b'picture'; drawers.main()"
    )
    asked = GERMAN.to_json().encode()
    data = len(asked).to_bytes(4, "big") + asked
    errors, pipe = tmp_path / "errors", subprocess.PIPE
    command = [sys.executable, "-c", program]
    with (
        errors.open("w") as written,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=written) as worker,
    ):
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(data)
        worker.stdin.flush()
        assert worker.stdout.read(5) == b"r\0\0\0\0"
        assert worker.stdout.read(12) == b"p\0\0\0\x07picture"
        worker.stdin.close()
        assert worker.wait(10) == 0
    assert "stray" in errors.read_text()
