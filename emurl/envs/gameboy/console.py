"""One Game Boy: PyBoy wrapped once, so that nothing else in emurl knows which emulator it is.

The screen, the buttons, memory and save states of one console. Instances share nothing, and PyBoy releases the
interpreter lock while it ticks, so one thread an instance runs them at once (see `emurl.envs.gameboy.vector`).
Memory map, header and joypad: Pan Docs, https://gbdev.io/pandocs/.
"""

from __future__ import annotations

import hashlib
import io
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from emurl.core.errors import InputError
from emurl.core.files import at_home
from emurl.core.interrupt import unbroken
from emurl.screen import ScreenSpec, from_emulator

BUTTONS = ("a", "b", "up", "down", "left", "right", "start", "select")
"""The eight buttons; an action is an index into this tuple."""

NO_BUTTON = -1
"""An action on which nothing is pressed. Environments take it; their action space does not hold it, so no policy chooses it."""

FRAMES_PER_SECOND = 4194304 / 70224
"""Frames (ticks) of the console a second, 59.7275: its clock in Hz over the clocks a frame takes (Pan Docs, "Rendering")."""

PRESS_TICKS = 8
"""Ticks a button stays down: long enough for a game that polls every few frames, released long before the next step,
because a button held across steps makes no new press."""

_BANK = 0x4000
_PACKED = {b"PK\3\4": "zip", b"\x1f\x8b": "gzip", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar", b"\xfd7zXZ\0": "xz"}
_TITLE = slice(0x134, 0x144)
_HEADER = slice(0x134, 0x14D)
_HEADER_CHECKSUM = 0x14D
_CARTRIDGE_TYPE = 0x147
_COLOR_FLAG, _COLOR = 0x143, 0x80
_WITH_CLOCK = (0x0F, 0x10)  # MBC3 with a timer (Pan Docs, "The Cartridge Header")
_SILENT = 5  # above all of PyBoy's levels, of which "INFO" is the highest: it goes to stdout, where a program reads JSON
_STATE_ERROR = "a save state of this cartridge was expected"
_STATE_MARK = b"emurl state 1\0"
_STATE_CHECK = 4  # bytes of the CRC-32 of what the emulator saved


def read_rom(rom: str | Path) -> bytes:
    """The bytes of a Game Boy ROM, checked the way the console itself checks them.

    Raises `InputError` when the file is missing, unreadable, not a whole number of 16 KiB banks (two or more), or its
    header checksum (0x014D over 0x0134-0x014C) is wrong.
    """
    path = at_home(rom)
    if not path.exists():
        raise InputError(f"ROM {path}: no such file; expected a Game Boy ROM (.gb)")
    if not path.is_file():
        raise InputError(f"ROM {path}: not a file; expected a Game Boy ROM (.gb)")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"ROM {path}: cannot be read ({error.strerror}); expected a Game Boy ROM (.gb)") from error
    packed = next((kind for mark, kind in _PACKED.items() if data.startswith(mark)), "")
    if packed:
        raise InputError(f"ROM {path}: is packed ({packed}); expected the Game Boy ROM that is in it (.gb)")
    if len(data) < 2 * _BANK or len(data) % _BANK:
        raise InputError(f"ROM {path}: {len(data)} bytes is no Game Boy ROM; expected two or more banks of 16384 bytes")
    expected = header_checksum(data)
    if data[_HEADER_CHECKSUM] != expected:
        raise InputError(
            f"ROM {path}: header checksum is {data[_HEADER_CHECKSUM]:#04x}, expected {expected:#04x}: "
            "the file is damaged or is no Game Boy ROM"
        )
    return data


def header_checksum(data: bytes) -> int:
    """The checksum (0-255) that a ROM's header must carry at 0x014D."""
    return -sum(byte + 1 for byte in data[_HEADER]) & 0xFF


def rom_title(data: bytes) -> str:
    """The title in a ROM's header: printable ASCII up to the first zero byte (a color game's flag bytes cut off)."""
    raw = data[_TITLE].split(b"\0", 1)[0]
    return "".join(chr(byte) for byte in raw if 0x20 <= byte < 0x7F).strip()


def has_clock(data: bytes) -> bool:
    """Whether a ROM's cartridge has a clock of its own, by which some games make day and night."""
    return data[_CARTRIDGE_TYPE] in _WITH_CLOCK


def is_color(data: bytes) -> bool:
    """Whether a ROM's header says that it shows colors where it can: a Game Boy Color's game, or one for both consoles."""
    return bool(data[_COLOR_FLAG] & _COLOR)


def _emulator() -> Any:
    """PyBoy's class, imported where a console is switched on: commands that switch none on need not wait for it."""
    with warnings.catch_warnings():
        # PyBoy imports its window backends, used or not, and SDL's wheel announces itself on every import.
        warnings.filterwarnings("ignore", message="Using SDL2 binaries")
        from pyboy import PyBoy
    return PyBoy


