"""Settings: sources, their order, and what is refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from workdocket.settings import Settings, SettingsError, environment_of, load_settings

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(overrides: dict[str, Any] | None = None, cwd: Path = tmp_path, **environ: str) -> Settings:
        return load_settings(overrides, cwd=cwd, environ={"HOME": str(tmp_path / "home"), **environ})

    return load


def refusal(load: Load, *arguments: Any, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*arguments, **environ)
    return str(caught.value)


# the order of sources

DEFAULTS = {
    "project_key": "WO", "order_types": (), "generators": (), "lease_ttl_seconds": 600,
    "heartbeat_every_seconds": 120,
    "first_claim_seconds": 60, "rework_tokens": 1500, "max_leases_per_agent": None, "max_leases_per_type": None,
    "max_leases_per_key": None, "longest_wait_seconds": 86400,
    "max_attempts": 3, "stop_after_identical": 2,
    "backoff_seconds": 60, "expiry_backoff_seconds": 0, "apply_backoff_seconds": None,
    "backoff_jitter_seconds": 20, "backoff_cap_seconds": 3600, "apply_attempts": 3,
    "hook_timeout_seconds": 60,
    "effect_claim_seconds": 30, "sweep_every_seconds": 5, "max_parts_per_item": 100,
    "max_payload_bytes": 1048576, "require_idempotency_keys": False, "idempotency_ttl_days": 7,
    "dead_letter_after_hours": 48, "stale_after_hours": 24, "retain_events_days": None,
    "gates": (), "review_ttl_hours": None,
    "host": "127.0.0.1", "port": 8787, "allowed_origins": (), "allowed_hosts": (),
    "public_url": None, "max_calls_per_minute": None,
    "oauth_issuer": None, "oauth_audience": None, "oauth_roles_claim": "scope", "oauth_kind": "agent",
    "notify": (), "notify_attempts": 8,
    "log_level": "warning", "log_format": "text", "metrics": "none",
}  # fmt: skip


def test_without_sources_the_defaults_hold(load: Load) -> None:
    assert load().model_dump(exclude={"database"}) == DEFAULTS


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_command_line_beats_the_environment_which_beats_the_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "workdocket.toml").write_text("port = 1\nmax_attempts = 1")
    settings = load({"port": 3}, WORKDOCKET_PORT="2", WORKDOCKET_HOST="::1")
    assert (settings.port, settings.max_attempts, settings.host) == (3, 1, "::1")
    assert load(WORKDOCKET_PORT="2").port == 2
    assert load({"port": None}).port == 1


def test_the_nearest_file_upward_counts_and_no_other(load: Load, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "workdocket.toml").write_text("port = 1\nhost = 'far'")
    (tmp_path / "a" / "workdocket.toml").write_text("port = 2")
    settings = load(cwd=deep)
    assert (settings.port, settings.host) == (2, "127.0.0.1")


def test_the_process_is_asked_when_nothing_else_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".workdocket").mkdir()
    monkeypatch.setenv("WORKDOCKET_PORT", "99")
    assert load_settings().port == 99
    assert load_settings().database_path == tmp_path / ".workdocket" / "workdocket.db"
    assert Settings().port == 8787
    assert Settings().database_path == tmp_path / ".workdocket" / "workdocket.db"


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 3  # type: ignore[misc]


# values


def test_the_environment_gives_numbers_truths_nothing_and_lists(load: Load) -> None:
    settings = load(
        WORKDOCKET_LEASE_TTL_SECONDS="0.25",
        WORKDOCKET_BACKOFF_JITTER_SECONDS="0",
        WORKDOCKET_REQUIRE_IDEMPOTENCY_KEYS="true",
        WORKDOCKET_RETAIN_EVENTS_DAYS="none",
        WORKDOCKET_MAX_LEASES_PER_AGENT="4",
        WORKDOCKET_ALLOWED_HOSTS="a.example, b.example,",
        WORKDOCKET_ALLOWED_ORIGINS='["https://a.example"]',
        WORKDOCKET_LOG_LEVEL="WARNING",
    )
    assert (settings.lease_ttl_seconds, settings.backoff_jitter_seconds) == (0.25, 0)
    assert settings.require_idempotency_keys is True
    assert (settings.retain_events_days, settings.max_leases_per_agent) == (None, 4)
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.allowed_origins == ("https://a.example",)
    assert settings.log_level == "warning"


@pytest.mark.parametrize("text", ["shop.orders,shop.more:Class", '["shop.orders", "shop.more:Class"]'])
def test_order_types_are_a_json_list_or_names_between_commas(load: Load, text: str) -> None:
    assert load(WORKDOCKET_ORDER_TYPES=text).order_types == ("shop.orders", "shop.more:Class")


def test_paths_in_the_file_are_relative_to_its_folder(load: Load, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "workdocket.toml").write_text(
        "database = 'data/x.db'\norder_types = ['own', './more/deep', 'one.py', 'shop.orders', '/abs/y.py']"
    )
    settings = load(cwd=tmp_path / "sub")
    assert settings.database_path == tmp_path / "data" / "x.db"
    assert settings.order_types == (
        f"{tmp_path}/own",
        f"{tmp_path}/more/deep",
        f"{tmp_path}/one.py",
        "shop.orders",
        "/abs/y.py",
    )


def test_paths_from_elsewhere_are_relative_to_the_working_folder(load: Load, tmp_path: Path) -> None:
    settings = load({"order_types": ["./own"]}, WORKDOCKET_DATABASE="x.db")
    assert settings.order_types == (f"{tmp_path}/own",)
    assert settings.database_path == tmp_path / "x.db"


# the database


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("sqlite:///x.db", "sqlite:///{cwd}/x.db"),
        ("sqlite:////var/x.db", "sqlite:////var/x.db"),
        ("x.db", "sqlite:///{cwd}/x.db"),
        ("/var/x.db", "sqlite:////var/x.db"),
        ("postgresql://u:p@h/db?sslmode=require", "postgresql://u:p@h/db?sslmode=require"),
        ("postgres://h/db", "postgresql://h/db"),
    ],
)
def test_a_database_is_a_file_or_a_postgresql_url(load: Load, tmp_path: Path, given: str, url: str) -> None:
    settings = load({"database": given})
    assert settings.database == url.format(cwd=tmp_path)
    assert (settings.database_path is None) == url.startswith("postgresql")


@pytest.mark.parametrize("given", ["mysql://h/db", "sqlite://x.db", "sqlite:///", "", ":memory:", "sqlite:///:memory:"])
def test_no_other_database_is_taken(load: Load, given: str) -> None:
    assert "neither the path of a file nor a postgresql:// URL" in refusal(load, {"database": given})


def test_the_database_is_in_the_nearest_workdocket_folder(load: Load, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / ".workdocket").mkdir()
    assert load(cwd=deep).database_path == tmp_path / ".workdocket" / "workdocket.db"


@pytest.mark.parametrize(
    ("platform", "environ", "place"),
    [
        ("linux", {}, "home/.local/share"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data"),
        ("darwin", {"XDG_DATA_HOME": "/data"}, "home/Library/Application Support"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local"),
        ("win32", {}, "home/AppData/Local"),
    ],
)
def test_else_it_is_in_the_data_folder_of_the_user(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, environ: dict[str, str], place: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert load(**environ).database_path == tmp_path / place / "workdocket" / "workdocket.db"


def test_the_password_of_the_database_is_never_shown(load: Load) -> None:
    assert "secret" not in repr(load({"database": "postgresql://u:secret@h/db"}))
    assert "secret" not in refusal(load, {"database": "mysql://u:secret@h/db"})
    with pytest.raises(ValidationError) as caught:
        Settings(database="mysql://u:secret@h/db")
    assert "secret" not in str(caught.value)


# addresses

ISSUER = "https://login.example.com/tenant"


@pytest.mark.parametrize("given", ["https://work.example.com", "https://work.example.com/"])
def test_the_public_address_has_no_slash_at_its_end_and_the_issuers_is_as_written(load: Load, given: str) -> None:
    settings = load({"public_url": given, "oauth_issuer": f"{ISSUER}/"})
    assert (settings.public_url, settings.oauth_issuer) == ("https://work.example.com", f"{ISSUER}/")


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:9000", "http://localhost/realm", "http://[::1]:9000"])
def test_an_issuer_on_this_machine_needs_no_tls(load: Load, issuer: str) -> None:
    assert load({"public_url": "http://127.0.0.1:8787", "oauth_issuer": issuer}).oauth_issuer == issuer


@pytest.mark.parametrize(
    "given, said",
    [
        ({"public_url": "work.example.com"}, "not the https:// address"),
        ({"public_url": "https://"}, "not the https:// address"),
        ({"public_url": "https://work.example.com/?a=b"}, "not the https:// address"),
        ({"public_url": "https://ann:secret@work.example.com"}, "not the https:// address"),
        ({"public_url": "https://w.example.com", "oauth_issuer": "http://login.example.com"}, "by https only"),
        ({"public_url": "https://w.example.com", "oauth_issuer": "http://127.0.0.1.example.com"}, "by https only"),
        ({"public_url": "https://w.example.com", "oauth_issuer": "file:///etc/passwd"}, "not the https:// address"),
        ({"oauth_issuer": ISSUER}, "needs the setting public_url"),
    ],
)
def test_other_addresses_are_refused(load: Load, given: dict[str, str], said: str) -> None:
    assert said in refusal(load, given)


# channels

DESK = {"name": "desk", "webhook": "https://chat.example.com/T0/hush-hush"}


@pytest.mark.scenario("notify-settings")
def test_channels_are_tables_in_the_file_and_a_list_in_json_elsewhere(load: Load, tmp_path: Path) -> None:
    (tmp_path / "workdocket.toml").write_text(
        "[[notify]]\nname = 'desk'\nwebhook = 'https://chat.example.com/T0'\nsecret_file = 'keys/desk'\n"
        "on = ['review']\n[[notify]]\nname = 'tell'\ncommand = ['./tell.sh', '--to', './ann']\n"
    )
    of_file = load().notify
    assert [(one.name, one.on, one.types, one.min_priority, one.before_seconds) for one in of_file] == [
        ("desk", ("review",), ("*",), 0, 3600),
        ("tell", ("review", "deadline", "failed"), ("*",), 0, 3600),
    ]
    assert of_file[0].secret_file == f"{tmp_path}/keys/desk"
    assert of_file[1].command == (f"{tmp_path}/tell.sh", "--to", "./ann")

    [desk] = load(WORKDOCKET_NOTIFY=json.dumps([{**DESK, "min_priority": 50, "before_seconds": 0.5}])).notify
    assert (desk.name, desk.min_priority, desk.before_seconds) == ("desk", 50, 0.5)
    assert load({"notify": "[]"}).notify == ()


def test_channels_are_carried_to_other_processes_as_they_are(load: Load) -> None:
    here = load({"notify": [{**DESK, "secret_file": "key"}, {"name": "tell", "command": ["say"], "on": ["failed"]}]})

    assert load(**environment_of(here), cwd=Path("/")).notify == here.notify


@pytest.mark.scenario("notify-settings")
@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ({**DESK, "webhok": "x"}, "has no key webhok (did you mean webhook?)"),
        ({**DESK, "qqq": 1}, "has no key qqq."),
        ({**DESK, "secret": "hush"}, "No secret stands in the settings: secret_env names"),
        (
            {**DESK, "on": ["reviw"]},
            ": on[1]. Input should be 'review', 'deadline', 'failed', 'completed' or 'rejected'",
        ),
        ({**DESK, "on": []}, "is told of nothing"),
        ({**DESK, "types": []}, "is told of nothing"),
        ({**DESK, "name": "De sk"}, ": name. "),
        ({**DESK, "before_seconds": -1}, ": before_seconds. "),
        ({**DESK, "command": ["say"]}, "needs one of webhook, command and desktop"),
        ({"name": "desk"}, "needs one of webhook, command and desktop"),
        ({**DESK, "secret_env": "A", "secret_file": "b"}, "one secret"),
        ({"name": "desk", "command": ["say"], "secret_env": "A"}, "one secret"),
        ({"name": "desk", "command": "say it"}, "valid tuple"),
        ({**DESK, "webhook": "chat.example.com"}, "is an https:// address"),
        ({**DESK, "webhook": "file:///hush"}, "is an https:// address"),
        ({**DESK, "webhook": "https://ann:hush@chat.example.com"}, "no user and no password"),
        ({**DESK, "webhook": "http://chat.example.com"}, "needs https://"),
        ({**DESK, "webhook": "http://8.8.8.8"}, "needs https://"),
        ({**DESK, "webhook": "http://134744072"}, "needs https://"),
        ({**DESK, "webhook": "http://[::1"}, "Invalid IPv6 URL"),
        ("desk", "valid dictionary"),
    ],
)
def test_a_channel_that_makes_no_sense_is_refused_without_its_address(load: Load, channel: Any, said: str) -> None:
    message = refusal(load, {"notify": [channel]})
    assert message.startswith("command line: --set notify[1]")
    assert said in message
    assert "hush" not in message
    assert "pydantic" not in message


def test_two_channels_of_one_name_are_refused(load: Load) -> None:
    assert "two channels of the name desk" in refusal(load, {"notify": [DESK, DESK]})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:5678/x", "http://localhost", "http://[::1]:80", "http://192.168.1.7/x", "http://10.0.0.1",
        "http://n8n:5678/hook", "http://printer.local", "http://hooks.internal", "https://8.8.8.8", DESK["webhook"],
    ],
)  # fmt: skip
def test_a_webhook_needs_no_tls_on_this_machine_and_its_own_network(load: Load, url: str) -> None:
    assert load({"notify": [{**DESK, "webhook": url}]}).notify[0].webhook == url


@pytest.mark.scenario("notify-desktop")
@pytest.mark.parametrize(
    ("platform", "said"),
    [("linux", "notify-send is not installed"), ("darwin", "osascript is not"), ("beos", "none is known for beos")],
)
def test_a_desktop_that_is_not_there_is_refused_in_words(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, said: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert said in refusal(load, {"notify": [{"name": "here", "desktop": True}]})


def test_an_address_is_not_shown_with_the_settings(load: Load) -> None:
    settings = load({"notify": [DESK]})
    assert "hush" not in repr(settings) + repr(settings.notify)
    assert settings.notify[0].way == "webhook https://chat.example.com"


# refusals


def test_an_unknown_key_is_refused_with_its_source_and_the_nearest_name(load: Load, tmp_path: Path) -> None:
    assert refusal(load, {"prot": 1}) == "command line: there is no setting --set prot; did you mean --set port?"
    assert refusal(load, WORKDOCKET_LEASE_TTL="1") == (
        "environment: there is no setting WORKDOCKET_LEASE_TTL; did you mean WORKDOCKET_LEASE_TTL_SECONDS?"
    )
    file = tmp_path / "workdocket.toml"
    file.write_text("[server]\nport = 1")
    assert refusal(load).startswith(f"{file}: there is no setting server")


def test_all_unknown_keys_are_told_together(load: Load) -> None:
    message = refusal(load, {"prot": 1, "xyzzy": 2}, WORKDOCKET_HOTS="a")
    assert [line.partition(":")[0] for line in message.splitlines()] == ["command line", "command line", "environment"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("port", "65536", "less than or equal to 65535"),
        ("port", "http", "a valid integer"),
        ("lease_ttl_seconds", "0", "greater than 0"),
        ("sweep_every_seconds", "-1", "greater than 0"),
        ("effect_claim_seconds", "inf", "finite"),
        ("backoff_jitter_seconds", "-1", "greater than or equal to 0"),
        ("max_attempts", "0", "greater than or equal to 1"),
        ("retain_events_days", "0", "greater than 0"),
        ("project_key", "wo", "1 to 8 capital letters"),
        ("project_key", "ABCDEFGHI", "1 to 8 capital letters"),
        ("log_level", "loud", "debug, info, warning or error"),
        ("log_format", "xml", "text or json"),
        ("metrics", "yes", "none, log, prometheus or statsd"),
        ("order_types", "[oops", "Expecting value"),
        ("allowed_hosts", "[1]", "valid string"),
    ],
)
def test_a_bad_value_is_refused_with_its_source_and_what_is_allowed(
    load: Load, key: str, value: str, said: str
) -> None:
    name = f"WORKDOCKET_{key.upper()}"
    message = refusal(load, **{name: value})
    assert message.startswith(f"environment: {name} is {value!r}. ")
    assert said in message
    assert "pydantic" not in message


def test_a_bad_value_is_blamed_on_the_source_it_came_from(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "workdocket.toml"
    file.write_text("port = -1\nmax_attempts = 0")
    lines = refusal(load, {"port": -2}).splitlines()
    assert [line.split(". ")[0] for line in lines] == [f"{file}: max_attempts is 0", "command line: --set port is -2"]


def test_a_file_that_cannot_be_read_is_refused(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "workdocket.toml"
    file.write_text("port = ")
    assert refusal(load).startswith(f"{file}: cannot be read: ")
    file.write_bytes(b"host = '\xff'")
    assert refusal(load).startswith(f"{file}: cannot be read: ")


def test_the_environment_of_the_process_is_left_alone(load: Load) -> None:
    before = dict(os.environ)
    load(WORKDOCKET_PORT="1")
    assert dict(os.environ) == before
