"""What a run is made of, from names, parameters and settings as a command line gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from alphapanda.backtest.engine import Rules
from alphapanda.domain.calendar import Calendar
from alphapanda.feed.replay_files import BAR_S
from alphapanda.settings import Settings
from alphapanda.strategies.registry import Deployment, deploy, deploy_all


def deployed(names: Sequence[str], params: Mapping[str, Mapping[str, Any]]) -> tuple[Deployment, ...]:
    """The strategies. Their bars are of a minute unless a parameter says otherwise, as over a replay.

    Raises StrategyError.
    """
    given = {name: dict(params.get(name, {})) for name in names}
    for name, own in given.items():
        if "bar_seconds" in deploy(name).strategy.Params.model_fields:
            own.setdefault("bar_seconds", BAR_S)
    return deploy_all(names, given)


def rules_of(settings: Settings) -> Rules:
    """The rules of a run as the desk's settings have them; the market has its hours unless they say it is open."""
    file = settings.market.calendar_file
    calendar = Calendar.packaged() if file is None else Calendar.from_file(file)
    return Rules(
        paper=settings.paper,
        risk=settings.risk,
        calendar=None if settings.market.always_open else calendar,
        quote_wait_s=settings.orders.quote_wait_s,
    )
