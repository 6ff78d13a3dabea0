"""``workdocket install``: the server's entry in the configuration of the program that is to start it, or out of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from workdocket.domain.errors import WorkError
from workdocket.surfaces.cli.run import Session
from workdocket.surfaces.config import Broken, Form, Unfit
from workdocket.surfaces.hosts import HOSTS, Host, Json
from workdocket.surfaces.identity import ROLES

NAME = "workdocket"
SHAPE = ("type", "command", "args", "env", "url", "httpUrl", "serverUrl", "headers", "bearer_token_env_var")
"""What makes an entry a local or a remote one. Everything else in it is the user's."""
ADDED_TO = ("env", "headers")
UNTOUCHED = "The file is as it was."


def _fitting(pattern: str, what: str) -> Any:
    def check(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise click.BadParameter(f"{value!r} is not {what}")
        return value

    return check


@click.command()
@click.argument("client", type=click.Choice(list(HOSTS)))
@click.option("--project", is_flag=True, help="Write the file of the project in the working folder, not the user's.")
@click.option(
    "--name", default=NAME, show_default=True, callback=_fitting(r"[A-Za-z0-9_-]{1,63}", "letters, digits, - and _"),
    help="What the server is called there.",
)  # fmt: skip
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="What the agent may do; default: all.")
@click.option("--actor", metavar="NAME", help="Who the agent is in the log; default: the machine's user.")
@click.option("--url", callback=_fitting(r"https?://[^\s/]+\S*", "an http address"), help="A server that runs already.")
@click.option(
    "--token-env", "variable", metavar="VAR", callback=_fitting(r"[A-Za-z_][A-Za-z0-9_]*", "the name of a variable"),
    help="The variable of the environment that has the token for --url.",
)  # fmt: skip
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="The file, where it is another one.")
@click.option("--print", "printed", is_flag=True, help="Print the entry, to be pasted; write nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would change in the file; write nothing.")
@click.option("--undo", is_flag=True, help="Take the entry out again, and only it.")
@click.option("--force", is_flag=True, help="Also where an entry of that name starts something else.")
@click.pass_obj
def install(
    session: Session, /, client: str, project: bool, name: str, roles: tuple[str, ...], actor: str | None,
    url: str | None, variable: str | None, file: Path | None, printed: bool, dry_run: bool, undo: bool, force: bool,
) -> None:  # fmt: skip
    """Enter the server into the configuration of CLIENT, which starts it from then on.

    The database and the other settings that hold here are written down, so that the same orders are found wherever
    CLIENT starts the server. The rest of the file stays as it is, and a copy of what it was is kept beside it.
    Repeating it is harmless.
    """
    if url and (roles or actor):
        raise click.UsageError("--role and --actor do not go with --url: there the token says who it is.")
    if variable and not url:
        raise click.UsageError("--token-env goes with --url.")
    host = HOSTS[client]
    place = _file(host, client, project=project, given=file)
    entry: Json = {}
    if url:
        entry = _remote(host, client, url, variable)
    elif not undo:
        entry = _local(host, session, roles, actor)
    task = Task(host, place, name, entry, force=force, project=project)
    if printed:
        click.echo(task.snippet, nl=False)
        return
    with _reported(task):
        (_undo if undo else _install)(task, dry_run=dry_run)


def _file(host: Host, client: str, *, project: bool, given: Path | None) -> Path:
    if given is not None:
        return given.expanduser().absolute()
    if not project:
        return host.file()
    if host.project is None:
        raise _refused(f"{host.title} has no file for a project", f"Leave --project out: workdocket install {client}")
    return Path.cwd() / host.project


# the entry


