"""The emulator room: one Game Boy over PyBoy, the Gymnasium environments over it, and what a game's memory means.

Importing it registers `emurl/GameBoy-v0` with Gymnasium, which since 1.0 finds no environments by itself: import
`emurl.envs.gameboy` first, or let the name say so, `gymnasium.make("emurl.envs.gameboy:emurl/GameBoy-v0", rom=…)`.
"""

from __future__ import annotations

from gymnasium.envs import registration

ENV_ID = "emurl/GameBoy-v0"


def register() -> None:
    """Make `emurl/GameBoy-v0` known to Gymnasium, single and vectorized. Safe to call again."""
    if ENV_ID not in registration.registry:
        registration.register(
            id=ENV_ID,
            entry_point="emurl.envs.gameboy.env:GameBoyEnv",
            vector_entry_point="emurl.envs.gameboy.vector:ThreadedVectorEnv",
        )


register()
