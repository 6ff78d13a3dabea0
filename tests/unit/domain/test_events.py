from __future__ import annotations

import re
from pathlib import Path

from workdocket.domain import decide, events
from workdocket.domain.events import EVENTS
from workdocket.domain.machine import ITEM_TABLE, OPEN, ORDER_TABLE

DOMAIN = Path(events.__file__).parent
NAMED = re.compile(r"\"((?:order|item|part|decision|approval|apply|after_apply|notification)\.[a-z_]+)\"")
BY_THE_TABLES = {row.event for row in (*ITEM_TABLE, *ORDER_TABLE)} | {f"order.{state}" for state in OPEN}


def named_in_decisions() -> set[str]:
    folder = Path(decide.__file__).parent
    return {name for module in folder.glob("*.py") for name in NAMED.findall(module.read_text())}


def test_every_event_that_is_written_is_in_the_list_and_no_other():
    assert set(EVENTS) == BY_THE_TABLES | named_in_decisions()


def test_events_that_no_table_has_are_those_that_move_nothing():
    assert named_in_decisions() - BY_THE_TABLES == named_in_decisions()


def test_every_event_is_written_under_its_own_name():
    written = "\n".join(module.read_text() for module in DOMAIN.rglob("*.py"))

    assert re.findall(r"\.note\(\s*f\"(?!order\.\{target\}\")", written) == []


def test_every_event_is_a_word_of_the_past_with_a_meaning_of_one_line():
    for name, meaning in EVENTS.items():
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", name)
        assert meaning.endswith(".")
        assert "\n" not in meaning