class GameBoy:
    """One console with one cartridge in it, switched on, standing before its first tick.

    `rom` is the path of a ROM; `spec` says what a canonical frame is. No window, no sound, and nothing is written
    next to the ROM: a game's battery save is neither read nor kept, so every power-on is the same power-on. The clock that some
    cartridges have stands still at zero, whatever the time of day.
    Raises `InputError` for a bad ROM.
    """

    def __init__(self, rom: str | Path, spec: ScreenSpec | None = None) -> None:
        self.rom = Path(rom)
        self.spec = spec or ScreenSpec()
        self.frames = 0
        """Ticks (1/59.7 s of game time) since this object was made; save states do not carry it."""
        data = read_rom(self.rom)
        self.title = rom_title(data)
        self.color = is_color(data)
        """Whether the console is a Game Boy Color, as it is for every cartridge that knows colors."""
        # The emulator's own states do not say of which game they are, and it would play on in another one's memory.
        self._state_head = _STATE_MARK + hashlib.sha256(data).digest()
        try:
            # From memory and not by path: given a path PyBoy reads and writes `.ram` files beside the ROM.
            self._pyboy = _emulator()(io.BytesIO(data), window="null", sound_emulated=False, no_input=True, log_level=_SILENT)
        except Exception as error:  # PyBoy raises bare exceptions, KeyError among them, for cartridges it cannot run
            raise InputError(f"ROM {self.rom}: the emulator refuses it ({error}); expected a Game Boy ROM") from error
        self._pyboy.set_emulation_speed(0)
        if has_clock(data):
            # The emulator's follows the machine's, and what was played would depend on when.
            self._pyboy.rtc_lock_experimental(True)
        self._pending: list[tuple[str, bool]] = []

    def __enter__(self) -> GameBoy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, action: int | None, ticks: int, press_ticks: int = PRESS_TICKS) -> None:
        """Press button `action` (None: none) for `press_ticks`, release it, and go on to `ticks` ticks in all.

        Only the last tick is rendered. `press_ticks` must be smaller than `ticks`, or the release would fall into
        the next step and the next press of the same button would be lost: `ValueError` otherwise.
        """
        if not 0 < press_ticks < ticks:
            raise ValueError(f"press_ticks must lie between 1 and ticks - 1 = {ticks - 1}, not {press_ticks}")
        if action is not None:
            self.press(BUTTONS[action])
            self.tick(press_ticks, render=False)
            self.release(BUTTONS[action])
            ticks -= press_ticks
        self.tick(ticks)

    def tick(self, count: int = 1, render: bool = True) -> None:
        """Run `count` frames of 1/59.7 s; with `render` the last of them is drawn for `frame()`."""
        for button, down in self._pending:
            (self._pyboy.button_press if down else self._pyboy.button_release)(button)
        self._pending.clear()
        with unbroken():  # PyBoy prints a KeyboardInterrupt that is raised in its midst, and plays on
            self._pyboy.tick(count, render, False)
        self.frames += count

    def press(self, button: str) -> None:
        """Hold a button (one of `BUTTONS`) down from the next tick on. `ValueError` for any other name."""
        self._pending.append((BUTTONS[BUTTONS.index(button)], True))

    def release(self, button: str) -> None:
        """Let a button (one of `BUTTONS`) go from the next tick on. `ValueError` for any other name."""
        self._pending.append((BUTTONS[BUTTONS.index(button)], False))

    def frame(self, out: np.ndarray | None = None) -> np.ndarray:
        """The screen as last rendered, canonical: uint8 (144, 160), brightness rank 0 dark … 3 light (see `spec`).

        It is `emurl.screen.from_emulator(self.pixels, self.spec)`; written into `out` when that is given.
        """
        made = from_emulator(self.pixels, self.spec)
        if out is None:
            return made
        out[...] = made
        return out

    @property
    def pixels(self) -> np.ndarray:
        """The screen as last rendered: uint8 (144, 160, 4) RGBA. A view: the next tick changes it."""
        return self._pyboy.screen.ndarray

    def save(self) -> bytes:
        """The console's whole state, held buttons included, as bytes for `load`.

        About 17 ms: per reset, not per step. A press or release no tick has followed yet is not part of it.
        It begins with the digest of the cartridge, so that no other one takes it.
        """
        buffer = io.BytesIO()
        with unbroken():
            self._pyboy.save_state(buffer)
        state = buffer.getvalue()
        return self._state_head + zlib.crc32(state).to_bytes(_STATE_CHECK, "big") + state

    def load(self, state: bytes) -> None:
        """Go back to a saved state of the same cartridge. About 7 ms.

        Presses no tick has followed yet are forgotten: the state alone says which buttons are down.

        Raises:
            ValueError: `save` did not make these bytes, they are damaged, or another cartridge's; the console plays on as it was.
        """
        head, body = len(self._state_head), len(self._state_head) + _STATE_CHECK
        if not state.startswith(_STATE_MARK):
            raise ValueError(f"{_STATE_ERROR}: these {len(state)} bytes were not made by GameBoy.save")
        if state[:head] != self._state_head:
            raise ValueError(f"{_STATE_ERROR} ({self.title or self.rom.name}): this one was saved with another ROM")
        if zlib.crc32(state[body:]).to_bytes(_STATE_CHECK, "big") != state[head:body]:
            raise ValueError(f"{_STATE_ERROR}: this one is damaged or cut off")
        self._pending.clear()
        try:
            with unbroken():  # half a state would play on as none
                self._pyboy.load_state(io.BytesIO(state[body:]))
        except Exception as error:  # saved by a newer PyBoy, whose states this one does not know
            raise ValueError(f"{_STATE_ERROR}: {error}") from error

    def read(self, address: int, count: int = 1) -> bytes:
        """`count` bytes of memory from `address` (0-0xFFFF) on, as the console's CPU sees them."""
        return bytes(self._pyboy.memory[address : address + count])

    @property
    def memory(self) -> Any:
        """PyBoy's memory view, for reading and writing: `memory[0xD35E]`, `memory[0xC3A0:0xC3B4]`."""
        return self._pyboy.memory

    def close(self) -> None:
        """Switch the console off. Nothing is saved. Safe to call twice."""
        with unbroken():
            self._pyboy.stop(save=False)
