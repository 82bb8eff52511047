"""The emulator room: one Game Boy over PyBoy, the Gymnasium environments over it, and what a game's memory means."""
