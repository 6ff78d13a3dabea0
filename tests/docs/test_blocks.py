"""What the documentation shows is what happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.order_types.examples import rows
from tests.support import pages
from tests.support.harness import House, held, house
from workdocket.registry import load
from workdocket.testing import Example, check_order_type

DOCS = pages.REPOSITORY / "docs"
RUNNABLE = ("sh", "python", "toml")
WITH_BLOCKS = [
    page for page in pages.PAGES if page != pages.README and any(one.language in RUNNABLE for one in pages.blocks(page))
]


@pytest.mark.slow
@pytest.mark.scenario("readme-runs")
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_can_be_followed_block_by_block(page: Path, tmp_path: Path) -> None:
    pages.run(page, tmp_path)


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.relative_to(pages.REPOSITORY).as_posix())
def test_links_of_a_page_point_to_something(page: Path) -> None:
    broken = [
        target
        for target, file, heading in pages.links(page)
        if not file.exists() or (heading and heading not in pages.headings(file))
    ]
    assert broken == []


@pytest.mark.scenario("docs-current")
def test_the_generated_reference_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        cwd=pages.REPOSITORY, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


# the examples of the page on order types, through their lives

SUMMARY = {"text": "A quiet release that mends two things."}


def saved(folder: Path) -> list[str]:
    """The example files of the page, where a reader would have saved them."""
    page = DOCS / "how-to" / "write-an-order-type.md"
    files = [block for block in pages.blocks(page) if block.language == "python"]
    for block in files:
        (folder / str(block.file)).write_text(block.text, "utf-8")
    return [str(folder / str(block.file)) for block in files]


async def send(worker: Any, item: dict[str, Any], key: str, payload: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await worker.ok("submit_part", **held(item), part_key=key, payload=payload, **more)
    return answer


async def write_notes(home: House, file: Path) -> str:
    """Release notes filed, written and handed in; the id of the order."""
    worker = home.person("writer")
    order_id = await home.person("planner").propose("release.notes", {"version": "1.2.0", "file": str(file)})
    item = await worker.take(order_id=order_id)
    await send(worker, item, "summary", SUMMARY)
    await send(worker, item, "entry", {"kind": "Fixed", "title": "Tea is hot again"}, seq=1)
    await send(worker, item, "entry", {"kind": "Added", "title": "Biscuits"}, seq=2)
    await send(worker, item, "thanks", {"names": ["Ada"]})
    await worker.ok("finalize", **held(item))
    return order_id


async def test_the_example_with_parts_writes_its_file_once(tmp_path: Path) -> None:
    notes = tmp_path / "NOTES.md"
    notes.write_text("## 1.1.0\n\nOlder.\n")
    async with house(tmp_path, order_types=saved(tmp_path)) as home:
        order_id = await write_notes(home, notes)

        answer = await home.person("boss").ok("approve", order_id=order_id)

    assert answer["order"]["state"] == "completed"
    written = notes.read_text()
    assert written.count("## 1.2.0") == 1
    assert written.index("- Fixed: Tea is hot again\n- Added: Biscuits\n\nThanks to Ada.") < written.index("## 1.1.0")


async def test_the_example_with_parts_refuses_what_the_page_says_it_refuses(tmp_path: Path) -> None:
    async with house(tmp_path, order_types=saved(tmp_path)) as home:
        worker = home.person("writer")
        await worker.propose("release.notes", {"version": "1.2.0", "file": str(tmp_path / "missing" / "NOTES.md")})
        item = await worker.take()
        await send(worker, item, "summary", SUMMARY)

        stop = {"kind": "Fixed", "title": "Tea is hot again."}
        refusal = await worker.refused(
            "submit_part", "invalid_part", **held(item), part_key="entry", payload=stop, seq=1
        )
        lacking = await worker.refused("finalize", "parts_missing", **held(item))

    assert [finding["code"] for finding in refusal["details"]["findings"]] == ["full_stop"]
    assert lacking["details"]["missing"] == ["entry", "thanks"]


async def test_the_example_with_parts_finds_its_own_key_after_a_crash(tmp_path: Path) -> None:
    notes = tmp_path / "NOTES.md"
    async with house(tmp_path, order_types=saved(tmp_path)) as home:
        order_id = await write_notes(home, notes)
        await home.person("boss").ok("approve", order_id=order_id)
        entry = home.app.registry.get("release.notes")
        order = await home.app.desk.store.read(lambda tx: tx.order(order_id, results=True))
        before = notes.read_text()
        key = before.split()[1]

        class Context:
            idempotency_key = key

        diff = entry.type.apply(order, Context())  # type: ignore[arg-type]

    assert notes.read_text() == before
    assert (diff.before, diff.after) == ("", before)


@pytest.mark.slow
def test_the_examples_pass_the_kit(tmp_path: Path) -> None:
    entries = {entry.name: entry.type for entry in load(saved(tmp_path), entry_points=False)}
    kinds = [{"kind": "Fixed", "title": "Tea is hot again"}, {"kind": "Added", "title": "Biscuits"}]

    def notes(folder: Path) -> Example:
        file = folder / "NOTES.md"
        file.write_text("## 1.1.0\n\nOlder.\n")
        parts = {"summary": SUMMARY, "entry": kinds, "thanks": {"names": ["Ada"]}}
        return Example({"version": "1.2.0", "file": str(file)}, parts={1: parts}, observe=file.read_text)

    def catalog(folder: Path) -> Example:
        database = folder / "shop.db"
        payload = {**CATALOG, "database": str(database), "notes_file": str(folder / "NOTES.md")}
        corrected = {"texts": {"de/tea": "Tee"}}
        results = {"de": {"texts": GERMAN}, "fr": {"texts": FRENCH}, "proofread": corrected}
        return Example(payload, results, observe=lambda: rows(database, "text"))

    check_order_type(entries["release.notes"], [notes])
    check_order_type(entries["catalog.translate"], [catalog], also=[entries["release.notes"]])


CATALOG = {"texts": {"hello": "Hello {name}", "tea": "Tea"}, "languages": ["de", "fr"]}
GERMAN = {"hello": "Hallo {name}", "tea": "Thee"}
FRENCH = {"hello": "Bonjour {name}", "tea": "Thé"}


async def test_the_example_with_many_items_goes_through_its_whole_life(tmp_path: Path) -> None:
    async with house(tmp_path, order_types=saved(tmp_path)) as home:
        payload = {**CATALOG, "database": str(tmp_path / "shop.db"), "notes_file": str(tmp_path / "NOTES.md")}
        order_id = await home.person("planner").propose("catalog.translate", payload)
        worker, reader, boss = home.person("worker"), home.person("reader"), home.person("boss")

        # given two languages at work, the proofreader has to wait
        german, french = await worker.take(), await worker.take()
        assert (await reader.ok("checkout"))["reason"] in ("blocked", "all_leased")

        # when a name in braces is lost, it is refused; then all is handed in and proofread
        lost = {"texts": {**GERMAN, "hello": "Hallo"}}
        refusal = await worker.refused("submit", "invalid_result", **held(german), result=lost)
        assert refusal["details"]["findings"][0]["path"] == "/texts/hello"
        await worker.hand_in(german, {"texts": GERMAN})
        await worker.hand_in(french, {"texts": FRENCH})
        last = await reader.take()
        assert last["key"] == "proofread"
        await reader.hand_in(last, {"texts": {"de/tea": "Tee"}})

        # then nobody who took part may approve, and what is applied is what was previewed
        await worker.refused("approve", "self_approval", order_id=order_id)
        packet = await boss.ok("review", order_id=order_id)
        answer = await boss.ok("approve", order_id=order_id, digest=packet["digest"])
        assert answer["diff"]["changes"] == packet["preview"]["changes"]
        assert answer["diff"]["after"]["de/tea"] == "Tee"
        seen = await boss.ok("get_order", order_id=order_id, wait_seconds=0)
        while "after_apply.done" not in [event["event"] for event in seen["recent_events"]]:
            seen = await boss.ok("get_order", order_id=order_id, wait_seconds=5, since_version=seen["version"])
        [follow_up] = (await boss.ok("list_orders", type="release.notes"))["orders"]
        assert follow_up["meta"] == {"about": order_id}


async def test_the_example_with_many_items_has_findings_across_its_items(tmp_path: Path) -> None:
    async with house(tmp_path, order_types=saved(tmp_path)) as home:
        worker, boss = home.person("worker"), home.person("boss")
        payload = {**CATALOG, "languages": ["de"], "database": str(tmp_path / "shop.db")}
        order_id = await home.person("planner").propose("catalog.translate", payload)
        await worker.hand_in(await worker.take(), {"texts": CATALOG["texts"]})
        await worker.hand_in(await worker.take(), {"texts": {}})

        refusal = await boss.refused("approve", "not_ready", order_id=order_id)

    assert [finding["code"] for finding in refusal["details"]["findings"]] == ["not_translated"]
