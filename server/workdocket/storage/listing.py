"""Which orders are listed, in which order, and where the next page begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workdocket.domain.model import WorkOrder
from workdocket.ports import OrderQuery
from workdocket.storage import statements as sql


def conditions(query: OrderQuery) -> tuple[list[str], dict[str, Any]]:
    wanted = {name: getattr(query, name) for name in sql.ORDER_FILTERS if getattr(query, name) is not None}
    where = [sql.ORDER_FILTERS[name] for name in wanted]
    for n, (key, value) in enumerate(query.meta.items()):
        where.append(sql.META_FILTER.format(n=n))
        wanted |= {f"meta_key_{n}": key, f"meta_value_{n}": value}
    if query.open:
        where.append(sql.OPEN_ORDER)
    if query.has_available_items is not None:
        where.append(sql.AVAILABLE_ITEM if query.has_available_items else f"NOT {sql.AVAILABLE_ITEM}")
        wanted["now"] = query.now
    return where, wanted


SortKey = tuple[str, bool]


def sorting(sort: Sequence[str]) -> tuple[list[str], list[SortKey]]:
    keys = [(name.removeprefix("-"), name.startswith("-")) for name in sort]
    if "id" not in [name for name, _ in keys]:
        keys.append(("id", keys[-1][1] if keys else False))
    return [f"{sql.ORDER_SORTS[name]} {'DESC' if down else 'ASC'}" for name, down in keys], keys


def after_cursor(
    where: list[str], parameters: dict[str, Any], keys: Sequence[SortKey], cursor: Sequence[Any]
) -> tuple[list[str], dict[str, Any]]:
    """Rows strictly behind the cursor in the sort: equal in the first n keys, beyond in the next."""
    options = []
    for n, (name, down) in enumerate(keys):
        equal = [f"{sql.ORDER_SORTS[other]} = :cursor_{m}" for m, (other, _) in enumerate(keys[:n])]
        beyond = f"{sql.ORDER_SORTS[name]} {'<' if down else '>'} :cursor_{n}"
        options.append(f"({' AND '.join([*equal, beyond])})")
    values = {f"cursor_{n}": value for n, value in enumerate(cursor)}
    return [*where, f"({' OR '.join(options)})"], {**parameters, **values}


def sort_value(order: WorkOrder, name: str) -> Any:
    return order.number if name == "id" else getattr(order, name)
