"""One frozen Settings. Nothing else in the program takes a setting from the environment or a configuration file."""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from workdocket.channel import Channel
from workdocket.rule import GateRule

PREFIX = "WORKDOCKET_"
FILE = "workdocket.toml"
FOLDER = ".workdocket"
SQLITE = "sqlite:///"
POSTGRES = "postgresql://"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
DECLARED = (".toml", ".yaml", ".yml")
TYPE_FILES = (".py", *DECLARED)
"""How the names of files end that order types are read from."""


class SettingsError(Exception):
    """A setting nobody knows or with a value it cannot have: one line each, with the source it came from."""


def _url(value: str) -> str:
    if value.startswith((POSTGRES, "postgres://")):
        return POSTGRES + value.partition("://")[2]
    path = value.removeprefix(SQLITE)
    if path in ("", ":memory:") or "://" in path:
        raise ValueError("This is neither the path of a file nor a postgresql:// URL")
    return SQLITE + path


def _web(value: str | None) -> str | None:
    """An address of the web, with nothing but a path behind the host."""
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("This is not the https:// address of a server")
    return value


def _public(value: str | None) -> str | None:
    found = _web(value)
    return found and found.rstrip("/")


def _issuer(value: str | None, others: ValidationInfo) -> str | None:
    found = _web(value)
    if found is None:
        return None
    if not trusted_url(found):
        raise ValueError("An issuer is spoken to by https only, but on this machine")
    if not others.data.get("public_url"):
        raise ValueError("It needs the setting public_url: what its tokens are meant for")
    return found


def trusted_url(url: str) -> bool:
    """Whether what comes from there comes from nobody else: by TLS, or from this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _listed(value: Any) -> Any:
    """A list in one text: JSON, or names between commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [name.strip() for name in value.split(",") if name.strip()]


def _tables(value: Any) -> Any:
    """A list of tables in one text: JSON."""
    return json.loads(value) if isinstance(value, str) else value


