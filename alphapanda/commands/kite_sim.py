"""`alphapanda kite-sim`: a broker to rehearse against, on this machine."""

import asyncio
import contextlib
import signal
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alphapanda.commands.common import DataDir

if TYPE_CHECKING:
    from alphapanda.kitesim.server import KiteSim
    from alphapanda.kitesim.settings import SimSettings

_PORT = 8899

app = typer.Typer()


@app.command()
def kite_sim(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1 (0 = any free one).")] = _PORT,
    seed: Annotated[int, typer.Option(help="Of the prices, and of faults with a probability.")] = 7,
    state: Annotated[Path | None, typer.Option(help="Keep the book in this file across restarts.")] = None,
    redirect_url: Annotated[str | None, typer.Option(help="Where a login sends the browser.")] = None,
    postback_url: Annotated[str | None, typer.Option(help="Where postbacks are sent.")] = None,
    cash: Annotated[str, typer.Option(help="What the account begins with, in rupees.")] = "100000000",
    ticks_per_second: Annotated[
        float, typer.Option(min=0, max=50, help="Per symbol (0: prices move only when they are set).")
    ] = 1.0,
    follow_desk: Annotated[
        bool,
        typer.Option("--follow-desk", help="The market is the quotes of the desk on --data-dir."),
    ] = False,
    book_lag: Annotated[float, typer.Option(min=0, help="Seconds until an order shows in the order book.")] = 0.0,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Never answer 429 (calls are still counted).")] = False,
    data_dir: DataDir = None,
) -> None:
    """Run a simulated Zerodha: Kite's REST, ticks, order updates and login, with faults on demand. Until Ctrl-C."""
    from alphapanda.kitesim.settings import SimSettings  # noqa: PLC0415 - slow to import
    from alphapanda.stack.parent import die_with_parent  # noqa: PLC0415

    die_with_parent(signal.SIGTERM)
    settings = SimSettings(
        port=port,
        seed=seed,
        state_file=state,
        redirect_url=redirect_url,
        postback_url=postback_url,
        starting_cash=_rupees(cash),
        walk_ticks_per_second=0.0 if follow_desk else ticks_per_second,
        book_lag_s=book_lag,
        enforce_limits=not no_limits,
    )
    asyncio.run(_run(settings, _redis_of_the_desk() if follow_desk else None))


def _rupees(text: str) -> Decimal:
    from alphapanda.domain.errors import InvalidValueError  # noqa: PLC0415
    from alphapanda.domain.money import decimal_of  # noqa: PLC0415

    amount = decimal_of(text, "--cash")
    if amount < 0:
        raise InvalidValueError("--cash: not below 0")
    return amount


def _redis_of_the_desk() -> str:
    """Raises AlphaPandaError where no desk runs on the data directory and none is named in the settings."""
    from alphapanda.endpoints import resolve_endpoints  # noqa: PLC0415
    from alphapanda.settings import Settings  # noqa: PLC0415

    return resolve_endpoints(Settings.load()).redis_url


async def _run(settings: "SimSettings", redis_url: str | None) -> None:
    """`redis_url`: where the quotes to follow are; None: the simulator has prices of its own."""
    from redis.asyncio import Redis  # noqa: PLC0415

    from alphapanda.kitesim.following import follow  # noqa: PLC0415
    from alphapanda.kitesim.server import KiteSim  # noqa: PLC0415
    from alphapanda.running.stopping import StopRequest  # noqa: PLC0415

    stop = StopRequest()
    async with contextlib.AsyncExitStack() as opened:
        sim = await opened.enter_async_context(KiteSim(settings))
        if redis_url is not None:
            redis = await opened.enter_async_context(Redis.from_url(redis_url))
            following = asyncio.create_task(follow(sim, redis), name="the desk's quotes")
            opened.callback(following.cancel)
        _introduce(sim)
        await stop.asked.wait()
    typer.echo("stopped")


def _introduce(sim: "KiteSim") -> None:
    """What to point a desk at. The credentials are words of the simulator, not secrets."""
    typer.echo(f"Kite simulator at {sim.url}  (ticker {sim.ws_url}, account {sim.settings.user_id})")
    typer.echo(f"login          {sim.login_url}")
    typer.echo(f"the truth      {sim.url}/sim/state")
    typer.echo(f"faults         {sim.url}/sim/faults  (GET lists them, POST arms one, DELETE disarms all)")
    typer.echo("\nTo point a desk at it:")
    for name, value in desk_environment(sim).items():
        typer.echo(f"  export {name}={value}")


def desk_environment(sim: "KiteSim") -> dict[str, str]:
    """The settings that make a desk trade with this simulator."""
    return {
        "ALPHAPANDA_ZERODHA__API_KEY": sim.settings.api_key,
        "ALPHAPANDA_ZERODHA__API_SECRET": sim.settings.api_secret,
        "ALPHAPANDA_ZERODHA__API_ROOT": sim.url,
        "ALPHAPANDA_ZERODHA__TICKER_ROOT": sim.ws_url,
        "ALPHAPANDA_ZERODHA__LOGIN_ROOT": sim.url,
    }
