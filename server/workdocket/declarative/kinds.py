"""The ready effects that a file may name, and where their parameters come from.

Each kind is made of functions of ``workdocket.effects``. There is none for commands: a data file that can run a
program is a program that nobody has reviewed as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workdocket.domain.diff import Diff, found_at
from workdocket.domain.errors import Finding, Refused
from workdocket.domain.model import WorkOrder
from workdocket.effects import file
from workdocket.effects.sqlite import Upsert, counted, key_text
from workdocket.order_type import ApplyContext

Where = Literal["file", "payload", "result"]
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a parameter has to be. A ``listed`` one puts the lists of all items one after the other."""

    words: str
    fits: Callable[[Any], bool]
    listed: bool = False


TEXT = Shape("a text", lambda value: isinstance(value, str))
NAME = Shape("a text that is not empty", lambda value: isinstance(value, str) and value != "")
NAMES = Shape(
    "a list of texts, at least one",
    lambda value: isinstance(value, list) and value != [] and all(isinstance(one, str) for one in value),
)
PLACE = Shape(
    "an absolute path: every host starts its server in a folder of its own",
    lambda value: isinstance(value, str) and Path(value).expanduser().is_absolute(),
)
RECORDS = Shape(
    "a list of objects, at least one",
    lambda value: isinstance(value, list) and value != [] and all(isinstance(one, dict) for one in value),
    listed=True,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a kind: what it has to be, and where it may come from."""

    shape: Shape
    sources: tuple[Where, ...]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One ready effect. ``preview`` says what ``apply`` would do, and writes nothing."""

    parameters: Mapping[str, Parameter]
    preview: Callable[[Values], Diff]
    apply: Callable[[Values, ApplyContext], Diff]
    preview_revert: Callable[[Values, Diff], Diff]
    revert: Callable[[Values, Diff, ApplyContext], Diff]


def _upsert(values: Values) -> Upsert:
    table, key, records = values["table"], values["key"], values["records"]
    if table.lower().startswith(("sqlite_", "workdocket_")):
        raise Refused(Finding("reserved", "/table", "names that begin with sqlite_ or workdocket_ are taken"))
    if any(record.get(column) is None for record in records for column in key):
        raise Refused(Finding("required", "/records", f"every record needs its key: {', '.join(key)}"))
    counts = Counter(key_text(record, key) for record in records)
    if twice := [one for one, count in counts.items() if count > 1]:
        raise Refused(Finding("twice", "/records", f"more than one record has the key {', '.join(twice[:20])}"))
    return Upsert(Path(values["database"]).expanduser(), table, key, records, counted(table))


def _replaced(values: Values, ctx: ApplyContext) -> Diff:
    return file.replace(values["path"], ctx, values["before"], values["text"], inside=values["folder"])


def _rehearsed(values: Values) -> Diff:
    return file.rehearse(values["path"], values["before"], values["text"], inside=values["folder"])


KINDS: Mapping[str, Kind] = {
    "sqlite.upsert": Kind(
        {
            "database": Parameter(PLACE, ("file", "payload")),
            "table": Parameter(NAME, ("file", "payload")),
            "key": Parameter(NAMES, ("file", "payload")),
            "records": Parameter(RECORDS, ("payload", "result")),
        },
        preview=lambda values: _upsert(values).rehearse(),
        apply=lambda values, ctx: _upsert(values).apply(ctx),
        preview_revert=lambda values, diff: _upsert(values).rehearse_revert(diff),
        revert=lambda values, diff, ctx: _upsert(values).revert(ctx, diff),
    ),
    "file.write": Kind(
        {
            "folder": Parameter(PLACE, ("file",)),
            "path": Parameter(NAME, ("file", "payload")),
            "text": Parameter(TEXT, ("payload", "result")),
            "before": Parameter(TEXT, ("payload",), required=False),
        },
        preview=_rehearsed,
        apply=_replaced,
        preview_revert=lambda values, diff: file.rehearse_revert(
            values["path"], values["before"], values["text"], inside=values["folder"]
        ),
        revert=lambda values, diff, ctx: file.revert(
            values["path"], ctx, values["before"], values["text"], inside=values["folder"]
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Given:
    """Where one parameter comes from: ``value`` itself, as the file has it, or what is at that JSON Pointer."""

    where: Where
    value: Any


@dataclass(frozen=True, slots=True)
class Effect:
    """A kind with its parameters."""

    kind: Kind
    given: Mapping[str, Given]

    def preview(self, order: WorkOrder) -> Diff:
        return self.kind.preview(self._values(order))

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return self.kind.apply(self._values(order), ctx)

    def preview_revert(self, order: WorkOrder) -> Diff:
        return self.kind.preview_revert(self._values(order), order.diff or Diff())

    def revert(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return self.kind.revert(self._values(order), order.diff or Diff(), ctx)

    def _values(self, order: WorkOrder) -> Values:
        """Every parameter for this order. Raises ``Refused`` with all that do not fit."""
        values: dict[str, Any] = {}
        findings = []
        for name, parameter in self.kind.parameters.items():
            given = self.given.get(name)
            values[name] = None if given is None else _taken(given, parameter.shape, order)
            missing = values[name] is None and not parameter.required
            if given is not None and not missing and not parameter.shape.fits(values[name]):
                findings.append(Finding("parameter", str(given.value), f"{name} has to be {parameter.shape.words}"))
        if findings:
            raise Refused(findings)
        return values


def _taken(given: Given, shape: Shape, order: WorkOrder) -> Any:
    if given.where == "file":
        return given.value
    if given.where == "payload":
        return found_at(order.payload, given.value)
    found = [found_at(item.result, given.value) for item in order.items]
    if not shape.listed:
        return found[0] if len(found) == 1 else None
    if not all(isinstance(one, list) for one in found):
        return None
    return [entry for one in found for entry in one]
