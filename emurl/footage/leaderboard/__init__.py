"""From a leaderboard to a table of runs and their videos."""
