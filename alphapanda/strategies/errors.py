"""What can be wrong with a strategy before it trades."""

from alphapanda.domain.errors import AlphaPandaError


class StrategyError(AlphaPandaError):
    """A strategy cannot be run as configured; the message names the strategy, the field and the rule."""

    code = "STRATEGY_INVALID"
    default_next_action = "Correct the named strategy's parameters."


class StateUnfit(StrategyError):  # noqa: N818 - named for the condition
    """A snapshot is of something else: another strategy, version, set of parameters, instrument or shape."""

    code = "STRATEGY_STATE_UNFIT"
    default_next_action = "Start the strategy without the snapshot: it warms up again."
