"""The command line. Reading commands print tables, or JSON with ``--json``; refusals go to stderr with exit code 1."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

import workdocket
from workdocket.domain.errors import WorkError
from workdocket.surfaces.cli.deciding import undo, waive
from workdocket.surfaces.cli.install import install
from workdocket.surfaces.cli.new import new
from workdocket.surfaces.cli.notify import notify
from workdocket.surfaces.cli.run import JSON, Session, ask, operate
from workdocket.surfaces.cli.serving import serve, stats
from workdocket.surfaces.cli.token import token

if TYPE_CHECKING:
    from workdocket.app import App
    from workdocket.domain.model import Actor

KEY = click.option("--idempotency-key", help="Makes a repeat of this call harmless.")


def _order_id(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    return value.strip().upper()


def _setting(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if unfit := [name for name, equals, _ in pairs if not equals]:
        raise click.BadParameter(f"{unfit[0]!r} is not of the form NAME=VALUE")
    return {name.replace("-", "_"): value for name, _, value in pairs}


class Commands(click.Group):
    """A group whose refusals end with exit code 1 and one line on stderr, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from workdocket.plugins import BrokenType
        from workdocket.settings import SettingsError
        from workdocket.surfaces.problems import one_line

        try:
            return super().invoke(ctx)
        except WorkError as error:
            from workdocket.surfaces.cli.texts import plain

            click.echo(plain(one_line(error)), err=True)
        except (BrokenType, SettingsError) as error:
            click.echo(str(error), err=True)
        sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(workdocket.__version__, prog_name="workdocket")
@click.option("--database", metavar="URL", help="The database, instead of the setting.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", callback=_setting, help="A setting; repeatable.")
@click.option("--actor", metavar="NAME", help="Who is calling; default: the machine's user.")
@click.pass_context
def main(ctx: click.Context, database: str | None, given: dict[str, str], actor: str | None) -> None:
    """Hand out work to AI agents, check what comes back, and apply it only after approval."""
    ctx.obj = Session({**given, **({"database": database} if database else {})}, actor)


main.add_command(serve)
main.add_command(stats)
main.add_command(undo)
main.add_command(waive)


@main.command()
@click.option("--agents", default=4, show_default=True, type=click.IntRange(1, 16), help="Agents in parallel.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the databases in this folder.")
def demo(agents: int, keep: Path | None) -> None:
    """Run the main job on real data, end to end, through real servers, and show what happened."""
    from workdocket.surfaces.demo import run

    sys.exit(run(agents, keep))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Make FOLDER a project: its work is kept in FOLDER/.workdocket from then on."""
    home = folder / ".workdocket"
    already = home.is_dir()
    home.mkdir(parents=True, exist_ok=True)
    ignore = home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    click.echo(f"{home} is {'already ' if already else ''}there; the database is made when it is first used.")


main.add_command(new)
main.add_command(token)
main.add_command(install)
main.add_command(notify)


class OrShow(click.Group):
    """A group in which a word that is no command is what to show."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [word for word in args if not word.startswith("-")]
        shown = words and words[0] not in self.commands
        return super().parse_args(ctx, ["show", *args] if shown else args)


@main.group(cls=OrShow, invoke_without_command=True)
@JSON
@click.pass_context
def types(ctx: click.Context, as_json: bool) -> None:
    """Show the registered order types. `types NAME` is short for `types show NAME`."""
    session: Session = ctx.obj
    if ctx.invoked_subcommand is None:
        session.show("types", ask(session, "order_types", {}), as_json)


@types.command("show")
@click.argument("name")
@JSON
@click.pass_obj
def types_show(session: Session, /, name: str, as_json: bool) -> None:
    """Show one order type with its schemas."""
    session.show("type", ask(session, "order_types", {"name": name}), as_json)


@types.command("check")
@click.argument("sources", metavar="[PATH]...", nargs=-1)
@JSON
@click.pass_obj
def types_check(session: Session, /, sources: tuple[str, ...], as_json: bool) -> None:
    """Say what is wrong with order types, with file and line; exit code 1 where one is broken.

    PATH is a file, a folder, an import name or module:Class. Without one: all that a server here would load.
    """
    from workdocket import lint

    found = lint.check(sources or session.settings.order_types, entry_points=not sources)
    session.show("checked", found.as_dict(), as_json)
    sys.exit(1 if found.errors else 0)


