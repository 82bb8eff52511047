"""Letters of a known font, found on frames and in what is made of them."""

import numpy as np

from emurl.footage import legibility
from emurl.games.mossdale.font import glyphs
from emurl.models.tokenizer import Tokenizer


def written(*places: tuple[int, int, int]) -> np.ndarray:
    """A light frame with glyph number g at tile (row, column) for each (g, row, column)."""
    frame = np.full((144, 160), 3, np.uint8)
    for glyph, row, column in places:
        frame[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = glyphs()[glyph].reshape(8, 8)
    return frame


def test_the_font_is_ink_on_ground_each_glyph_once():
    font = glyphs()
    assert font.shape[1] == 64 and set(np.unique(font)) == {0, 3} and (font[0] == 3).all()
    assert len(np.unique(font, axis=0)) == len(font) > 60


def test_tiles_are_cut_in_reading_order():
    frame = np.arange(360).reshape(18, 20).repeat(8, 0).repeat(8, 1)[None]
    assert legibility.cut_tiles(frame)[:, 0].tolist() == list(range(360))


def test_letters_are_counted_by_hand():
    font = glyphs()
    frame = written((5, 2, 3), (6, 2, 4), (7, 3, 3), (8, 0, 0))
    assert legibility.legible(frame[None], frame[None], font) == (4, 4)
    said = written((5, 2, 3), (9, 2, 4), (8, 0, 0))  # one is another letter, one is gone
    said[16, 24:26] = 2  # and one is smudged, which does not matter
    assert legibility.legible(frame[None], said[None], font) == (2, 4)
    gray = frame.copy()
    gray[16:24, 24:32] = np.minimum(gray[16:24, 24:32], 2)  # no ink on ground: no letter
    assert legibility.legible(gray[None], gray[None], font)[1] == 3
    moved = np.roll(frame, 1, axis=1)  # not on the grid: no letters
    assert legibility.legible(moved[None], moved[None], font) == (0, 0)


def test_no_letters_no_share():
    blank = np.full((2, 144, 160), 3, np.uint8)
    model = Tokenizer(dim=16, depth=1, vocab=16, code_dim=8).eval()
    assert legibility.text_legibility(model, blank, glyphs()) is None
    share = legibility.text_legibility(model, np.stack([written((5, 2, 3))] * 2), glyphs())
    assert share is not None and 0 <= share <= 1
