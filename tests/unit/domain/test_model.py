from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.build import ADA, NOW, POLICY, SECOND, handed_in
from workdocket.domain.errors import CATALOGUE, Finding, Refused, WorkError
from workdocket.domain.model import Event, Submission, canonical, chained, checksum, iso

END_OF_TIME = 253_402_300_799_999


@given(st.integers(0, END_OF_TIME))
def test_a_time_on_the_wire_is_the_same_millisecond(at: int):
    text = iso(at)

    assert text.endswith("Z")
    assert len(text) == len("2026-01-01T00:00:00.000Z")
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == at


def test_times_on_the_wire_sort_as_text():
    assert iso(NOW) == "2023-11-14T22:13:20.000Z"
    assert iso(NOW) < iso(NOW + 1) < iso(END_OF_TIME)


def test_the_wait_between_attempts_doubles_up_to_its_cap():
    policy = replace(POLICY, backoff={"failed": 10 * SECOND}, backoff_jitter=0, backoff_cap=60 * SECOND)

    waits = [policy.backoff_after("failed", attempts, 0.9) for attempts in (1, 2, 3, 4, 5_000)]

    assert waits == [10 * SECOND, 20 * SECOND, 40 * SECOND, 60 * SECOND, 60 * SECOND]


@given(st.integers(1, 40), st.floats(0, 1))
def test_jitter_only_adds_and_never_goes_over_the_cap(attempts: int, jitter: float):
    bare = POLICY.backoff_after("failed", attempts, 0)

    wait = POLICY.backoff_after("failed", attempts, jitter)

    assert bare <= wait <= min(bare + POLICY.backoff_jitter, POLICY.backoff_cap)


@given(st.integers(1, 40), st.floats(0, 1))
def test_no_pause_is_not_lengthened_by_chance(attempts: int, jitter: float):
    assert POLICY.backoff_after("expired", attempts, jitter) == 0


def test_each_ending_has_a_pause_of_its_own():
    policy = replace(POLICY, backoff={"failed": 1, "expired": 2, "raised": 3}, backoff_jitter=0)

    assert [policy.backoff_after(ending, 2, 0) for ending in ("failed", "expired", "raised")] == [2, 4, 6]


def test_equal_values_have_one_checksum_whatever_the_order_of_their_keys():
    assert canonical({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'
    assert checksum({"b": 1, "a": 2}) == checksum({"a": 2, "b": 1}) != checksum({"a": 2, "b": 2})
    assert len(checksum(None)) == 64


def test_what_is_no_json_has_no_checksum():
    with pytest.raises(ValueError, match="not JSON compliant"):
        checksum(float("nan"))


@pytest.mark.parametrize("change", [{"at": 1}, {"message": "x"}, {"actor": replace(ADA, id="eve")}, {"data": {"a": 1}}])
def test_the_hash_of_an_event_covers_its_fields_its_place_and_what_came_before(change):
    event = Event("item.leased", NOW, ADA, "WO-1", "WO-1.1", data={"a": 0})
    hash = chained(event, 1, "before")

    assert chained(replace(event, **change), 1, "before") != hash
    assert chained(event, 2, "before") != hash
    assert chained(event, 1, "other") != hash


def test_a_result_is_filed_under_its_fence_kind_and_checksum():
    handed = Submission("WO-1.1", 3, "c" * 64, "late", {}, ADA, NOW)

    assert handed.key == f"3-late-{'c' * 16}"


def test_a_lease_lives_until_it_is_ended():
    lease = handed_in().lease

    assert lease is not None
    assert not lease.live
    assert replace(lease, ended_at=None).live


def test_an_error_carries_the_hint_of_its_kind_and_its_findings():
    error = WorkError("invalid_result", "bad", findings=[Finding("type", "/a", "no")], details={"a": 1}, b=2)

    assert error.as_dict() == {
        "code": "invalid_result",
        "message": "bad",
        "hint": CATALOGUE["invalid_result"].hint,
        "retryable": False,
        "details": {"a": 1, "b": 2, "findings": [{"code": "type", "path": "/a", "message": "no"}]},
    }


def test_an_error_may_say_what_to_do_and_when():
    error = WorkError("busy", "later", hint="Wait.", retry_after_seconds=1.5)

    assert error.as_dict() == {
        "code": "busy",
        "message": "later",
        "hint": "Wait.",
        "retryable": True,
        "retry_after_seconds": 1.5,
    }


PROMISED_STATUS = {
    "invalid_request": 422,
    "invalid_payload": 422,
    "invalid_result": 422,
    "invalid_part": 422,
    "invalid_plan": 422,
    "not_found": 404,
    "unknown_type": 404,
    "lease_lost": 409,
    "illegal_transition": 409,
    "not_ready": 409,
    "stale": 409,
    "parts_missing": 422,
    "limit_exceeded": 429,
    "too_large": 413,
    "idempotency_conflict": 409,
    "idempotency_required": 428,
    "unauthenticated": 401,
    "forbidden": 403,
    "self_approval": 403,
    "apply_failed": 502,
    "busy": 503,
    "internal": 500,
}


def test_the_catalogue_has_the_promised_codes_and_statuses():
    assert {code: kind.http for code, kind in CATALOGUE.items()} == PROMISED_STATUS
    assert [code for code, kind in CATALOGUE.items() if kind.retryable] == ["limit_exceeded", "busy"]


def test_every_kind_of_error_says_what_it_means_and_what_to_do():
    assert all(kind.code == code and kind.meaning and kind.hint for code, kind in CATALOGUE.items())


@pytest.mark.parametrize("said", ["no", Finding("refused", "", "no"), [Finding("refused", "", "no")]])
def test_a_hook_may_refuse_in_a_word_a_finding_or_several(said):
    refused = Refused(said)

    assert refused.findings == (Finding("refused", "", "no"),)
    assert str(refused) == "no"


def test_a_refusal_without_a_sentence_shows_its_codes():
    assert str(Refused([Finding("a"), Finding("b")])) == "a; b"
