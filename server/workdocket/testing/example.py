"""One piece of work as an order type's author knows it: what is asked for, what comes back, and where to look then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workdocket.domain.model import WorkItem, canonical

Item = str | int
"""An item by its key, or by its number from 1."""


@dataclass(frozen=True, slots=True)
class Example:
    """An order and the work done for it.

    ``results`` and ``parts`` are by item key or number. ``parts`` holds ``{part key: payload}``; a list is the entries
    of a sequence. ``result`` is that of every item not named. ``observe`` returns, as a JSON value, what the effect is
    to change: rows of a table, the text of a file, calls that a stand-in took. ``again`` says what a second order with
    the same payload and results does to that: ``nothing`` (it may be refused), or ``another`` effect. ``disturb``
    changes the world behind the order's back. ``varies`` are JSON Pointers to what a diff says differently each time
    the same is done in a new world, such as the id of a commit.
    """

    payload: Any
    results: Mapping[Item, Any] = field(default_factory=dict)
    parts: Mapping[Item, Mapping[str, Any]] = field(default_factory=dict)
    result: Any = None
    observe: Callable[[], Any] | None = None
    again: Literal["nothing", "another"] | None = None
    disturb: Callable[[], Any] | None = None
    varies: Collection[str] = ()

    def result_for(self, item: Mapping[str, Any] | WorkItem) -> Any:
        """Its result, or ``None``."""
        return _named(self.results, item, self.result)

    def parts_for(self, item: Mapping[str, Any] | WorkItem) -> list[tuple[str, int | None, Any]]:
        """Its parts as they are sent: key, seq, payload."""
        found: list[tuple[str, int | None, Any]] = []
        for key, given in (_named(self.parts, item, None) or {}).items():
            if isinstance(given, list):
                found += [(key, seq, one) for seq, one in enumerate(given, 1)]
            else:
                found.append((key, None, given))
        return found


Given = Example | Callable[[Path], Example]


def _named(by_item: Mapping[Item, Any], item: Mapping[str, Any] | WorkItem, otherwise: Any) -> Any:
    if isinstance(item, WorkItem):
        key, number = item.key, item.number
    else:
        key, number = item.get("key"), int(item["id"].rpartition(".")[2])
    return by_item.get(key, by_item.get(number, otherwise)) if key is not None else by_item.get(number, otherwise)


@dataclass
class World:
    """Where an example happens. Made fresh, it is as it was at first, under the same path."""

    given: Given
    folder: Path
    example: Example = field(init=False)

    def __post_init__(self) -> None:
        self.fresh()

    @property
    def renews(self) -> bool:
        """Whether making it fresh undoes what was done to it: only where the example makes its own targets."""
        return not isinstance(self.given, Example)

    def fresh(self) -> World:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.example = self.given if isinstance(self.given, Example) else self.given(self.folder)
        return self

    def seen(self) -> Any:
        """What the example observes, as JSON; nothing where it does not look."""
        found = None if self.example.observe is None else self.example.observe()
        try:
            return json.loads(canonical(found))
        except (TypeError, ValueError) as error:
            raise TypeError(f"observe returned something that is not JSON: {error}") from error


def results_given(examples: Sequence[Example]) -> list[Any]:
    """Every result that an example names."""
    return [one for example in examples for one in (*example.results.values(), example.result) if one is not None]
