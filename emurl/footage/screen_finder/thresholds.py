"""Every number by which the finder decides, as settings: `frames.finder`. Lengths are pixels of the video unless they say game pixels.

A *misfit* is the share of a picture's detail that no scaling up of 160×144 pixels explains, 0 … 1 (see `misfit`); a *comb* is the
regular line in the slopes of an upscaled picture, its strength the line over the floor of the spectrum (see `grid`). Of two
numbers `…_sure` and `…_wrong` the first is surely right, the second surely wrong, and confidence falls on a line between them.
"""

from __future__ import annotations

from emurl.core.settings import Natural, NonNegative, Positive, Rate, Settings, Share


class CandidateSettings(Settings):
    """Rectangles proposed by what moves (`candidates`)."""

    min_scale: Rate = 1.2  # pixels of the video a game pixel, at least
    max_scale: Rate = 6.9  # and at most: a console that fills 1080 lines
    aspect_slack: NonNegative = 0.05  # by how much the shape may differ from 10:9, a share
    changed_levels: Natural = (
        14  # gray levels that change between two samples: above compression noise, below the dimmest palette
    )
    positions: Positive = 24  # candidate positions of each side
    scene_share: Share = 0.7  # share of the picture that changes where a scene is switched


class BorderSettings(Settings):
    """Rectangles proposed by straight borders (`framed`)."""

    step: Positive = 4  # pixels from one place, and one width, to the next that is looked at
    min_score: Share = 0.8  # share of the border that has to be a step of brightness
    max_found: Positive = 4  # rectangles
    size_bonus: NonNegative = (
        0.05  # share of its border that a rectangle e times as large may lack: small ones are in every drawing
    )
    snap: Natural = 6  # pixels that a side is moved by for its best place
    min_moving: Share = 0.002  # share of the rectangle that has to change now and then


class GridSettings(Settings):
    """Slopes of brightness and their comb (`grid`)."""

    pictures: Positive = 12  # that slopes are taken from
    border_step: Rate = 30.0  # mean squared step, in gray levels, that is a border
    border_half: Rate = 100.0  # mean squared step that counts half as much as the tallest
    edge_score: Share = 0.8  # of a border at the picture's edge: as good as most that can be seen


class MisfitSettings(Settings):
    """How much of a picture a scaled-up grid leaves unexplained (`misfit`)."""

    parts: Positive = 4  # pieces along the lines, each judged for itself
    bands: Positive = 5  # across them
    groups: Positive = 6  # of pictures that follow one another
    margin: Natural = 12  # pixels that a hypothesis may lie beside the first guess
    ridge: Rate = 1e-3  # of the least squares
    trimmed: Positive = 7  # worst regions that are left out: an overlay, a passing message
    rough_stretch: Positive = 64  # pixels of a part that a rough look takes in
    min_pixels: Positive = 8  # of a part that must lie in the picture
    noise_energy: NonNegative = 2.0  # a pixel, that compression leaves of slopes in what is flat
    quiet_share: Share = 0.15  # of the mean energy, below which a region says nothing
    max_ties: Share = 0.04  # share of the pixels on the border of two source pixels up to which they may be either


class FitSettings(Settings):
    """From a rectangle to the screen to the pixel, and how sure it is (`fit`)."""

    pictures: Positive = 18  # looked at
    scene_share: Share = 0.45  # share of the picture that changes where a card comes or goes
    weak_comb: NonNegative = 2.5  # strength below which a comb says nothing
    strong_comb: NonNegative = 8.0  # above which it alone gives the length
    coarse_comb: NonNegative = 5.0  # that makes a coarser grid worth a look
    hopeless_misfit: Share = 0.45  # at a rough look, of no screen at all
    finalists: Positive = 10  # places measured in full
    border_slip: Natural = 6  # pixels that a border of the moving area may be wrong by
    shorter: Natural = 2  # pixels that the screen may be shorter than what moves
    longer: Natural = 6  # and longer: what moves is smaller than the screen rather than larger
    grid_slip: Natural = 8  # game pixels that a grid may begin earlier or later
    slipped: Positive = 8  # of such places, measured in full
    misfit_noise: NonNegative = 0.003  # a misfit that says nothing
    as_good: NonNegative = 1.5  # misfit over the least, of places that explain the pictures about as well
    border_worth: NonNegative = (
        6.0  # game pixels that move for which a straight border makes up: a camera beside the game moves, too
    )
    usual_change: Rate = 0.4  # share of the usual change that is as good as all of it
    alive: Share = 0.02  # share of a line of pixels that ever changed, above which it is alive
    shown_misfit: Share = 0.05  # of pictures that surely show the screen
    finer: NonNegative = (
        1.3  # misfit of a coarser grid over that of the right one, at least, before the place is known to a fraction
    )
    misfit_sure: Share = 0.07  # misfit of the screen
    misfit_wrong: Share = 0.13  # the same, where it is surely none
    worst_sure: Share = 0.42  # misfit of its worst region
    worst_wrong: Share = 0.6  # the same, where it is surely none
    edges_sure: Share = 0.155  # distance from the shades beside a change of shade (`Calibration.edges`)
    edges_wrong: Share = 0.235  # the same, where it is surely none
    coarse_sure: Share = 0.15  # misfit of a coarser grid: only the right grid is as coarse as it can be
    coarse_wrong: Share = 0.07  # the same, where it is surely none
    aspect_sure: NonNegative = 0.04  # by how much pixels are wider than high, or the other way, a share
    aspect_wrong: NonNegative = 0.05  # the same, where it is surely none
    dead_sure: Share = 0.08  # share of the length, at one end, in which nothing ever moves: no screen, or one that is cut off
    dead_wrong: Share = 0.13  # the same, where it is surely none
    spread_sure: Share = 0.12  # share of the cells that detail lies in: a game is drawn all over, a chart has a few lines
    spread_wrong: Share = 0.05  # the same, where it is surely none
    full_score: Rate = 0.3  # score of a moving area from which it takes nothing from the confidence


