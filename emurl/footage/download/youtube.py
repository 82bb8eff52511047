"""What yt-dlp needs for YouTube beside itself: a JavaScript runtime (Deno) and its solver of the site's challenges (yt-dlp-ejs).

Without them YouTube offers few formats or none, and yt-dlp says so only in a warning. https://github.com/yt-dlp/yt-dlp/wiki/EJS
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig

INSTALL = "pip install -U 'emurl[youtube]'"


def missing() -> list[str]:
    """What is not installed of it, by name."""
    scripts = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])  # as yt-dlp looks for it
    lacking = [] if shutil.which("deno", path=scripts) else ["deno"]
    return lacking if importlib.util.find_spec("yt_dlp_ejs") else ["yt-dlp-ejs", *lacking]
