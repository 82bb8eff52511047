"""Pokémon Red's work RAM: the layout that the embedded cartridge follows too, read for one console or for many at once.

Addresses are facts of the public disassembly's symbol file (https://github.com/pret/pokered, `pokered.sym`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emurl.envs.gameboy.memory import Fact, Facts, Memory
from emurl.envs.gameboy.memory_text import decode_text, read_text

PLAYER_NAME, NAME_LENGTH = 0xD158, 11
PARTY_COUNT = 0xD163
PARTY, PARTY_STRIDE, PARTY_MOST = 0xD16B, 0x2C, 6
_SPECIES, _HP, _LEVEL, _MAX_HP = 0, 1, 33, 34  # within a party member: D16B, D16C, D18C, D18D
ENEMY_HP, ENEMY_LEVEL = 0xCFE6, 0xCFF3
IN_BATTLE = 0xD057
POKEDEX_OWNED, POKEDEX_SEEN, POKEDEX_BYTES = 0xD2F7, 0xD30A, 19
BAG_ITEMS = 0xD31D
MONEY = 0xD347
BADGES = 0xD356
MAP, Y, X = 0xD35E, 0xD361, 0xD362
EVENT_FLAGS, EVENT_BYTES = 0xD747, 0xD887 - 0xD747
PLAY_TIME = 0xDA41  # hours, then (not used here) whether they overflowed, minutes, seconds

SPANS: tuple[tuple[str, int, int], ...] = (
    ("enemy_hp", ENEMY_HP, 2),
    ("enemy_level", ENEMY_LEVEL, 1),
    ("in_battle", IN_BATTLE, 1),
    ("party", PARTY_COUNT, PARTY + PARTY_MOST * PARTY_STRIDE - PARTY_COUNT),
    ("owned", POKEDEX_OWNED, POKEDEX_BYTES),
    ("seen", POKEDEX_SEEN, POKEDEX_BYTES),
    ("bag", BAG_ITEMS, 1),
    ("money", MONEY, 3),
    ("badges", BADGES, 1),
    ("place", MAP, X + 1 - MAP),
    ("events", EVENT_FLAGS, EVENT_BYTES),
    ("clock", PLAY_TIME, 4),
)
"""What is copied of a console's memory: name, address, bytes; 648 bytes in all of its 64 KiB."""


def gather(consoles: Sequence[Memory]) -> dict[str, np.ndarray]:
    """The spans of many consoles: name → uint8 (consoles, bytes)."""
    found: dict[str, np.ndarray] = {}
    for name, address, count in SPANS:
        data = b"".join(console.read(address, count) for console in consoles)
        found[name] = np.frombuffer(data, np.uint8).reshape(len(consoles), count)
    return found


def read_many(consoles: Sequence[Memory]) -> dict[str, np.ndarray]:
    """The layout's numbers for n consoles at once.

    int64 (n,): map, y, x (16x16 cells), badges and events (how many), party_count, level (of the first of the party),
    pokedex_owned, pokedex_seen, bag_items, money, in_battle (0 no, 1 wild, 2 trainer, 255 lost), enemy_hp, opponent_level (of the
    last opponent, or 0 where a game does not keep it), play_time_s.
    int64 (n, 6): party_levels, party_hp, party_max_hp; 0 where the party has no such member. uint8 (n, 320): event_flags.
    """
    raw = gather(consoles)
    count = raw["party"][:, 0].astype(np.int64)
    members = raw["party"][:, PARTY - PARTY_COUNT :].reshape(len(consoles), PARTY_MOST, PARTY_STRIDE).astype(np.int64)
    members = members * (np.arange(PARTY_MOST) < count[:, None])[..., None]
    hours, minutes, seconds = (raw["clock"][:, i].astype(np.int64) for i in (0, 2, 3))
    return {
        "map": raw["place"][:, 0].astype(np.int64),
        "y": raw["place"][:, Y - MAP].astype(np.int64),
        "x": raw["place"][:, X - MAP].astype(np.int64),
        "badges": _bits(raw["badges"]),
        "events": _bits(raw["events"]),
        "party_count": count,
        "level": members[:, 0, _LEVEL],
        "party_levels": members[..., _LEVEL],
        "party_hp": members[..., _HP] * 256 + members[..., _HP + 1],
        "party_max_hp": members[..., _MAX_HP] * 256 + members[..., _MAX_HP + 1],
        "pokedex_owned": _bits(raw["owned"]),
        "pokedex_seen": _bits(raw["seen"]),
        "bag_items": raw["bag"][:, 0].astype(np.int64),
        "money": _decimal(raw["money"]),
        "in_battle": raw["in_battle"][:, 0].astype(np.int64),
        "enemy_hp": raw["enemy_hp"][:, 0].astype(np.int64) * 256 + raw["enemy_hp"][:, 1],
        "opponent_level": raw["enemy_level"][:, 0].astype(np.int64),
        "play_time_s": hours * 3600 + minutes * 60 + seconds,
        "event_flags": raw["events"],
    }