@main.command()
@click.argument("type")
@click.option("--payload", required=True, type=click.File("r", encoding="utf-8"), help="A JSON file; - is stdin.")
@click.option("--priority", type=int, default=0, show_default=True, help="0 to 100, higher first.")
@click.option("--depends-on", "depends_on", multiple=True, metavar="ORDER", help="To be completed first; repeatable.")
@click.option("--deadline", metavar="TIME", help="When it is to be done by, ISO 8601; missing it is an event.")
@click.option("--dedupe-key", help="At most one open order per type and key.")
@click.option("--validate-only", is_flag=True, help="Check and plan; store nothing.")
@KEY
@JSON
@click.pass_obj
def propose(session: Session, /, payload: TextIO, as_json: bool, **given: Any) -> None:
    """File an order of TYPE."""
    answer = ask(session, "propose", {**_given(given), "payload": _json(payload.read())})
    session.show("proposed", answer, as_json)


@main.group()
def orders() -> None:
    """Look at orders, and stop or restart them."""


@orders.command("list")
@click.option("--state", help="Only orders in this state.")
@click.option("--type", help="Only orders of this type.")
@click.option("--min-priority", type=int, help="Only orders of at least this priority.")
@click.option("--sort", help="Fields, - before one descends. Default: -priority,created_at.")
@click.option("--limit", type=int, default=50, show_default=True)
@click.option("--cursor", help="next_cursor of the page before.")
@JSON
@click.pass_obj
def orders_list(session: Session, /, as_json: bool, **given: Any) -> None:
    """List orders, best first."""
    session.show("orders", ask(session, "list_orders", _given(given)), as_json)


@orders.command("show")
@click.argument("order_id")
@JSON
@click.pass_obj
def orders_show(session: Session, /, order_id: str, as_json: bool) -> None:
    """Show one order with its items, its latest events and its diff."""
    session.show("order", ask(session, "get_order", {"order_id": order_id}), as_json)


@orders.command("cancel")
@click.argument("order_id")
@click.option("--reason")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@click.pass_obj
def orders_cancel(session: Session, /, order_id: str, reason: str | None, yes: bool, as_json: bool) -> None:
    """Stop an order and all of its items."""
    if not yes:
        click.confirm(f"Cancel {order_id} and everything being done for it?", abort=True)
    answer = ask(session, "cancel", _given({"order_id": order_id, "reason": reason}))
    session.show("state", answer, as_json)


@orders.command("retry")
@click.argument("order_id")
@JSON
@click.pass_obj
def orders_retry(session: Session, /, order_id: str, as_json: bool) -> None:
    """Try again what failed: the apply, or the failed items."""
    session.show("state", ask(session, "retry", {"order_id": order_id}), as_json)


@orders.command("requeue")
@click.argument("order_id", callback=_order_id)
@JSON
@click.pass_obj
def orders_requeue(session: Session, /, order_id: str, as_json: bool) -> None:
    """Send a rejected order back to work."""
    from workdocket.service.desk import Call

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        return await app.orders.requeue(Call(actor, "requeue", {"order_id": order_id}), order_id)

    session.show("state", operate(session, work), as_json)


@orders.command("dead-letter")
@click.argument("order_id", callback=_order_id)
@click.option("--reason")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@click.pass_obj
def orders_dead_letter(session: Session, /, order_id: str, reason: str | None, yes: bool, as_json: bool) -> None:
    """Put a failed or rejected order aside for good; its history is kept."""
    from workdocket.service.desk import Call

    if not yes:
        click.confirm(f"Put {order_id} aside for good?", abort=True)

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        return await app.orders.dead_letter(Call(actor, "dead_letter", {"order_id": order_id}), order_id, reason)

    session.show("state", operate(session, work), as_json)


@main.command()
@click.argument("id", required=False)
@JSON
@click.pass_obj
def explain(session: Session, /, id: str | None, as_json: bool) -> None:
    """Say why an order, an item, or (without ID) the queue does not move on, and what by whom would change that."""
    about = {"item_id" if "." in id else "order_id": id} if id else {}
    session.show("explain", ask(session, "explain", about), as_json)


