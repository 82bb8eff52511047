"""The broadcast: bot runs of the embedded game as stream-like videos on a leaderboard at loopback.

playthrough   a run as presses, and the screens it makes        look      one runner's stream, from a seed
paint         the still parts of a picture                      compose   a whole video through the encoder
server        speedrun.com's API v1, in small                   show      all of it together: `Broadcast`
"""

from emurl.games.mossdale.broadcast.show import Broadcast

__all__ = ["Broadcast"]
