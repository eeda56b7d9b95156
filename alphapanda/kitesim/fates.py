"""What armed faults mean for an order placed now."""

from collections.abc import Iterable

from alphapanda.kitesim.faults import Armed, Fault
from alphapanda.kitesim.orders import Fate

BOOK_LAG_S = 30.0
LATE_FILL_S = 1.0
_SECOND_SLICE = frozenset({1})


def fate_of(armed: Iterable[Armed]) -> Fate:
    by_fault = {each.fault: each for each in armed}

    def seconds(fault: Fault, usual: float) -> float | None:
        found = by_fault.get(fault)
        if found is None:
            return None
        return usual if found.seconds is None else found.seconds

    partial, stuck, hidden = (by_fault.get(each) for each in (Fault.PARTIAL_FILL, Fault.STUCK, Fault.HIDDEN))
    return Fate(
        lag_s=seconds(Fault.BOOK_LAG, BOOK_LAG_S) or 0.0,
        stuck=stuck is not None,
        stuck_s=stuck.seconds if stuck is not None else None,
        hidden=hidden is not None,
        hidden_s=hidden.seconds if hidden is not None else None,
        reject_after_s=seconds(Fault.EXCHANGE_REJECT, 0.0),
        fill_ratio=partial.ratio if partial is not None else None,
        late_fill_s=seconds(Fault.LATE_FILL, LATE_FILL_S),
        failing_slices=_SECOND_SLICE if Fault.SLICE_FAILURE in by_fault else frozenset(),
    )
