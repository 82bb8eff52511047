"""A file of addresses: one video a line, in UTF-8; empty lines and lines that begin with # are nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emurl.core.errors import InputError
from emurl.footage.leaderboard.links import canonical
from emurl.footage.leaderboard.pages import Shelf
from emurl.footage.sources.entries import Entry
from emurl.footage.sources.listing import LISTS, OF_THE_ADDRESS, Listings, Refused, date_of, length_of, live, player_of

SHOWN = 80  # characters of a wrong line


def read_addresses(file: Path) -> list[str]:
    """The videos that a file names, each in one spelling, in the order of its lines; one that is named twice stands there twice.

    Raises:
        InputError: it cannot be read, a line is no address of a video, or there is none.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"runs.path: {file}: no such file, expected one address of a video a line") from None
    except UnicodeDecodeError:
        raise InputError(f"runs.path: {file}: is no text in UTF-8, expected one address of a video a line") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"runs.path: {file}: cannot be read ({reason}), expected one address of a video a line") from None
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        url = canonical(line)
        if url is None:
            shown = ascii(line.strip()[:SHOWN])
            raise InputError(
                f"runs.path: {file}: line {number}: {shown} is no address of a video, expected https://… "
                "(of a search, a playlist or a channel: runs.query)"
            )
        found.append(url)
    if not found:
        raise InputError(f"runs.path: {file}: holds no address, expected one of a video a line")
    return found


def entries(file: Path, listings: Listings, shelf: Shelf) -> Iterator[Entry]:
    """The videos that a file names, each asked for its length; answers are kept on `shelf`, refusals are not.

    One that its site does not tell of now is taken all the same, its length unknown: the download will say more.

    Raises:
        InputError: as `read_addresses`.
    """
    seen: set[str] = set()
    for url in read_addresses(file):
        if url in seen:
            yield Entry(url)  # the second of it, which nobody need be asked about
            continue
        seen.add(url)
        kept = shelf.load(f"video {url}")
        if kept is not None:
            yield Entry(**kept.value)
            continue
        try:
            info = listings.look(url)
        except Refused as refused:
            if refused.status in OF_THE_ADDRESS:
                yield Entry(url, refused=f"{refused.status}: {refused.reason}")
            else:
                listings.report(f"{url}: {refused.reason} ({refused.status}); its length is not known yet")
                yield Entry(url)
            continue
        if info.get("_type") in LISTS:
            yield Entry(url)  # a page with videos on it: the download takes the first
        elif reason := live(info):
            yield Entry(url, refused=reason)
        else:
            told = Entry(url, length_of(info), player_of(info), date_of(info))
            shelf.save(f"video {url}", vars(told))
            yield told
