"""Settings as they are given: flags before environment before file before default; and the page that lists them."""

import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from headrace.core.settings import forms
from headrace.core.settings.table import BY_NAME, PREFIX, SETTINGS, Setting, SettingError, Settings

MOST_DIGITS = 18
UNITS = {"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
# Without the secrets nobody could tell Stripe's events from anybody's.
STRIPE_NEEDS = ("stripe_api_key", "stripe_secret_levqor", "stripe_secret_vetrai")


def load(flags: Mapping[str, Any], environ: Mapping[str, str], toml: Path | None = None) -> Settings:
    """Read the settings: a flag that is not None, else the environment, else the file, else the default.

    Raises SettingError for a value that breaks its rule, and for a name in the environment or file that is none.
    """
    given: dict[str, Any] = {}
    for key, value in (_file(toml) if toml else {}).items():
        given[_known(key, str(toml), lambda name: name)] = (value, f"{key} in {toml}")
    for key, value in environ.items():
        if key.startswith(PREFIX):
            given[_known(key, "the environment", lambda name: PREFIX + name.upper())] = (value, key)
    for key, value in flags.items():
        if value is not None:
            given[_known(key, "the command line", lambda name: name)] = (value, "--" + key.replace("_", "-"))
    values = {name: _value(BY_NAME[name], value, place) for name, (value, place) in given.items()}
    if bool(values.get("certificate")) != bool(values.get("certificate_key")):
        raise SettingError("HEADRACE_CERTIFICATE and HEADRACE_CERTIFICATE_KEY belong together: set both, or neither")
    if values.get("billing") == "stripe":
        lacking = [BY_NAME[name].variable for name in STRIPE_NEEDS if not values.get(name)]
        if lacking:
            raise SettingError(f"HEADRACE_BILLING is stripe, and there is no {' and no '.join(lacking)}")
    return Settings(**values)


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"the settings file {path} cannot be read: {error}") from error


def _known(key: str, place: str, spelled: Callable[[str], str]) -> str:
    names = {spelled(name): name for name in BY_NAME}
    if key in names:
        return names[key]
    near = get_close_matches(key, names, n=1, cutoff=0.0)
    raise SettingError(f"{place} names a setting {key}, and there is none; did you mean {near[0]}?")


def _value(setting: Setting, value: Any, place: str) -> Any:
    def wrong(rule: str) -> SettingError:
        return SettingError(f"{place} {rule}" + ("" if setting.rule.hidden else f", and is {value!r}"))

    match setting.type:
        case "integer":
            return _bounded(setting, value, wrong)
        case "switch":
            word = str(value).strip().lower()
            if word not in TRUE | FALSE:
                raise wrong("must be true or false")
            return word in TRUE
        case "list":
            parts = value.split(",") if isinstance(value, str) else value
            if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
                raise wrong("must be a list of texts")
            return tuple(_text(setting, part.strip(), wrong) for part in parts if part.strip())
        case _:
            if not isinstance(value, str | Path):
                raise wrong("must be a text")
            text = _text(setting, str(value).strip(), wrong)
            return Path(text) if setting.type == "folder" else text


def _bounded(setting: Setting, value: Any, wrong: Callable[[str], SettingError]) -> int:
    number = _integer(value)
    least, most = setting.rule.least or 0, setting.rule.most
    if number is None or number < least or (most is not None and number > most):
        raise wrong(f"must be a whole number from {least}" + ("" if most is None else f" to {most}"))
    return number


def _integer(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip().replace("_", "").lower() if isinstance(value, str) else ""
    factor = next((size for unit, size in UNITS.items() if text.endswith(unit)), 1)
    digits = text[:-3].strip() if factor > 1 else text
    return int(digits) * factor if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS else None


def _text(setting: Setting, text: str, wrong: Callable[[str], SettingError]) -> str:
    if setting.rule.choices and text not in setting.rule.choices:
        raise wrong(f"must be one of {', '.join(setting.rule.choices)}")
    if setting.type == "folder" and not text:
        raise wrong("must be the path of a folder")
    try:
        forms.check(setting.name, text)
    except ValueError as error:
        raise wrong(str(error)) from error
    return text


def shown(setting: Setting, value: Any) -> str:
    """A value as a person reads it; one that must not be read is `***`."""
    if setting.rule.hidden:
        return "***" if value else "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return str(value) or "none"


def settings_markdown() -> str:
    """The page of the documentation, printed from the table."""
    lines = [
        "# Settings",
        "",
        "A command-line flag counts before the environment, that before a TOML file (`--config`), that before the",
        "default. A size may end in KiB, MiB or GiB; a list is separated by commas. An unknown name is refused.",
        "",
        "| variable | type | default | meaning | why |",
        "|---|---|---|---|---|",
    ]
    for row in SETTINGS:
        bounds = "" if row.rule.most is None else f", {row.rule.least} to {row.rule.most}"
        bounds = bounds or ("" if row.rule.least is None else f", from {row.rule.least}")
        kind = " or ".join(f"`{choice}`" for choice in row.rule.choices) or row.type + bounds
        default = shown(row, row.default)
        lines.append(f"| `{row.variable}` | {kind} | {default} | {row.rule.help} | {row.rule.reason} |")
    return "\n".join(lines) + "\n"
