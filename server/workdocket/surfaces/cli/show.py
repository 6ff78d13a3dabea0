"""Answers as people read them: tables where things are compared, colour only on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.cells import chop_cells
from rich.console import Console
from rich.json import JSON
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from workdocket.surfaces.cli import texts
from workdocket.surfaces.cli.texts import plain

Answer = Mapping[str, Any]

STYLES = {
    "completed": "green", "accepted": "green", "approved": "green", "submitted": "yellow", "in_progress": "cyan",
    "leased": "cyan", "checked_out": "cyan", "failed": "red", "rejected": "red", "cancelled": "dim",
    "dead_lettered": "dim", "added": "green", "modified": "yellow", "removed": "red",
    "live": "green", "delivered": "green", "pending": "yellow", "expired": "dim", "revoked": "dim",
}  # fmt: skip

out = Console(highlight=False, soft_wrap=False)
aside = Console(highlight=False, stderr=True)


def as_json(answer: Answer) -> None:
    text = json.dumps(answer, indent=2, ensure_ascii=False)
    out.file.write(HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


HIDDEN = re.compile("[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What JSON lets through although it steers a terminal, or the direction of text."""


def styled(word: str) -> Text:
    return Text(word, style=STYLES.get(word, ""))


LONGEST_OP = len("modified ")

WHOLE = 24
"""Words up to this length are kept in one piece where a table has to be narrow."""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    cells = [[cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row] for row in rows]
    made = Table(header_style="bold", box=None, pad_edge=False)
    for n, column in enumerate(columns):
        texts = [row[n].plain for row in cells]
        whole = all(len(text) <= WHOLE and " " not in text for text in texts)
        made.add_column(column, overflow="fold", no_wrap=whole)
    for row in cells:
        made.add_row(*row)
    if title:
        out.print(Text(title, style="italic"))
    out.print(made)


def at(time: str) -> str:
    """A time for people: to the second, UTC."""
    return f"{time[:10]} {time[11:19]}Z" if time else ""


def many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def lines(*pairs: tuple[str, Any]) -> None:
    for name, value in pairs:
        if value not in (None, "", {}, []):
            out.print(f"[bold]{name}[/]  {escape(plain(value))}")


def types(answer: Answer) -> None:
    table("", ("type", "version", "title"), [(t["name"], t["version"], t["title"]) for t in answer["types"]])


def type_(answer: Answer) -> None:
    [one] = answer["types"]
    lines(*((name, one[name]) for name in ("name", "version", "title", "description", "instructions", "approval")))
    out.print("[bold]payload[/]")
    out.print(JSON.from_data(one["payload_schema"]))
    out.print("[bold]result[/]")
    out.print(JSON.from_data(one["result_schema"]))


def counts(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items())


def orders(answer: Answer) -> None:
    rows = [
        (
            o["id"],
            o["type"],
            styled(o["state"]),
            o["priority"],
            counts(o["items"]),
            o["requested_by"]["id"],
            at(o["created_at"]),
        )
        for o in answer["orders"]
    ]
    table(many(answer["total"], "order"), ("order", "type", "state", "priority", "items", "by", "created"), rows)
    if "next_cursor" in answer:
        out.print(f"more: --cursor {answer['next_cursor']}")


def order(answer: Answer) -> None:
    one = answer["order"]
    out.print(Text.assemble((one["id"], "bold"), " ", one["type"], " ", styled(one["state"])))
    missed = " (missed)" if "deadline_missed_at" in one else ""
    lines(("priority", one["priority"]), ("deadline", at(one.get("deadline", "")) + missed))
    lines(("payload", one["payload"]), ("error", one.get("error")))
    items(answer["items"])
    if "decision" in answer:
        lines(("decision", answer["decision"]))
    diff(answer.get("diff"))
    events({"events": [{"order_id": one["id"], **event} for event in answer["recent_events"]]})
    lines(("next", answer["next"]))


def items(rows: Sequence[Answer]) -> None:
    shown = [
        (i["id"], styled(i["state"]), f"{i['attempts']}/{i['max_attempts']}", i.get("leased_by", ""), i.get("key", ""))
        for i in rows
    ]
    table("items", ("item", "state", "attempts", "leased by", "key"), shown)


def diff(one: Answer | None, *, all_of_it: str = "") -> None:
    """Changes of one line in a table, then texts line by line. ``all_of_it`` says how to see what is left out."""
    if one is None:
        return
    out.print(Text(plain(f"diff: {one['summary']}"), style="italic"))
    changes(one)
    if one.get("changes_left_out"):
        out.print(Text(f"… and {one['changes_left_out']} more{all_of_it}"))


