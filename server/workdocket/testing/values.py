"""Values that fit a schema, and values that do not, for hooks to be tried on.

Needs hypothesis; without it there are the examples alone. Whatever a strategy makes is asked of the real validator,
so a keyword that a strategy does not know costs values, never truth.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workdocket.domain.diff import found_at, pointer
from workdocket.domain.model import canonical
from workdocket.schema import Validator

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    Strategy = SearchStrategy[Any]

DRAWN = 60
DEEP = 4
FAR = 2**53
"""An integer for schemas without a bound: as far as every JSON parser goes."""

OTHERS: Sequence[Any] = (None, "", 0, [], {}, [[]], [{"": None}])
LETTERS = {"codec": "utf-8", "exclude_categories": ["Cs"]}
FORMATS = {
    "date": "2024-02-29",
    "date-time": "2024-02-29T23:59:60Z",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "a@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/a?b=c",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True)
class Values:
    """Valid and invalid ones, the smallest first, and those on which the validator itself fails, with its error."""

    valid: Sequence[Any]
    invalid: Sequence[Any]
    choked: Sequence[tuple[Any, Exception]] = ()


def values(validator: Validator, examples: Sequence[Any], *, most: int = 40, drawn: int = DRAWN) -> Values:
    """Up to ``most`` of each kind: the examples, changes of them, and some made from the schema alone."""
    found = [*examples, *_drawn(validator.json_schema, examples, drawn)]
    unique = {canonical(value): value for value in found if _is_json(value)}
    ordered = [unique[text] for text in sorted(unique, key=lambda text: (len(text), text))]
    spoilt = [bad for value in ordered[:3] for bad in _spoilt(value)]
    judged = Judged(validator)
    valid = [value for value in ordered if judged.fits(value) is True]
    invalid = [value for value in [*ordered, *spoilt] if isinstance(value, dict) and judged.fits(value) is False]
    return Values(_spread(valid, most), _spread(invalid, most), judged.choked)


@dataclass
class Judged:
    """What the validator says; where it raises, that is kept."""

    validator: Validator
    choked: list[tuple[Any, Exception]] = field(default_factory=list)

    def fits(self, value: Any) -> bool | None:
        try:
            return not self.validator.findings(value, limit=1)
        except Exception as error:
            self.choked.append((value, error))
            return None


def _spoilt(value: Any) -> Iterator[Any]:
    """``value`` with each of its properties gone, or of another kind."""
    for key in value if isinstance(value, dict) else ():
        yield {name: one for name, one in value.items() if name != key}
        for other in OTHERS:
            yield {**value, key: other}


def available() -> bool:
    try:
        import hypothesis  # noqa: F401
    except ImportError:
        return False
    return True


def _is_json(value: Any) -> bool:
    try:
        return bool(json.dumps(value, allow_nan=False).encode())
    except (TypeError, ValueError):
        return False


def _spread(found: Sequence[Any], most: int) -> list[Any]:
    """The smaller half, and of the rest some of every size."""
    if len(found) <= most:
        return list(found)
    half = most // 2
    rest = found[half:]
    return [*found[:half], *(rest[n * len(rest) // (most - half)] for n in range(most - half))]


def _drawn(schema: Mapping[str, Any], examples: Sequence[Any], count: int) -> list[Any]:
    if not available():
        return []
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import HypothesisException

    whole = Maker(schema)
    made = whole.of(schema)
    near = [_changed(whole, schema, copy.deepcopy(one)) for one in examples if isinstance(one, dict)]
    found: list[Any] = []

    @settings(
        max_examples=count, database=None, derandomize=True, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(st.one_of(made, *near, *near, *near))
    def draw(value: Any) -> None:
        found.append(value)

    with suppress(HypothesisException):  # no value fits, or too few to go on: what was found is what there is
        draw()
    return found


def _changed(maker: Maker, schema: Mapping[str, Any], example: dict[str, Any]) -> Strategy:
    """An example with one or two of its values, at any depth, replaced or left out."""
    from hypothesis import strategies as st

    places = [(at, maker.of(inner)) for at, inner in _places(example, schema, maker, "")]
    if not places:
        return st.just(example)

    def put(changes: list[tuple[tuple[str, bool], Any]]) -> Any:
        value = copy.deepcopy(example)
        for (at, leave_out), other in changes:
            parent, _, key = at.rpartition("/")
            inside = found_at(value, parent) if parent else value
            key = key.replace("~1", "/").replace("~0", "~")
            if isinstance(inside, dict) and leave_out:
                inside.pop(key, None)
            elif isinstance(inside, dict):
                inside[key] = other
            elif isinstance(inside, list) and key.isdecimal() and int(key) < len(inside):
                inside[int(key)] = other
        return value

    def change(place: tuple[str, Strategy]) -> Strategy:
        at, inner = place
        return st.tuples(st.tuples(st.just(at), st.integers(0, 5).map(lambda n: n == 0)), inner)

    return st.lists(st.sampled_from(places).flatmap(change), min_size=1, max_size=2).map(put)


def _places(value: Any, schema: Any, maker: Maker, at: str) -> Iterator[tuple[str, Any]]:
    """Every place in an example that the schema describes, with its schema; properties it lacks included."""
    schema = maker.resolved(schema)
    if not isinstance(schema, Mapping):
        return
    if isinstance(value, dict):
        described = schema.get("properties", {})
        extra = schema.get("additionalProperties", False)
        for key in [*value, *(key for key in described if key not in value)]:
            inner = described.get(key, extra)
            if inner is not False:
                yield pointer(at, key), inner
                yield from _places(value.get(key), inner, maker, pointer(at, key))
    elif isinstance(value, list):
        for index, one in enumerate(value[:3]):
            yield pointer(at, index), schema.get("items", {})
            yield from _places(one, schema.get("items", {}), maker, pointer(at, index))


class Maker:
    """Strategies for a schema and the schemas inside it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root

    def resolved(self, schema: Any) -> Any:
        """Without references and ``allOf``, as far as they can be merged; the first branch of a choice."""
        for _ in range(20):
            if not isinstance(schema, Mapping):
                return schema
            rest = dict(schema)
            if "$ref" in schema:
                schema = {**self._target(rest.pop("$ref")), **rest}
            elif "allOf" in schema:
                schema = _merged([rest, *map(self.resolved, rest.pop("allOf"))])
            else:
                return schema
        return schema

    def _target(self, reference: str) -> Mapping[str, Any]:
        if reference in ("#", "") or reference.startswith("#/"):
            found = found_at(self.root, reference.removeprefix("#"))
        else:
            found = next((one for one in _all(self.root) if one.get("$anchor") == reference.removeprefix("#")), None)
        return found if isinstance(found, Mapping) else {}

    def of(self, schema: Any, deep: int = 0) -> Strategy:
        from hypothesis import strategies as st

        schema = self.resolved(schema)
        if not isinstance(schema, Mapping):
            return st.nothing() if schema is False else _anything()
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                rest = {key: value for key, value in schema.items() if key != choice}
                return st.one_of([self.of(_merged([rest, self.resolved(one)]), deep) for one in schema[choice]])
        kinds = schema.get("type", list(self.KINDS))
        names = [kinds] if isinstance(kinds, str) else kinds
        return st.one_of([self.KINDS[name](self, schema, deep) for name in names if name in self.KINDS])

    def _object(self, schema: Mapping[str, Any], deep: int) -> Strategy:
        from hypothesis import strategies as st

        described: dict[str, Any] = schema.get("properties", {})
        required = schema.get("required", [])
        extra = schema.get("additionalProperties", "properties" not in schema)
        must = {key: st.deferred(_later(self, described.get(key, extra), deep)) for key in required}
        may = {
            key: st.deferred(_later(self, inner, deep))
            for key, inner in described.items()
            if key not in required and deep < DEEP
        }
        fixed = st.fixed_dictionaries(must, optional=may)
        least, most = schema.get("minProperties", 0), min(schema.get("maxProperties", 3), 3)
        if extra is False or (deep >= DEEP and not least) or most < least:
            return fixed
        names = self.of({**_mapping(schema.get("propertyNames", {})), "type": "string"}, deep)
        more = st.dictionaries(names, st.deferred(_later(self, extra, deep)), min_size=least, max_size=most)
        return st.tuples(more, fixed).map(lambda both: {**both[0], **both[1]})

    def _array(self, schema: Mapping[str, Any], deep: int) -> Strategy:
        from hypothesis import strategies as st

        first = [st.deferred(_later(self, one, deep)) for one in schema.get("prefixItems", ())]
        items = schema.get("items", True)
        least = max(schema.get("minItems", 0) - len(first), 0)
        most = max(min(schema.get("maxItems", len(first) + 4) - len(first), least + 4), least)
        if items is False or (deep >= DEEP and not least):
            return st.tuples(*first).map(list)
        unique = canonical if schema.get("uniqueItems") else None
        rest = st.lists(st.deferred(_later(self, items, deep)), min_size=least, max_size=most, unique_by=unique)
        return st.tuples(st.tuples(*first), rest).map(lambda both: [*both[0], *both[1]])

    def _string(self, schema: Mapping[str, Any], deep: int) -> Strategy:
        from hypothesis import strategies as st

        least, most = schema.get("minLength", 0), schema.get("maxLength")
        if schema.get("format") in FORMATS:
            return st.just(FORMATS[schema["format"]])
        if "pattern" in schema:
            try:
                found = st.from_regex(re.compile(schema["pattern"]), alphabet=st.characters(**LETTERS))  # type: ignore[arg-type]
            except (re.error, ValueError):  # not every regular expression of the schemas is one of Python's
                return st.text(min_size=least, max_size=most)
            return found.filter(lambda text: least <= len(text) <= (most or len(text)))
        most = least + 12 if most is None else min(most, least + 12)
        return st.text(st.characters(**LETTERS), min_size=least, max_size=max(least, most))  # type: ignore[arg-type]

    def _number(self, schema: Mapping[str, Any], deep: int) -> Strategy:
        from hypothesis import strategies as st

        return st.one_of(
            self._integer(schema, deep),
            st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False),
        )

    def _integer(self, schema: Mapping[str, Any], deep: int) -> Strategy:
        from hypothesis import strategies as st

        low, high = schema.get("minimum"), schema.get("maximum")
        low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else low
        high = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else high
        step = schema.get("multipleOf", 1)
        whole = st.integers(*(None if end is None else int(end // step) + (n == 0 and end % step > 0)
                              for n, end in enumerate((low, high))))  # fmt: skip
        far = [st.just(sign * FAR) for sign, end in ((-1, low), (1, high)) if end is None]
        return st.one_of(whole, *far).map(lambda n: n * step)

    def _boolean(self, schema: Mapping[str, Any], deep: int) -> Strategy:
        from hypothesis import strategies as st

        return st.booleans()

    def _null(self, schema: Mapping[str, Any], deep: int) -> Strategy:
        from hypothesis import strategies as st

        return st.none()

    KINDS: Mapping[str, Callable[[Maker, Mapping[str, Any], int], Strategy]] = {
        "object": _object,
        "array": _array,
        "string": _string,
        "integer": _integer,
        "number": _number,
        "boolean": _boolean,
        "null": _null,
    }


def _later(maker: Maker, schema: Any, deep: int) -> Callable[[], Strategy]:
    """A schema may contain itself, so what is inside is made when it is asked for."""
    return lambda: maker.of(schema, deep + 1)


def _anything() -> Strategy:
    from hypothesis import strategies as st

    scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(**LETTERS), max_size=8)  # type: ignore[arg-type]
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
        max_leaves=4,
    )


def _mapping(schema: Any) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _merged(schemas: Sequence[Any]) -> dict[str, Any]:
    """Several schemas as one: a good guess, which the validator judges."""
    whole: dict[str, Any] = {}
    for schema in schemas:
        for key, value in _mapping(schema).items():
            if key == "properties":
                whole[key] = {**whole.get(key, {}), **value}
            elif key == "required":
                whole[key] = [*whole.get(key, []), *value]
            else:
                whole[key] = value
    return whole


def _all(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, Mapping):
        yield schema
        for inner in schema.values():
            yield from _all(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _all(inner)
