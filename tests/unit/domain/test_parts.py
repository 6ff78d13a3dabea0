from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.build import ADA, BOB, NOW, TTL, WRONG, facts, held, lapsed, names, only, part, work
from workdocket.domain.decide import take_part
from workdocket.domain.decide.assembly import MOST_HOLES, chosen, counting, rollup
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Change, Part

LATE = NOW + TTL
TOKEN = "token-1-1"


def send(
    *present: Part, key: str = "text", seq: int | None = None, payload="p", findings=(), known=None, **given
) -> Change:
    return take_part(known or facts(held()), TOKEN, key, seq, work(payload, **given), findings, present)


def test_a_good_part_is_kept_with_all_that_was_sent():
    change = send(key="body", seq=2, evidence={"url": "x"}, notes="n")

    [kept] = change.parts
    assert (kept.item_id, kept.key, kept.seq, kept.payload, kept.status) == ("WO-1.1", "body", 2, "p", "validated")
    assert (kept.evidence, kept.notes, kept.actor, kept.fence, kept.at) == ({"url": "x"}, "n", ADA, 1, NOW)
    assert kept.checksum == work("p").checksum


def test_the_audit_row_of_a_part_names_it_and_how_it_was_come_by():
    change = send(key="body", seq=2, evidence={"url": "x"}, notes="n")

    assert names(change) == ["part.received"]
    assert change.events[0].data == {
        "key": "body",
        "seq": 2,
        "checksum": work("p").checksum,
        "evidence": {"url": "x"},
        "notes": "n",
    }


def test_the_first_part_starts_the_item_and_every_part_renews_the_lease():
    change = send(known=facts(held(state="leased"), now=NOW + 5))

    assert names(change) == ["item.started", "order.in_progress", "part.received"]
    assert only(change).lease.expires_at == NOW + 5 + TTL


def test_an_identical_resend_is_kept_once_and_still_renews_the_lease():
    first = send(evidence=["e"], notes="n").parts[0]

    again = send(first, evidence=["e"], notes="n", known=facts(held(), now=NOW + 5))

    assert again.parts == ()
    assert again.events == ()
    assert only(again).lease.expires_at == NOW + 5 + TTL


@pytest.mark.parametrize("other", [{"payload": "q"}, {"evidence": ["e"]}, {"notes": "n"}])
def test_a_resend_that_differs_replaces_the_part(other):
    first = send().parts[0]

    again = send(first, **other)

    assert len(again.parts) == 1
    assert names(again) == ["part.received"]


def test_a_refused_part_is_kept_beside_the_good_one_and_never_in_its_place():
    change = send(part(), findings=[WRONG])

    [kept] = change.parts
    assert (kept.status, kept.findings) == ("rejected", (WRONG,))
    assert chosen({}, [part(payload="good"), kept]) == {"text": "good"}
    assert change.refusal is not None
    assert change.refusal.code == "invalid_part"
    assert change.events[0].event == "part.refused"
    assert change.events[0].data == {
        "key": "text",
        "seq": None,
        "checksum": work("p").checksum,
        "findings": [WRONG.as_dict()],
    }


def test_a_refused_part_changes_neither_item_nor_lease():
    change = send(findings=[WRONG], known=facts(held(state="leased")))

    assert names(change) == ["part.refused"]
    assert (change.items, change.leases, change.orders) == ((), (), ())


def test_a_refused_part_takes_an_expired_lease_back():
    change = send(findings=[WRONG], known=facts(lapsed()))

    assert names(change) == ["item.reclaimed", "order.checked_out", "part.refused"]


def test_a_part_takes_an_expired_lease_back():
    change = send(known=facts(held(), now=LATE))

    assert names(change) == ["item.lease_expired", "item.reclaimed", "item.started", "part.received"]


def test_one_part_too_many_is_refused_and_leaves_nothing():
    present = [part(seq=n) for n in range(3)]

    with pytest.raises(WorkError) as refusal:
        send(*present, seq=3)

    assert refusal.value.code == "limit_exceeded"
    assert refusal.value.details == {"limit": "max_parts_per_item", "value": 3}