def changes(one: Answer) -> None:
    """A diff without its summary."""
    leaves = [leaf for change in one["changes"] for leaf in texts.leaves(change)]
    rows = [
        (
            styled(c["op"]),
            c["path"],
            "" if c["before"] is None else c["before"],
            "" if c["after"] is None else c["after"],
        )
        for c in leaves
        if not texts.has_lines(c)
    ]
    if rows or not leaves:
        table("", ("", "path", "before", "after"), rows)
    for change in filter(texts.has_lines, leaves):
        for n, piece in enumerate(chop_cells(plain(change["path"]), max(out.width - LONGEST_OP, 2)) or [""]):
            out.print(Text.assemble("  … " if n else styled(change["op"]), "" if n else " ", piece))
        for line in texts.compared(change["before"], change["after"], out.width):
            out.print(line, no_wrap=True, overflow="ignore", crop=False)


def events(answer: Answer) -> None:
    rows = [
        (
            e["seq"],
            at(e["at"]),
            e["event"],
            e.get("item_id") or e.get("order_id", ""),
            e.get("agent") or e["actor_id"],
            f"{e.get('from_state', '')} → {e['to_state']}" if e.get("to_state") else "",
            e.get("message", ""),
        )
        for e in answer["events"]
    ]
    table("events", ("seq", "at", "event", "about", "by", "state", "message"), rows)
    if "next_cursor" in answer:
        out.print(f"more: --after {answer['next_cursor']}")


def proposed(answer: Answer) -> None:
    one = answer["order"]
    if answer.get("validated"):
        out.print(f"{one['type']}: the payload is good; it would be planned into {many(one['items_count'], 'item')}.")
        return
    note = " (it was there already)" if answer.get("deduplicated") else ""
    out.print(f"{one['id']} {one['type']}: {many(one['items_count'], 'item')}, {one['state']}{note}")


def state(answer: Answer) -> None:
    out.print(Text.assemble((answer["order"]["id"], "bold"), " is ", styled(answer["order"]["state"])))


def approved(answer: Answer) -> None:
    state(answer)
    diff(answer.get("diff"))


def explain(answer: Answer) -> None:
    about = answer.get("order_id") or answer.get("item_id") or "queue"
    if "state" in answer:
        out.print(Text.assemble((about, "bold"), " is ", styled(answer["state"])))
    shown = [
        (
            _whom(one, about),
            one.get("message", one["code"]),
            one.get("action", ""),
            one.get("by", ""),
            at(one.get("earliest_at", "")),
        )
        for one in answer["reasons"]
    ]
    table("", ("about", "why", "what would change it", "by", "earliest"), shown)


def _whom(reason: Answer, about: str) -> str:
    named = reason.get("items") or reason.get("orders") or [about]
    more = reason.get("count", len(named)) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def packet(answer: Answer) -> None:
    one, gate = answer["order"], answer["gate"]
    out.print(Text.assemble((one["id"], "bold"), " ", one["type"], " ", styled(one["state"])))
    lines(("payload", one["payload"]))
    for item in answer["items"]:
        out.print(Text.assemble((item["id"], "bold"), " ", styled(item["state"])))
        lines(*((name, item.get(name)) for name in ("result", "evidence", "notes", "late_results")))
    found = [(finding["code"], finding["path"], finding["message"]) for finding in answer["findings"]]
    if found:
        table("findings: these stand against approval", ("code", "path", "message"), found)
    diff(answer.get("preview"), all_of_it="; with --diff the whole is shown")
    lines(("approval", f"{gate['approval']}: {gate['who']}; {gate['still_needed']} more needed"))
    lines(("digest", answer["digest"]))


def migrated(answer: Answer) -> None:
    done = ", ".join(answer["migrations"]) or "nothing"
    out.print(f"schema version {answer['version']}: {done} {'to do' if answer['dry_run'] else 'done'}")


def pruned(answer: Answer) -> None:
    rows = [(kind, number["expired"], number["removed"]) for kind, number in answer.items()]
    table("", ("what", "past its time", "removed"), rows)