@main.command()
@click.argument("order_id", required=False)
@click.option("--diff", "whole", is_flag=True, help="Show the whole diff, however long it is.")
@JSON
@click.pass_obj
def review(session: Session, /, order_id: str | None, whole: bool, as_json: bool) -> None:
    """Decide on what waits, one order after the other; or show all that the decision on ORDER_ID is about.

    Where the output is no terminal, and with --json, what waits is listed.
    """
    if not (order_id or as_json) and sys.stdout.isatty():
        from workdocket.surfaces.cli import inbox

        inbox.run(session)
        return

    from workdocket.service.view import UNCUT

    async def all_of_it(app: App, actor: Actor) -> dict[str, Any]:
        return await app.reviews.review(actor, str(order_id).strip().upper(), room=UNCUT)

    if whole and order_id:
        answer = operate(session, all_of_it)
    else:
        answer = ask(session, "review", {"order_id": order_id} if order_id else {})
    session.show("packet" if order_id else "orders", answer, as_json)


@main.command()
@click.argument("order_id")
@click.option("--digest", help="From the review; refused when anything moved since.")
@click.option("--comment")
@KEY
@JSON
@click.pass_obj
def approve(session: Session, /, as_json: bool, **given: Any) -> None:
    """Approve a submitted order as a person; the change is applied and its diff shown."""
    session.show("approved", ask(session, "approve", _given(given)), as_json)


@main.command()
@click.argument("order_id")
@click.option("--reason", "reasons", multiple=True, required=True, help="Why; repeatable.")
@click.option("--item", "item_id", help="Only this item (with --rework or --only-items).")
@click.option("--rework", is_flag=True, help="Send it back to work with the reasons on it.")
@click.option("--only-items", is_flag=True, help="Refuse the named item for good; the others stand.")
@click.option("--comment")
@KEY
@JSON
@click.pass_obj
def reject(session: Session, /, reasons: tuple[str, ...], item_id: str | None, as_json: bool, **given: Any) -> None:
    """Refuse an order, for good or for rework."""
    errors = [_given({"message": reason, "item_id": item_id}) for reason in reasons]
    session.show("state", ask(session, "reject", {**_given(given), "errors": errors}), as_json)


@main.command()
@click.option("--order", "order_id", help="Only this order's.")
@click.option("--item", "item_id", help="Only this item's.")
@click.option("--event", help="Only events of this name.")
@click.option("--actor", help="Only this actor's.")
@click.option("--after", help="Only behind this sequence number.")
@click.option("--limit", type=int, default=100, show_default=True)
@JSON
@click.pass_obj
def events(session: Session, /, as_json: bool, **given: Any) -> None:
    """Show the audit log, oldest first."""
    session.show("events", ask(session, "events", _given(given)), as_json)


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, change nothing.")
@JSON
@click.pass_obj
def migrate(session: Session, /, dry_run: bool, as_json: bool) -> None:
    """Bring the database up to this version. Opening it does the same; this says what was done."""
    from workdocket.app import migrate_database

    session.show("migrated", migrate_database(session.settings, dry_run=dry_run), as_json)


@main.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed, remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@click.pass_obj
def prune(session: Session, /, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove what is past its time: answers kept for idempotency keys. Running servers do the same, bit by bit."""
    from workdocket.service import prune as service

    if not (dry_run or yes):
        days = session.settings.idempotency_ttl_days
        click.confirm(f"Remove answers to idempotency keys older than {days:g} days?", abort=True, err=True)

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        return await service.prune(app.desk, dry_run=dry_run)

    session.show("pruned", operate(session, work), as_json)


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dry-run", is_flag=True, help="Say what would be filed, file nothing.")
@JSON
@click.pass_obj
def generate(session: Session, /, names: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Run generators now, all or those named, and file what they propose. Their schedules go on as before.

    Ends with 1 where a generator raised; what it had proposed before is filed, and the others are run.
    """

    async def work(app: App, actor: Actor) -> dict[str, Any]:
        return await app.scheduler.generate(names, actor, dry_run=dry_run)

    answer = operate(session, work)
    if not answer["generators"]:
        click.echo("no generators are known: name some in the setting generators", err=True)
    session.show("generated", answer, as_json)
    if any("error" in row for row in answer["generators"]):
        sys.exit(1)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as a tool takes them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value not in (None, (), False)
    }


def _json(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError as error:
        raise WorkError("invalid_request", f"the payload is not JSON: {error}", hint="Mend the file.") from error
