"""The settings: one table (`table`), and how its values are read (`reading`)."""

from headrace.core.settings.reading import load, settings_markdown, shown
from headrace.core.settings.table import SETTINGS, Setting, SettingError, Settings

__all__ = ["SETTINGS", "Setting", "SettingError", "Settings", "load", "settings_markdown", "shown"]