def checked(answer: Answer) -> None:
    """A line each, as compilers write them, so that editors can jump there."""
    for one in answer["remarks"]:
        where = one["file"] if one["line"] is None else f"{one['file']}:{one['line']}"
        out.print(Text(plain(f"{where}: {one['level']}: {one['message']} [{one['code']}]")), soft_wrap=True)
    sound = f"{many(len(answer['types']), 'order type')} looked at"
    out.print(Text(f"{sound}, {many(answer['errors'], 'error')}, {many(answer['notes'], 'note')}"))


def generated(answer: Answer) -> None:
    if not answer["generators"]:
        return
    filed = "would file" if answer["dry_run"] else "filed"
    rows = [
        (
            one["generator"],
            one["filed"],
            one["duplicates"],
            one["refused"],
            counts(one["types"]),
            one.get("error", ""),
        )
        for one in answer["generators"]
    ]
    table("", ("generator", filed, "duplicates", "refused", "types", "error"), rows)
    for one in answer["generators"]:
        last = one.get("last_slot", {})
        if "error" in last:
            out.print(Text(plain(f"{one['generator']}: its slot at {at(last['at'])} failed: {last['error']}")))
        if "next_slot" in one:
            out.print(Text(f"{one['generator']}: next slot {at(one['next_slot'])}"))


def stats(answer: Answer) -> None:
    table("", ("state", "orders"), list(answer["orders"].items()))
    lines(("leases live", answer["leases"]["live"]), ("leases run out", answer["leases"]["expired"]))


def made(answer: Answer) -> None:
    out.print(f"written in {answer['folder']}:", markup=False, soft_wrap=True)
    for heading, rows in (("", answer["files"]), ("next:", answer["next"])):
        if heading:
            out.print(heading)
        for row in rows:
            out.print(f"  {row}", markup=False, soft_wrap=True)


def token_made(answer: Answer) -> None:
    """The secret alone on standard output, so that a script can keep it; what there is to say beside it."""
    one = answer["token"]
    end = f" until {at(one['expires_at'])}" if "expires_at" in one else ""
    roles = ", ".join(one["roles"])
    aside.print(f"token {one['id']} of {one['name']} ({one['kind']}: {roles}){end}, shown only now:", soft_wrap=True)
    out.print(answer["secret"], markup=False, soft_wrap=True)


def tokens(answer: Answer) -> None:
    rows = [
        (
            one["id"],
            one["name"],
            one["kind"],
            ", ".join(one["roles"]),
            styled(one["state"]),
            at(one["created_at"]),
            at(one.get("expires_at", "")),
            at(one.get("revoked_at", "")),
        )
        for one in answer["tokens"]
    ]
    table("", ("id", "name", "kind", "roles", "state", "created", "expires", "revoked"), rows)


def tokens_revoked(answer: Answer) -> None:
    verb = "would be revoked" if answer["dry_run"] else "revoked"
    for one in answer["tokens"]:
        out.print(f"{one['id']} of {one['name']} {verb}", markup=False)
    if not answer["tokens"]:
        out.print("nothing to revoke: it was done before")


def notify_tested(answer: Answer) -> None:
    for one in answer["channels"]:
        word = styled("delivered") if one["delivered"] else Text(f"not delivered: {one['reason']}", style="red")
        out.print(Text.assemble(f"{one['name']} ({one['way']}) ", word), soft_wrap=True)


def notify_listed(answer: Answer) -> None:
    channels = [
        (
            one["name"],
            one["way"],
            ", ".join(one.get("on", [])),
            ", ".join(one.get("types", [])),
            one.get("min_priority", ""),
            one["pending"],
            one["failed"],
        )
        for one in answer["channels"]
    ]
    table("", ("channel", "way", "on", "types", "from priority", "to send", "given up"), channels)
    rows = [
        (
            one["order_id"],
            one["occasion"],
            one["channel"],
            styled(one["state"]),
            one["attempts"],
            at(one.get("due_at", "")),
            one.get("error", ""),
        )
        for one in answer["notifications"]
    ]
    if rows:
        table("", ("order", "of", "channel", "state", "attempts", "due", "last error"), rows)


VIEWS: Mapping[str, Callable[[Answer], None]] = {
    "approved": approved,
    "checked": checked,
    "events": events,
    "generated": generated,
    "explain": explain,
    "made": made,
    "migrated": migrated,
    "notify_listed": notify_listed,
    "notify_tested": notify_tested,
    "order": order,
    "orders": orders,
    "packet": packet,
    "proposed": proposed,
    "pruned": pruned,
    "state": state,
    "stats": stats,
    "token_made": token_made,
    "tokens": tokens,
    "tokens_revoked": tokens_revoked,
    "type": type_,
    "types": types,
}