def _none(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def _told_apart(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    names = [channel.name for channel in channels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"There are two channels of the name {twice[0]}")
    return channels


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[Count | None, BeforeValidator(_none)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Settings(BaseModel):
    """What can be set, and what it is when nobody sets it. :func:`load_settings` fills it from all sources."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database: Annotated[str, AfterValidator(_url)] = Field(
        default_factory=lambda: _default_database(Path.cwd(), os.environ),
        repr=False,
        description="Where everything is kept: sqlite:///relative.db, sqlite:////absolute.db, the path of a file, or a "
        f"postgresql:// URL. Default: {FOLDER}/workdocket.db in the nearest folder upward that has a {FOLDER} folder, "
        "else a file in the data folder of the user.",
    )
    project_key: str = Field("WO", pattern="^[A-Z]{1,8}$", description="Begins every id: 1 to 8 capital letters.")
    order_types: Names = Field(
        (),
        description="Order types besides those of installed packages: import names, module:Class, folders, or files in "
        ".py, .toml, .yaml or .yml.",
    )
    generators: Names = Field(
        (),
        description="Generators besides those of installed packages: import names, module:Class, files or folders.",
    )

    gates: Annotated[tuple[GateRule, ...], BeforeValidator(_tables)] = Field(
        (),
        description="Rules that make the gate of an order stricter, as [[gates]] with type, when, gate, quorum, name: "
        "the first that is true of it counts.",
    )
    review_ttl_hours: Annotated[Positive | None, BeforeValidator(_none)] = Field(
        None,
        description="How long an order may wait for a decision before it is cancelled as expired. Default: for good.",
    )

    lease_ttl_seconds: Positive = Field(600, description="How long a lease lasts without a heartbeat.")
    heartbeat_every_seconds: Positive = Field(120, description="How often agents are asked to send a heartbeat.")
    first_claim_seconds: Positive = Field(
        60,
        description="How long work that a reviewer sent back is kept for the agent that did it.",
    )
    rework_tokens: Count = Field(
        1500,
        description="Most tokens that a checkout spends on what came before: reasons of rejections, refused result, "
        "good parts, late results. Counted as three characters each, a cautious estimate; get_item has the rest.",
    )
    max_leases_per_agent: Limit = Field(None, description="Most items one agent may hold at a time. Default: no limit.")
    max_leases_per_type: Limit = Field(None, description="Most items of one type held at a time. Default: no limit.")
    max_leases_per_key: Limit = Field(
        None, description="Most items held at a time that share a type and a concurrency key. Default: no limit."
    )
    longest_wait_seconds: Annotated[Positive | None, BeforeValidator(_none)] = Field(
        86_400,
        description="How long a ready item may be passed over for its low priority; then it goes first.",
    )
    max_attempts: Count = Field(3, description="How often an item is tried before it fails.")
    stop_after_identical: Limit = Field(
        2,
        description="How many failures, or rejections, in a row for the same reason stop an item until a person has "
        "looked at it; none: they never do.",
    )
    backoff_seconds: PositiveOrZero = Field(
        60, description="Pause after the first failed attempt; it doubles each time."
    )
    expiry_backoff_seconds: PositiveOrZero = Field(
        0, description="Pause after the first lease that ran out, counted from its end; it doubles each time."
    )
    apply_backoff_seconds: Annotated[PositiveOrZero | None, BeforeValidator(_none)] = Field(
        None, description="Pause after the first apply that raised; it doubles each time. Default: as backoff_seconds."
    )
    backoff_jitter_seconds: PositiveOrZero = Field(20, description="Most that chance adds to a pause, if there is one.")
    backoff_cap_seconds: Positive = Field(3600, description="Longest pause between attempts.")

    hook_timeout_seconds: Annotated[Positive | None, BeforeValidator(_none)] = Field(
        60,
        description="How long a hook of an order type may take, but for apply and its neighbours; none: no limit.",
    )
    apply_attempts: Count = Field(3, description="How often applying an approved order is tried.")
    effect_claim_seconds: Positive = Field(30, description="How long one process may work on an effect unheard.")
    sweep_every_seconds: Positive = Field(5, description="How often expired leases and overdue effects are looked for.")

    max_parts_per_item: Count = Field(100, description="Most parts one item takes.")
    max_payload_bytes: Count = Field(1_048_576, description="Largest payload, result or part, as JSON text in UTF-8.")
    require_idempotency_keys: bool = Field(False, description="Whether every mutating call must carry a key.")
    idempotency_ttl_days: Positive = Field(7, description="How long the answer to a key is remembered.")
    dead_letter_after_hours: Positive = Field(48, description="When a failed order is put aside.")
    stale_after_hours: Positive = Field(24, description="When an order that does not move is shown as stale.")
    retain_events_days: Annotated[Positive | None, BeforeValidator(_none)] = Field(
        None, description="How long events are kept. Default: for good."
    )

    host: str = Field("127.0.0.1", min_length=1, description="Address the HTTP server listens on.")
    port: int = Field(8787, ge=0, le=65535, description="Port of the HTTP server; 0 takes a free one.")
    allowed_origins: Names = Field((), description="Origins that browsers may call from, besides the server's own.")
    allowed_hosts: Names = Field((), description="Host names the server answers to, besides its own address.")
    public_url: Annotated[str | None, BeforeValidator(_none), AfterValidator(_public)] = Field(
        None, description="Where callers find the HTTP server, if not at its own address: https://work.example.com."
    )
    max_calls_per_minute: Limit = Field(
        None, description="Most calls a minute of one principal over HTTP, in each server. Default: no limit."
    )
    oauth_issuer: Annotated[str | None, BeforeValidator(_none), AfterValidator(_issuer)] = Field(
        None,
        description="The OAuth issuer whose access tokens are taken too, exactly as it names itself; needs public_url.",
    )
    oauth_audience: Annotated[str | None, BeforeValidator(_none)] = Field(
        None, description="What the issuer's tokens must be meant for. Default: public_url, also with /mcp."
    )
    oauth_roles_claim: str = Field(
        "scope",
        min_length=1,
        description="The claim that names roles: in scope as workdocket:worker, in any other also as worker.",
    )
    oauth_kind: Literal["agent", "user"] = Field(
        "agent", description="Whether who comes with a token of the issuer counts as an agent or as a person (user)."
    )

    notify: Annotated[tuple[Channel, ...], BeforeValidator(_tables), AfterValidator(_told_apart)] = Field(
        (),
        repr=False,
        description="Who is told when an order waits for review, comes near its deadline or fails: tables [[notify]] "
        "in the file, elsewhere a list in JSON. See docs/how-to/notifications.md.",
    )
    notify_attempts: Count = Field(8, description="How often one notification is tried, over some ten hours.")

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "warning", description="Least weight of what is logged: debug, info, warning or error."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of a log line: text or json.")
    metrics: Literal["none", "log", "prometheus", "statsd"] = Field(
        "none", description="Where numbers go: none, log, prometheus or statsd."
    )

    @property
    def database_path(self) -> Path | None:
        """The SQLite file; ``None`` for PostgreSQL."""
        return Path(self.database.removeprefix(SQLITE)) if self.database.startswith(SQLITE) else None


@dataclass(frozen=True)
class _Source:
    """Where settings come from. ``label`` is how a key is written there, ``folder`` what its paths are relative to."""

    name: str
    values: Mapping[str, Any]
    folder: Path
    label: Callable[[str], str] = str

    def strangers(self) -> Iterator[str]:
        for key in self.values:
            if key not in Settings.model_fields:
                close = get_close_matches(key, Settings.model_fields, 1)
                hint = f"; did you mean {self.label(close[0])}?" if close else ""
                yield f"{self.name}: there is no setting {self.label(key)}{hint}"


def load_settings(
    overrides: Mapping[str, Any] | None = None, *, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings of this process: ``overrides``, then the environment, then workdocket.toml, then defaults.

    An override of ``None`` is one that was not given. Raises :class:`SettingsError` with every fault at once.
    """
    cwd = (cwd or Path.cwd()).absolute()
    environ = os.environ if environ is None else environ
    sources = [*_file_source(cwd), _environment_source(environ, cwd), _command_line_source(overrides or {}, cwd)]
    if strangers := [fault for source in reversed(sources) for fault in source.strangers()]:
        raise SettingsError("\n".join(strangers))
    values: dict[str, Any] = {"database": _default_database(cwd, environ)}
    folders: dict[str, Path] = {}
    for source in sources:
        values |= source.values
        folders |= dict.fromkeys(source.values, source.folder)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_misfits(error, sources))) from None
    return _located(settings, folders)


def environment_of(settings: Settings) -> dict[str, str]:
    """What a process elsewhere, with nothing else set, needs in its environment to have these settings.

    The database always; of the others those that somebody has set, but for what only the HTTP server reads.
    """
    carried = [key for key in Settings.model_fields if key in settings.model_fields_set and key not in _OF_HTTP]
    return {f"{PREFIX}{key.upper()}": _as_text(getattr(settings, key)) for key in carried}


_OF_HTTP = ("host", "port", "allowed_origins", "allowed_hosts")


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=_table)