def _local(host: Host, session: Session, roles: Sequence[str], actor: str | None) -> Json:
    from workdocket.settings import environment_of

    # This interpreter, by its path in the virtual environment (the target of the link would be outside): it is what
    # runs now, and stays when the environment is made anew or upgraded. A script would need to be installed beside it,
    # and a #! line that is not too long. -P keeps the folder that the host starts it in from lending modules: many a
    # project has a folder that is called like something we import.
    args = ["-P", "-m", "workdocket", "serve"]
    for role in roles:
        args += ["--role", role]
    principal = actor or session.actor
    args += ["--actor", principal] if principal else []
    env = {**environment_of(session.settings), **_import_path(session.settings.order_types)}
    entry = host.local_entry(os.path.abspath(sys.executable), args, env)
    taken = [text for text in (entry["command"], *args, *env.values()) if host.expands and host.expands in text]
    if taken:
        hint = f"{host.title} reads {host.expands} as the start of a variable. Choose a path without it."
        raise _refused(f"{taken[0]!r} can't be written down", hint)
    return entry


def _import_path(specs: Sequence[str]) -> dict[str, str]:
    """Where order types that are named by module were found, if a variable says so."""
    named = any(not os.path.isabs(spec) for spec in specs)
    folders = [os.path.abspath(one) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    return {"PYTHONPATH": os.pathsep.join(folders)} if named and folders else {}


def _remote(host: Host, client: str, url: str, variable: str | None) -> Json:
    entry = host.remote_entry(url, variable)
    if entry is not None:
        return entry
    if host.remote is None:
        hint = f"Let it start a server on the same database: workdocket install {client}"
        raise _refused(f"{host.title} takes no server at an address from its file", hint)
    hint = "Leave --token-env out, and add the header Authorization by hand."
    raise _refused(f"{host.title} can't take a token from a variable", hint)


def _forms(form: str) -> Form:
    from workdocket.surfaces.config.jsontext import JsonText
    from workdocket.surfaces.config.tomltext import TomlText

    return TomlText() if form == "toml" else JsonText(comments=form == "jsonc")


def _is_ours(entry: Any, wanted: Mapping[str, Any], name: str) -> bool:
    """Whether it starts workdocket; an address tells nothing, so there the name does, or the same address."""
    if not isinstance(entry, dict):
        return False
    addresses = {str(entry[key]) for key in ("url", "httpUrl", "serverUrl") if key in entry}
    if addresses:
        return name == NAME or addresses <= set(map(str, wanted.values()))
    args = entry.get("args")
    words = [str(word) for word in (entry.get("command"), *(args if isinstance(args, list) else ()))]
    programs = {re.split(r"[\\/]", word)[-1].removesuffix(".exe") for word in words}
    return "workdocket" in programs and "serve" in words


# the file


@dataclass
class Task:
    """An entry and the file it is to be in."""

    host: Host
    path: Path
    name: str
    entry: Json
    force: bool
    project: bool
    form: Form = field(init=False)

    def __post_init__(self) -> None:
        self.form = _forms(self.host.form)

    @property
    def keys(self) -> tuple[str, str]:
        return (self.host.key, self.name)

    @property
    def fresh(self) -> Json:
        return {**self.entry, **self.host.tuning}

    @property
    def snippet(self) -> str:
        return self.form.put("", self.keys, self.fresh)

    @cached_property
    def file(self) -> Any:
        from workdocket.surfaces.config.place import ConfigFile

        return ConfigFile(self.path)

    def entry_in(self, parsed: Json) -> Any:
        servers = parsed.get(self.host.key)
        return servers.get(self.name) if isinstance(servers, dict) else None

    def check_ours(self, there: Any) -> None:
        if not (self.force or _is_ours(there, self.entry, self.name)):
            hint = f"Say --name for another entry, or --force for this one all the same. {UNTOUCHED}"
            raise _refused(f"{self.path} has an entry {self.name!r} that is not ours", hint)

    def merged(self, there: Any) -> Json:
        """The entry, with what the user has added to the one that is there."""
        if not isinstance(there, dict) or not _is_ours(there, self.entry, self.name):
            return self.fresh
        kept = {key: value for key, value in there.items() if key not in SHAPE}
        added = {
            key: {**there[key], **self.entry[key]}
            for key in ADDED_TO
            if isinstance(there.get(key), dict) and key in self.entry
        }
        return {**self.fresh, **added, **kept}


def _install(task: Task, *, dry_run: bool) -> None:
    if dry_run:
        before = task.file.read()
        _show_change(task, before, _with_entry(task, before))
        return
    task.path.parent.mkdir(parents=True, exist_ok=True)
    with task.file.alone():
        before = task.file.read()
        after = _with_entry(task, before)
        if after == before:
            click.echo(f"Nothing to change: {task.host.title} has {task.name} already, in {task.path}")
            return
        task.file.check_writable()
        copy = task.file.keep(before) if before is not None and _is_before_us(task, before) else None
        task.file.replace(before, after)
    _say_done(task, copy)


def _is_before_us(task: Task, content: bytes) -> bool:
    """Whether it has no entry of ours yet: that is what a copy is kept of, and what undoing leads back to."""
    from workdocket.surfaces.config.place import decoded

    return not _is_ours(task.entry_in(task.form.parse(decoded(content)[1])), task.entry, task.name)


def _with_entry(task: Task, before: bytes | None) -> bytes:
    from workdocket.surfaces.config.place import decoded

    try:
        mark, text = decoded(before or b"")
        parsed = task.form.parse(text)
        there = task.entry_in(parsed)
        if there is not None:
            task.check_ours(there)
        wanted = task.merged(there)
        if there == wanted:
            return before or b""
        edited = task.form.put(text, task.keys, wanted)
        _check(task, edited, {**parsed, task.host.key: {**parsed.get(task.host.key, {}), task.name: wanted}})
        return mark + edited.encode("utf-8")
    except Broken as fault:
        raise _refused(f"{task.path} can't be read as it is: {fault}", f"Mend it first. {UNTOUCHED}") from None
    except (Unfit, UnicodeEncodeError) as fault:
        click.echo(task.snippet, nl=False)
        hint = f"Paste what is printed above into it, or into its {task.host.key!r}. {UNTOUCHED}"
        raise _refused(f"{task.path} can't be edited without a risk to the rest of it: {fault}", hint) from None


def _check(task: Task, edited: str, wanted: Json) -> None:
    """The edit did what it was for, and nothing else: neither a value nor the order of names."""
    try:
        found = task.form.parse(edited)
    except Broken as fault:
        raise Unfit(f"the entry would not fit in: {fault}") from None
    if found != wanted or _others(task, found) != _others(task, wanted):
        raise Unfit("more than the entry would change")


def _others(task: Task, parsed: Json) -> str:
    """All but the entry, and the object around it where there is nothing else in it."""
    servers = {name: one for name, one in parsed.get(task.host.key, {}).items() if name != task.name}
    rest = {key: servers if key == task.host.key else one for key, one in parsed.items()}
    return json.dumps({key: one for key, one in rest.items() if key != task.host.key or servers}, default=str)


def _undo(task: Task, *, dry_run: bool) -> None:
    before = task.file.read()
    after, copy = _without_entry(task, before)
    if after == before:
        click.echo(f"Nothing to take out: there is no {task.name} in {task.path}")
        return
    if dry_run:
        _show_change(task, before, after)
        return
    with task.file.alone():
        task.file.replace(before, after)
    if copy is not None:
        copy.unlink()
    gone = "the file, which had nothing else in it, is gone" if after is None else "all else stays"
    click.echo(f"Taken out of {task.host.title}: {task.name}, from {task.path}; {gone}.")
    click.echo(f"Restart {task.host.title}, so that it lets go of the server.")


def _without_entry(task: Task, before: bytes | None) -> tuple[bytes | None, Path | None]:
    """The file without the entry. Where nothing else was changed since, it is byte by byte what it was before, and
    the copy that says so is named: it is of no further use."""
    from workdocket.surfaces.config.place import decoded

    try:
        mark, text = decoded(before or b"")
        parsed = task.form.parse(text)
        there = task.entry_in(parsed)
        if there is None:
            return before, None
        task.check_ours(there)
        for copy in task.file.kept():
            if _made_of(task, copy.read_bytes(), there) == before:
                return copy.read_bytes(), copy
        if task.form.put("", task.keys, there) == text and not mark:
            return None, None
        edited = task.form.drop(text, task.keys)
        _check_gone(task, edited, parsed)
        return mark + edited.encode("utf-8"), None
    except Broken as fault:
        raise _refused(f"{task.path} can't be read as it is: {fault}", f"Mend it first. {UNTOUCHED}") from None
    except Unfit as fault:
        hint = f"Take {task.name!r} out of its {task.host.key!r} by hand. {UNTOUCHED}"
        raise _refused(f"{task.path} can't be edited without a risk to the rest of it: {fault}", hint) from None


def _made_of(task: Task, copy: bytes, there: Json) -> bytes | None:
    """The copy with the entry put in; ``None`` where it has one of ours itself, or was something else."""
    from workdocket.surfaces.config.place import decoded

    try:
        if not _is_before_us(task, copy):
            return None
        mark, text = decoded(copy)
        return mark + task.form.put(text, task.keys, there).encode("utf-8")
    except (Broken, Unfit):
        return None


def _check_gone(task: Task, edited: str, parsed: Json) -> None:
    left = task.form.parse(edited)
    if task.entry_in(left) is not None or _others(task, left) != _others(task, parsed):
        raise Unfit("more than the entry would change")


@contextmanager
def _reported(task: Task) -> Iterator[None]:
    """What stands in the way of writing, said plainly."""
    from workdocket.surfaces.config.place import Moved, ReadOnly

    try:
        yield
    except Moved:
        hint = f"What it wrote stays. Call this again; close {task.host.title} first if that goes on."
        raise _refused(f"another program wrote {task.path} at the same moment", hint) from None
    except ReadOnly:
        click.echo(task.snippet if task.entry else "", nl=False)
        hint = f"Make it writable, or change it by hand{', as printed above' if task.entry else ''}. {UNTOUCHED}"
        raise _refused(f"{task.path} is read-only", hint) from None
    except BrokenPipeError:  # nobody reads what is printed: not the file's fault
        raise
    except OSError as error:
        raise _refused(f"{task.path} can't be used: {error.strerror}", f"Mend that. {UNTOUCHED}") from error


# what it says


def _show_change(task: Task, before: bytes | None, after: bytes | None) -> None:
    from difflib import unified_diff

    old, new = ((one or b"").decode("utf-8-sig").splitlines() for one in (before, after))
    lines = list(unified_diff(old, new, f"{task.path}", f"{task.path}, then", n=1, lineterm=""))
    click.echo("\n".join(lines) if lines else f"Nothing to change in {task.path}")


def _say_done(task: Task, copy: Path | None) -> None:
    entry, host = task.entry, task.host
    click.echo(f"{host.title} has {task.name} now, in {task.path}")
    if "command" in entry:
        click.echo(f"  starts    {shlex.join([entry['command'], *entry['args']])}")
        database = entry["env"]["WORKDOCKET_DATABASE"]
        hidden = re.sub(r"(://[^/:@]*:)[^/@]*@", r"\1…@", database)
        click.echo(f"  database  {hidden}{', with its password' if hidden != database else ''}")
    if copy is not None:
        click.echo(f"  before    {copy}")
    click.echo(f"Next: {host.then}\n{host.limits}")
    if task.project:
        click.echo("The paths in it are those of this machine: keep the file out of version control.")


def _refused(message: str, hint: str) -> WorkError:
    return WorkError("invalid_request", message, hint=hint)
