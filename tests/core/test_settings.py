from pathlib import Path
from typing import Any

import pytest

from headrace.core.house import open_keyring
from headrace.core.settings import SETTINGS, SettingError, Settings, load, settings_markdown

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
        ({"HEADRACE_DAILY_QUOTA": "-1"}, "HEADRACE_DAILY_QUOTA must be a whole number from 1000, and is '-1'"),
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
        ({"HEADRACE_CERTIFICATE": "x"}, "certificate and certificate_key belong together: set both, or neither"),
    ],
)
def test_what_is_wrong_is_one_clear_line(environ: dict[str, str], line: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({}, environ)
    assert str(caught.value) == line


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
    made = open_keyring(Settings(data=data))
    assert (data / "secret").stat().st_mode & 0o777 == 0o600
    assert open_keyring(Settings(data=data)).secrets == made.secrets
    given = open_keyring(Settings(data=data, secret=SECRET, secret_previous=(SECRET[::-1],)))
    assert given.secrets == (SECRET.encode(), SECRET[::-1].encode())
    (data / "secret").write_text("too short\n")
    with pytest.raises(SettingError, match="must have 32 bytes"):
        open_keyring(Settings(data=data))
