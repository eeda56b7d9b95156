"""`alphapanda up`: everything on one machine."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphapanda.commands.common import DataDir, set_setting
from alphapanda.domain.errors import InvalidValueError

if TYPE_CHECKING:
    from alphapanda.running.stopping import StopRequest
    from alphapanda.settings import Settings

_UI_PORT = 8233

app = typer.Typer()


@app.command()
def up(
    broker: Annotated[list[str] | None, typer.Option(help="An active broker; repeatable (default: paper).")] = None,
    feed: Annotated[str | None, typer.Option(help="Source of ticks: simulator, replay, zerodha or none.")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="A recording to replay; repeatable.")] = None,
    no_feed: Annotated[bool, typer.Option("--no-feed", help="Start no feed: it runs elsewhere, or later.")] = False,
    port: Annotated[int | None, typer.Option(help="Of the API (default 8000; 0 = any free one).")] = None,
    ui_port: Annotated[int, typer.Option(help="Of Temporal's web UI (0 = any free one).")] = _UI_PORT,
    kite_sim: Annotated[bool, typer.Option("--kite-sim", help="Zerodha is a simulator on this machine.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Erase the embedded servers' data first.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Start the whole desk on this machine: servers, migrations, API, workers, feed. Runs until Ctrl-C."""
    from alphapanda.stack.parent import die_with_parent  # noqa: PLC0415 - slow to import

    die_with_parent(signal.SIGTERM)  # `make run`, killed: an orderly stop
    _check_feed_options(feed, file or [], no_feed=no_feed)
    if broker:
        set_setting("ACTIVE_BROKERS", json.dumps(broker))
    if feed:
        set_setting("FEED__SOURCE", feed)
    if file:
        set_setting("FEED__FILES", json.dumps([str(each.absolute()) for each in file]))
    if port is not None:
        set_setting("API__PORT", str(port))

    from alphapanda.settings import FeedSource, Settings  # noqa: PLC0415 - slow to import

    settings = Settings.load()
    # One folder for all processes, and for `alphapanda doctor` in its messages, wherever each of them stands.
    set_setting("DATA_DIR", str(settings.data_dir.absolute()))
    if settings.api.port == 0:
        from alphapanda.running.ports import require_port  # noqa: PLC0415

        set_setting("API__PORT", str(require_port(settings.api.host, 0, purpose="the API", option="--port")))
    simulator_port = _simulate_zerodha(Settings.load()) if kite_sim else None
    settings = Settings.load()
    with_feed = not no_feed and settings.feed.source is not FeedSource.NONE
    _refuse_what_is_not_there(settings, with_feed=with_feed)
    asyncio.run(_run(settings, with_feed=with_feed, ui_port=ui_port, fresh=fresh, simulator_port=simulator_port))


def _check_feed_options(feed: str | None, files: list[Path], *, no_feed: bool) -> None:
    if no_feed and (feed or files):
        raise InvalidValueError("--no-feed: not allowed beside --feed or --file; leave one out")
    if files and feed != "replay":
        raise InvalidValueError("--file: only a replay reads files; add --feed replay")
    if feed == "replay" and not files:
        raise InvalidValueError("--feed replay: needs at least one --file")
    for file in files:
        if not file.is_file():
            raise InvalidValueError(f"--file: there is no file {file}")


def _refuse_what_is_not_there(settings: "Settings", *, with_feed: bool) -> None:
    """Before anything is opened: a worker would say the same after the servers are up."""
    from alphapanda.settings import FeedSource  # noqa: PLC0415 - slow to import

    if "zerodha" in settings.active_brokers:
        from alphapanda.brokers.zerodha.account import require_account  # noqa: PLC0415

        require_account(settings.zerodha)
    if with_feed:
        settings.refuse_invented_prices()
    if with_feed and settings.feed.source is FeedSource.ZERODHA:
        from alphapanda.feed.source import no_live_ticker  # noqa: PLC0415

        raise no_live_ticker()


def _simulate_zerodha(settings: "Settings") -> int:
    """Point the settings of all processes at a simulator that is started with them; returns its port."""
    from alphapanda.running.ports import require_port  # noqa: PLC0415
    from alphapanda.running.simulated import simulator_settings  # noqa: PLC0415

    if "zerodha" not in settings.active_brokers:
        raise InvalidValueError("--kite-sim: plays Zerodha, which is not active; add --broker zerodha")
    port = require_port("127.0.0.1", 0, purpose="the Kite simulator", option="--kite-sim")
    for name, value in simulator_settings(port).items():
        set_setting(name, value)
    return port


async def _run(settings: "Settings", *, with_feed: bool, ui_port: int, fresh: bool, simulator_port: int | None) -> None:
    from alphapanda.commands.screen import Screen  # noqa: PLC0415
    from alphapanda.credentials import admin_token, admin_token_file  # noqa: PLC0415
    from alphapanda.running.desk import Desk, Whereabouts, run_desk  # noqa: PLC0415
    from alphapanda.running.stopping import StopRequest  # noqa: PLC0415
    from alphapanda.settings import Environment  # noqa: PLC0415

    began = time.monotonic()
    stop = StopRequest()

    def on_ready(where: Whereabouts) -> None:
        token, place = admin_token(settings), f"kept in {admin_token_file(settings)}"
        if settings.api.admin_token is not None:
            place = "from ALPHAPANDA_API__ADMIN_TOKEN"
        is_shown = settings.environment is Environment.DEVELOPMENT and settings.api.admin_token is None
        screen.ready(where, token=token if is_shown else None, token_place=place, seconds=time.monotonic() - began)

    with Screen() as screen:
        if fresh:
            await _erase(settings, screen.say)
        desk = Desk(settings, with_feed=with_feed, ui_port=ui_port, screen=screen, simulator_port=simulator_port)

        def hurry() -> None:
            screen.say("not waiting any longer")
            desk.hurry()

        stop.on_hurry(hurry)
        asked = asyncio.create_task(_tell(stop, screen.say))
        await run_desk(desk, on_ready, stop.asked)
        asked.cancel()
        screen.say("stopped")


async def _tell(stop: "StopRequest", say: Callable[[str], None]) -> None:
    await stop.asked.wait()
    say("stopping (once more to stop without waiting for what is under way)")


async def _erase(settings: "Settings", say: Callable[[str], None]) -> None:
    """Raises InvalidValueError where half of the truth would stay: a ledger and its workflows go together."""
    from alphapanda.running.simulated import STATE_FILE  # noqa: PLC0415
    from alphapanda.stack import erase, stored  # noqa: PLC0415

    if settings.database.url is not None or settings.temporal.address is not None:
        raise InvalidValueError(
            "--fresh: erases the embedded servers only; ALPHAPANDA_DATABASE__URL or _TEMPORAL__ADDRESS is set",
            next_action="Erase those servers' data yourself, or unset both.",
        )
    names = stored(settings.data_dir)
    await erase(settings.data_dir)
    if (account := settings.data_dir / STATE_FILE).exists():
        account.unlink()
        names.append("the simulated account")
    say(f"erased {', '.join(names)} in {settings.data_dir}" if names else f"nothing to erase in {settings.data_dir}")
