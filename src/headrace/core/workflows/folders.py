"""Whether the operator's source folders (`HEADRACE_SOURCE_FOLDERS`) are there. What may be read: `core/processing`."""

from headrace.core.processing.folders import folders
from headrace.core.settings import SettingError, Settings


def check(settings: Settings) -> None:
    """Raise SettingError for a folder that is not there; whoever runs workflows asks at the start."""
    for one in folders(settings.source_folders):
        if not one.path.is_dir():
            raise SettingError(f"HEADRACE_SOURCE_FOLDERS names {one.path}, and there is no such folder")
