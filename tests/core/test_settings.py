from pathlib import Path
from typing import Any

import pytest

from headrace.core.house import read_keyring
from headrace.core.settings import SETTINGS, Setting, SettingError, Settings, load, settings_markdown

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"


def test_every_row_says_what_and_why() -> None:
    page = settings_markdown()
    for row in SETTINGS:
        assert row.rule.help.endswith("."), row.name
        assert row.rule.reason.endswith("."), row.name
        assert f"`{row.variable}`" in page
    assert load({}, {}) == Settings()


def test_a_flag_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    toml = tmp_path / "headrace.toml"
    toml.write_text('port = 1\nhost = "file"\nlog_level = "error"\ncors_origins = ["https://a", "https://b"]\n')
    found = load({"port": 3, "host": None}, {"HEADRACE_PORT": "2", "HEADRACE_HOST": "environment", "OTHER": "x"}, toml)
    assert (found.port, found.host, found.log_level) == (3, "environment", "error")
    assert found.cors_origins == ("https://a", "https://b")


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("HEADRACE_OPEN", "yes", "open", True),
        ("HEADRACE_OPEN", "0", "open", False),
        ("HEADRACE_DATA", "elsewhere", "data", Path("elsewhere")),
        ("HEADRACE_SEGMENT_BYTES", "4 MiB", "segment_bytes", 4 << 20),
        ("HEADRACE_DAILY_QUOTA", "2_000_000", "daily_quota", 2_000_000),
        ("HEADRACE_TRUSTED_PROXIES", "10.0.0.0/8, ::1,", "trusted_proxies", ("10.0.0.0/8", "::1")),
        ("HEADRACE_DATABASE_URL", "postgresql://h/d", "database_url", "postgresql://h/d"),
    ],
)
def test_texts_are_read(variable: str, text: str, name: str, value: Any) -> None:
    assert getattr(load({}, {variable: text}), name) == value


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"HEADRACE_PORT": "http"}, "HEADRACE_PORT must be a whole number from 0 to 65535, and is 'http'"),
        ({"HEADRACE_PORT": "70000"}, "HEADRACE_PORT must be a whole number from 0 to 65535, and is '70000'"),
        (
            {"HEADRACE_DAILY_QUOTA": "-1"},
            "HEADRACE_DAILY_QUOTA must be a whole number from 1000 to 1000000000000000, and is '-1'",
        ),
        (
            {"HEADRACE_DISK_REFUSE_PERCENT": "5"},
            "HEADRACE_DISK_REFUSE_PERCENT must be a whole number from 6 to 100, and is '5'",
        ),
        ({"HEADRACE_OPEN": "maybe"}, "HEADRACE_OPEN must be true or false, and is 'maybe'"),
        (
            {"HEADRACE_LOG_LEVEL": "loud"},
            "HEADRACE_LOG_LEVEL must be one of debug, info, warning, error, and is 'loud'",
        ),
        ({"HEADRACE_SECRET": "abc"}, "HEADRACE_SECRET must have 32 bytes or more, and this one has 3"),
        ({"HEADRACE_DATA": " "}, "HEADRACE_DATA must be the path of a folder, and is ' '"),
        ({"HEADRACE_DATABASE_URL": "mysql://x"}, "HEADRACE_DATABASE_URL must start with postgresql:// or postgres://"),
        (
            {"HEADRACE_PROT": "1"},
            "the environment names a setting HEADRACE_PROT, and there is none; did you mean HEADRACE_PORT?",
        ),
        (
            {"HEADRACE_CERTIFICATE": "x"},
            "HEADRACE_CERTIFICATE and HEADRACE_CERTIFICATE_KEY belong together: set both, or neither",
        ),
    ],
)
def test_what_is_wrong_is_one_clear_line(environ: dict[str, str], line: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({}, environ)
    assert str(caught.value) == line


PROXY = "must be a list of addresses and networks"
ORIGIN = "must be a list of origins such as https://app.example.com"
ADDRESS = "must be an address"


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("trusted_proxies", "foo", PROXY),
        ("trusted_proxies", "10.0.0.0/33", PROXY),
        ("trusted_proxies", "127.0.0.1,10.0.0.0/8 ::1", PROXY),
        ("cors_origins", "foo", ORIGIN),
        ("cors_origins", "*", ORIGIN),
        ("cors_origins", "https://App.example.com", ORIGIN),
        ("cors_origins", "https://app.example.com/", ORIGIN),
        ("cors_origins", "https://app.example.com:443", ORIGIN),
        ("outbound_allow", "10.0.0.0/33", "must be a list of addresses, networks and hosts"),
        ("outbound_ports", "0-70000", "must be a list of ports"),
        ("webhook_retry_seconds", "1,two", "must be a list of whole seconds"),
        ("webhook_retry_seconds", "1,86401", "must be a list of whole seconds, each at most 86400"),
        ("currency", "nonsense", "must be the three letters of a currency"),
        ("currency", "qqq", "must be the three letters of a currency"),
        ("public_url", "logs.example.com", "must start with http:// or https://"),
        ("public_url", "https://", ADDRESS),
        ("public_url", "https://a:b", ADDRESS),
        ("public_url", "https://a b", ADDRESS),
        ("public_url", "https://a/?x=1", ADDRESS),
        ("events_url", "https://[::1", ADDRESS),
        ("events_url", "http://:8123", ADDRESS),
        ("limits_url", "redis://h:99999", ADDRESS),
        ("database_url", "postgresql://u:p@h:port/d", ADDRESS),
        ("stripe_url", "ftp://h", "must start with http:// or https://"),
        ("connector_slack_url", "http://u:p@h/", ADDRESS),
        ("secret_previous", "short", "must have 32 bytes"),
        ("host", "a\nb", "must not contain control characters"),
        ("port", "9" * 5000, "must be a whole number"),
    ],
)
def test_a_text_has_the_form_that_its_setting_needs(name: str, text: str, rule: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({}, {f"HEADRACE_{name.upper()}": text})
    assert str(caught.value).startswith(f"HEADRACE_{name.upper()} {rule}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("trusted_proxies", "10.0.0.1/8,fd00::/8,127.0.0.1"),
        ("cors_origins", "http://localhost:3000,https://[::1]:8443,capacitor://app"),
        ("outbound_allow", "intranet.example,10.0.0.0/8,[::1]"),
        ("currency", "EUR"),
        ("public_url", "https://logs.example.com:8443/headrace"),
        ("events_url", "http://user:p%40ss@[::1]:8123/events"),
        ("limits_url", "redis://:secret@h:6379/0?ssl=1"),
        ("database_url", "postgresql:///headrace?host=/run/postgresql"),
    ],
)
def test_a_text_of_good_form_is_taken(name: str, text: str) -> None:
    load({}, {f"HEADRACE_{name.upper()}": text})


