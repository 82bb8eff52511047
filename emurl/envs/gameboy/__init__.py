"""The emulator room: one Game Boy over PyBoy, the Gymnasium environments over it, and what a game's memory means.

Importing it registers `emurl/GameBoy-v0`, and `emurl/GameBoyRam-v0`, which is paid from memory, with Gymnasium, which since 1.0 finds no
environments by itself: import `emurl.envs.gameboy` first, or let the name say so,
`gymnasium.make("emurl.envs.gameboy:emurl/GameBoy-v0", rom=…)`.
"""

from __future__ import annotations

from gymnasium.envs import registration

ENV_ID = "emurl/GameBoy-v0"
PAID_ENV_ID = "emurl/GameBoyRam-v0"


def register() -> None:
    """Make the environments known to Gymnasium, the first also vectorized. Safe to call again."""
    if ENV_ID not in registration.registry:
        registration.register(
            id=ENV_ID,
            entry_point="emurl.envs.gameboy.env:GameBoyEnv",
            vector_entry_point="emurl.envs.gameboy.vector:ThreadedVectorEnv",
        )
    if PAID_ENV_ID not in registration.registry:
        registration.register(id=PAID_ENV_ID, entry_point="emurl.envs.gameboy.paid:stacked")


register()
