"""code.change: on real clones with real git, from a patch to one commit."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import Attempt, built_in
from tests.support.harness import LIMIT, House, Person, agent, held
from tests.support.process import comes_true, serving
from tests.support.repositories import FILES, Shop, commit, git, shop
from workdocket import Actor, Refused, WorkItem, WorkOrder
from workdocket_types.code_change import CodeChange

TYPE = "code.change"
GREET = FILES["src/greet.py"]
MENDED: dict[str, str | None] = {"src/greet.py": GREET.replace("Helo", "Hello")}
MARKED = "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+gotcha\n"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The git configuration of the machine's owner."""
    file = tmp_path / "gitconfig"
    file.write_text("")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return file


@pytest.fixture
def clone(tmp_path: Path, config: Path) -> Shop:
    return shop(tmp_path)


def payload(clone: Shop, **more: Any) -> dict[str, Any]:
    task = {"title": "Mend the greeting", "description": "It says Helo."}
    return {"repository": str(clone.path), "branch": "fix", "task": task, **more}


def order_of(clone: Shop, result: dict[str, Any], **more: Any) -> WorkOrder:
    asked = payload(clone, **more)
    item = WorkItem("WO-1.1", "WO-1", 1, TYPE, 0, asked, 0, 0, 3, result=result)
    return WorkOrder("WO-1", 1, "uid", TYPE, 1, asked, 0, Actor("agent", "a"), 0, 0, items=(item,))


