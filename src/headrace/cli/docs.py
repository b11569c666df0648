"""The pages of docs/ that are printed from code: settings.md from the settings table, cli.md from the arguments."""

from argparse import SUPPRESS, Action, ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path

from headrace.cli.arguments import parser
from headrace.cli.screen import Trouble, say
from headrace.core.settings import SETTINGS, settings_markdown


def run(given: Namespace) -> int:
    folder = Path(given.folder)
    if not folder.is_dir():
        raise Trouble(f"there is no folder {folder}; run this in the checkout, or name it with --folder")
    stale = [name for name, text in pages().items() if _text(folder / name) != text]
    if given.check:
        if stale:
            raise Trouble(f"{', '.join(stale)} in {folder} differ from the code; `headrace docs` prints them anew")
        return 0
    for name in stale:
        (folder / name).write_text(pages()[name])
    say(f"{folder}: " + (f"printed {', '.join(stale)}" if stale else "nothing has changed"))
    return 0


def pages() -> dict[str, str]:
    return {"settings.md": settings_markdown(), "cli.md": cli_markdown()}


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def cli_markdown() -> str:
    """The page of the documentation, printed from the arguments above."""
    lines = [
        "# The command line",
        "",
        "Exit status: 0 done, 1 it failed, 2 wrong usage or a wrong setting. `python -m headrace` is the same command.",
        "",
    ]
    for name, verb in _children(parser()).items():
        lines += _section(f"headrace {name}", verb, "##")
        for act, below in _children(verb).items():
            lines += _section(f"headrace {name} {act}", below, "###")
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, verb: ArgumentParser, depth: str) -> list[str]:
    lines = [f"{depth} {title}", "", (verb.description or "").replace("<", "&lt;"), ""]
    rows = [
        f"| `{_spelled(action)}` | {_help(action)} |"
        for action in verb._actions  # noqa: SLF001  argparse shows its arguments nowhere else.
        if action.help != SUPPRESS and action.dest not in {"help", "act", *_setting_names(verb)}
    ]
    if _setting_names(verb):
        lines += [
            "Every setting of [settings.md](settings.md) is a flag too: `--key-per-hour` for `HEADRACE_KEY_PER_HOUR`.",
            "The two secrets are not, for a process list shows them.",
            "",
        ]
    return lines + (["| argument | meaning |", "|---|---|", *rows, ""] if rows else [])


def _setting_names(verb: ArgumentParser) -> set[str]:
    return {setting.name for setting in SETTINGS} if verb.prog.endswith((" serve", " demo", " worker")) else set()


def _spelled(action: Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        metavar = "\\|".join(map(str, action.choices))
    if not action.option_strings:
        return {"?": f"[{metavar}]", "*": f"[{metavar} ...]", "+": f"{metavar} ..."}.get(str(action.nargs), metavar)
    return action.option_strings[0] + ("" if action.nargs == 0 else f" {metavar}")


def _help(action: Action) -> str:
    return (action.help or "").replace("|", "\\|")


def _children(verb: ArgumentParser) -> dict[str, ArgumentParser]:
    for action in verb._actions:  # noqa: SLF001  Likewise.
        if isinstance(action, _SubParsersAction):
            return dict(action.choices)
    return {}
