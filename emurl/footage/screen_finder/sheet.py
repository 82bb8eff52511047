"""A contact sheet: for each segment of a video, pictures with the found screen drawn in, and the screen itself beside them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from emurl.footage.screen_finder.finder import Segment
from emurl.footage.video import sample
from emurl.screen import HEIGHT, WIDTH

TILE = (320, 180)
GREEN, RED = (80, 220, 100), (235, 70, 70)


def contact_sheet(path: Path, segments: list[Segment], pictures: int = 3) -> np.ndarray:
    """RGB uint8 (rows·202, width, 3): one row a segment, `pictures` moments of it, rectangle in green (red: rejected)."""
    rows = []
    for segment in segments:
        frames = sample(path, max(pictures * 2, 4), segment.start, segment.end).pictures
        chosen = np.unique(np.linspace(1, len(frames) - 2, pictures).astype(int)) if len(frames) > 2 else np.arange(len(frames))
        tiles = [_tile(frames[i], segment) for i in chosen]
        tiles += [np.zeros_like(tiles[0])] * (pictures - len(tiles))
        crop = _crop(frames[chosen[len(chosen) // 2]], segment)
        row = np.concatenate([*tiles, crop], axis=1)
        rows.append(np.concatenate([_caption(path, segment, row.shape[1]), row]))
    return np.concatenate(rows)


def _tile(picture: np.ndarray, segment: Segment) -> np.ndarray:
    height, width = picture.shape
    scale = min(TILE[0] / width, TILE[1] / height)
    small = cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    tile = np.zeros((TILE[1], TILE[0], 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small[..., None]
    if segment.rect is None:
        cv2.rectangle(tile, (0, 0), (TILE[0] - 1, TILE[1] - 1), RED, 3)
    else:
        x, y, w, h = (v * scale for v in segment.rect)
        cv2.rectangle(tile, (round(x), round(y)), (round(x + w), round(y + h)), GREEN, 2)
    return tile


def _crop(picture: np.ndarray, segment: Segment) -> np.ndarray:
    """The screen alone at 200×180; gray where there is none."""
    out = np.full((TILE[1], 200, 3), 40, np.uint8)
    if segment.rect is not None:
        x, y, w, h = segment.rect
        window = cv2.getRectSubPix(picture, (max(1, round(w)), max(1, round(h))), (x + w / 2 - 0.5, y + h / 2 - 0.5))
        small = cv2.resize(window, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        out[:] = cv2.resize(small, (200, TILE[1]), interpolation=cv2.INTER_NEAREST)[..., None]
    return out


def _caption(path: Path, segment: Segment, width: int) -> np.ndarray:
    strip = np.full((22, width, 3), 24, np.uint8)
    where = "rejected: " + segment.reason if segment.rect is None else "x {:.2f} y {:.2f} w {:.2f} h {:.2f}".format(*segment.rect)
    text = f"{path.name}  {segment.start:.1f}-{segment.end:.1f} s  {where}  confidence {segment.confidence:.2f}"
    cv2.putText(strip, text, (6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (220, 220, 220), 1, cv2.LINE_AA)
    return strip
