"""Which gate an order has to pass: what its type says, and what the settings add to that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from workdocket.domain.gate import Gate, Rule, both, first
from workdocket.domain.model import WorkOrder
from workdocket.registry import Registry, TypeEntry, stray
from workdocket.rule import GateRule
from workdocket.settings import SettingsError

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetRule:
    """A rule of the settings, and the types that it is for."""

    types: str
    rule: Rule

    def is_for(self, entry: TypeEntry) -> bool:
        return fnmatchcase(entry.name, self.types)


class Gates:
    """The rules of this process. Raises ``SettingsError`` where one could never match."""

    def __init__(self, given: Sequence[GateRule], registry: Registry) -> None:
        self._rules = [SetRule(one.type, one.rule(n)) for n, one in enumerate(given, 1)]
        faults = [fault for n, one in enumerate(self._rules, 1) for fault in _faults(n, one, registry)]
        if faults:
            raise SettingsError("\n".join(faults))

    def of(self, entry: TypeEntry, order: WorkOrder, preview: Mapping[str, Any] | None) -> Gate:
        """The gate of an order with its results at hand. ``preview`` is the diff that is to be decided on."""
        facts = facts_of(order, preview)
        own = first(entry.gates, facts) or standing(entry)
        added = first((one.rule for one in self._rules if one.is_for(entry)), facts)
        if added is None:
            return own
        return added if entry.type.settings_may_loosen else both(own, added)

    def may_be_auto(self, entry: TypeEntry) -> bool:
        """Whether some rule might let an order of the type pass by itself."""
        rules = [*entry.gates, *(one.rule for one in self._rules if one.is_for(entry))]
        return any(rule.gate.approval == "auto" for rule in rules)

    def rows(self, entry: TypeEntry) -> list[dict[str, Any]]:
        """The rules for a type as everybody may see them, in the order in which they are asked."""
        own = [_row(rule, "type") for rule in entry.gates]
        return [*own, *(_row(one.rule, "settings") for one in self._rules if one.is_for(entry))]

    def largest(self) -> Iterator[tuple[str, Gate]]:
        """The gates that the settings name, with the names of their rules."""
        return ((one.rule.gate.rule or "", one.rule.gate) for one in self._rules)


def standing(entry: TypeEntry) -> Gate:
    """What the type asks for where none of its rules matches."""
    return Gate.of(entry.type.approval, entry.type.quorum)


def facts_of(order: WorkOrder, preview: Mapping[str, Any] | None) -> Facts:
    """What the expressions speak of. Without a preview there is no ``diff``."""
    facts: dict[str, Any] = {
        "type": order.type,
        "priority": order.priority,
        "requested_by": order.requested_by.id,
        "requested_by_kind": order.requested_by.type,
        "payload": order.payload,
        "meta": order.meta,
        "results": [item.result for item in order.counting],
    }
    if preview is not None:
        changes = preview["changes"]
        counts = {op: sum(change["op"] == op for change in changes) for op in ("added", "modified", "removed")}
        facts["diff"] = {"changes": len(changes), "paths": [change["path"] for change in changes], **counts}
    return facts


def _row(rule: Rule, of: str) -> dict[str, Any]:
    gate = rule.gate
    return {"rule": gate.rule, "when": rule.when.text, "gate": gate.approval, "quorum": gate.quorum, "from": of}


def _faults(n: int, one: SetRule, registry: Registry) -> Iterator[str]:
    meant = [entry for entry in registry if one.is_for(entry)]
    if not meant:
        yield f"gates[{n}]: no order type is called {one.types!r}; there are {', '.join(registry.names())}"
    for path in one.rule.when.paths:
        strays = [stray(entry, path) for entry in meant]
        if strays and all(strays):
            yield f"gates[{n}]: when: {strays[0]}"
