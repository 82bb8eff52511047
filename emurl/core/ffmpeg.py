"""The ffmpeg that is started: the one that comes with imageio-ffmpeg, or what IMAGEIO_FFMPEG_EXE names."""

from __future__ import annotations

import shutil

from emurl.core.errors import InputError
from emurl.core.refusals import one_line


def ffmpeg_exe() -> str:
    """Its path.

    Raises:
        InputError: there is none.
    """
    import imageio_ffmpeg

    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise InputError(f"ffmpeg: {one_line(error)}; reinstall imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE") from None
    if shutil.which(path) is None:  # it takes the variable's word
        raise InputError(
            f"IMAGEIO_FFMPEG_EXE: {path}: no program, expected ffmpeg, or no such variable: imageio-ffmpeg has its own"
        )
    return str(path)
