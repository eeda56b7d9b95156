"""Recorded files: what is read, what is refused and how the refusal reads."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.feed.replay_files import (
    Kind,
    ReplayFileError,
    ReplayFileTruncated,
    Row,
    expand,
    inspect_file,
    inspect_files,
    read_bars,
    read_ticks,
)

BARS = "timestamp,open,high,low,close,volume\n"
TICKS = "timestamp,token,ltp\n"
FIRST_BAR = "2024-05-21 09:15:00+05:30,1433.0,1443.0,1429.7,1443.0,145985\n"
AT = 1716263100.0  # 2024-05-21 09:15 IST


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def bars_of(path: Path) -> list[Row]:
    return list(read_bars(inspect_file(path), 0, "NSE:INFY"))


def ticks_of(path: Path, instruments: dict[int, str] | None = None) -> list[Row]:
    return list(read_ticks(inspect_file(path), 0, instruments or {256265: "NSE:NIFTY50"}))


@pytest.mark.parametrize(
    ("bar", "prices"),
    [
        ((10.0, 12.0, 9.0, 11.0), [10.0, 9.0, 12.0, 11.0]),  # the low is nearer
        ((10.0, 11.0, 8.0, 9.0), [10.0, 11.0, 8.0, 9.0]),  # the high is nearer
        ((10.0, 11.0, 9.0, 10.5), [10.0, 9.0, 11.0, 10.5]),  # as near: a rising bar dips first
        ((10.0, 11.0, 9.0, 9.5), [10.0, 11.0, 9.0, 9.5]),
        ((10.0, 10.0, 10.0, 10.0), [10.0, 10.0, 10.0, 10.0]),
    ],
)
def test_a_bar_goes_from_open_over_the_nearer_extreme_to_close(
    bar: tuple[float, float, float, float], prices: list[float]
) -> None:
    assert [price for _, price, _ in expand(*bar, 100)] == prices


@given(st.lists(st.integers(1, 10**6), min_size=4, max_size=4), st.integers(0, 10**9))
def test_the_ticks_of_a_bar_give_the_bar_again(values: list[int], volume: int) -> None:
    low, open_, close, high = sorted(values)[0], values[1], values[2], sorted(values)[-1]
    ticks = expand(open_, high, low, close, volume)
    prices = [price for _, price, _ in ticks]
    assert (prices[0], max(prices), min(prices), prices[-1]) == (open_, high, low, close)
    assert sum(traded for _, _, traded in ticks) == volume
    offsets = [offset for offset, _, _ in ticks]
    assert offsets == sorted(set(offsets))
    assert 0 <= offsets[0] <= offsets[-1] < 60


def test_a_bar_file_is_named_by_its_tradingsymbol(tmp_path: Path) -> None:
    file = inspect_file(write(tmp_path / "BAJAJ-AUTO.2024.csv", BARS + FIRST_BAR))
    assert (file.kind, file.label, file.token) == (Kind.BARS, "BAJAJ-AUTO", None)


@pytest.mark.parametrize(
    ("name", "token", "label"),
    [
        ("ticks_NIFTY50_256265_20251009.csv", 256265, "NIFTY50"),
        ("ticks_CALL_10923266_10923266_20251009.csv", 10923266, "CALL_10923266"),
        ("INFY.csv", 408065, "INFY"),
        ("INFY_408065.csv", 408065, "INFY"),
        ("ticks_INFY_20251009.csv", 408065, "INFY"),
        ("NIFTY25OCT_25000.csv", 408065, "NIFTY25OCT_25000"),
    ],
)
def test_a_tick_file_names_its_instrument_without_prefix_token_and_date(
    tmp_path: Path, name: str, token: int, label: str
) -> None:
    file = inspect_file(write(tmp_path / name, TICKS + f"2025-10-09 10:00:00.464552,{token},216.85\n"))
    assert (file.kind, file.label, file.token) == (Kind.TICKS, label, token)


def test_times_with_an_offset_and_indian_times_without_one_are_the_same(tmp_path: Path) -> None:
    with_offset = bars_of(write(tmp_path / "A.csv", BARS + FIRST_BAR))
    naive = bars_of(write(tmp_path / "B.csv", BARS + FIRST_BAR.replace("+05:30", "")))
    utc = bars_of(write(tmp_path / "C.csv", BARS + FIRST_BAR.replace("09:15:00+05:30", "03:45:00Z")))
    assert with_offset == naive == utc
    assert [row[0] for row in naive] == [AT, AT + 20, AT + 40, AT + 59]


def test_a_gzip_file_is_known_by_its_content_and_a_byte_order_mark_is_no_column(tmp_path: Path) -> None:
    plain = write(tmp_path / "A.csv", BARS + FIRST_BAR)
    packed = tmp_path / "B.csv"
    packed.write_bytes(gzip.compress(("\ufeff" + BARS + FIRST_BAR).encode()))
    assert bars_of(plain) == bars_of(packed)


def test_ticks_keep_their_microseconds_and_have_no_volume(tmp_path: Path) -> None:
    path = write(tmp_path / "NIFTY50.csv", TICKS + "2024-05-21 09:15:00.673644,256265,25056.05\n")
    assert ticks_of(path) == [(AT + 0.673644, "NSE:NIFTY50", 0, 25056.05, None)]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("2024-05-21 09:16:00+05:30,1,2,1,1", "5 columns where"),
        ("21/05/2024 09:16,1,2,1,1,10", "timestamp: '21/05/2024 09:16' is not like"),
        ("2024-05-21 09:16:30+05:30,1,2,1,1,10", "is not the start of a minute"),
        ("2024-05-21 09:15:00+05:30,1,2,1,1,10", "is not later than the row before"),
        ("2024-05-21 09:16:00+05:30,x,2,1,1,10", "open: 'x' is not a price above 0"),
        ("2024-05-21 09:16:00+05:30,1,nan,1,1,10", "high: 'nan' is not a price above 0"),
        ("2024-05-21 09:16:00+05:30,1,2,-1,1,10", "low: '-1' is not a price above 0"),
        ("2024-05-21 09:16:00+05:30,1,2,1,inf,10", "close: 'inf' is not a price above 0"),
        ("2024-05-21 09:16:00+05:30,1,2,1.5,1.6,10", "high 2 and low 1.5 must enclose open 1 and close 1.6"),
        ("2024-05-21 09:16:00+05:30,1,2,1,1,-5", "volume: '-5' is not a count of shares"),
        ("2024-05-21 09:16:00+05:30,1,2,1,1,1.5", "volume: '1.5' is not a count of shares"),
    ],
)
def test_a_bad_bar_is_refused_by_file_line_and_rule(tmp_path: Path, row: str, rule: str) -> None:
    path = write(tmp_path / "INFY.csv", BARS + FIRST_BAR + row + "\n")
    rows = read_bars(inspect_file(path), 0, "NSE:INFY")
    assert len([next(rows) for _ in range(4)]) == 4
    with pytest.raises(ReplayFileError) as caught:
        next(rows)
    assert f"{path}, line 3: " in str(caught.value)
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("2024-05-21 09:14:59,256265,100.0", "is earlier than the row before"),
        ("2024-05-21 09:15:01,1,100.0", "token: 1 is neither loaded as an instrument nor the file's own 256265"),
        ("2024-05-21 09:15:01,NIFTY,100.0", "token: 'NIFTY' is not an instrument token"),
        ("2024-05-21 09:15:01,256265,0", "ltp: '0' is not a price above 0"),
    ],
)
def test_a_bad_tick_is_refused_by_file_line_and_rule(tmp_path: Path, row: str, rule: str) -> None:
    path = write(tmp_path / "NIFTY50.csv", TICKS + "2024-05-21 09:15:00,256265,99.0\n" + row + "\n")
    with pytest.raises(ReplayFileError) as caught:
        ticks_of(path)
    assert f"{path}, line 3: " in str(caught.value)
    assert rule in str(caught.value)


def test_a_file_may_hold_ticks_of_every_loaded_instrument(tmp_path: Path) -> None:
    text = TICKS + "2024-05-21 09:15:00,256265,99.0\n2024-05-21 09:15:00,408065,1500.0\n"
    rows = ticks_of(write(tmp_path / "all.csv", text), {256265: "NSE:NIFTY 50", 408065: "NSE:INFY"})
    assert [row[1] for row in rows] == ["NSE:NIFTY 50", "NSE:INFY"]


def test_a_bad_header_is_refused_and_the_expected_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayFileError) as caught:
        inspect_file(write(tmp_path / "INFY.csv", "date,o,h,l,c,v\n" + FIRST_BAR))
    assert "line 1: the header must be 'timestamp,open,high,low,close,volume' or 'timestamp,token,ltp'" in str(
        caught.value
    )
    assert "not 'date,o,h,l,c,v'" in str(caught.value)


@pytest.mark.parametrize(("text", "rule"), [("", "line 1: the header must be"), (BARS, "a header and no row")])
def test_an_empty_file_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    with pytest.raises(ReplayFileError, match=rule):
        inspect_file(write(tmp_path / "INFY.csv", text))


def test_a_missing_file_a_folder_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayFileError, match="cannot be read"):
        inspect_file(tmp_path / "missing.csv")
    with pytest.raises(ReplayFileError, match="cannot be read"):
        inspect_file(tmp_path)
    binary = tmp_path / "INFY.csv"
    binary.write_bytes(bytes(range(128, 256)))
    with pytest.raises(ReplayFileError, match="is not CSV in UTF-8"):
        inspect_file(binary)


def test_a_name_without_a_symbol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayFileError, match="must begin with a tradingsymbol"):
        inspect_file(write(tmp_path / ".csv", BARS + FIRST_BAR))


def test_no_files_and_a_file_named_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayFileError, match="no files"):
        inspect_files(())
    path = write(tmp_path / "INFY.csv", BARS + FIRST_BAR)
    with pytest.raises(ReplayFileError, match="named twice"):
        inspect_files((path, tmp_path / "." / "INFY.csv"))


def long_bars(rows: int) -> str:
    lines = (
        f"2024-05-21 {9 + (15 + i) // 60:02d}:{(15 + i) % 60:02d}:00,{100 + i}.05,{102 + i},{99 + i},{101 + i},{i * 7}"
        for i in range(rows)
    )
    return BARS + "\n".join(lines) + "\n"


@pytest.mark.parametrize("kept", [0.35, 0.6, 0.9])
def test_a_gzip_cut_in_the_middle_delivers_its_whole_rows_and_then_says_so(tmp_path: Path, kept: float) -> None:
    whole = bars_of(write(tmp_path / "WHOLE.csv", long_bars(600)))
    packed = gzip.compress(long_bars(600).encode(), compresslevel=1)
    path = tmp_path / "INFY.csv.gz"
    path.write_bytes(packed[: int(len(packed) * kept)])
    rows: list[Row] = []
    with pytest.raises(ReplayFileTruncated) as caught:
        for row in read_bars(inspect_file(path), 0, "NSE:INFY"):
            rows.append(row)
    assert rows
    assert len(rows) % 4 == 0
    assert rows == whole[: len(rows)]
    assert "the compressed file ends in the middle" in str(caught.value)
    assert f"after line {len(rows) // 4 + 1}" in str(caught.value)


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(long_bars(600).encode()))
    packed[-6] ^= 0xFF  # the checksum
    path = tmp_path / "INFY.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(ReplayFileError, match="is damaged"):
        bars_of(path)
