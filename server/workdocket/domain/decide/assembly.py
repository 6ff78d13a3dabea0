"""Putting parts together: which of them count, which are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workdocket.domain.model import Part

MOST_HOLES = 20


@dataclass(frozen=True, slots=True)
class Rollup:
    """Where an item stands with its parts. ``gaps`` are the sequence numbers that are not there yet."""

    required: frozenset[str]
    received: frozenset[str]
    gaps: Mapping[str, Sequence[int]]

    @property
    def missing(self) -> frozenset[str]:
        return self.required - self.received

    @property
    def ready(self) -> bool:
        return bool(self.received) and not self.missing and not self.gaps


def rollup(modes: Mapping[str, str], required: frozenset[str], parts: Sequence[Part]) -> Rollup:
    """Counts good parts only. A sequence runs from 0 or 1 to its highest number without a hole."""
    by_key = _good(parts)
    gaps = {
        key: holes
        for key, found in by_key.items()
        if modes.get(key) == "sequence" and (holes := _holes([part.seq or 0 for part in found]))
    }
    return Rollup(required, frozenset(by_key), gaps)


def chosen(modes: Mapping[str, str], parts: Sequence[Part]) -> dict[str, Any]:
    """Key to payload, or to the list of payloads in order for a sequence."""
    return {
        key: [part.payload for part in found] if modes.get(key) == "sequence" else found[-1].payload
        for key, found in _good(parts).items()
    }


def counting(modes: Mapping[str, str], parts: Sequence[Part]) -> list[Part]:
    """The good parts that a result is made of: all of a sequence, else the last of each key."""
    good = _good(parts).items()
    return [part for key, found in good for part in (found if modes.get(key) == "sequence" else found[-1:])]


def _good(parts: Sequence[Part]) -> dict[str, list[Part]]:
    """Good parts by key, in order of their numbers; one without a number comes before all."""
    found: dict[str, list[Part]] = {}
    for part in sorted(parts, key=lambda part: -1 if part.seq is None else part.seq):
        if part.status == "validated":
            found.setdefault(part.key, []).append(part)
    return found


def _holes(numbers: Sequence[int]) -> list[int]:
    """The first missing numbers of a sequence that counts from 0 or from 1."""
    there = set(numbers)
    first = 0 if 0 in there else 1
    holes: list[int] = []
    for number in sorted(there):
        holes.extend(range(first, min(number, first + MOST_HOLES)))
        first = number + 1
    return holes[:MOST_HOLES]
