"""When slots are: cron expressions in time zones, where clocks change, and which of those that were missed is run."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdocket.domain.model import millis
from workdocket.generator import CatchUp
from workdocket.timetable import GRACE, Timetable, TimetableError, local, zone_of

BERLIN = "Europe/Berlin"
DAY = 86_400_000


def at(time: str, zone: str = "UTC", *, fold: int = 0) -> int:
    return millis(datetime.fromisoformat(time).replace(tzinfo=zone_of(zone), fold=fold))


def table(cron: str, zone: str = "UTC", catch_up: CatchUp = "last") -> Timetable:
    return Timetable(cron, zone_of(zone), catch_up)


def slots(cron: str, zone: str, since: str, until: str) -> list[str]:
    """Every slot after ``since`` up to ``until``, as the clocks there show it."""
    timetable, end = table(cron, zone), at(until, zone)
    found, now = [], at(since, zone)
    while (slot := timetable.after(now)) is not None and slot <= end:
        found.append(local(slot, timetable.zone).isoformat())
        now = slot
    return found


# slots


@pytest.mark.parametrize(
    "cron, since, following",
    [
        ("* * * * *", "2026-01-01T10:00", "2026-01-01T10:01"),
        ("*/15 * * * *", "2026-01-01T10:14:59", "2026-01-01T10:15"),
        ("0 3 * * 1", "2026-01-01T10:00", "2026-01-05T03:00"),
        ("0 3 * * MON", "2026-01-05T03:00", "2026-01-12T03:00"),
        ("0 0 L * *", "2026-02-01T00:00", "2026-02-28T00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"),
    ],
)
def test_the_next_slot_is_the_first_time_that_fits_after_now(cron: str, since: str, following: str) -> None:
    assert table(cron).after(at(since)) == at(following)


def test_a_slot_is_read_in_its_time_zone() -> None:
    assert table("0 3 * * *", BERLIN).after(at("2026-07-01T00:00")) == at("2026-07-01T01:00")
    assert table("0 3 * * *", BERLIN).after(at("2026-12-01T00:00")) == at("2026-12-01T02:00")


@pytest.mark.parametrize(
    "cron, zone, said",
    [
        ("x * * * *", "UTC", "'x * * * *': bad minute"),
        ("0 25 * * *", "UTC", "bad hour"),
        ("0 0 30 2 *", "UTC", "bad day-of-month"),
        ("@daily", "UTC", "does not have the five fields of a cron expression, such as '0 3 * * 1'"),
        ("0 0 0 * * *", "UTC", "does not have the five fields"),
        ("* * * * *", "Europe/Belin", "'Europe/Belin' is no time zone; did you mean 'Europe/Berlin'?"),
        ("* * * * *", "/etc/passwd", "is no time zone"),
    ],
)
def test_what_is_no_expression_or_no_zone_is_refused(cron: str, zone: str, said: str) -> None:
    with pytest.raises(TimetableError) as refused:
        table(cron, zone)
    assert said in str(refused.value)


# where clocks change


@pytest.mark.scenario("slots-and-clock-changes")
@pytest.mark.parametrize(
    "cron, expected",
    [
        ("30 2 * * *", ["2026-03-29T03:00:00+02:00"]),
        ("0,30 2,3 * * *", ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]),
        ("30 * * * *", ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]),
        ("*/30 2 * * *", []),
    ],
)
def test_a_time_that_the_clocks_skip_is_moved_to_the_end_of_the_gap(cron: str, expected: list[str]) -> None:
    assert slots(cron, BERLIN, "2026-03-29T00:45", "2026-03-29T03:45") == expected


@pytest.mark.scenario("slots-and-clock-changes")
@pytest.mark.parametrize(
    "cron, expected",
    [
        ("30 2 * * *", ["2026-10-25T02:30:00+02:00"]),
        ("30 * * * *", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]),
    ],
)
def test_a_time_that_the_clocks_repeat_is_one_slot_unless_every_hour_is_meant(cron: str, expected: list[str]) -> None:
    assert slots(cron, BERLIN, "2026-10-25T01:45", "2026-10-25T03:15") == expected


@pytest.mark.scenario("slots-and-clock-changes")
def test_in_the_second_pass_of_an_hour_the_slot_of_the_first_is_over() -> None:
    nightly = table("30 2 * * *", BERLIN)
    slot = at("2026-10-25T02:30", BERLIN)
    for second_pass in (at("2026-10-25T02:10", BERLIN, fold=1), at("2026-10-25T02:45", BERLIN, fold=1)):
        assert nightly.due(slot, second_pass) is None
        assert nightly.due(slot - DAY, second_pass) == slot
        assert nightly.after(second_pass) == at("2026-10-26T02:30", BERLIN)


# catching up


HOURLY = "0 * * * *"
DOWN, UP = "2026-01-01T10:00", "2026-01-01T15:30"


@pytest.mark.scenario("slots-caught-up")
def test_of_the_slots_that_were_missed_the_last_one_is_run() -> None:
    assert table(HOURLY).due(at(DOWN), at(UP)) == at("2026-01-01T15:00")


@pytest.mark.scenario("slots-caught-up")
def test_or_each_of_them_oldest_first() -> None:
    hourly, done = table(HOURLY, catch_up="all"), at(DOWN)
    found = []
    while (slot := hourly.due(done, at(UP))) is not None:
        found.append(slot)
        done = slot
    assert found == [at(f"2026-01-01T{hour}:00") for hour in range(11, 16)]


@pytest.mark.scenario("slots-caught-up")
def test_or_none_but_one_whose_time_has_just_come() -> None:
    hourly, slot = table(HOURLY, catch_up="none"), at("2026-01-01T15:00")
    assert hourly.due(at(DOWN), slot) == slot
    assert hourly.due(at(DOWN), slot + GRACE - 1) == slot
    assert hourly.due(at(DOWN), slot + GRACE) is None


@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
def test_what_is_done_is_not_due_again(catch_up: CatchUp) -> None:
    slot = at("2026-01-01T15:00")
    assert table(HOURLY, catch_up=catch_up).due(slot, slot) is None
    assert table(HOURLY, catch_up=catch_up).due(slot - 1, slot - 1) is None


def test_after_years_the_last_slot_of_every_minute_and_of_every_leap_year_is_found() -> None:
    assert table("* * * * *").due(at("2016-01-01T00:00"), at("2026-01-01T00:00:30")) == at("2026-01-01T00:00")
    assert table("0 0 29 2 *").due(at("2016-01-01T00:00"), at("2026-01-01T00:00")) == at("2024-02-29T00:00")
    assert table("0 0 29 2 *").due(at("2024-03-01T00:00"), at("2026-01-01T00:00")) is None


CRONS = ["30 2 * * *", "*/20 * * * *", "0,30 1,2,3 * * *", "59 23 * * SUN", "15 */3 * * *"]
ZONES = [BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
CHANGES = [at("2026-03-29T01:00"), at("2026-10-25T01:00"), at("2026-03-08T07:00"), at("2026-04-04T15:00")]


@given(
    st.sampled_from(CRONS), st.sampled_from(ZONES), st.sampled_from(CHANGES),
    st.integers(-2 * DAY, 2 * DAY), st.integers(0, 3 * DAY),
)  # fmt: skip
def test_wherever_clocks_change_all_and_last_agree_on_the_slots(
    cron: str, zone: str, change: int, start: int, span: int
) -> None:
    each, last = table(cron, zone, "all"), table(cron, zone)
    since, now = change + start, change + start + span
    found = [since]
    while (slot := each.due(found[-1], now)) is not None:
        found.append(slot)
    assert all(earlier < later for earlier, later in pairwise(found))
    assert last.due(since, now) == (found[-1] if len(found) > 1 else None)
