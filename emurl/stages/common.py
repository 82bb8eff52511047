"""What several stages need: the ROM a setting means, and the files whose content is part of a stage's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emurl.config import EmulatorSettings, Settings
from emurl.errors import InputError


def rom_path(emulator: EmulatorSettings) -> Path:
    """The ROM that `emulator.rom` means: a path, or `embedded` for the open game in the package.

    Raises:
        InputError: there is no such file.
    """
    if emulator.rom == "embedded":
        from emurl import cartridge

        return cartridge.rom_path()
    path = Path(emulator.rom).expanduser()
    if not path.is_file():
        raise InputError(f"emulator.rom: {path}: no such file, expected a Game Boy ROM (.gb), or `embedded`")
    return path


def files_of(settings: Settings) -> dict[str, Path]:
    """Files that `settings` point to and whose content decides the result, by the key that names them."""
    values: Any = settings
    files: dict[str, Path] = {}
    if getattr(values, "emulator", None) is not None:
        files["emulator.rom"] = rom_path(values.emulator)
    if getattr(values, "broadcast", None) is not None:
        files["broadcast.rom"] = rom_path(EmulatorSettings())
    if getattr(values, "crop_config", None) is not None:
        path = Path(values.crop_config)
        if path.exists():
            files["crop_config"] = path
    return files
