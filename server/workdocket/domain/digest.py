"""What an approval is bound to, in a few characters that can be copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workdocket.domain.gate import Gate
from workdocket.domain.model import WorkOrder, checksum

INGREDIENTS = ("payload", "results", "preview", "type", "policy")
WHOLE, HINT = 32, 4
"""Hex characters: of the hash over everything, which alone makes it safe, and of the hint for each ingredient."""


def digest_of(order: WorkOrder, preview: Mapping[str, Any] | None, gate: Gate) -> str:
    """``order`` with its items and their results at hand. 128 bits over all of it, ``-``, and a hint for each
    ingredient, from which :func:`moved` tells what changed."""
    shown = {
        "payload": [order.payload, order.meta, order.reverts],
        "results": {item.id: [item.key, item.input, item.result] for item in order.counting},
        "preview": preview,
        "type": [order.type, order.type_version, order.edition],
        "policy": [gate.approval, gate.quorum, gate.rule, gate.apart],
    }
    hints = "".join(checksum([name, shown[name]])[:HINT] for name in INGREDIENTS)
    return f"{checksum(shown)[:WHOLE]}-{hints}"


def moved(shown: str, now: str) -> list[str]:
    """The ingredients in which two different digests differ; all of them where the first is no digest at all."""
    before, after = _hints(shown), _hints(now)
    found = [name for name, one, other in zip(INGREDIENTS, before, after, strict=True) if one != other]
    return found or list(INGREDIENTS)


def _hints(digest: str) -> list[str]:
    hints = digest.partition("-")[2]
    return [hints[n * HINT : (n + 1) * HINT] for n in range(len(INGREDIENTS))]
