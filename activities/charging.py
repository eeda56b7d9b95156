"""Charges for the ledger: the table's figure, or unknown. A fill is a fact and is booked either way."""

from alphapanda.domain.charges import Charges, ChargesUnknown, ChargeTable
from alphapanda.domain.charging import charges_of_trade
from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.execution import TradeReport
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.money import Money
from alphapanda.ledger.booking import ChargeFill


def charge_by(table: ChargeTable, instrument: Instrument | None) -> ChargeFill:
    def charge(trade: TradeReport, turnover_before: Money) -> Charges | None:
        try:
            return charges_of_trade(trade, instrument, turnover_before=turnover_before, table=table)
        except (ChargesUnknown, InvalidValueError):  # a broker may sell what no table has a rate for
            return None

    return charge