def found(clone: Shop, result: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    """Code and path of what is found against a result; nothing when it is accepted."""
    return [(finding["code"], finding["path"]) for finding in findings(clone, result, **more)]


def findings(clone: Shop, result: dict[str, Any], **more: Any) -> list[dict[str, str]]:
    item = order_of(clone, result, **more).items[0]
    try:
        return [finding.as_dict() for finding in CodeChange().check_result(item, result)]
    except Refused as refused:
        return [finding.as_dict() for finding in refused.findings]


async def ready(home: House, clone: Shop, result: dict[str, Any], **more: Any) -> str:
    """An order whose patch is handed in."""
    order_id = await home.person("requester").propose(TYPE, payload(clone, **more))
    worker = home.person("worker")
    await worker.hand_in(await worker.take(order_id=order_id), result)
    return order_id


async def against(person: Person, order_id: str) -> list[str]:
    return [finding["code"] for finding in (await person.ok("review", order_id=order_id))["findings"]]


# the whole way


@pytest.mark.scenario("real-types")
async def test_a_patch_goes_through_review_onto_a_new_branch_as_it_was_shown(tmp_path: Path, clone: Shop) -> None:
    # given
    before, base = clone.everything(), clone.base
    author = {"author": "Robin <robin@example.com>", "message": "$title\n\n$message (for $order)"}
    async with built_in(tmp_path) as home:
        reviewer = home.person("reviewer")
        order_id = await ready(home, clone, clone.result(MENDED), **author)

        # when
        packet = await reviewer.ok("review", order_id=order_id)
        untouched = clone.everything() == before
        answer = await reviewer.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert untouched
    assert packet["findings"] == []
    assert packet["preview"]["summary"] == "fix: 1 file changed, +1 -1 lines"
    assert answer["diff"]["changes"] == packet["preview"]["changes"]
    assert [(one["op"], one["path"]) for one in packet["preview"]["changes"]] == [("modified", "/src~1greet.py/1")]
    assert '-    return "Helo, " + name\n+    return "Hello, " + name\n' in packet["preview"]["after"]["patch"]
    assert clone.show("fix", "src/greet.py") == MENDED["src/greet.py"].strip("\n")  # type: ignore[union-attr]
    told = git(clone.path, "show", "--no-patch", "--format=%H|%P|%an <%ae>|%cn|%s|%b", "fix").rstrip()
    made = answer["diff"]["after"]["commit"]
    assert told.startswith(
        f"{made}|{base}|Robin <robin@example.com>|workdocket|Mend the greeting|Mend the greeting (for WO-"
    )
    assert told.splitlines()[-1].startswith("Workdocket-Apply: wd-")
    after = clone.everything()
    assert {name: after[name] for name in ("head", "index", "files")} == {
        name: before[name] for name in ("head", "index", "files")
    }


@pytest.mark.slow
@pytest.mark.scenario("real-types")
async def test_over_stdio_a_patch_that_does_not_apply_is_refused_mended_and_committed(
    tmp_path: Path, clone: Shop, config: Path
) -> None:
    # given: an agent that makes its patch on something else than it says
    allow(config, clone, "grep", "-q", "Hello", "src/greet.py")
    good = clone.result(MENDED)
    bad = {**good, "patch": good["patch"].replace("def greet", "def gret")}
    env = {"GIT_CONFIG_GLOBAL": str(config)}
    async with agent(tmp_path, "--actor", "robin", **env) as robin, agent(tmp_path, "--actor", "rita", **env) as rita:
        asked = payload(clone, check=["grep", "-q", "Hello", "src/greet.py"])
        order_id = (await rita.ok("propose", type=TYPE, payload=asked))["order"]["id"]
        [item] = (await robin.ok("checkout"))["items"]

        # when
        refusal = await robin.refused("submit", "invalid_result", **held(item), result=bad)
        await robin.ok("submit", **held(item), result=good)
        packet = await rita.ok("review", order_id=order_id)
        answer = await rita.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    [finding] = refusal["details"]["findings"]
    assert finding["message"] == "src/greet.py: the hunk at line 1 does not fit the file at base"
    assert answer["applied"] is True
    assert clone.count("main..fix") == 1
    assert "Hello" in clone.show("fix", "src/greet.py")


# once


@pytest.mark.scenario("real-types", "apply-once")
def test_a_second_apply_with_the_same_key_makes_no_commit_and_says_what_the_first_did(clone: Shop) -> None:
    # given
    order = order_of(clone, clone.result(MENDED))
    preview = CodeChange().preview(order)
    first = CodeChange().apply(order, Attempt("key"))
    clone.commit_to("fix", {"src/greet.py": "others went on\n"})

    # when
    second = CodeChange().apply(order, Attempt("key", attempt=2))

    # then
    assert second == first
    assert first.changes == preview.changes
    assert first.after == {**preview.after, "commit": git(clone.path, "rev-parse", "fix^")}
    assert clone.count("main..fix") == 2


@pytest.mark.scenario("apply-once")
def test_applies_at_the_same_time_with_one_key_make_one_commit(clone: Shop) -> None:
    order = order_of(clone, clone.result(MENDED))

    with ThreadPoolExecutor(6) as pool:
        diffs = list(pool.map(lambda n: CodeChange().apply(order, Attempt("key", n)), range(1, 7)))

    assert all(diff == diffs[0] for diff in diffs)
    assert clone.count("main..fix") == 1


@pytest.mark.scenario("apply-once")
def test_applies_at_the_same_time_to_one_branch_lose_nothing(clone: Shop) -> None:
    orders = [order_of(clone, clone.result({f"new{n}.md": f"{n}\n"})) for n in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: CodeChange().apply(orders[n], Attempt(f"key-{n}")), range(4)))

    assert clone.count("main..fix") == 4
    assert git(clone.path, "diff", "--name-only", "main", "fix").split() == [f"new{n}.md" for n in range(4)]


PAUSED = """
from workdocket_types import code_change

class Paused(code_change.CodeChange):
    name = "test.paused"

    def apply(self, order, ctx):
        diff = super().apply(order, ctx)
        if ctx.attempt == 1:
            open({fifo!r}, "w").close()
        return diff
"""


