"""Runs other people's MCP clients against the server, prints what came of it, and writes it down."""

from __future__ import annotations

import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import machine
from interop.checks import CHECKS, Row, done
from interop.installed import HERE, HOSTS, NotInstalled, node_modules, versions

PAGE = HERE.parent / "docs/reference/interop.md"
HEAD = ["client", "version", "transport", "era", "in the log as", "shown", "result"]
TEXT = """\
<!-- Written by make interop. Do not edit. -->

# Interoperability

MCP clients that nobody here wrote, each against a server on a database of its own, as `make interop` ran them on
{date} ({machine}).

- *era*: the protocol version, read from the bytes that passed.
- *in the log as*: what the audit log calls the client that changed something. The adapters of other frameworks say only
  which SDK they are.
- A scripted model makes the calls of a whole job, and no network is needed for it: it files an order, takes the item,
  hands in a wrong result, mends it by what the client showed it of the findings, reviews, and approves.
- The servers have to end by themselves when their client closes them, with exit code 0, and over HTTP within 5 s of
  SIGTERM. Claude Code, Codex and Gemini kill theirs; the TypeScript SDK in the mode `auto` kills the one that it starts
  just to learn the era.
- The conformance suite is run whole for each revision, on the same application with the names it calls beside the
  product's own. Nothing in it is expected to fail.
- Codex does not let a model without a person call what is annotated as destructive, so `approve` stays with people.
"""


def main() -> int:
    parser = ArgumentParser(prog="python -m interop", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only what CI runs; writes nothing down")
    parser.add_argument("names", nargs="*", help="only the clients whose names begin with one of these; the same")
    given = parser.parse_args()
    where = machine()
    chosen = [
        check
        for check in CHECKS
        if (check.quick or not given.quick) and (not given.names or check.client.startswith(tuple(given.names)))
    ]
    try:
        node_modules(HERE)
        if not given.quick:
            node_modules(HOSTS)
        rows = []
        for check in chosen:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(done(check, Path(folder)))
            print("  ".join(_cells(rows[-1])), flush=True)
            if rows[-1].fault:
                print(f"    {rows[-1].fault}", file=sys.stderr)
    except NotInstalled as fault:
        print(fault, file=sys.stderr)
        return 1
    table = "\n".join(_table(rows))
    print(f"\n{table}")
    if not given.quick and not given.names:
        PAGE.write_text(f"{TEXT.format(date=f'{datetime.now(UTC):%Y-%m-%d}', machine=where)}\n{table}\n")
    return 1 if any(row.fault for row in rows) else 0


def _cells(row: Row) -> list[str]:
    check, known = row.check, versions()
    result = f"FAILED: {row.fault.splitlines()[0][:200]}" if row.fault else "ok"
    eras, clients = ", ".join(row.eras), ", ".join(row.clients)
    return [check.client, known[check.package], check.transport, eras, clients, row.shown, result]


def _table(rows: Sequence[Row]) -> Iterator[str]:
    cells = [[cell.replace("|", "\\|") for cell in _cells(row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(HEAD, *cells, strict=True)]
    lines = [HEAD, ["-" * width for width in widths], *cells]
    for line in lines:
        yield f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"


if __name__ == "__main__":
    sys.exit(main())
