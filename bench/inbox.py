"""How long the inbox takes to make its pages while many orders await a decision."""

from __future__ import annotations

import time

import httpx2

from bench.figures import SPREAD, Report, Table, main, spread
from bench.house import House, house, kind, new_folder, together
from workdocket.domain.diff import Diff
from workdocket.domain.model import WorkOrder
from workdocket.surfaces.asgi import Web
from workdocket.surfaces.identity import local_caller

NAMES = tuple(f"bench.kind_{n}" for n in range(5))
AT = "http://127.0.0.1:8787"
HTML = {"Accept": "text/html"}


def preview(self: object, order: WorkOrder) -> Diff:
    number = order.payload["number"]
    return Diff.between({"price": number, "stock": 1}, {"price": number + 1, "stock": 2}, f"article {number}")


async def measure(orders: int = 1000, rounds: int = 30) -> Report:
    with new_folder() as folder:
        async with house(folder, [kind(name, preview=preview) for name in NAMES]) as home:
            await filled(home, orders)
            web = Web(home.app, local_caller("rita"))
            async with (
                web.running(),
                httpx2.AsyncClient(transport=httpx2.ASGITransport(app=web.app), base_url=AT) as http,
            ):
                began = time.perf_counter()
                while "still being looked at" in (await http.get("/", headers=HTML)).text:
                    pass
                looked = (time.perf_counter() - began) * 1000
                pages = {
                    name: [await asked(http, path) for _ in range(rounds)]
                    for name, path in (
                        ("queue", "/"),
                        ("queue, one type", f"/?type={NAMES[0]}"),
                        ("order", "/orders/WO-1"),
                    )
                }
    return Report(
        "Inbox",
        [
            f"""Milliseconds from the request to the whole page, in the server's process, with {orders:,} orders that
            await a decision. Design: the queue in 300 ms. After a start all orders are looked at once, which runs their
            previews; pages are served meanwhile. That took {looked:,.0f} ms here.""",
            Table(["ms until rendered", *SPREAD], [[name, *spread(values)] for name, values in pages.items()]),
        ],
        [(name, value) for name, values in pages.items() for value in values],
    )


async def filled(home: House, orders: int) -> None:
    await together(
        home.ok("boss", "propose", type=NAMES[n % len(NAMES)], payload={"number": n}, priority=n % 90)
        for n in range(orders)
    )
    left = orders
    while left:
        items = (await home.ok("worker", "checkout", count=min(20, left)))["items"]
        await together(home.hand_in("worker", item) for item in items)
        left -= len(items)


async def asked(http: httpx2.AsyncClient, path: str) -> float:
    began = time.perf_counter()
    answer = await http.get(path, headers=HTML)
    lasted = (time.perf_counter() - began) * 1000
    assert answer.status_code == 200, answer.text
    return lasted


if __name__ == "__main__":
    main(measure)