@pytest.mark.slow
@pytest.mark.scenario("apply-resumes", "apply-once")
async def test_killed_between_the_commit_and_its_record_the_next_server_finds_the_commit(
    tmp_path: Path, clone: Shop
) -> None:
    # given
    fifo, plugin = tmp_path / "fifo", tmp_path / "paused.py"
    os.mkfifo(fifo)
    plugin.write_text(PAUSED.format(fifo=str(fifo)))
    types = {"WORKDOCKET_ORDER_TYPES": json.dumps([str(plugin)])}
    async with serving(tmp_path, **types) as server:
        order_id = (await server.ok("propose", type="test.paused", payload=payload(clone)))["order"]["id"]
        [item] = (await server.ok("checkout"))["items"]
        await server.ok("submit", **held(item), result=clone.result(MENDED))

        # when
        server.begin_call("approve", order_id=order_id)
        await comes_true((clone.path / ".git" / "refs" / "heads" / "fix").exists)
        await server.kill()

    # then
    async with serving(tmp_path, **types) as successor, asyncio.timeout(LIMIT):
        answer = await successor.ok("get_order", order_id=order_id, wait_seconds=1)
        while answer["order"]["state"] != "completed":
            answer = await successor.ok("get_order", order_id=order_id, wait_seconds=1)
    assert clone.count("main..fix") == 1
    assert answer["diff"]["after"]["commit"] == git(clone.path, "rev-parse", "fix")


# a branch that moves


@pytest.mark.scenario("real-types", "digest-binds")
async def test_commits_to_other_files_of_the_branch_are_kept_and_need_no_new_review(
    tmp_path: Path, clone: Shop
) -> None:
    git(clone.path, "branch", "fix")
    async with built_in(tmp_path) as home:
        reviewer = home.person("reviewer")
        order_id = await ready(home, clone, clone.result(MENDED))
        digest = (await reviewer.ok("review", order_id=order_id))["digest"]
        tip = clone.commit_to("fix", {"docs/use.md": "Do call greet.\n", "src/store.py": None})

        answer = await reviewer.ok("approve", order_id=order_id, digest=digest)

    assert answer["applied"] is True
    assert git(clone.path, "rev-parse", "fix^") == tip
    assert git(clone.path, "diff", "--name-only", "fix^", "fix") == "src/greet.py"
    assert "Hello" in clone.show("fix", "src/greet.py")


@pytest.mark.scenario("real-types", "digest-binds")
async def test_a_commit_to_a_touched_file_makes_it_stale_and_the_agent_makes_it_anew(
    tmp_path: Path, clone: Shop
) -> None:
    git(clone.path, "branch", "fix")
    async with built_in(tmp_path) as home:
        worker, reviewer = home.person("worker"), home.person("reviewer")
        order_id = await ready(home, clone, clone.result(MENDED))
        digest = (await reviewer.ok("review", order_id=order_id))["digest"]
        moved = GREET.replace("Bye", "Good bye")
        tip = clone.commit_to("fix", {"src/greet.py": moved})

        # when
        await reviewer.refused("approve", "stale", order_id=order_id, digest=digest)
        found = await against(reviewer, order_id)
        await reviewer.refused("approve", "not_ready", order_id=order_id)
        why = [{"code": "stale", "message": "fix has moved"}]
        await reviewer.ok("reject", order_id=order_id, errors=why, rework=True)
        item = await worker.take()
        anew = clone.result({"src/greet.py": moved.replace("Helo", "Hello")}, on="origin/fix")
        await worker.hand_in(item, anew)
        await reviewer.ok("approve", order_id=order_id)

    # then
    assert found == ["stale"]
    assert git(clone.path, "rev-parse", "fix^") == tip
    assert "Hello" in clone.show("fix", "src/greet.py")
    assert "Good bye" in clone.show("fix", "src/greet.py")


@pytest.mark.parametrize(
    "made, others",
    [
        (MENDED, {"src/greet.py": "another\n"}),
        (MENDED, {"src/greet.py": None}),
        ({"src/greet.py": None}, {"src/greet.py": "another\n"}),
        ({"new.md": "mine\n"}, {"new.md": "theirs\n"}),
        ({"new": "mine\n"}, {"new/file.md": "theirs\n"}),
        ({"new/file.md": "mine\n"}, {"new": "theirs\n"}),
    ],
)
def test_apply_itself_refuses_what_is_stale(
    clone: Shop, made: dict[str, str | None], others: dict[str, str | None]
) -> None:
    git(clone.path, "branch", "fix")
    order = order_of(clone, clone.result(made))
    tip = clone.commit_to("fix", others)

    with pytest.raises(Refused) as refused:
        CodeChange().apply(order, Attempt("key"))

    assert {finding.code for finding in refused.value.findings} == {"stale"}
    assert git(clone.path, "rev-parse", "fix") == tip


