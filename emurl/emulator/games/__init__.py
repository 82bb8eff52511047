"""What a game's work RAM means: facts for `info` and for evaluation, never for the reward."""
