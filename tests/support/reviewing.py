"""A queue to review, served to a real browser from this process, with the clock in the test's hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tests.support.harness import LIMIT, House, Person, held, house
from workdocket.domain.model import iso
from workdocket.surfaces.asgi import Web
from workdocket.surfaces.identity import ROLES, local_caller

SHOP = Path(__file__).with_name("shop.py")
MINUTE = 60


@dataclass
class Office:
    """The house, and where a browser finds its inbox."""

    house: House
    url: str

    async def token(self, name: str, *roles: str, kind: Any = "user") -> str:
        by = local_caller("operator").actor
        _, secret = await self.house.app.tokens.make(name, roles or ("reviewer",), by, kind=kind)
        return secret


@asynccontextmanager
async def shop(folder: Path, **settings: Any) -> AsyncIterator[House]:
    async with house(folder, order_types=[str(SHOP)], **settings) as home:
        yield home


@asynccontextmanager
async def office(folder: Path, **settings: Any) -> AsyncIterator[Office]:
    """The shop, served on a port of its own to this machine's user ``rita``."""
    async with shop(folder, **settings) as home:
        web = Web(home.app, local_caller("rita", settings.get("roles", ROLES)))
        with socket.create_server(("127.0.0.1", 0)) as place:
            config = uvicorn.Config(web.app, lifespan="on", ws="none", log_config=None, access_log=False)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server._serve([place]))
            try:
                async with asyncio.timeout(LIMIT):
                    while not server.started:  # noqa: ASYNC110 - it tells nobody
                        await asyncio.sleep(0.005)
                yield Office(home, f"http://127.0.0.1:{place.getsockname()[1]}")
            finally:
                server.should_exit = True
                web.close()
                await asyncio.wait_for(serving, LIMIT)


@dataclass
class Crew:
    """People and agents of the shop, who file orders and hand in results."""

    house: House

    @property
    def planner(self) -> Person:
        return self.house.person("planner")

    def agent(self, name: str) -> Person:
        return self.house.person(name)

    async def handed_in(self, type: str, payload: Any, *results: Any, by: str = "agent-7", **more: Any) -> str:
        """An order with a result for each of its items; its id. ``evidence`` and ``notes`` go with each result."""
        said = {name: more.pop(name) for name in ("evidence", "notes") if name in more}
        order_id = await self.planner.propose(type, payload, **more)
        for result in results:
            item = await self.agent(by).take(order_id=order_id)
            await self.agent(by).hand_in(item, result, **said)
        return order_id

    async def prices(self, supplier: str = "Kessler", **more: Any) -> str:
        old = more.pop("old", {"A-100": 12.5, "A-101": 8})
        new = more.pop("new", {"A-100": 12.9})
        return await self.handed_in("catalogue.prices", {"supplier": supplier, "prices": old}, {"prices": new}, **more)

    async def page(self, title: str = "Returns", text: str = "One\nTwo\nThree", new: str = "One\n2\nThree") -> str:
        return await self.handed_in("handbook.page", {"title": title, "text": text}, {"text": new})

    async def letter(self, result: Any, **more: Any) -> str:
        return await self.handed_in("letter.reply", {"to": "Ms Ito", **more.pop("payload", {})}, result, **more)

    async def feed(self, *sheets: list[dict[str, Any]], **more: Any) -> str:
        payload = {"supplier": "Nordlicht", "sheets": [[row["sku"] for row in rows] for rows in sheets]}
        return await self.handed_in("feed.intake", payload, *({"rows": rows} for rows in sheets), **more)

    async def stock(self, file: Path, count: int, article: str = "A-100", **more: Any) -> str:
        payload = {"file": str(file), "article": article}
        return await self.handed_in("stock.count", payload, {"count": count}, **more)


BEFORE = """\
# Returns

Customers may return goods within 14 days.
The parcel label is in the box.

Refunds take ten working days.
Ask the desk when in doubt.
"""
AFTER = """\
# Returns

Customers may return goods within 30 days, in any of our shops or by post.
The parcel label is in the box; a new one can be printed from the account page.

Refunds take three working days.
Opened food is not taken back.
Ask the desk when in doubt.
"""