async def test_a_branch_that_is_checked_out_waits_until_it_is_not(tmp_path: Path, clone: Shop) -> None:
    async with built_in(tmp_path) as home:
        reviewer = home.person("reviewer")
        order_id = await ready(home, clone, clone.result(MENDED), branch="main")

        assert await against(reviewer, order_id) == ["checked_out"]
        await reviewer.refused("approve", "not_ready", order_id=order_id)
        git(clone.path, "switch", "--quiet", "--detach")
        await reviewer.ok("approve", order_id=order_id)

    assert "Hello" in clone.show("main", "src/greet.py")


def test_a_branch_that_another_working_tree_has_checked_out_is_not_committed_to(tmp_path: Path, clone: Shop) -> None:
    git(clone.path, "worktree", "add", "--quiet", "-b", "fix", str(tmp_path / "other"))
    order = order_of(clone, clone.result(MENDED))

    with pytest.raises(Refused, match="fix is checked out"):
        CodeChange().apply(order, Attempt("key"))

    assert clone.count("main..fix") == 0


def test_a_bare_repository_gets_the_commit_just_as_well(tmp_path: Path, clone: Shop) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(clone.path), "bare.git")
    bare = Shop(tmp_path / "bare.git", clone.agent)
    order = order_of(bare, clone.result(MENDED), branch="main")

    assert found(bare, order.items[0].result, branch="main") == []
    diff = CodeChange().apply(order, Attempt("key"))

    assert git(bare.path, "rev-parse", "main") == diff.after["commit"]
    assert not (bare.path / "index").exists()


# where a patch may be made


def test_the_base_must_be_in_the_history_of_where_the_commit_goes(clone: Shop) -> None:
    apart = git(clone.path, "commit-tree", "-m", "apart", f"{clone.base}^{{tree}}")
    git(clone.path, "tag", "apart", apart)
    result = {**clone.result(MENDED), "base": apart}

    assert found(clone, result) == [("not_in_history", "/base")]
    assert found(clone, result, base="apart") == []
    assert found(clone, {**result, "base": "1" * 40}) == [("no_commit", "/base")]
    assert found(clone, result, base="no-such") == [("no_revision", "/base")]


def test_a_new_branch_begins_where_the_patch_was_made(clone: Shop) -> None:
    old = clone.base
    result = clone.result(MENDED)
    commit(clone.path, {"later.md": "later\n"})

    CodeChange().apply(order_of(clone, result, base="main"), Attempt("key"))

    assert git(clone.path, "rev-parse", "fix^") == old


# what is refused


def test_every_file_that_does_not_fit_is_named_with_its_hunk(clone: Shop) -> None:
    good = clone.result({**MENDED, "docs/use.md": "Do call greet.\n", "README.md": "# Hello\n"})
    bad = good["patch"].replace("Call greet.", "Cal greet.").replace("def greet", "def gret")

    told = findings(clone, {**good, "patch": bad})

    assert [(one["code"], one["message"]) for one in told] == [
        ("does_not_apply", "docs/use.md: the hunk at line 1 does not fit the file at base"),
        ("does_not_apply", "src/greet.py: the hunk at line 1 does not fit the file at base"),
    ]


def made_by(clone: Shop, script: str) -> dict[str, Any]:
    """What an agent hands in who has run a shell script in its clone."""
    result = clone.result({})
    subprocess.run(["sh", "-ec", script], cwd=clone.agent, check=True, timeout=LIMIT)
    git(clone.agent, "add", "--all")
    return {**result, "patch": clone.diff()}


