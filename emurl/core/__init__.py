"""The core room: the engine that runs tables of stages, the store, settings, tracking, errors. It imports nothing of the rest."""
