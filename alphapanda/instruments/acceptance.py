"""Whether a dump may replace what is loaded: a dump that is mostly bad, or has lost much, is refused as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.instruments.dump import Dump


class DumpRefused(AlphaPandaError):  # noqa: N818 - named for the condition
    """The dump was read and is not trusted; what was loaded before stays as it is."""

    code = "INSTRUMENT_DUMP_REFUSED"
    default_next_action = (
        "What was loaded before stays in use. Fetch the dump again; if it is right, and older or smaller for a reason, "
        "load it with --anyway."
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """`min_rows` accepted rows at least. `min_kept`: the share of an exchange's loaded, unexpired instruments that the
    dump must still count. `whole`: it speaks for every exchange that is loaded, so none may be missing. `anyway`: a
    person has looked, and wants it although it is older or has shrunk; never although it is bad."""

    min_rows: int = 1
    max_refused_share: float = 0.2
    min_kept: float = 0.8
    whole: bool = False
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger has: tradable instruments from dumps by exchange, and the newest dump's date among them."""

    by_exchange: Mapping[str, int]
    as_of: date | None


def objection(dump: Dump, standing: Standing, rules: Rules) -> str | None:
    """Why the dump as a whole is refused; None when it may be loaded."""
    accepted, refused = dump.accepted, dump.report.refused.total()
    if accepted == 0:
        return f"none of its {dump.report.rows} rows can be used"
    if refused > rules.max_refused_share * (accepted + refused):
        worst, count = dump.report.refused.most_common(1)[0]
        return f"{refused} of {accepted + refused} rows are bad, most of them for their {worst} ({count})"
    if accepted < rules.min_rows:
        return f"it has {accepted} instruments, and at least {rules.min_rows} are expected"
    if rules.anyway:
        return None
    if standing.as_of is not None and dump.as_of < standing.as_of:
        return f"it is of {dump.as_of}, and one of {standing.as_of} is loaded"
    judged = set(standing.by_exchange) if rules.whole else set(dump.by_exchange)
    for exchange in sorted(judged):
        had, has = standing.by_exchange.get(exchange, 0), dump.by_exchange.get(exchange, 0)
        if has < rules.min_kept * had:
            return f"it has shrunk: {has} instruments of {exchange}, where {had} are loaded"
    return None