ESCAPES = {
    "beside the repository": (MARKED.format("../gotcha"), "path"),
    "an absolute path": (MARKED.format("/tmp/gotcha"), "path"),
    "through dots": (MARKED.format("src/../../gotcha"), "path"),
    "into .git": (MARKED.format(".git/hooks/post-checkout"), "path"),
    "into .git in capitals": (MARKED.format(".GIT/config"), "path"),
    "into .git by its short name": (MARKED.format("git~1/config"), "path"),
    "into .git with an ignored character": (MARKED.format(".g\u200cit/config"), "path"),
    "into .git of a folder": (MARKED.format("src/.git/config"), "path"),
    "nothing": ("", "no_patch"),
    "a letter": ("Dear reviewer,\nplease say yes.\n", "no_patch"),
    "a torn patch": (MARKED.format("new").replace("+1 @@", "+1,3 @@"), "no_patch"),
    "a file that is there": (MARKED.format("README.md"), "does_not_apply"),
}


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize("what", ESCAPES)
def test_a_patch_that_is_none_or_leaves_the_repository_is_refused(clone: Shop, what: str) -> None:
    patch, code = ESCAPES[what]
    before = clone.everything()

    assert found(clone, {"base": clone.base, "message": "Trust me", "patch": patch}) == [(code, "/patch")]
    assert clone.everything() == before


TRICKS = {
    "a symbolic link": ("ln -s /etc/passwd src/link", "symbolic_link"),
    "a file that becomes a link": ("rm README.md; ln -s /etc README.md", "symbolic_link"),
    "a submodule": ("git -c protocol.file.allow=always submodule --quiet add ../first sub", "submodule"),
    "the list of submodules": ("printf '[submodule \"x\"]\\n' > .gitmodules", "submodule"),
    "a mode": ("chmod +x README.md", "mode_change"),
    "a binary file": ("printf 'a\\0b' > picture", "binary"),
    "a file that becomes binary": ("printf 'a\\0b' > README.md", "binary"),
    "too many files": ("for n in $(seq 101); do echo $n > $n.md; done", "too_many_files"),
    "too much": ("seq 1 90000 > long.md", "too_large"),
}


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize("what", TRICKS)
def test_what_no_patch_may_do_is_refused(clone: Shop, what: str) -> None:
    script, code = TRICKS[what]

    codes = found(clone, made_by(clone, script))

    assert set(codes) == {(code, "/patch")}


def test_a_file_written_through_a_link_of_the_same_patch_is_refused(clone: Shop) -> None:
    patch = MARKED.format("l").replace("100644", "120000") + MARKED.format("l/gotcha")

    assert found(clone, {"base": clone.base, "message": "Trust me", "patch": patch}) == [("path", "/patch")]


@pytest.mark.parametrize(
    "paths, refused",
    [
        ([], []),
        (["src/*.py", "docs"], []),
        (["**/*.py", "**/*.md"], []),
        (["src/**"], ["docs/use.md"]),
        (["*.py"], ["docs/use.md", "src/greet.py"]),
        (["docs/use.md", ":(exclude)x"], ["src/greet.py"]),
    ],
)
def test_only_the_allowed_paths_may_be_touched(clone: Shop, paths: list[str], refused: list[str]) -> None:
    result = clone.result({**MENDED, "docs/use.md": None})

    told = findings(clone, result, paths=paths)

    assert [one["message"].partition(":")[0] for one in told] == refused
    assert {one["code"] for one in told} <= {"not_allowed"}


def test_a_file_moved_out_of_an_allowed_folder_touches_both_places(clone: Shop) -> None:
    result = made_by(clone, "mv src/greet.py docs/greet.py")

    assert "rename from" in result["patch"]
    assert [one["message"].partition(":")[0] for one in findings(clone, result, paths=["docs/**"])] == ["src/greet.py"]
    assert found(clone, result) == []


@pytest.mark.parametrize("message", ["Mend it\n\nWorkdocket-Apply: wd-1", "workdocket-apply: x"])
def test_a_message_that_forges_our_trailer_is_refused(clone: Shop, message: str) -> None:
    assert found(clone, clone.result(MENDED, message=message)) == [("trailer", "/message")]


# what a reviewer is shown


