"""`alphapanda replay`: recordings through the live path of the running desk."""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphapanda.commands.common import DataDir, connected, set_setting
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError

if TYPE_CHECKING:
    from alphapanda.settings import Settings

_LOOK_EVERY_S = 0.5
_TELL_EVERY_S = 5.0
_POLL_S = 0.05
_TELLING_LINES = 8

app = typer.Typer()


class ReplayFailed(AlphaPandaError):  # noqa: N818 - named for the condition
    """The replay ended before its recordings did."""

    code = "REPLAY_FAILED"
    default_next_action = "Correct what it says and replay again: what was ordered already is not ordered twice."


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Minute bars or ticks, CSV or CSV.gz.")],
    speed: Annotated[
        float | None, typer.Option(min=0, help="1 = as recorded, 60 = a minute a second, 0 = as fast as it goes.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Feed recordings through the live path: real strategies, workflows, orders and positions on the running desk."""
    for file in files:
        if not file.is_file():
            raise InvalidValueError(f"FILE: there is no file {file}")
    set_setting("FEED__SOURCE", "replay")
    set_setting("FEED__FILES", json.dumps([str(file.absolute()) for file in files]))
    if speed is not None:
        set_setting("FEED__SPEED", str(speed))

    from alphapanda.settings import Settings  # noqa: PLC0415 - slow to import

    settings = Settings.load()
    with connected() as api:
        for broker in api.ready()["brokers"]:
            if broker["feed"]["detail"].startswith("RUNNING"):
                typer.echo(
                    "note: a feed runs already, so its prices and the recorded ones mix (`up --no-feed`)", err=True
                )
                break
    asyncio.run(_run(settings))


async def _run(settings: "Settings") -> None:
    """Until the replay has ended. Raises ReplayFailed with its last words."""
    from alphapanda.running.children import Child, module, spawn  # noqa: PLC0415
    from alphapanda.running.logfiles import last_lines  # noqa: PLC0415
    from alphapanda.running.stopping import StopRequest  # noqa: PLC0415

    stop = StopRequest()
    log = settings.data_dir / "logs" / "replay.log"
    process = spawn(Child("replay", module("workers.feed"), log))
    stop.on_hurry(process.kill)
    telling = asyncio.create_task(_tell_progress(settings))
    try:
        while process.poll() is None:
            if stop.asked.is_set():
                process.terminate()
                stop.asked.clear()
            await asyncio.sleep(_POLL_S)
    finally:
        process.kill()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    if stop.signal is not None:
        raise KeyboardInterrupt
    if process.returncode != 0:
        said = "".join(f"\n    {line}" for line in last_lines(log, _TELLING_LINES))
        raise ReplayFailed(f"the replay ended with status {process.returncode}; its last words:{said}")
    typer.echo(f"the replay is finished: {await _progress(settings) or 'see alphapanda orders'}")


async def _tell_progress(settings: "Settings") -> None:
    """A line that moves on a terminal, a line now and then elsewhere."""
    from rich.console import Console  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    told_at = time.monotonic()
    with console.status("starting the replay") as status:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            text = await _progress(settings)
            if text and sys.stdout.isatty():
                status.update(text)
            elif text and time.monotonic() - told_at > _TELL_EVERY_S:
                told_at = time.monotonic()
                console.print(text)


async def _progress(settings: "Settings") -> str | None:
    """How far the replay is, by its own heartbeat; None while that is not known."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from redis.asyncio import Redis  # noqa: PLC0415

    from alphapanda.commands.common import shown  # noqa: PLC0415
    from alphapanda.endpoints import resolve_endpoints  # noqa: PLC0415
    from alphapanda.feed.stats import read_stats  # noqa: PLC0415
    from alphapanda.live.quotes import LiveUnavailable  # noqa: PLC0415

    async with Redis.from_url(resolve_endpoints(settings).redis_url) as redis:
        with contextlib.suppress(LiveUnavailable):
            found = await read_stats(redis)
            if found is not None and found[1].source == "replay":
                stats = found[1]
                at = stats.last_exchange_time
                when = f" up to {shown(datetime.fromtimestamp(at, UTC).isoformat())}" if at else ""
                return f"{stats.ticks:,} ticks{when}, {stats.signals} signals ({stats.signals_pending} on their way)"
    return None
