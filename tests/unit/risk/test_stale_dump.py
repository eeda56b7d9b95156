"""An old instrument dump holds back entries wherever they are judged, and no exit."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from alphapanda.domain.ids import Broker
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.reasons import ReasonCode
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Exchange, Side
from alphapanda.risk.change import refuse_change
from alphapanda.risk.clearance import Facts, clear
from alphapanda.settings import Settings
from tests.unit.risk.desk import FLAT, NOW, book, limits, quote, signal

S = OrderState
OLD = Instrument(
    Exchange.NSE, "INFY", 1, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1, dump_date=date(2026, 11, 15)
)


def facts(**changed: Any) -> Facts:
    known: dict[str, Any] = {
        "instrument": OLD, "calendar": None, "quote": quote(), "book": FLAT,
        "limits": limits(max_dump_age_days=4), "now": NOW,
    }  # fmt: skip
    return Facts(**{**known, **changed})


@pytest.mark.parametrize("state", [S.RECEIVED, S.VALIDATED, S.AWAITING_MARKET, S.AWAITING_APPROVAL, S.AWAITING_AUTH])
def test_an_entry_is_denied_wherever_it_waited(state: OrderState) -> None:
    verdict = clear(signal(), state, facts(), approved_by="a person" if state is S.AWAITING_APPROVAL else None)
    last, why = verdict.steps[-1]
    assert (last, why.code) == (S.DENIED, ReasonCode.INSTRUMENT_DUMP_STALE)


def test_an_exit_goes_out_on_what_was_last_known() -> None:
    verdict = clear(signal(side=Side.SELL), S.RECEIVED, facts(book=book(position=10)))
    assert verdict.steps[-1][0] is S.SUBMITTING


@pytest.mark.parametrize(
    "changed",
    [
        {"limits": limits()},
        {"instrument": replace(OLD, dump_date=None)},
        {"instrument": replace(OLD, dump_date=date(2026, 11, 16))},
    ],
    ids=["no limit", "made up by a simulator", "young enough"],
)
def test_what_is_not_stale_is_traded(changed: dict[str, Any]) -> None:
    assert clear(signal(), S.RECEIVED, facts(**changed)).steps[-1][0] is S.SUBMITTING


def test_an_entry_is_not_changed_on_it_and_an_exit_is() -> None:
    refusal = refuse_change(signal(), signal(), 0, facts(), is_exit=False)
    assert refusal is not None
    assert refusal.code is ReasonCode.INSTRUMENT_DUMP_STALE
    held = facts(book=book(position=10))
    assert refuse_change(signal(side=Side.SELL), signal(side=Side.SELL), 0, held, is_exit=True) is None


def test_only_an_account_with_real_money_is_held_to_it() -> None:
    at_zerodha = Settings.load(_env_file=None, zerodha={"api_root": "https://api.kite.trade"})
    at_simulator = Settings.load(_env_file=None, zerodha={"api_root": "http://127.0.0.1:1"})
    assert at_zerodha.trades_real_money_at(Broker("zerodha"))
    assert not at_simulator.trades_real_money_at(Broker("zerodha"))
    assert not at_zerodha.trades_real_money_at(Broker("paper"))