def changes(clone: Shop, result: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    diff = CodeChange().preview(order_of(clone, result))
    return [(one.op, one.path, one.before, one.after) for one in diff.changes]


@pytest.mark.scenario("real-types")
def test_files_that_are_added_and_removed_are_shown_whole_and_others_hunk_by_hunk(clone: Shop) -> None:
    long = "".join(f"{n}\n" for n in range(1, 41))
    commit(clone.path, {"long.txt": long})
    edited = long.replace("\n5\n", "\nfive\n").replace("\n30\n", "\n")
    result = clone.result({"docs/use.md": None, "new.md": "# New\n", "empty": "", "long.txt": edited})

    assert changes(clone, result) == [
        ("removed", "/docs~1use.md", "Call greet.\n", None),
        ("modified", "/long.txt/2", "2\n3\n4\n5\n6\n7\n8\n", "2\n3\n4\nfive\n6\n7\n8\n"),
        ("modified", "/long.txt/27", "27\n28\n29\n30\n31\n32\n33\n", "27\n28\n29\n31\n32\n33\n"),
        ("added", "/empty", None, ""),
        ("added", "/new.md", None, "# New\n"),
    ]


def test_a_newline_at_the_end_that_comes_or_goes_is_seen(clone: Shop) -> None:
    result = clone.result({"README.md": "# Greeter", "new.md": "no end"})

    assert changes(clone, result) == [
        ("modified", "/README.md/1", "# Greeter\n", "# Greeter"),
        ("added", "/new.md", None, "no end"),
    ]


def test_a_new_file_that_can_be_run_is_shown_as_such(clone: Shop) -> None:
    result = made_by(clone, "echo echo hi > run.sh; chmod +x run.sh")

    assert changes(clone, result) == [("added", "/run.sh", None, {"executable": True, "text": "echo hi\n"})]


@pytest.mark.parametrize(
    "name",
    ["two words.md", "ümläut.md", 'a "quote".md', "tab\there", "line\nfeed", "-n", "--", "back\\slash", ":(top)x", "*"],
)
def test_odd_names_are_names_like_any_other(clone: Shop, name: str) -> None:
    commit(clone.path, {name: "one\n"})
    result = clone.result({name: "two\n"})

    [(op, path, before, after)] = changes(clone, result)
    CodeChange().apply(order_of(clone, result), Attempt("key"))

    assert (op, path, before, after) == ("modified", f"/{name}/1", "one\n", "two\n")
    assert clone.show("fix", f"./{name}") == "two"


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are Unicode there")
def test_a_name_and_a_text_that_are_no_unicode_are_made_visible(clone: Shop) -> None:
    patch = (
        'diff --git "a/\\377.txt" "b/\\377.txt"\nnew file mode 100644\n--- /dev/null\n+++ "b/\\377.txt"\n'
        "@@ -0,0 +1 @@\n+ok\n"
    )
    with (clone.path / "latin.txt").open("wb") as file:
        file.write(b"caf\xe9\nold\n")
    commit(clone.path, {})
    result = clone.result({}, patch=patch)
    git(clone.agent, "checkout", "--quiet", ".")
    with (clone.agent / "latin.txt").open("ab") as file:
        file.write(b"new\n")
    latin = {**result, "patch": "--- a/latin.txt\n+++ b/latin.txt\n@@ -2 +2,2 @@\n old\n+new\n"}

    assert changes(clone, result) == [("added", "/\\xff.txt", None, "ok\n")]
    assert changes(clone, latin) == [("modified", "/latin.txt/1", "caf\\xe9\nold\n", "caf\\xe9\nold\nnew\n")]


# nothing of the user's configuration runs


HOSTILE = """
[core]
    fsmonitor = touch {mark}
    hooksPath = {hooks}
    attributesFile = {attributes}
[commit]
    gpgSign = true
[gpg]
    program = touch {mark}
[apply]
    whitespace = error
[diff]
    external = touch {mark}
    noprefix = true
    suppressBlankEmpty = true
    algorithm = patience
    context = 0
    orderFile = {mark}.order
[diff "spy"]
    command = touch {mark}
    textconv = touch {mark}
[filter "spy"]
    clean = touch {mark}
    smudge = touch {mark}
[log]
    showSignature = true
[i18n]
    commitEncoding = latin1
"""


@pytest.mark.scenario("real-types")
def test_hooks_filters_and_programs_of_a_configuration_do_not_run_or_change_anything(
    tmp_path: Path, clone: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    files: dict[str, str | None] = {"src/greet.py": GREET.replace("Helo", "Hellö  ") + "\n\n", "new.py": "x = 1\n"}
    result = clone.result(files, message="Grüße")
    plain = CodeChange().preview(order_of(clone, result))
    mark, hooks, attributes = tmp_path / "mark", tmp_path / "hooks", tmp_path / "attributes"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "post-index-change", "pre-commit", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (hooks / name).chmod(0o755)
    attributes.write_text("*.py diff=spy filter=spy -text\nnew.py -diff\n")
    with (clone.path / ".git" / "config").open("a") as file:
        file.write(HOSTILE.format(mark=mark, hooks=hooks, attributes=attributes))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {mark}")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")

    # when
    preview = CodeChange().preview(order_of(clone, result))
    diff = CodeChange().apply(order_of(clone, result), Attempt("key"))

    # then
    monkeypatch.undo()
    assert preview == plain
    assert diff.changes == plain.changes
    assert diff.after["patch"] == plain.after["patch"]
    assert not mark.exists()
    made = git(clone.path, "cat-file", "commit", "fix")
    assert [line.split()[0] for line in made.partition("\n\n")[0].split("\n")] == [
        "tree",
        "parent",
        "author",
        "committer",
    ]
    assert made.count("workdocket <workdocket@localhost>") == 2


# the command


def allow(config: Path, clone: Shop, *command: str) -> None:
    key = f"workdocket.{clone.path.resolve()}.check"
    git(config.parent, "config", "--file", str(config), "--add", key, shlex.join(command))


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.mark.scenario("real-types")
def test_a_command_that_the_owner_has_not_allowed_is_not_run(tmp_path: Path, clone: Shop, config: Path) -> None:
    # given: allowed are another command, another repository, and by the repository itself
    command = shell(f"touch {tmp_path / 'mark'}")
    allow(config, clone, "make", "test")
    allow(config, Shop(tmp_path / "agent", tmp_path), *command)
    git(clone.path, "config", f"workdocket.{clone.path}.check", shlex.join(command))

    # when
    [finding] = findings(clone, clone.result(MENDED), check=command)

    # then
    assert (finding["code"], (tmp_path / "mark").exists()) == ("check_not_allowed", False)
    told = shlex.split(finding["message"].partition("allow it with: ")[2])
    assert told[:4] == ["git", "config", "--global", "--add"]
    assert told[4:] == [f"workdocket.{clone.path}.check", shlex.join(command)]
    git(tmp_path, *told[1:])
    assert findings(clone, clone.result(MENDED), check=command) == []
    assert (tmp_path / "mark").exists()


@pytest.mark.scenario("real-types")
def test_an_allowed_command_sees_the_patched_files_in_a_repository_of_its_own(clone: Shop, config: Path) -> None:
    script = (
        "grep -q Hello src/greet.py && test -f README.md && git diff --cached --name-only | grep -q greet"
        " && git -c user.name=x -c user.email=x@y commit -qam sneaky && git branch sneaky && git config a.b c"
    )
    allow(config, clone, *shell(script))
    before, result = clone.everything(), clone.result(MENDED)

    assert findings(clone, result, check=shell(script)) == []
    assert clone.everything() == before


@pytest.mark.parametrize(
    "script, code, tail",
    [
        ("seq 9999; echo it is broken; exit 3", "check_failed", "9999\nit is broken"),
        ("printf 'caf\\351 \\0 end'; false", "check_failed", "caf�  end"),
        ("kill -9 $$", "check_failed", ""),
    ],
)
@pytest.mark.scenario("real-types")
def test_a_command_that_fails_is_a_finding_with_the_end_of_its_output(
    clone: Shop, config: Path, script: str, code: str, tail: str
) -> None:
    allow(config, clone, *shell(script))

    [finding] = findings(clone, clone.result(MENDED), check=shell(script))

    assert finding["code"] == code
    assert finding["message"].endswith(tail)
    assert len(finding["message"]) < 3_000


def test_a_command_that_is_not_there_is_a_finding(clone: Shop, config: Path) -> None:
    allow(config, clone, "no-such-command")

    assert found(clone, clone.result(MENDED), check=["no-such-command"]) == [("check_failed", "")]


@pytest.mark.scenario("real-types")
async def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, clone: Shop, config: Path
) -> None:
    pid = tmp_path / "pid"
    script = f"sleep 300 & echo $! > {pid}.new; mv {pid}.new {pid}; wait"
    allow(config, clone, *shell(script))
    result = clone.result(MENDED)

    async with asyncio.timeout(LIMIT):
        told = await asyncio.to_thread(found, clone, result, check=shell(script), check_timeout_seconds=0.5)

    assert told == [("check_timed_out", "/patch")]
    await comes_true(lambda: gone(int(pid.read_text())))


