"""What the kit says, and to whom: built-in types pass, every problem is told at once, and what was not checked too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.kit.faulty._shelf import Shelf, on_a_shelf
from tests.kit.faulty.appends_every_time import AppendsEveryTime
from tests.kit.faulty.clock_in_plan import ClockInPlan
from tests.kit.faulty.sound import Sound
from tests.order_types.examples import EXAMPLES, STOCK, stock_count
from workdocket import ApplyContext, Diff, Finding, ItemSpec, Refused, WorkItem, WorkOrder
from workdocket.registry import load
from workdocket.testing import Example, OrderTypeProblems, check_order_type
from workdocket.testing.problems import ADVICE

pytestmark = pytest.mark.slow
BUILT_IN = list(load([]))


@pytest.mark.scenario("kit-passes-built-in")
@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: entry.name)
def test_a_built_in_type_passes(entry: Any) -> None:
    assert entry.name in EXAMPLES, "give it an example in tests/order_types/examples.py"

    checked = check_order_type(entry.type, EXAMPLES[entry.name])

    print(f"{checked.name}: {checked.seconds:.1f} s")
    assert checked.notes == ()


@pytest.mark.scenario("kit-passes-built-in")
def test_a_declared_type_passes(tmp_path: Path) -> None:
    file = tmp_path / "stock.toml"
    file.write_text(STOCK, "utf-8")
    [entry] = load([str(file)], entry_points=False)

    checked = check_order_type(type(entry.type), [stock_count])

    print(f"{checked.name}: {checked.seconds:.1f} s")
    assert checked.notes == ()


def test_there_is_an_example_of_installed_types_only() -> None:
    assert EXAMPLES.keys() == {entry.name for entry in BUILT_IN}


def problems(*arguments: Any, **more: Any) -> OrderTypeProblems:
    with pytest.raises(OrderTypeProblems) as raised:
        check_order_type(*arguments, **more)
    return raised.value


@pytest.mark.scenario("kit-catches")
def test_a_sound_type_passes_as_class_and_as_instance() -> None:
    assert check_order_type(Sound, [on_a_shelf()]).name == "faulty.sound"
    assert check_order_type(Sound()).notes


class TwoFaults(ClockInPlan, AppendsEveryTime):
    name = "faulty.two_faults"


def test_every_problem_is_told_with_what_was_done_what_came_out_what_to_do_and_where() -> None:
    found = problems(TwoFaults, [on_a_shelf()])

    assert {"plan_varies", "not_once"} <= found.codes
    text = str(found)
    assert text.startswith("faulty.two_faults has ")
    for problem in found.problems:
        assert all([problem.did, problem.saw, problem.advice])
        file, _, line = problem.place.rpartition(":")
        assert Path(file).exists()
        assert line.isdecimal()
        assert str(problem) in text
    [once] = [problem for problem in found.problems if problem.code == "not_once"]
    assert once.place.startswith(str(Path(__file__).parent / "faulty" / "appends_every_time.py"))


def test_every_code_is_in_the_page_on_testing() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "test-an-order-type.md"

    assert [code for code in ADVICE if f"`{code}`" not in page.read_text()] == []


def test_problems_that_are_meant_are_left_out() -> None:
    found = problems(TwoFaults, [on_a_shelf()], allow=["not_once", "at_once", "keeps_partial_effect"])

    assert found.codes == {"plan_varies", "plan_reaches_out"}


class Undeclared(Shelf):
    """No name, and two members that are none."""

    nothing = 1

    nmae = "faulty.undeclared"


def test_a_type_that_no_server_would_start_with_is_told_as_the_registry_tells_it() -> None:
    found = problems(Undeclared)

    assert found.codes == {"broken_type"}
    assert any("did you mean 'name'?" in problem.saw for problem in found.problems)


def test_an_example_that_the_type_refuses_is_told_with_the_findings() -> None:
    found = problems(Sound, [on_a_shelf(result={"notes": "wrong field"})])

    assert found.codes == {"example_refused"}
    assert "/notes" in str(found)


def test_an_item_without_a_result_in_the_example_is_told() -> None:
    found = problems(Sound, [on_a_shelf(result=None)])

    assert "neither a result nor parts" in str(found)


class Strict(Sound):
    name = "faulty.strict"

    async def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        return [] if result["note"] == "It is green." else [Finding("other", "/note", "say that it is green")]


def test_what_could_not_be_checked_is_noted() -> None:
    checked = check_order_type(Strict, [on_a_shelf()])

    assert any("whether apply uses it" in note for note in checked.notes)


def test_an_example_that_is_no_function_is_applied_but_not_stopped(tmp_path: Path) -> None:
    checked = check_order_type(Sound, [on_a_shelf()(tmp_path)])

    assert any("as a function of a folder" in note for note in checked.notes)


async def test_it_runs_inside_of_a_running_loop_too() -> None:
    assert check_order_type(Sound, [on_a_shelf()]).seconds > 0


def test_without_hypothesis_the_examples_alone_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)

    checked = check_order_type(Sound, [on_a_shelf()])

    assert any("hypothesis is not installed" in note for note in checked.notes)


def test_it_is_imported_without_a_test_runner() -> None:
    code = "import sys, workdocket.testing; print({'pytest', 'hypothesis'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)

    assert done.stdout.strip() == "set()", done.stderr


# modes, hooks and follow-ups of other kinds


class Gated(Sound):
    """Many items that wait for each other and need skills, two reviewers, and every hook asynchronous."""

    name = "faulty.gated"
    approval = "four_eyes"
    quorum = 2
    skills = ("tea",)

    async def plan(self, order: WorkOrder) -> list[ItemSpec]:
        topics = [f"{n}-{topic}"[:50] for n, topic in enumerate(order.payload["topics"])]
        return [*(ItemSpec({"topic": one}, key=one) for one in topics), ItemSpec({}, key="last", after=topics)]

    async def after_apply(self, order: WorkOrder, diff: Diff, ctx: ApplyContext) -> None:
        await ctx.propose("faulty.automatic", order.payload)


class Automatic(Sound):
    name = "faulty.automatic"
    approval = "auto"


class Human(Sound):
    name = "faulty.human"
    approval = "human"


@pytest.mark.parametrize("kind", [Gated, Automatic, Human])
def test_types_of_every_approval_live_their_lives(kind: type[Shelf]) -> None:
    assert check_order_type(kind, [on_a_shelf()], also=[Automatic] if kind is Gated else []).notes == ()


def test_a_follow_up_of_a_type_that_is_not_given_is_told() -> None:
    found = problems(Gated, [on_a_shelf()])

    assert found.codes == {"apply_raises"}
    assert "faulty.automatic" in str(found)


class FilesAgain(Sound):
    name = "faulty.files_again"

    async def after_apply(self, order: WorkOrder, diff: Diff, ctx: ApplyContext) -> None:
        await ctx.propose("faulty.automatic", {**order.payload, "topics": [f"attempt {ctx.attempt}"]})


class WritesBefore(Sound):
    name = "faulty.writes_before"

    def before_apply(self, order: WorkOrder, ctx: ApplyContext) -> None:
        Path(order.payload["shelf"], "before.json").write_text('{"notes": []}')


class RaisesInApply(Sound):
    name = "faulty.raises_in_apply"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        raise RuntimeError("the shelf is full")


class Careful(Sound):
    """It takes no second order for the same shelf."""

    name = "faulty.careful"

    def preview(self, order: WorkOrder) -> Diff | None:
        _refuse_if_taken(order, ())
        return super().preview(order)

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        _refuse_if_taken(order, {ctx.idempotency_key})
        return super().apply(order, ctx)


def _refuse_if_taken(order: WorkOrder, own: Collection[str]) -> None:
    if any(file.stem not in own for file in Path(order.payload["shelf"]).glob("*.json")):
        raise Refused(Finding("taken", "/shelf", "there are notes on it already"))


def test_a_second_order_may_be_refused() -> None:
    assert check_order_type(Careful, [on_a_shelf(again="nothing")]).notes == ()
    assert problems(Careful, [on_a_shelf(again="another")]).codes == {"again_differs"}


class Receipt(Sound):
    """Its diff has the number of a receipt, another one for each that is written."""

    name = "faulty.receipt"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        diff = super().apply(order, ctx)
        receipt = Path(order.payload["shelf"], f"{ctx.idempotency_key}.txt")
        if not receipt.exists():
            written = receipt.with_name(uuid4().hex)
            written.write_text(uuid4().hex)
            written.replace(receipt)
        return replace(diff, after={"notes": diff.after, "receipt": receipt.read_text()})


def test_what_varies_from_world_to_world_is_named_in_the_example() -> None:
    assert "diff_changes" in problems(Receipt, [on_a_shelf()]).codes
    assert check_order_type(Receipt, [on_a_shelf(varies=["/after/receipt"])]).notes == ()


class NewReceipt(Sound):
    name = "faulty.new_receipt"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return replace(super().apply(order, ctx), after={"receipt": uuid4().hex})


def test_what_varies_has_to_be_the_same_in_the_next_attempt_all_the_same() -> None:
    assert problems(NewReceipt, [on_a_shelf(varies=["/after/receipt"])]).codes == {"diff_changes"}


class CountsDays(Sound):
    """Its plan goes back as many days as it is told."""

    name = "faulty.counts_days"
    payload = {
        **Sound.payload,
        "properties": {**Sound.payload["properties"], "days": {"type": "integer", "minimum": 0}},
    }

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        since = date(2026, 1, 31) - timedelta(days=order.payload.get("days", 0))
        return [ItemSpec({"since": since.isoformat()})]


class Forgetful(Sound):
    """Its second attempt says that nothing changed."""

    name = "faulty.forgetful"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        done = Path(order.payload["shelf"], f"{ctx.idempotency_key}.json").exists()
        return Diff() if done else super().apply(order, ctx)


class Choosy(Sound):
    """Its plan cannot be made of every valid payload."""

    name = "faulty.choosy"

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec({"first letter": topic[0]}) for topic in order.payload["topics"]]


@pytest.mark.scenario("kit-catches")
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FilesAgain, "after_apply_repeats"),
        (WritesBefore, "before_apply_writes"),
        (RaisesInApply, "apply_raises"),
        (Forgetful, "diff_changes"),
        (Choosy, "plan_raises"),
        (CountsDays, "plan_raises"),
    ],
)
def test_other_faults_are_caught_too(kind: type[Shelf], code: str) -> None:
    assert code in problems(kind, [on_a_shelf()], also=[Automatic]).codes


def test_an_effect_had_once_where_another_is_meant_is_told() -> None:
    def example(folder: Path) -> Example:
        return on_a_shelf(again="nothing")(folder)

    given: Callable[[Path], Example] = example
    assert problems(Sound, [given]).codes == {"again_differs"}