def _table(row: GateRule | Channel) -> dict[str, Any]:
    return row.model_dump(exclude_defaults=True) if isinstance(row, GateRule) else row.model_dump(exclude_unset=True)


def _command_line_source(overrides: Mapping[str, Any], cwd: Path) -> _Source:
    given = {key: value for key, value in overrides.items() if value is not None}
    return _Source("command line", given, cwd, lambda key: "--database" if key == "database" else f"--set {key}")


def _environment_source(environ: Mapping[str, str], cwd: Path) -> _Source:
    ours = {name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)}
    return _Source("environment", ours, cwd, lambda key: f"{PREFIX}{key.upper()}")


def _file_source(cwd: Path) -> list[_Source]:
    file = next((folder / FILE for folder in (cwd, *cwd.parents) if (folder / FILE).is_file()), None)
    if file is None:
        return []
    try:
        return [_Source(str(file), tomllib.loads(file.read_text("utf-8")), file.parent)]
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}") from error


def _misfits(error: ValidationError, sources: list[_Source]) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        key = str(fault["loc"][0])
        source = next(source for source in reversed(sources) if key in source.values)
        given = "" if key in ("database", *_TABLES) else f" is {source.values[key]!r}"
        within = _within(fault["loc"][1:]) if key in _TABLES else ""
        reason = fault["msg"].removeprefix("Value error, ")
        yield f"{source.name}: {source.label(key)}{within}{given}. {reason}. {Settings.model_fields[key].description}"


_TABLES = ("gates", "notify")
"""Settings that are lists of tables. A fault says its place instead of the value: an address may have a password."""


def _within(place: Sequence[int | str]) -> str:
    """Where in a list of tables, counted from 1: ``[1]: quorum``."""
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f": {part}" for part in place)


def _located(settings: Settings, folders: Mapping[str, Path]) -> Settings:
    """With every path absolute: it is relative to the folder of the file that has it, else to the working folder."""
    update: dict[str, Any] = {}
    if "database" in folders and settings.database_path:
        update["database"] = f"{SQLITE}{folders['database'] / settings.database_path.expanduser()}"
    for key in {"order_types", "generators"} & folders.keys():
        update[key] = tuple(_located_plugin(spec, folders[key]) for spec in getattr(settings, key))
    if "notify" in folders:
        update["notify"] = tuple(channel.located(folders["notify"]) for channel in settings.notify)
    return settings.model_copy(update=update)


def _located_plugin(spec: str, folder: Path) -> str:
    is_path = os.sep in spec or spec.endswith(TYPE_FILES) or (folder / spec).exists()
    return str(folder / Path(spec).expanduser()) if is_path else spec


def _default_database(cwd: Path, environ: Mapping[str, str]) -> str:
    near = next((folder / FOLDER for folder in (cwd, *cwd.parents) if (folder / FOLDER).is_dir()), None)
    return f"{SQLITE}{(near or _user_data(environ) / 'workdocket') / 'workdocket.db'}"


def _user_data(environ: Mapping[str, str]) -> Path:
    home = Path(environ.get("HOME") or Path.home())
    variable, usual = {
        "darwin": ("", home / "Library" / "Application Support"),
        "win32": ("LOCALAPPDATA", home / "AppData" / "Local"),
    }.get(sys.platform, ("XDG_DATA_HOME", home / ".local" / "share"))
    return Path(environ.get(variable) or usual)
