"""The file manager of the desktop."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from indexer.errors import CbirError, InaccessibleImageError

STARTED_S = 5.0  # a file manager that still runs after that has started


class NoFileManagerError(CbirError):
    """The desktop has no file manager that could be started."""


def show_in_folder(file: Path) -> None:
    """Open the folder of a file, selected where the file manager can.

    Raises `InaccessibleImageError` where the folder is gone, and `NoFileManagerError`.
    """
    if not file.parent.is_dir():
        raise InaccessibleImageError(file.name, f"its folder {file.parent} is not there")
    command = command_for(file, sys.platform)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal of the server is not meant for it
        )
    except OSError as error:
        raise NoFileManagerError(_no_manager(file, command, str(error.strerror))) from error
    try:
        status = process.wait(STARTED_S)
    except subprocess.TimeoutExpired:
        threading.Thread(target=process.wait, daemon=True).start()  # so that the system forgets it
        return
    if status and sys.platform != "win32":  # explorer always says 1
        raise NoFileManagerError(_no_manager(file, command, f"it ended with status {status}"))


def command_for(file: Path, platform: str) -> list[str]:
    """Return the command that opens the folder of a file on a platform, by its `sys.platform`."""
    if platform == "win32":
        return ["explorer", f"/select,{file}"]
    if platform == "darwin":
        return ["open", "-R", str(file)]
    return ["xdg-open", str(file.parent)]


def _no_manager(file: Path, command: list[str], reason: str) -> str:
    return (
        f"{command[0]} could not open {file.parent}: {reason}. Open the folder yourself; its path "
        "can be copied."
    )