def test_a_full_item_still_takes_better_versions_of_its_parts():
    present = [part(seq=n) for n in range(3)]

    assert send(*present, seq=2, payload="better").parts[0].payload == "better"


def test_refused_parts_take_no_room():
    present = [part(seq=1), part(seq=2), part(seq=3, status="rejected")]

    assert send(*present, seq=4).parts[0].seq == 4


def test_only_so_many_refused_parts_are_kept_but_each_is_told():
    present = [part(seq=n, status="rejected") for n in range(3)]

    one_more = send(*present, seq=3, findings=[WRONG])
    once_more = send(*present, seq=2, findings=[WRONG])

    assert (one_more.parts, len(once_more.parts)) == ((), 1)
    assert names(one_more) == names(once_more) == ["part.refused"]


def test_a_part_under_an_earlier_token_is_refused():
    known = facts(held(fence=2, holder=BOB), past=lapsed().lease)

    with pytest.raises(WorkError) as refusal:
        send(known=known)

    assert refusal.value.details["reason"] == "held_by_other"


# putting together


def test_the_latest_part_of_a_key_counts():
    parts = [part(seq=2, payload="new"), part(seq=1, payload="old"), part(seq=None, payload="oldest")]

    assert chosen({"text": "latest"}, parts) == {"text": "new"}


def test_a_sequence_is_all_its_parts_in_order():
    parts = [part(seq=10, payload="c"), part(seq=2, payload="b"), part(payload="a"), part("other", payload="o")]

    assert chosen({"text": "sequence"}, parts) == {"text": ["a", "b", "c"], "other": "o"}


def test_the_parts_that_count_are_those_whose_payloads_are_chosen():
    parts = [part(seq=2, payload="b"), part(seq=1, payload="a"), part(seq=3, status="rejected"), part("other")]

    assert [one.seq for one in counting({}, parts)] == [None, 2]
    assert [one.seq for one in counting({"text": "sequence"}, parts)] == [None, 1, 2]


def test_refused_parts_count_for_nothing():
    rolled = rollup({}, frozenset({"text"}), [part(status="rejected")])

    assert rolled.received == frozenset()
    assert rolled.missing == {"text"}
    assert not rolled.ready


def test_an_item_is_ready_when_all_required_parts_are_there():
    required = frozenset({"a", "b"})

    assert not rollup({}, required, [part("a")]).ready
    assert rollup({}, required, [part("a")]).missing == {"b"}
    assert rollup({}, required, [part("a"), part("b"), part("c")]).ready


def test_an_item_without_any_part_is_not_ready_even_if_none_is_required():
    assert not rollup({}, frozenset(), []).ready


@pytest.mark.parametrize(
    "seqs, gaps",
    [
        ([0, 1, 2], []),
        ([1, 2, 3], []),
        ([None], []),
        ([None, 1], []),
        ([0, 2], [1]),
        ([1, 4], [2, 3]),
        ([3], [1, 2]),
        ([1, 1_000_000], list(range(2, 2 + MOST_HOLES))),
        ([5, 1_000_000], [1, 2, 3, 4, *range(6, 2 + MOST_HOLES)]),
    ],
)
def test_a_sequence_reports_its_first_gaps(seqs, gaps):
    rolled = rollup({"text": "sequence"}, frozenset(), [part(seq=seq) for seq in seqs])

    assert list(rolled.gaps.get("text", [])) == gaps
    assert rolled.ready is not bool(gaps)


def test_numbers_of_a_latest_part_may_have_gaps():
    assert rollup({"text": "latest"}, frozenset(), [part(seq=7)]).ready


@given(st.sets(st.integers(0, 15), min_size=1))
def test_a_gap_is_a_number_below_the_highest_that_is_not_there(seqs: set[int]):
    rolled = rollup({"text": "sequence"}, frozenset(), [part(seq=seq) for seq in seqs])

    first = 0 if 0 in seqs else 1
    assert list(rolled.gaps.get("text", [])) == [n for n in range(first, max(seqs)) if n not in seqs]