def gone(pid: int) -> bool:
    """No such process, or one that only waits for its parent to notice."""
    state = Path(f"/proc/{pid}/stat")
    if state.exists():
        return state.read_text().rpartition(")")[2].split()[0] == "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_a_command_leaves_running_and_lying_about_is_gone_afterwards(
    tmp_path: Path, clone: Shop, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    script = "sleep 300 & mkdir -p deep/er && chmod 0 deep; echo done"
    allow(config, clone, *shell(script))

    assert findings(clone, clone.result(MENDED), check=shell(script)) == []
    assert list(temporary.iterdir()) == []


def test_a_command_gets_nothing_of_the_servers_environment_that_it_does_not_need(
    clone: Shop, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "very secret")
    script = 'test -n "$PATH" && env | grep -c secret'
    allow(config, clone, *shell(script))

    [finding] = findings(clone, clone.result(MENDED), check=shell(script))

    assert finding["message"].endswith("\n0")


# where there is no git, or no repository


@pytest.mark.parametrize("place", ["nowhere", "shop/src", "first/README.md", "."])
async def test_a_folder_that_is_no_repository_is_a_finding(tmp_path: Path, clone: Shop, place: str) -> None:
    git(tmp_path, "init", "--quiet", str(tmp_path / "around"))
    elsewhere = Shop(tmp_path / place, clone.agent)

    assert found(elsewhere, clone.result(MENDED)) == [("no_repository", "/repository")]


