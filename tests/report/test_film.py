"""Films of games: few colors where there are few, and every color where there are many."""

import numpy as np
from PIL import Image

from emurl.report.film import write_gif


def film(path, pictures):
    write_gif(path, pictures)
    with Image.open(path) as opened:
        found = []
        for number in range(opened.n_frames):
            opened.seek(number)
            found.append(np.asarray(opened.convert("RGB")))
    return np.stack(found)


def test_colors_that_come_later_stay(tmp_path):
    hues = np.random.default_rng(0).integers(0, 256, (60, 3), np.uint8)
    plain = np.zeros((60, 60, 3), np.uint8) + np.uint8(200)
    colored = np.broadcast_to(hues[:, None], (60, 60, 3)).copy()
    found = film(tmp_path / "a.gif", [plain, colored, plain])
    assert np.abs(found.astype(int) - np.stack([plain, colored, plain])).max() <= 8


def test_of_a_gray_game_all_share_the_first_palette(tmp_path):
    grays = np.array([0, 85, 170, 255], np.uint8)[np.random.default_rng(0).integers(0, 4, (3, 20, 20))]
    pictures = [np.repeat(one[..., None], 3, axis=2) for one in grays]
    assert np.array_equal(film(tmp_path / "a.gif", pictures), np.stack(pictures))
    with Image.open(tmp_path / "a.gif") as opened:
        assert len(opened.getcolors()) <= 32
