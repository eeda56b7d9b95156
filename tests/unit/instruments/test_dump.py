"""A dump row by row: what is read, what is refused and by which rule, and that no row can stop the others."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.instruments.dump import DumpUnreadable, Progress, Report, earliest_expiry, no_progress, read_dump
from alphapanda.instruments.rows import DumpRow
from tests.dumps import CALL, FUTURE, HEADER, INDEX, SHARE, csv_of, share, shares

TODAY = date(2026, 11, 20)


@dataclass(frozen=True)
class Read:
    rows: list[DumpRow]
    report: Report


def read_data(data: bytes, progress: Progress = no_progress) -> Read:
    rows: list[DumpRow] = []
    dump = read_dump(data, as_of=TODAY, take=rows.append, progress=progress)
    assert dump.accepted == len(rows)
    return Read(rows, dump.report)


def read(*rows: dict[str, Any]) -> Read:
    return read_data(csv_of(*rows))


def only(**changed: Any) -> dict[str, int]:
    """The rules that refuse a share, or a call where the change names its own."""
    row = CALL if changed.pop("of", None) == "CE" else SHARE
    return dict(read(row | changed).report.refused)


def test_tick_and_lot_are_taken_exactly() -> None:
    rows = read(SHARE | {"tick_size": "0.0025"}, CALL | {"lot_size": 1250, "strike": "1502.5"}).rows
    assert [(row.tick_size, row.lot_size) for row in rows] == [(Decimal("0.0025"), 1), (Decimal("0.05"), 1250)]
    assert (rows[0].strike, rows[1].strike) == (None, Decimal("1502.5"))


def test_an_index_needs_neither_and_a_future_has_no_strike() -> None:
    index, future = read(INDEX, FUTURE).rows
    assert (index.instrument_type, index.tick_size, index.lot_size) == ("INDEX", Decimal(0), 0)
    assert (future.strike, future.expiry, future.segment) == (None, date(2026, 11, 24), "NSE_FNO")


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"instrument_token": ""}, "instrument_token"),
        ({"instrument_token": "-1"}, "instrument_token"),
        ({"instrument_token": 2**32}, "instrument_token"),
        ({"instrument_token": "٣"}, "instrument_token"),
        ({"tradingsymbol": ""}, "tradingsymbol"),
        ({"tradingsymbol": " INFY"}, "tradingsymbol"),
        ({"tradingsymbol": "I" * 65}, "tradingsymbol"),
        ({"tradingsymbol": "A\x1b[2J"}, "tradingsymbol"),
        ({"name": "N" * 201}, "name"),
        ({"instrument_type": "BOND"}, "instrument_type"),
        ({"instrument_type": "FUT"}, "instrument_type"),
        ({"exchange": "NFO"}, "instrument_type"),
        ({"tick_size": "0"}, "tick_size"),
        ({"tick_size": "-0.05"}, "tick_size"),
        ({"tick_size": "NaN"}, "tick_size"),
        ({"tick_size": "Infinity"}, "tick_size"),
        ({"tick_size": "0.00001"}, "tick_size"),
        ({"tick_size": ""}, "tick_size"),
        ({"lot_size": "0"}, "lot_size"),
        ({"lot_size": "1.5"}, "lot_size"),
        ({"lot_size": 10**8}, "lot_size"),
        ({"expiry": "2026-11-24"}, "expiry"),
        ({"of": "CE", "expiry": ""}, "expiry"),
        ({"of": "CE", "expiry": "24-11-2026"}, "expiry"),
        ({"of": "CE", "expiry": "2026-02-30"}, "expiry"),
        ({"of": "CE", "expiry": "2026-11-19"}, "expired"),
        ({"of": "CE", "strike": "0.0"}, "strike"),
        ({"of": "CE", "strike": "high"}, "strike"),
    ],
)
def test_a_row_is_refused_by_the_rule_it_breaks(changed: dict[str, Any], rule: str) -> None:
    assert only(**changed) == {rule: 1}


def test_what_expires_on_the_day_of_the_dump_is_traded_on_it() -> None:
    assert only(of="CE", expiry="2026-11-20") == {}


def test_of_two_rows_with_one_name_or_one_token_the_first_counts() -> None:
    dump = read(SHARE, SHARE | {"instrument_token": 5}, share("OTHER", 408065), share("THIRD", 6))
    assert [row.tradingsymbol for row in dump.rows] == ["INFY", "THIRD"]
    assert dump.report.refused == {"duplicate": 2}


def test_a_refused_row_does_not_take_its_token_with_it() -> None:
    assert len(read(SHARE | {"tick_size": "0"}, SHARE).rows) == 1


def test_exchanges_that_are_not_traded_here_are_skipped_whatever_their_rows_hold() -> None:
    report = read(share("GOLD", 0, exchange="NSEIX"), SHARE).report
    assert (dict(report.skipped), report.refused.total(), report.rows) == ({"NSEIX": 1}, 0, 2)


def test_names_may_hold_commas_and_quotes() -> None:
    (row,) = read(SHARE | {"name": '"SAID ""YES"", AND WENT"'}).rows
    assert row.name == 'SAID "YES", AND WENT'


def test_a_row_that_is_cut_off_is_refused_and_the_report_shows_where() -> None:
    dump = read_data(csv_of(*shares(3))[:-20])
    assert (len(dump.rows), dict(dump.report.refused)) == (2, {"columns": 1})
    assert dump.report.examples["columns"][0].line == 4


def test_the_report_shows_a_few_examples_of_a_rule_and_nothing_a_terminal_would_act_on() -> None:
    report = read(*(share(f"B\x1b[2J{n}", n + 1) for n in range(50))).report
    assert report.refused["tradingsymbol"] == 50
    assert len(report.examples["tradingsymbol"]) == 5
    assert report.examples["tradingsymbol"][0].instrument == "NSE:B?[2J0"


def test_columns_are_found_by_name_in_any_order() -> None:
    names = list(reversed(HEADER.split(",")))
    data = "\n".join([",".join(names), ",".join(str(SHARE[name]) for name in names)]).encode()
    assert read_data(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")).rows == read(SHARE).rows


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "lacks instrument_token"),
        (b"<html>Bad gateway</html>", "lacks instrument_token"),
        (HEADER.replace("tick_size", "tick").encode(), "lacks tick_size"),
        (b"\xff\xfe\x00", "not UTF-8 text: byte 0"),
        (csv_of(SHARE) + b'"' + b"x" * 200_000, "no CSV"),
    ],
)
def test_what_is_no_dump_is_told_as_that(data: bytes, why: str) -> None:
    with pytest.raises(DumpUnreadable, match=why):
        read_data(data)


def test_the_earliest_expiry_bounds_the_day_of_a_dump() -> None:
    assert earliest_expiry(csv_of(SHARE, FUTURE, CALL | {"expiry": "2026-11-20"}, CALL | {"expiry": "soon"})) == TODAY
    assert earliest_expiry(csv_of(SHARE)) is None


def test_progress_ends_with_all_rows() -> None:
    told: list[tuple[str, int, int | None]] = []
    read_data(csv_of(*shares(25_000)), progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told] == [10_000, 20_000, 25_000]


_CELL = st.text(max_size=12) | st.sampled_from(["NSE", "NFO", "EQ", "CE", "0.05", "75", "2026-11-24", "INDICES", "NaN"])


@given(st.lists(st.dictionaries(st.sampled_from(HEADER.split(",")), _CELL), max_size=6))
def test_no_row_stops_the_others_and_each_is_accounted_for(changes: list[dict[str, str]]) -> None:
    """Cells are quoted as CSV wants it: a row is a row, whatever stands in it."""
    rows = [
        {name: '"' + str(value).replace('"', '""') + '"' for name, value in (FUTURE | changed).items()}
        for changed in changes
    ]
    sound = share("SOUND", 3)
    try:
        dump = read_data(csv_of(*rows, sound))
    except UnicodeEncodeError:  # a lone surrogate has no bytes to come in
        return
    report = dump.report
    assert report.rows == len(rows) + 1 == len(dump.rows) + report.refused.total() + report.skipped.total()
    assert dump.rows[-1].tradingsymbol == "SOUND"
    for row in dump.rows:
        assert row.instrument_type == "INDEX" or (row.tick_size > 0 and row.lot_size > 0)
