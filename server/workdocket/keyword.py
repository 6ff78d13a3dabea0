"""What each keyword of JSON Schema says of a value that does not fit.

``jsonschema`` asks these rules; where the fast engine knows that an entry or property fits, they do not look into it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from referencing import Registry

from workdocket.wording import brief, nearest

Faults = Iterator[ValidationError]
Rule = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]
Fast = Mapping[int, jsonschema_rs.Validator]
"""The fast engine of each schema inside a schema, by the identity of the inner one."""

UnevaluatedProperties = jsonschema_rs.ValidationErrorKind.UnevaluatedProperties

FAULTS_PER_BRANCH = 200
ABOUT_A_PROPERTY = {"required", "dependentRequired", "additionalProperties", "unevaluatedProperties"}

FORMAT_NAMES = (
    "date date-time duration email hostname idn-email idn-hostname ipv4 ipv6 iri iri-reference json-pointer regex"
    " relative-json-pointer time uri uri-reference uri-template uuid"
)


def _format_checker() -> FormatChecker:
    """The formats as the fast engine knows them, so that both engines say the same."""
    checker = FormatChecker(formats=())
    for name in FORMAT_NAMES.split():
        checker.checks(name)(jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True).is_valid)
    return checker


FORMATS = _format_checker()


def thorough(schema: Mapping[str, Any], fast: Fast) -> Any:
    """The engine that says all that is wrong with a value, by these rules."""
    engine = validators.extend(Draft202012Validator, rules(fast))  # type: ignore[no-untyped-call]
    return engine(schema, registry=Registry(), format_checker=FORMATS)


def rules(fast: Fast) -> Mapping[str, Rule]:
    """Every keyword's rule, with the words of ``x-messages`` where a schema has some."""
    own: dict[str, Rule] = {
        "required": _required,
        "dependentRequired": _dependent_required,
        "properties": _properties,
        "propertyNames": _property_names,
        "additionalProperties": _additional_properties(fast),
        "unevaluatedProperties": _unevaluated_properties(fast),
        "items": _items(fast),
        "contains": _contains(fast),
        "unevaluatedItems": _unevaluated_items,
        "uniqueItems": _unique_items,
        "pattern": _pattern,
        "anyOf": _alternatives(most=None),
        "oneOf": _alternatives(most=1),
    }
    return {keyword: _voiced(keyword, rule) for keyword, rule in {**Draft202012Validator.VALIDATORS, **own}.items()}


def _voiced(keyword: str, rule: Rule) -> Rule:
    """``rule``, speaking with the words that ``x-messages`` beside it has for a fault in the same place."""

    def check(engine: Any, operand: Any, value: Any, schema: Any) -> Faults:
        messages = schema.get("x-messages", {})
        for error in rule(engine, operand, value, schema) or ():
            inner = error.validator if isinstance(error.validator, str) else None
            if inner is None or len(error.path) == (inner in ABOUT_A_PROPERTY):
                error.message = messages.get(inner or keyword, error.message)
            yield error

    return check


def _required(engine: Any, names: Sequence[str], value: Any, schema: Any) -> Faults:
    for name in names if isinstance(value, dict) else ():
        if name not in value:
            yield _fault(f"{brief(name)} is a required property", name)


def _dependent_required(engine: Any, needs: Mapping[str, Sequence[str]], value: Any, schema: Any) -> Faults:
    for name in needs.keys() & value.keys() if isinstance(value, dict) else ():
        for needed in needs[name]:
            if needed not in value:
                yield _fault(f"{brief(needed)} is required where {brief(name)} is given", needed)


def _properties(engine: Any, properties: Mapping[str, Any], value: Any, schema: Any) -> Faults:
    for name in properties if isinstance(value, dict) else ():
        if name in value:
            yield from _inside(engine, value[name], properties[name], name)


def _property_names(engine: Any, names: Any, value: Any, schema: Any) -> Faults:
    for name in value if isinstance(value, dict) else ():
        yield from _inside(engine, name, names, name)


def _additional_properties(fast: Fast) -> Rule:
    def check(engine: Any, extra: Any, value: Any, schema: Any) -> Faults:
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        fits = _fits(fast, extra)
        for name in value if isinstance(value, dict) else ():
            if name in known or any(re.search(pattern, name) for pattern in patterns):
                continue
            if extra is False:
                yield _unwanted(name, known)
            elif not fits(value[name]):
                yield from _inside(engine, value[name], extra, name)

    return check


