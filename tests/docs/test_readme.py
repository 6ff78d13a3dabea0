"""The README keeps its word."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support import pages
from tests.support.harness import held, house

TEXT = pages.README.read_text("utf-8")
BLOCKS = pages.blocks(pages.README)


@pytest.mark.scenario("readme-runs")
def test_the_first_block_is_two_commands_that_the_makefile_offers() -> None:
    targets = [line.split()[1] for line in BLOCKS[0].text.splitlines()]
    makefile = (pages.REPOSITORY / "Makefile").read_text("utf-8")

    assert (BLOCKS[0].language, targets) == ("sh", ["demo", "test"])
    assert [target for target in targets if not re.search(rf"^{target}:.*## \w", makefile, re.M)] == []


@pytest.mark.scenario("readme-runs")
def test_the_commands_can_be_followed_one_by_one(tmp_path: Path) -> None:
    pages.run(pages.README, tmp_path)


@pytest.mark.scenario("readme-runs")
async def test_the_order_type_goes_through_a_whole_life(tmp_path: Path) -> None:
    [block] = [block for block in BLOCKS if block.language == "python"]
    file = tmp_path / str(block.file)
    file.write_text(block.text, "utf-8")

    async with house(tmp_path, order_types=[str(file)]) as home:
        worker = home.person("agent")
        order_id = await worker.propose("team.motto", {"team": "tea"})
        item = await worker.take()
        wordy = {"motto": "We make good tea every single day"}
        refusal = await worker.refused("submit", "invalid_result", **held(item), result=wordy)
        await worker.hand_in(item, {"motto": "Steep, then ship"})
        answer = await home.person("boss").ok("approve", order_id=order_id)

    assert [finding["code"] for finding in refusal["details"]["findings"]] == ["too_long"]
    assert answer["diff"]["after"] == {"tea": "Steep, then ship"}


@pytest.mark.scenario("example-config")
def test_the_block_to_paste_is_the_first_entry_of_the_example_file() -> None:
    [block] = [block for block in BLOCKS if block.language == "json"]
    example = json.loads((pages.REPOSITORY / "mcp.json.example").read_text("utf-8"))
    assert json.loads(block.text) == {"mcpServers": {"workdocket": example["mcpServers"]["workdocket"]}}


def test_the_version_of_python_is_the_one_that_is_declared() -> None:
    declared = re.search(r'requires-python = ">=([\d.]+)"', (pages.REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert declared is not None
    assert f"Python {declared[1]} or newer" in TEXT
