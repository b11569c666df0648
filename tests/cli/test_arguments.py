"""Arguments: mistakes are one line and exit 2; the printed pages agree with the code."""

from pathlib import Path

import pytest

from headrace.cli import docs, main
from headrace.cli.arguments import GROUPS, NEVER_FLAGS, parser
from headrace.core.settings import SETTINGS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["settings.md", "cli.md"])
def test_printed_pages_agree_with_the_code(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == docs.pages()[name], "run `make docs`"


def test_every_setting_but_the_secrets_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for setting in SETTINGS:
        flag = "--" + setting.name.replace("_", "-") + " "
        assert (flag in text.replace("\n", " ")) == (setting.name not in NEVER_FLAGS), setting.name
        assert setting.name in NEVER_FLAGS or setting.variable in text.replace("\n", " ")


def test_groups_begin_with_settings_that_exist() -> None:
    assert set(GROUPS) <= {setting.name for setting in SETTINGS}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: VERB"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["import"], "the following arguments are required: FILE"),
        (["import", "x", "--map", "timestamp"], "must be like timestamp=time,message=msg, and has 'timestamp'"),
        (["import", "x", "--batch", "1001"], "must be a whole number from 1 to 1000, and is '1001'"),
        (["import", "x", "--level", "warn"], "invalid choice: 'warn'"),
        (["search", "--limit", "none"], "must be a whole number"),
        (["key"], "the following arguments are required: ACTION"),
        (["key", "revoke", "first"], "must be a whole number"),
        (["admin", "quota", "web"], "the following arguments are required: N"),
        (["serve", "--secret", "s"], "unrecognized arguments: --secret"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "none.log"], "give --key KEY"),
        (["search"], "give a key"),
        (["search", "--key", "vetrai_x"], "name the project with --project ID"),
        (["search", "--key", "ldg_proj_7_x", "--project", "8"], "the key belongs to project 7"),
        (["search", "--key", "ldg_proj_7_x", "--url", "ftp://x"], "--url must be like http://127.0.0.1:8000"),
        (["search", "--key", "ldg_proj_7_x", "--url", "http://x:y"], "--url has no valid port"),
        (["search", "--key", "ldg_proj_7_x", "--from", "noon"], "--from must be a time"),
    ],
)
def test_what_a_verb_cannot_read_is_misuse(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HEADRACE_KEY", "HEADRACE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_every_verb_has_help_for_each_argument() -> None:
    assert "|  |" not in docs.cli_markdown()
    assert parser().prog == "headrace"