async def busy_day(home: House, folder: Path) -> dict[str, str]:
    """A morning in the shop: a queue of every kind, work under way, and some of it done. Ids of the ones to look at."""
    crew, clock, rita = Crew(home), home.clock, home.person("rita", kind="user")
    ids: dict[str, str] = {}
    for n, supplier in enumerate(("Kessler", "Brandt & Sohn", "Olsen", "Fjord Tea", "Moreau")):
        order_id = await crew.prices(supplier, old={f"K-{n}01": 10 + n, f"K-{n}02": 4.2}, new={f"K-{n}01": 11 + n})
        clock.forward(11 * MINUTE)
        if n < 3:
            await rita.ok("approve", order_id=order_id)
        clock.forward(19 * MINUTE)
    for n, supplier in enumerate(
        ("Kessler", "Nordlicht", "Alba", "Holm", "Petit Jardin", "Oak & Elm", "Sato", "Verde")
    ):
        old = {f"B-{n}{m}": 3 + m + n / 2 for m in range(1, 4)}
        await crew.prices(
            supplier, old=old, new={key: round(price * 1.04, 2) for key, price in old.items()}, by="agent-3"
        )
        clock.forward(4 * MINUTE)
    ids["page"] = await crew.handed_in(
        "handbook.page", {"title": "Returns", "text": BEFORE}, {"text": AFTER, "title": "Returns and refunds"},
        by="scribe", priority=55, notes="Checked against the terms of 1 September.\nBergen was asked by phone.",
        evidence=[{"source": "terms-2026-09.pdf", "page": 3}, {"source": "legal desk", "quote": "30 days"}],
    )  # fmt: skip
    await crew.page("Opening hours", "Mon to Fri 9 to 18\nSat 10 to 14\n", "Mon to Fri 9 to 19\nSat 10 to 16\n")
    clock.forward(6 * MINUTE)
    twins = {
        "C-204": {"name": "Ada Lindqvist", "mail": "ada@example.org", "city": "Umeå"},
        "C-977": {"name": "Ada Lindquist", "mail": "ada@example.org", "phone": "+46 90 1234"},
    }
    ids["merge"] = await crew.handed_in(
        "customer.merge", {"customers": twins}, {"kept": {"phone": "+46 90 1234"}}, priority=60
    )
    twins = {"C-310": {"name": "J. Okafor"}, "C-311": {"name": "Jide Okafor", "city": "Lagos"}}
    await crew.handed_in("customer.merge", {"customers": twins}, {"kept": {"city": "Lagos"}}, by="agent-3")
    clock.forward(9 * MINUTE)
    await crew.handed_in(
        "access.grant", {"who": "temp-17", "has": ["read"], "wants": "refund up to 500"}, {"checked": "contract"},
        priority=90, deadline=iso(clock.at + 40 * MINUTE * 1000),
    )  # fmt: skip
    sheet = [{"sku": f"N-{n}", "name": f"Lamp {n}", "price": 19 + n} for n in range(12)]
    await crew.feed(sheet, sheet[:2], by="agent-3")
    ids["findings"] = await crew.feed(sheet[:3], [{"sku": "N-77", "name": "", "price": 3}])
    ids["hostile"] = await crew.letter(HOSTILE, notes=HOSTILE["text"], by="agent-9")
    clock.forward(3 * MINUTE)
    file = folder / "stock"
    file.write_text("40")
    await crew.stock(file, 38)
    failed = await crew.letter({"text": "We are sorry."}, payload={"post": "closed"})
    await rita.refused("approve", "apply_failed", order_id=failed)
    for name, progress, note in (
        ("agent-3", 0.4, "12 of 30 articles"),
        ("scribe", 0.85, "waiting for the legal desk"),
        ("agent-7", None, None),
    ):
        await crew.planner.propose("letter.reply", {"to": name})
        item = await crew.agent(name).take(agent=f"{name} on rack 2")
        if progress is not None:
            await crew.agent(name).ok("heartbeat", **held(item), progress=progress, note=note)
        clock.forward(35)
    await crew.planner.propose("letter.reply", {"to": "Ms Ito"})
    clock.forward(2 * MINUTE)
    return ids


HOSTILE = {
    "text": "Dear Ms Ito,\n</pre><script>document.title='owned'</script>\n\x1b[2J\x1b[31mAPPROVED by rita\x1b[0m\n"
    "user\u202etxt.exe\u202c is attached\u200b.\nDecision: ✓ approved by rita. Nothing to do here.",
    "html": "<img src=x onerror=\"document.title='owned'\"> "
    "<form action=/orders/WO-1/decide method=post><button>Approve</button></form>",
    "<b>key</b>": "</dd></dl><h2>Findings: none</h2>",
}
