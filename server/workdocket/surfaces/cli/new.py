"""``workdocket new``: the first files of what people write themselves."""

from __future__ import annotations

from pathlib import Path

import click

from workdocket.surfaces.cli.run import JSON, Session

FOLDER = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to write. Default: the workspace around the working folder, else the working folder.",
)


@click.group()
def new() -> None:
    """Begin an order type, a generator or a workspace. Never overwrites."""


@new.command("order-type")
@click.argument("name")
@click.option("--parts", is_flag=True, help="A type whose results are handed in part by part.")
@FOLDER
@JSON
@click.pass_obj
def new_order_type(session: Session, /, name: str, parts: bool, folder: Path | None, as_json: bool) -> None:
    """Write an order type that works, to be changed, and its test. NAME is as in customer.welcome."""
    from workdocket.surfaces.cli import scaffold

    made = scaffold.order_type(scaffold.Home(session.overrides, folder), name, parts=parts)
    session.show("made", made.as_dict(), as_json)


@new.command("generator")
@click.argument("name")
@click.option("--type", "type_name", metavar="TYPE", help="What it proposes. Default: the first type written here.")
@FOLDER
@JSON
@click.pass_obj
def new_generator(session: Session, /, name: str, type_name: str | None, folder: Path | None, as_json: bool) -> None:
    """Write a generator, which files orders on a schedule, and its test. NAME is as in customers.stale."""
    from workdocket.surfaces.cli import scaffold

    made = scaffold.generator(scaffold.Home(session.overrides, folder), name, type_name)
    session.show("made", made.as_dict(), as_json)


@new.command("workspace")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Where to make the folder NAME. Default: the working folder.",
)
@JSON
@click.pass_obj
def new_workspace(session: Session, /, name: str, folder: Path, as_json: bool) -> None:
    """Make the folder NAME: settings, an order type with its test, and the configuration of hosts."""
    from workdocket.surfaces.cli import scaffold

    session.show("made", scaffold.workspace(folder, name).as_dict(), as_json)
