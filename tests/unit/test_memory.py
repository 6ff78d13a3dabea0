"""How what came before is fitted into a budget."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.build import ADA, NOW, SECOND, item, part
from workdocket.domain.model import Submission, canonical, checksum, iso
from workdocket.service.memory import BRIEF, reasons, told

MARKER = len(canonical({"left_out": "object of 1000000 characters"}))
MODES = {"log": "sequence"}
ALL = "get_item('WO-1.1', full=true)"


def reason(round: int = 1, message: str = "too loud") -> dict[str, Any]:
    return {"at": iso(NOW + round * SECOND), "by": "rita", "code": "tone", "message": message}


def made(size: int = 10, kind: str = "submitted", fence: int = 1) -> Submission:
    result = {"text": "r" * size}
    return Submission("WO-1.1", fence, checksum(result), kind, result, ADA, NOW)  # type: ignore[arg-type]


def remembered(*feedback: dict[str, Any], limit: int = 4_500, **given: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"former": None, "parts": [], "late": [], "modes": MODES, "limit": limit}
    return told(item(feedback=feedback), **{**asked, **given})


def size(value: Any) -> int:
    return len(canonical(value))


def spent(memory: dict[str, Any]) -> int:
    """What it takes up, without the list of parts that there are and the count of what is left out."""
    payloads = [row["payload"] for row in memory["parts"] if "payload" in row]
    former = [memory["former_result"]] if "former_result" in memory else []
    return sum(map(size, [*memory["feedback"], *former, *payloads, *memory.get("late_results", [])]))


def messages(memory: dict[str, Any]) -> list[str]:
    return [row["message"] for row in memory["feedback"]]


TEXTS = st.one_of(
    st.integers(1, 2_000).map(lambda length: "m" * length), st.text(min_size=1, max_size=300), st.just('"\n\x01' * 600)
)
ROWS = st.lists(st.tuples(st.integers(1, 4), TEXTS), max_size=40).map(
    lambda rows: tuple(reason(round, text) for round, text in sorted(rows, key=lambda row: row[0]))
)
SIZES = st.lists(st.integers(0, 3_000), max_size=8)


@given(ROWS, st.none() | st.integers(0, 20_000), SIZES, SIZES, st.integers(1, 9_000))
def test_whatever_there_is_it_fits_into_the_budget(
    feedback: tuple[dict[str, Any], ...], former: int | None, parts: list[int], late: list[int], limit: int
):
    memory = remembered(
        *feedback,
        former=None if former is None else made(former),
        parts=[part("log", n, {"text": "p" * length}) for n, length in enumerate(parts)],
        late=[made(length, "late", fence) for fence, length in enumerate(late)],
        limit=limit,
    )

    listing = size([{**row, "payload": 0} for row in memory["parts"]]) - len('"payload":0,') * len(parts)
    assert spent(memory) <= max(limit - listing, sum(map(size, memory["feedback"]))) + MARKER
    assert len(memory["parts"]) == len(parts)


@given(ROWS, st.integers(0, 20_000), SIZES)
def test_what_is_neither_shown_in_full_nor_counted_does_not_exist(
    feedback: tuple[dict[str, Any], ...], former: int, late: list[int]
):
    memory = remembered(*feedback, former=made(former), late=[made(length, "late", n) for n, length in enumerate(late)])

    left_out = memory.get("left_out", {"all": ALL})
    whole = [row for row in memory["feedback"] if row in feedback]
    assert len(whole) + left_out.get("feedback", 0) == len(feedback)
    uncut = [row for row in memory.get("late_results", []) if "text" in row["result"]]
    assert len(uncut) + left_out.get("late_results", 0) == len(late)
    assert (memory["former_result"] == {"text": "r" * former}) is ("former_result" not in left_out)
    assert left_out["all"] == ALL


def test_what_fits_is_whole_and_says_nothing_of_leaving_out():
    memory = remembered(
        reason(1, "too loud"), reason(2, "too quiet"), former=made(), parts=[part(payload={"a": 1})], late=[made()]
    )

    assert messages(memory) == ["too loud", "too quiet"]
    assert memory["former_result"] == {"text": "r" * 10}
    assert memory["parts"][0]["payload"] == {"a": 1}
    assert memory["late_results"][0]["result"] == {"text": "r" * 10}
    assert "left_out" not in memory


def test_the_latest_reasons_survive_and_the_oldest_go_first():
    rows = [reason(round, f"{round}: {'m' * 900}") for round in range(1, 8)]

    memory = remembered(*rows)

    assert [message[0] for message in messages(memory)] == ["4", "5", "6", "7"]
    assert memory["left_out"] == {"feedback": 3, "all": ALL}


@given(st.lists(TEXTS, min_size=1, max_size=100))
def test_a_rejection_however_long_keeps_its_first_reasons(texts: list[str]):
    memory = remembered(reason(1, "old" * 500), *(reason(2, text) for text in texts))

    assert messages(memory)[-1] != "old" * 500
    assert any(message.startswith(texts[0][:BRIEF]) for message in messages(memory))


def test_a_long_reason_that_does_not_fit_keeps_its_beginning():
    memory = remembered(reason(1, "a" * 2_000), limit=1_000)

    assert messages(memory) == [f"{'a' * BRIEF} … (2000 characters)"]
    assert memory["left_out"] == {"feedback": 1, "all": ALL}


def test_reasons_come_before_the_refused_result_and_that_before_parts_and_these_before_late_results():
    full = {
        "former": made(1_000),
        "parts": [part(payload={"text": "p" * 1_000})],
        "late": [made(1_000, "late")],
    }
    rows = (reason(1, "o" * 1_000), reason(2, "n" * 1_000))

    shown = [remembered(*rows, limit=limit, **full) for limit in (1_200, 2_300, 3_400, 4_500, 6_000)]

    assert [
        [
            "n" * 1_000 in messages(memory),
            "text" in memory["former_result"],
            "payload" in memory["parts"][0],
            "o" * 1_000 in messages(memory),
            any("text" in row["result"] for row in memory.get("late_results", [])),
        ]
        for memory in shown
    ] == [[n < fits for n in range(5)] for fits in range(1, 6)]


def test_a_late_result_without_room_for_its_text_can_still_be_named():
    memory = remembered(late=[made(5_000, "late")])

    [late] = memory["late_results"]
    assert late["key"] == made(5_000, "late").key
    assert late["result"] == {"left_out": "object of 5011 characters"}
    assert memory["left_out"] == {"late_results": 1, "all": ALL}


def test_the_newest_late_results_are_kept():
    late = [made(1_500, "late", fence) for fence in range(5)]

    memory = remembered(late=late, limit=2_100)

    assert [(row["fence"], "text" in row["result"]) for row in memory["late_results"]] == [(3, False), (4, True)]
    assert memory["left_out"]["late_results"] == 4


def test_only_parts_that_count_bring_their_payload():
    parts = [
        part("text", 1, {"n": 1}),
        part("text", 2, {"n": 2}),
        part("text", 2, {"n": 3}, status="rejected"),
        part("log", 1, {"n": 4}),
        part("log", 2, {"n": 5}),
    ]

    memory = remembered(parts=parts)

    assert [row.get("payload") for row in memory["parts"]] == [None, {"n": 2}, None, {"n": 4}, {"n": 5}]
    assert "left_out" not in memory


def test_a_small_part_behind_a_large_one_is_still_shown():
    memory = remembered(parts=[part("big", payload={"a": "x" * 5_000}), part("small", payload={"a": 1})])

    assert [row.get("payload") for row in memory["parts"]] == [None, {"a": 1}]
    assert memory["left_out"] == {"parts": 1, "all": ALL}


@pytest.mark.parametrize("limit, shown", [(10_000, ["old", "new"]), (100, ["new"])])
def test_reasons_alone_are_fitted_the_same_way(limit: int, shown: list[str]):
    row = item(feedback=(reason(1, "old"), reason(2, "new")))

    found = reasons(row, limit)

    assert messages(found) == shown
    assert found.get("left_out") == (None if len(shown) == 2 else {"feedback": 1, "all": ALL})
