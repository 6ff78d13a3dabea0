"""Tools, MCP beside them, HTTP, settings and commands: the ways in."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

from pages import page
from pages.prose import default, kind, names, sentence, table, text


@page("tools.md")
def tools() -> Iterator[str]:
    from workdocket.surfaces.tools import TOOLS

    yield from text("""
        # Tools

        What an agent can call. A caller sees the tools of its roles; `admin` has them all. Refusals are those of
        [errors](errors.md).
    """)
    yield from table(
        ["tool", "what for", "roles"],
        [[f"[`{name}`](#{name})", tool.title, ", ".join(sorted(tool.roles))] for name, tool in TOOLS.items()],
    )
    for name, tool in TOOLS.items():
        schema = tool.input_schema
        required = schema.get("required", [])
        hints = [
            word for word, holds in zip(("read-only", "destructive", "repeatable"), tool.hints, strict=True) if holds
        ]
        yield from text(f"""
            ## {name}

            {tool.description}

            Roles: {", ".join(sorted(tool.roles))}.{f" {sentence(hints)}" if hints else ""}
        """)
        yield from table(
            ["parameter", "value", "default", "meaning"],
            [
                [f"`{key}`", kind(value), default(value, key in required), value.get("description", "")]
                for key, value in schema.get("properties", {}).items()
            ],
        )
        yield from text(f"Answers with {names(tool.output_schema['properties'])}.")


@page("mcp.md")
def mcp() -> Iterator[str]:
    from workdocket.surfaces.completion import MOST
    from workdocket.surfaces.notices import MOST_ADDRESSES, MOST_STREAMS
    from workdocket.surfaces.progress import EVERY_SECONDS, LONG
    from workdocket.surfaces.prompts import ARGUMENTS, PROMPTS
    from workdocket.surfaces.resources import KINDS, MOST_LISTED, PAGE, QUEUE
    from workdocket.surfaces.server import INSTRUCTIONS

    yield from text("""
        # MCP beyond tools

        What the server offers a client besides its [tools](tools.md), in the revisions of the protocol with a handshake
        (2025-11-25 and earlier) and in the one without (2026-07-28). A refusal is a JSON-RPC error: -32602 for what is
        unknown or does not fit, -32600 for what the caller may not do, -32603 for a fault here. Its `data.error` is the
        object of [errors](errors.md), with the same codes.

        ## Instructions

        What every client is told at the start:
    """)
    yield from ["```text", *INSTRUCTIONS.splitlines(), "```"]
    yield from text("""
        ## Resources

        JSON, and the same that the tool answers to the same caller. Any role can read them; without one, nothing is
        listed.
    """)
    yield from table(
        ["address", "what it shows"], [[f"`{kind.template}`", kind.description] for kind in KINDS.values()]
    )
    yield from text(f"""
        `resources/list` has the queue, every order type, and the newest {MOST_LISTED} orders that are not over, {PAGE}
        to a page. The lists of tools, templates and prompts have one page.

        ## Notices of changes

        An order, an item or the queue is told of when an event of the [log](events.md) says that it changed, whichever
        process changed it. So a heartbeat that only renews is not told of, nor is time passing by. Several changes
        within a tenth of a second are told as one. There is no replay: who connects anew reads anew.
    """)
    yield from table(
        ["", "2025-11-25 and earlier", "2026-07-28"],
        [
            ["an address", "`resources/subscribe`, `resources/unsubscribe`", "`subscriptions/listen`"],
            ["what cannot be read", "refused", "left out of what is acknowledged, where it is no address of these"],
            ["the list of resources", f"not told of; subscribe to `{QUEUE}`", "`resourcesListChanged`"],
            ["the lists of tools and prompts", "never change", "never change"],
            ["limits", f"{MOST_ADDRESSES} addresses a session",
             f"{MOST_ADDRESSES} addresses a stream, {MOST_STREAMS} streams a principal"],
        ],
    )  # fmt: skip
    yield from text("""
        ## Prompts

        Each is offered to the roles that can do what it asks for. An argument that is unknown, missing or names what
        does not exist is refused.
    """)
    yield from table(
        ["prompt", "what for", "roles", "arguments"],
        [
            [
                f"`{spec.name}`",
                spec.description,
                ", ".join(sorted(spec.roles)),
                ", ".join(f"`{name}`{' (required)' if name in spec.required else ''}" for name in spec.arguments),
            ]
            for spec in PROMPTS.values()
        ],
    )
    yield ""
    yield from table(["argument", "meaning"], [[f"`{name}`", meaning] for name, meaning in ARGUMENTS.items()])
    yield from text(f"""
        ## Completion

        Names of order types (what begins with the typed text first, then what contains it) and ids of orders and items
        (the newest first; a number alone will do), in the arguments of prompts and in the templates above. At most
        {MOST} values, with the number of all. For `work_the_queue` orders that are not over are offered, for
        `review_orders` those that await review, and of the `type` alone where it was given before.

        ## Progress

        While {names(LONG)} wait or apply, a client that sent a progress token is told every {EVERY_SECONDS:g} s how
        many seconds have passed. A call that is cancelled while it waits ends at once and writes nothing.
    """)


@page("settings.md")
def settings() -> Iterator[str]:
    from workdocket.settings import FILE, PREFIX, Settings

    schema = Settings.model_json_schema()
    yield from text(f"""
        # Settings

        From the command line (`workdocket --set port=8080 …`), else the environment (`{PREFIX}PORT=8080`), else
        `{FILE}` in the working folder or one above it (`port = 8080`), else the default. A name that is not in this
        table stops the start. Every number of seconds may have a fraction; a list is written as JSON or with commas
        between its names.
    """)
    yield from table(
        ["setting", "value", "default", "meaning"],
        [
            [f"`{name}`", kind(value), default(value, False), value["description"]]
            for name, value in schema["properties"].items()
        ],
    )


@page("http.md")
def http() -> Iterator[str]:
    from workdocket.domain.errors import CATALOGUE
    from workdocket.surfaces.arrival import BODY_SECONDS
    from workdocket.surfaces.asgi import ENVELOPE_BYTES
    from workdocket.surfaces.http import USUALLY
    from workdocket.surfaces.listener import GRACE_SECONDS, Connection
    from workdocket.surfaces.tools import TOOLS

    reads = [spec.name for spec in TOOLS.values() if spec.hints[0]]
    yield from text("""
        # HTTP

        `workdocket serve --transport http` listens on the [settings](settings.md) `host` and `port`, and serves all of
        this through one guard. [How to serve a team](../how-to/serve-a-team.md) says how to let others in.

        ## Paths
    """)
    yield from table(
        ["path", "method", "what"],
        [
            ["`/`", "GET, POST", "the [inbox](../how-to/inbox.md) for people, with a sign-in of its own"],
            ["`/mcp`", "GET, POST, DELETE", "MCP over streamable HTTP, both protocol eras"],
            ["`/sse`, `/messages/`", "GET, POST", "MCP over the older HTTP with server-sent events"],
            ["`/v1/{tool}`", "POST", "a [tool](tools.md), its arguments as a JSON object in the body"],
            ["`/v1/{tool}`", "GET", f"a tool that only reads, its arguments in the query: {names(reads)}"],
            ["`/v1/openapi.json`", "GET", "all of `/v1` as OpenAPI 3.1"],
            ["`/healthz`", "GET", "whether server and database answer; the numbers for callers that are known"],
            ["`/.well-known/oauth-protected-resource`", "GET", "where an OAuth issuer is set: which (RFC 9728)"],
        ],
    )
    yield from text(f"""
        ## The guard

        In this order: the `Host` has to be the server's own, this machine's, or in `allowed_hosts` (421); an `Origin`,
        which browsers send, has to be the server's own or in `allowed_origins` (403); a body may have
        `max_payload_bytes` and {ENVELOPE_BYTES >> 20} MiB beside (413); and once a token was made, or an issuer is set,
        the request needs `Authorization: Bearer …` (401). Only `/healthz` and `/.well-known/` answer without one.

        ## Requests

        - Numbers and truth values are sent as such, not as text; objects and lists may also come as JSON text.
        - `Idempotency-Key` is the argument `idempotency_key` of every tool that changes something.
        - Answers to reads carry an `ETag`. With `If-None-Match`, also on a POST, an answer that is still the same is
          304 without a body.
        - A page of `list_orders` has {USUALLY["list_orders"]["limit"]} rows unless `limit` says otherwise.
        - Whoever closes the connection while a call waits is not waited for any longer.
        - The head of a request has {Connection.head_seconds:g} s to arrive, its body {BODY_SECONDS:g} s more (408).
        - `/mcp` and `/messages/` take one JSON-RPC message a request. What is none is refused with 400 under its id;
          so is a request under the id of one that the same session still waits for.

        ## Refusals

        `application/problem+json` (RFC 9457) with the fields of the [error](errors.md) beside; `Retry-After` where it
        says when to come again.
    """)
    by_status: dict[int, list[str]] = {}
    for error in CATALOGUE.values():
        by_status.setdefault(error.http, []).append(f"`{error.code}`")
    yield from table(
        ["status", "code"], [[str(status), ", ".join(codes)] for status, codes in sorted(by_status.items())]
    )
    yield from text(f"""
        ## The end

        On SIGTERM or SIGINT the server takes no more requests, calls that wait answer with what there is, streams end,
        and what is still under way has {GRACE_SECONDS} s. The exit code is 128 and the number of the signal.
    """)


@page("commands.md")
def commands() -> Iterator[str]:
    from workdocket.surfaces.cli import main

    yield from text("""
        # Commands

        Exit codes: 0 done, 1 refused (the reason is on standard error), 2 used wrongly. With `--json` standard output
        is the answer as one JSON document and nothing else. The command line acts as a person: the user of the machine,
        or whom `--actor` names.
    """)
    listed = list(_commands(main, "workdocket"))
    yield from table(
        ["command", ""],
        [[f"[`{name}`](#{name.replace(' ', '-')})", command.get_short_help_str(200)] for name, command in listed[1:]],
    )
    for name, command in listed:
        options = [one for one in command.params if one.param_type_name == "option"]
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        words = [name, *(["[OPTIONS]"] if options else []), *(_argument(one) for one in arguments)]
        yield from text(f"## {name}")
        yield from text(cleandoc(command.help or ""))
        yield from text(f"`{' '.join(words)}`")
        if options:
            yield from table(
                ["option", "", "default", "meaning"],
                [
                    [", ".join(f"`{opt}`" for opt in one.opts), _takes(one), _shown_default(one), one.help or ""]
                    for one in options
                ],
            )


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and those below it. A group that only holds others has no section of its own."""
    inner = getattr(command, "commands", {})
    if not inner or command.params:
        yield name, command
    for below in sorted(inner):
        yield from _commands(inner[below], f"{name} {below}")


def _argument(one: Any) -> str:
    return one.metavar or str(one.name.upper() if one.required else f"[{one.name.upper()}]")


def _takes(option: Any) -> str:
    """What values an option takes, in words."""
    if option.is_flag:
        return ""
    kind = option.type
    words = [", ".join(f"`{one}`" for one in getattr(kind, "choices", ())) or _TAKES.get(kind.name, "text")]
    words += [f"{word} {getattr(kind, end)}" for end, word in (("min", "from"), ("max", "to")) if hasattr(kind, end)]
    return " ".join([*words, *(["(repeatable)"] if option.multiple else [])])


_TAKES = {"integer": "whole number", "integer range": "whole number", "filename": "file", "path": "folder"}


def _shown_default(option: Any) -> str:
    if option.required:
        return "*required*"
    return f"`{option.default}`" if option.show_default else ""