async def test_without_git_on_the_machine_the_finding_says_so(
    tmp_path: Path, clone: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = clone.result(MENDED)
    async with built_in(tmp_path) as home:
        order_id = await ready(home, clone, result)
        monkeypatch.setenv("PATH", str(tmp_path))

        assert found(clone, result) == [("no_git", "")]
        assert await against(home.person("reviewer"), order_id) == ["no_git"]


@pytest.mark.parametrize("branch", ["a..b", "x.lock", "a//b", "a@{1}"])
def test_a_name_that_git_does_not_take_for_a_branch_is_a_finding(clone: Shop, branch: str) -> None:
    assert found(clone, clone.result(MENDED), branch=branch) == [("branch", "/branch")]


def test_a_branch_that_stands_for_another_is_a_finding(clone: Shop) -> None:
    git(clone.path, "symbolic-ref", "refs/heads/fix", "refs/heads/main")

    assert found(clone, clone.result(MENDED)) == [("branch", "/branch")]


@pytest.mark.parametrize(
    "wrong, code, path",
    [
        ({"repository": "shop"}, "pattern", "/repository"),
        ({"branch": "-D"}, "pattern", "/branch"),
        ({"branch": "a b"}, "pattern", "/branch"),
        ({"base": "--all"}, "pattern", "/base"),
        ({"task": {"title": ""}}, "minLength", "/task/title"),
        ({"paths": ["/etc/*"]}, "pattern", "/paths/0"),
        ({"check": "make test"}, "type", "/check"),
        ({"check_timeout_seconds": 0}, "exclusiveMinimum", "/check_timeout_seconds"),
        ({"author": "Robin"}, "pattern", "/author"),
        ({"message": "$mesage"}, "template", "/message"),
        ({"massage": "x"}, "additionalProperties", "/massage"),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused(
    tmp_path: Path, clone: Shop, wrong: dict[str, Any], code: str, path: str
) -> None:
    async with built_in(tmp_path) as home:
        error = await home.person("requester").refused(
            "propose", "invalid_payload", type=TYPE, payload=payload(clone, **wrong)
        )

    assert [(finding["code"], finding["path"]) for finding in error["details"]["findings"]] == [(code, path)]
