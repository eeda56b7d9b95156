"""Grace: a difference counts once it has been there in runs apart, so that what was only on its way is no drift."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from alphapanda.reconciliation.outcome import Adopt, DriftKind, Outcome

_Seen = TypeVar("_Seen", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Standing:
    """The outcome without what was seen for the first time; `pending`: whether something was."""

    outcome: Outcome
    pending: bool


class Grace:
    """Remembers since when each difference has been seen without a break, in this process only.

    After a restart everything is seen for the first time again, which delays and loses nothing.
    """

    def __init__(self, lasts: timedelta) -> None:
        self._lasts = lasts
        self._findings: dict[tuple[DriftKind, str], datetime] = {}
        self._trades: dict[str, datetime] = {}

    def stand(self, outcome: Outcome, *, at: datetime) -> Standing:
        """What of `outcome` was there in an earlier run too, at least `lasts` before `at`."""
        seen = {(finding.kind, finding.key): at for finding in outcome.findings}
        # What this run could not judge is remembered as it was.
        kept = {name: since for name, since in self._findings.items() if not outcome.has_judged(*name)}
        old, self._findings = self._findings, kept | _since(self._findings, seen)
        findings = tuple(each for each in outcome.findings if self._stood(old.get((each.kind, each.key)), at))

        trades = {trade.trade_id: at for adopt in outcome.adoptions for trade in adopt.trades}
        before = self._trades
        if DriftKind.TRADE_WITHOUT_ORDER in outcome.judged:
            self._trades = _since(before, trades)
        adoptions = [
            Adopt(adopt.broker_order_id, tuple(t for t in adopt.trades if self._stood(before.get(t.trade_id), at)))
            for adopt in outcome.adoptions
        ]
        standing = replace(outcome, findings=findings, adoptions=tuple(each for each in adoptions if each.trades))
        adopted = sum(len(each.trades) for each in standing.adoptions)
        return Standing(standing, len(findings) < len(seen) or adopted < len(trades))

    def _stood(self, since: datetime | None, at: datetime) -> bool:
        return since is not None and at - since >= self._lasts


def _since(before: dict[_Seen, datetime], now: dict[_Seen, datetime]) -> dict[_Seen, datetime]:
    return {name: before.get(name, at) for name, at in now.items()}