@pytest.mark.parametrize("row", [row for row in SETTINGS if row.type == "integer"], ids=lambda row: row.name)
def test_every_number_has_an_end(row: Setting) -> None:
    assert row.rule.most is not None
    for beyond in (row.rule.most + 1, (row.rule.least or 0) - 1):
        with pytest.raises(SettingError, match=row.variable):
            load({}, {row.variable: str(beyond)})


@pytest.mark.parametrize("content", ["port = ", "prot = 1", "port = true", "cors_origins = [1]", "host = 1"])
def test_a_wrong_file_is_refused(tmp_path: Path, content: str) -> None:
    toml = tmp_path / "headrace.toml"
    toml.write_text(content)
    with pytest.raises(SettingError):
        load({}, {}, toml)


def test_a_secret_is_never_shown() -> None:
    with pytest.raises(SettingError) as caught:
        load({}, {"HEADRACE_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_the_secret_comes_from_the_settings_or_from_the_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = read_keyring(Settings(data=data))
    assert (data / "secret").stat().st_mode & 0o777 == 0o600
    assert read_keyring(Settings(data=data)).secrets == made.secrets
    given = read_keyring(Settings(data=data, secret=SECRET, secret_previous=(SECRET[::-1],)))
    assert given.secrets == (SECRET.encode(), SECRET[::-1].encode())
    (data / "secret").write_text("too short\n")
    with pytest.raises(SettingError, match="must have 32 bytes"):
        read_keyring(Settings(data=data))
