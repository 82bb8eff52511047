"""From where people keep their videos to the table of runs: a search, a playlist, a channel, a collection, a list of addresses, a folder."""