def _unevaluated_properties(fast: Fast) -> Rule:
    def check(engine: Any, extra: Any, value: Any, schema: Any) -> Faults:
        if id(schema) not in fast:
            yield from Draft202012Validator.VALIDATORS["unevaluatedProperties"](engine, extra, value, schema)
            return
        for error in fast[id(schema)].iter_errors(value):
            if isinstance(error.kind, UnevaluatedProperties) and not error.instance_path:
                yield from (_unwanted(name, schema.get("properties", {})) for name in error.kind.unexpected)

    return check


def _items(fast: Fast) -> Rule:
    def check(engine: Any, items: Any, value: Any, schema: Any) -> Faults:
        fits = _fits(fast, items)
        first = len(schema.get("prefixItems", ()))
        for index in range(first, len(value)) if isinstance(value, list) else ():
            if not fits(value[index]):
                yield from _inside(engine, value[index], items, index)

    return check


def _contains(fast: Fast) -> Rule:
    def check(engine: Any, wanted: Any, value: Any, schema: Any) -> Faults:
        if not isinstance(value, list):
            return
        fits = fast[id(wanted)].is_valid if id(wanted) in fast else engine.evolve(schema=wanted).is_valid
        matches = sum(map(fits, value))
        least, most = schema.get("minContains", 1), schema.get("maxContains", len(value))
        if not least <= matches <= most:
            yield _fault(f"{matches} entries match what the list must contain, instead of {least} to {most}")

    return check


def _unevaluated_items(engine: Any, extra: Any, value: Any, schema: Any) -> Faults:
    for error in Draft202012Validator.VALIDATORS["unevaluatedItems"](engine, extra, value, schema):
        error.message = "Entries beyond the described ones are not allowed"
        yield error


def _pattern(engine: Any, pattern: str, value: Any, schema: Any) -> Faults:
    if not _matcher(pattern)(value):
        yield _fault(f"{value!r} does not match {pattern!r}")


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[Any], bool]:
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": pattern}).is_valid
    except jsonschema_rs.ValidationError:
        return lambda value: not isinstance(value, str) or re.search(pattern, value) is not None


def _unique_items(engine: Any, unique: bool, value: Any, schema: Any) -> Faults:
    if unique and not DISTINCT.is_valid(value):
        yield _fault(f"{value!r} has non-unique elements")


DISTINCT = jsonschema_rs.Draft202012Validator({"uniqueItems": True})


def _alternatives(most: int | None) -> Rule:
    """anyOf and oneOf: the faults of the branch that was meant, where that is plain; else one fault for all."""

    def check(engine: Any, branches: Any, value: Any, schema: Any) -> Faults:
        faults = [list(islice(engine.descend(value, branch), FAULTS_PER_BRANCH)) for branch in branches]
        passed = faults.count([])
        discriminator = schema.get("discriminator", {})
        if not passed:
            meant = _meant(branches, faults, discriminator.get("propertyName"))
            yield from meant or [_no_branch(value, discriminator)]
        elif most and passed > most:
            yield _fault(f"{value!r} is valid under more than one of the given schemas")

    return check


def _no_branch(value: Any, discriminator: Mapping[str, Any]) -> ValidationError:
    if isinstance(value, dict) and "mapping" in discriminator:
        tag = discriminator["propertyName"]
        return _fault(f"{tag!r} must be one of {list(discriminator['mapping'])}", tag)
    return _fault(f"{value!r} is not valid under any of the given schemas")


def _meant(branches: Sequence[Any], faults: Sequence[list[ValidationError]], tag: str | None) -> list[ValidationError]:
    def of_another_kind(fault: ValidationError) -> bool:
        if not fault.path:
            return fault.validator == "type"
        return len(fault.path) == 1 and (fault.validator == "const" or fault.path[0] == tag)

    candidates = [found for branch, found in zip(branches, faults, strict=True) if branch != {"type": "null"}]
    if len(candidates) > 1:
        candidates = [found for found in candidates if not any(map(of_another_kind, found))]
    return candidates[0] if len(candidates) == 1 else []


def _inside(engine: Any, value: Any, schema: Any, key: str | int) -> Faults:
    if schema is False:
        yield ValidationError("Nothing is allowed here", validator="false", path=[key])
    else:
        yield from engine.descend(value, schema, path=key)


def _fits(fast: Fast, schema: Any) -> Callable[[Any], bool]:
    return fast[id(schema)].is_valid if id(schema) in fast else lambda value: False


def _fault(message: str, *path: str) -> ValidationError:
    return ValidationError(message, path=path)


def _unwanted(name: str, known: Collection[str]) -> ValidationError:
    return _fault(f"{brief(name)} is not an allowed property{nearest(name, known)}", name)