class NeighborSettings(Settings):
    """Does what lies beside the screen belong to it (`beyond`)?"""

    strip: Positive = 32  # game pixels beside a border that are looked at
    same_grid_ratio: NonNegative = 2.0  # misfit of the strip over that of the screen at which it is on the same grid,
    same_grid_more: NonNegative = 0.02  # and so much more
    min_detail: NonNegative = 0.15  # detail of the strip over that of the screen, from which it says anything
    smooth_ratio: NonNegative = 2.0  # misfit of half as many pixels over that of all, below which the strip is smooth,
    smooth_misfit: Share = 0.1  # and at least this: what is smooth lies on any grid
    min_moving: Share = 0.1  # share of the strip that changes now and then
    no_border: Share = 0.3  # share of a border that is a step, below which there is none
    sure_border: Share = 0.9  # and above which there certainly is one


class DecisionSettings(Settings):
    """Which of the screens found is the game, and when it is none (`finder`)."""

    min_confidence: Share = 0.3  # below it a screen is not even proposed
    sure_confidence: Share = 0.9  # above it nothing else is looked for in the same place
    clean_misfit: Share = 0.04  # of what is looked for no further
    clear_comb: NonNegative = 4.0  # strength that makes a rectangle worth a closer look
    tries: Positive = 3  # rectangles looked at closely without one
    border_tries: Natural = 2  # the same of those with straight borders
    rival_confidence: NonNegative = 0.6  # over that of the best, of another screen
    twin_confidence: NonNegative = 0.25  # the same, of another one of the same size
    apart_share: Share = 0.3  # share of one screen in another up to which it is no part of it
    together_share: Share = 0.2  # share of the pictures in which two screens must show to be two at a time
    still_share: Share = 0.0005  # share of the picture that changes now and then where nothing but noise does
    layout_share: Share = 0.05  # share of the picture that a new layout changes for good
    layout_pictures: Positive = 4  # before and after it that are compared
    absent_misfit: Share = 0.15  # of a single picture that shows something else


class PaletteSettings(Settings):
    """The grays of the game in a stream (`palette`, `shades`)."""

    pictures: Positive = 32  # looked at
    max_levels: Positive = 9  # grays: four of the background, two and two of the sprites, and one to spare
    min_apart: Positive = 9  # gray levels between two of them
    min_share: Share = 0.003  # of the pixels that makes a gray one of the game's
    valley: Share = 0.6  # between two peaks of the histogram, over the lower of them
    max_palettes: Positive = 8  # of a video
    shared_ratio: NonNegative = 1.5  # how much worse than with its own palette a picture may fit one that it shares
    clean_distance: NonNegative = 0.05  # from the levels, that is compression and no more


class FinderSettings(Settings):
    """The screen finder. The defaults were chosen on drawn streams (docs/log.md); what a person knows better goes into `crop_config`."""

    candidates: CandidateSettings = CandidateSettings()  # rectangles that move
    borders: BorderSettings = BorderSettings()  # rectangles with straight borders
    grid: GridSettings = GridSettings()  # the pixel grid
    misfit: MisfitSettings = MisfitSettings()  # what a grid leaves unexplained
    fit: FitSettings = FitSettings()  # the screen to the pixel
    neighbors: NeighborSettings = NeighborSettings()  # what lies beside it
    decision: DecisionSettings = DecisionSettings()  # which one it is
    palette: PaletteSettings = PaletteSettings()  # its grays


DEFAULTS = FinderSettings()