def read_layout(gameboy: Memory) -> dict[str, Fact]:
    """The facts of one console: the numbers of `read_many` as ints and the flags as 320 bytes.

    Of the party the first member's level, hp and max_hp. Besides them text_box, text ("" without a box), player_name. An
    evaluation reads it at every step, so without arrays, which take longer for one console.
    """
    raw = {name: gameboy.read(address, count) for name, address, count in SPANS}
    count = raw["party"][0]
    first = raw["party"][PARTY - PARTY_COUNT :][:PARTY_STRIDE] if count else bytes(PARTY_STRIDE)
    hours, _, minutes, seconds = raw["clock"]
    box = read_text(gameboy)
    return {
        "map": raw["place"][0],
        "y": raw["place"][Y - MAP],
        "x": raw["place"][X - MAP],
        "badges": _set(raw["badges"]),
        "events": _set(raw["events"]),
        "party_count": count,
        "level": first[_LEVEL],
        "hp": int.from_bytes(first[_HP : _HP + 2], "big"),
        "max_hp": int.from_bytes(first[_MAX_HP : _MAX_HP + 2], "big"),
        "pokedex_owned": _set(raw["owned"]),
        "pokedex_seen": _set(raw["seen"]),
        "bag_items": raw["bag"][0],
        "money": decimal(raw["money"]),
        "in_battle": raw["in_battle"][0],
        "enemy_hp": int.from_bytes(raw["enemy_hp"], "big"),
        "opponent_level": raw["enemy_level"][0],
        "play_time_s": hours * 3600 + minutes * 60 + seconds,
        "event_flags": raw["events"],
        "text_box": box.up,
        "text": box.text,
        "player_name": decode_text(gameboy.read(PLAYER_NAME, NAME_LENGTH)),
    }


def _set(data: bytes) -> int:
    """How many bits are 1."""
    return int.from_bytes(data, "big").bit_count()


def _bits(data: np.ndarray) -> np.ndarray:
    return np.unpackbits(data, axis=1).sum(axis=1, dtype=np.int64)


def _decimal(data: np.ndarray) -> np.ndarray:
    nibbles = np.stack([data >> 4, data & 15], axis=-1).reshape(len(data), -1).astype(np.int64)
    return nibbles @ 10 ** np.arange(nibbles.shape[1] - 1, -1, -1)


def decimal(digits: bytes) -> int:
    """Binary-coded decimal, most significant byte first. Nibbles above 9, as in RAM not yet set, count as they are."""
    value = 0
    for byte in digits:
        value = value * 100 + (byte >> 4) * 10 + (byte & 15)
    return value


def has_event(facts: Facts, number: int) -> bool:
    """Whether event `number` (0-2559) is set in the fact `event_flags`."""
    flags = facts["event_flags"]
    return isinstance(flags, bytes) and bool(flags[number >> 3] >> (number & 7) & 1)
