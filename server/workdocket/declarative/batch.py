"""A list in the payload, handed out in batches, and its entries looked for in the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workdocket.domain.diff import found_at
from workdocket.domain.errors import Finding, Refused
from workdocket.domain.model import ItemSpec, canonical


@dataclass(frozen=True, slots=True)
class Batch:
    """``over`` and ``results`` are JSON Pointers to lists in payload and result, ``every`` to the id in an entry."""

    over: str
    size: int
    every: str | None
    results: str

    @property
    def name(self) -> str:
        """What the list is called in the input of an item: as in the payload."""
        return self.over.rpartition("/")[2].replace("~1", "/").replace("~0", "~")

    def plan(self, payload: Any) -> list[ItemSpec]:
        entries = found_at(payload, self.over)
        if not isinstance(entries, list):
            raise Refused(Finding("type", self.over, "there is no list here"))
        if findings := list(self._unfit(entries, self.over)):
            raise Refused(findings)
        starts = range(0, len(entries), self.size)
        return [
            ItemSpec({self.name: entries[start : start + self.size]}, key=f"batch-{n}")
            for n, start in enumerate(starts, 1)
        ]

    def findings(self, asked: Any, result: Any) -> list[Finding]:
        """Every entry of the batch has to come back once, and no other."""
        if self.every is None:
            return []
        entries = found_at(result, self.results)
        if not isinstance(entries, list):
            return [Finding("type", self.results, "the entries of the batch have to be here, as a list")]
        wanted = dict.fromkeys(self._ids(asked[self.name]))
        given = self._ids(entries)
        there = set(given)
        return [
            *self._unfit(entries, self.results),
            *(
                Finding("unknown_entry", f"{self.results}/{n}{self.every}", f"{one} is not in this batch")
                for n, one in enumerate(given)
                if one is not None and one not in wanted
            ),
            *(Finding("missing_entry", self.results, f"{one} is missing") for one in wanted if one not in there),
        ]

    def _unfit(self, entries: Sequence[Any], at: str) -> Iterator[Finding]:
        if self.every is None:
            return
        ids = self._ids(entries)
        for n, one in enumerate(ids):
            if one is None:
                yield Finding("required", f"{at}/{n}{self.every}", "every entry needs this")
        for one, count in Counter(ids).items():
            if one is not None and count > 1:
                yield Finding("twice", at, f"{one} is there {count} times")

    def _ids(self, entries: Sequence[Any]) -> list[str | None]:
        found = [found_at(entry, self.every or "") for entry in entries]
        return [None if one is None else canonical(one) for one in found]
