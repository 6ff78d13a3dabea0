"""Order types of a shop: changes of every shape, for a reviewer. Loaded by servers too, so no test code in here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workdocket import ApplyContext, Diff, Finding, ItemSpec, OrderType, WorkItem, WorkOrder

OBJECT = {"type": "object"}


class _Previewed(OrderType):
    """Applying it changes what its preview shows."""

    payload = OBJECT
    result = OBJECT

    def preview(self, order: WorkOrder) -> Diff:
        raise NotImplementedError

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return self.preview(order)


class Prices(_Previewed):
    """Prices of some articles, worked out by an agent."""

    name = "catalogue.prices"
    title = "Price change"

    def preview(self, order: WorkOrder) -> Diff:
        before = {"prices": order.payload["prices"]}
        after = {"prices": {**before["prices"], **(order.items[0].result or {}).get("prices", {})}}
        return Diff.between(before, after, f"{order.payload['supplier']}: {len(after['prices'])} prices")


class Page(_Previewed):
    """A page of the handbook, written anew."""

    name = "handbook.page"
    title = "Handbook page"

    def preview(self, order: WorkOrder) -> Diff:
        result = order.items[0].result or {}
        before = {"text": order.payload["text"], "title": order.payload["title"]}
        return Diff.between(before, {**before, **result}, f"{order.payload['title']}: text changed")


class Merge(_Previewed):
    """Two customers made one. Not by who proposed it."""

    name = "customer.merge"
    title = "Customer merge"
    approval = "four_eyes"

    def preview(self, order: WorkOrder) -> Diff:
        twins = order.payload["customers"]
        kept = (order.items[0].result or {}).get("kept", {})
        first, second = sorted(twins)
        summary = f"{twins[first]['name']}: {second} goes into {first}"
        return Diff.between({"customers": twins}, {"customers": {first: {**twins[first], **kept}}}, summary)


class Access(_Previewed):
    """Rights for a person. A person decides."""

    name = "access.grant"
    title = "Access"
    approval = "human"

    def preview(self, order: WorkOrder) -> Diff:
        had, asked = order.payload["has"], order.payload["wants"]
        who = order.payload["who"]
        return Diff.between({"rights": had}, {"rights": [*had, asked]}, f"{who} may {asked}")


class Intake(_Previewed):
    """Rows of a supplier's file, item by item; none may lack a name."""

    name = "feed.intake"
    title = "Supplier feed"

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec({"rows": rows}, key=f"sheet-{n}") for n, rows in enumerate(order.payload["sheets"], 1)]

    def check_order(self, order: WorkOrder) -> list[Finding]:
        return [
            Finding("no_name", f"/{item.key}/{n}/name", "a row without a name")
            for item in order.items
            for n, row in enumerate((item.result or {}).get("rows", []))
            if not row.get("name")
        ]

    def preview(self, order: WorkOrder) -> Diff:
        rows = {row["sku"]: row for item in order.items for row in (item.result or {}).get("rows", [])}
        return Diff.between({"rows": {}}, {"rows": rows}, f"{order.payload['supplier']}: {len(rows)} new rows")


class Stock(_Previewed):
    """The count of an article, in a file that others change too."""

    name = "stock.count"
    title = "Stock count"

    def preview(self, order: WorkOrder) -> Diff:
        file = Path(order.payload["file"])
        counted = (order.items[0].result or {}).get("count")
        return Diff.between({"count": file.read_text()}, {"count": str(counted)}, f"{order.payload['article']} counted")

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        diff = self.preview(order)
        Path(order.payload["file"]).write_text(str((order.items[0].result or {}).get("count")))
        return diff


class Letter(OrderType):
    """Free text without a preview. Its apply fails where the payload says so."""

    name = "letter.reply"
    title = "Reply to a customer"
    payload = OBJECT
    result: Any = OBJECT
    apply_attempts = 1

    def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        return []

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        if order.payload.get("post") == "closed":
            raise RuntimeError("the post office is closed")
        return Diff.between(None, {"sent": True})
