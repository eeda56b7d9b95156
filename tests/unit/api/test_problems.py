"""Every error has one status, by its class."""

from collections.abc import Iterator

import pytest

from alphapanda.brokers.protocol import BrokerUnavailable, RateLimited
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.ledger.engine import LedgerUnavailable
from alphapanda.live.quotes import LiveUnavailable
from alphapanda.settings import SettingsError
from api import errors
from api.problems import STATUS, status_of
from workflows.desk import CommandRefused, OrderUnknown, SignalConflict
from workflows.runtime import WorkflowsUnavailable


def kinds(base: type[AlphaPandaError]) -> Iterator[type[AlphaPandaError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidValueError("x"), 422),
        (errors.CursorInvalid("x"), 422),
        (errors.BrokerUnknown("x"), 404),
        (OrderUnknown("x"), 404),
        (SignalConflict("x"), 409),
        (CommandRefused("x", refusal_code="ORDER_ENDED"), 409),
        (RateLimited("x"), 429),
        (LedgerUnavailable("x"), 503),
        (LiveUnavailable("x"), 503),
        (WorkflowsUnavailable("x"), 503),
        (BrokerUnavailable("x"), 503),
        (SettingsError("x"), 503),
        (AlphaPandaError("x"), 500),
    ],
)
def test_an_error_has_the_status_of_its_kind(error: AlphaPandaError, status: int) -> None:
    assert status_of(error) == status


def test_a_kind_without_a_row_has_the_status_of_its_nearest_ancestor() -> None:
    class Special(errors.BrokerUnknown):
        pass

    assert status_of(Special("x")) == 404


def test_every_error_of_the_apis_own_has_a_row() -> None:
    own = [kind for kind in kinds(AlphaPandaError) if kind.__module__ == errors.__name__]
    assert own
    assert all(kind in STATUS for kind in own)


def test_every_code_and_next_action_is_said() -> None:
    for kind in kinds(AlphaPandaError):
        assert kind.code.isupper()
        assert kind.default_next_action
