"""Other people's runs: the leaderboard, the downloads, the screen inside a video, and its frames."""
