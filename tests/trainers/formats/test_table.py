"""Tables of a series: what is read of them, and what each kind of damage is called."""

import lzma
from pathlib import Path

import pytest
from writers import write_table

from trainers.formats.table import read_table

HEAD = "date,load,oil\n"


def test_a_table_of_the_ett_files_is_read_packed_or_not(tmp_path: Path) -> None:
    plain = write_table(tmp_path / "a.csv", steps=30)
    (tmp_path / "a.csv.xz").write_bytes(lzma.compress(plain.read_bytes()))
    one, other = read_table(plain), read_table(tmp_path / "a.csv.xz")
    assert one.names == other.names == ("load", "oil")
    assert one.times[:2] == ("2016-07-01 00:00:00", "2016-07-01 01:00:00")
    assert one.values.shape == (30, 2)
    assert (one.values == other.values).all()


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (HEAD + "2020-02-28,1,2\n2020-02-29,1,2\n", ["2020-03-01", "2020-03-02"]),
        (HEAD + "2020-02-28 23:45:00,1,2\n2020-02-29 00:00:00,1,2\n", ["2020-02-29 00:15:00", "2020-02-29 00:30:00"]),
        ("t;x\n2020-01-31;1\n2020-02-29;1\n2020-03-31;1\n", ["2020-04-30", "2020-05-31"]),
        ("year\tx\n1990\t1\n1995\t1\n", ["2000", "2005"]),
    ],
    ids=["days", "quarters of an hour", "months", "numbers"],
)
def test_times_go_on_in_their_step(tmp_path: Path, text: str, after: list[str]) -> None:
    (tmp_path / "a.csv").write_text(text)
    found = read_table(tmp_path / "a.csv").following(2)
    assert found == after


HOURS = "2020-01-01 00:00:00,1,2\n2020-01-01 01:00:00,1,2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + HOURS + "2020-01-01 03:00:00,1,2\n", r"the step from line 3 to line 4, .* there is a gap; fill it"),
        (HEAD + HOURS + "2020-01-01 00:30:00,1,2\n", r"the time of line 4, .* is not after that of .*sort the lines"),
        (HEAD + HOURS + "2020-01-01 01:00:00,1,2\n", r"the time of line 4, .* is not after .* each time once"),
        (HEAD + HOURS + "2020-01-01 02:00:00,1,sunny\n", r"column 'oil' holds 'sunny' in line 4, which is no number"),
        (HEAD + HOURS + "2020-01-01 02:00:00,,2\n", r"the value of 'load' in line 4 is missing; fill gaps before"),
        (HEAD + HOURS + "2020-01-01 02:00:00,NaN,2\n", r"the value of 'load' in line 4 is NaN; fill gaps before"),
        (HEAD + HOURS + "2020-01-01 02:00:00,1\n", r"line 4 has 2 fields, the header 3"),
        (HEAD + HOURS + "tomorrow,1,2\n", r"line 4 begins with 'tomorrow', which is no time; write the time first"),
        (HEAD + HOURS + "7,1,2\n", r"line 4 begins with '7', but the first time is '2020-01-01 00:00:00'"),
        (HEAD, "it has 0 lines below the header; a series has two at least"),
        ("date\n2020-01-01\n2020-01-02\n", "it has one column; the values stand beside the time"),
        ("date,a,a\n1,1,1\n2,1,1\n", "its columns must have names of their own, got 'a' twice"),
        ("", "it is empty"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv: {message}.*Expected a CSV file with a header"):
        read_table(tmp_path / "a.csv")


def test_a_packed_file_that_is_cut_off_is_called_damaged(tmp_path: Path) -> None:
    packed = lzma.compress(write_table(tmp_path / "a.csv").read_bytes())
    (tmp_path / "a.csv.xz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=r"a\.csv\.xz is truncated or damaged .*Get it again"):
        read_table(tmp_path / "a.csv.xz")
