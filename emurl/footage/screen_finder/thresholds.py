"""Every number by which the finder decides, as settings: `frames.finder`. Lengths are pixels of the video unless they say game pixels.

A *misfit* is the share of a picture's detail that no scaling up of 160×144 pixels explains, 0 … 1 (see `misfit`); a *comb* is the
regular line in the slopes of an upscaled picture, its strength the line over the floor of the spectrum (see `grid`). Of two
numbers `…_sure` and `…_wrong` the first is surely right, the second surely wrong, and confidence falls on a line between them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from emurl.core.settings import Natural, NonNegative, Positive, Rate, Settings, Share

Rates = Annotated[tuple[Rate, ...], Field(strict=False, min_length=1)]
Ends = Annotated[tuple[Rate, Rate], Field(strict=False)]


class CandidateSettings(Settings):
    """Rectangles proposed by what moves (`candidates`)."""

    min_scale: Rate = 1.2  # pixels of the video a game pixel, at least
    max_scale: Rate = 15.1  # and at most: a console that fills 2160 lines
    aspect_slack: NonNegative = 0.05  # by how much the shape may differ from 10:9, a share
    changed_levels: Natural = (
        14  # gray levels that change between two samples: above compression noise, below the dimmest palette
    )
    positions: Positive = 24  # candidate positions of each side
    scene_share: Share = 0.7  # share of the picture that changes where a scene is switched
    max_scenes: Share = 0.4  # share of the pairs of samples up to which they are left out as switched scenes
    often_share: Share = 0.05  # share of the pairs in which a pixel changes that keeps changing,
    often_pairs: NonNegative = 2.0  # and so many of them at least
    small_gap: Positive = 9  # pixels between what keeps changing that are closed
    large_gap: Positive = 41  # the same between what ever changed
    speck: Positive = 5  # pixels that what moves is wide and high, at least
    max_scored: Positive = 4000  # rectangles looked at, the best first
    min_score: Share = 0.2  # of a rectangle that is proposed
    same_overlap: Share = 0.85  # intersection over union of two that are nearly the same
    line_levels: Natural = 12  # gray levels that a standing line is a step of
    line_beside: Share = 0.6  # weight of the neighbors where lines are counted
    min_line: NonNegative = 12.0  # pixels of a line or border, weighted so, at least
    line_apart: Natural = 3  # pixels between two of them
    border_near: Positive = 4  # from a border to where the strips on both sides of it begin,
    border_far: Positive = 16  # and to where they end
    three_sides: Share = 0.67  # weight of the contrast of the three best borders,
    worst_side: Share = 0.33  # and of the worst: it may touch a camera or carry an overlay


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
    comb_slack: Share = 0.05  # by how much a period may differ from the one that is expected, a share
    comb_finer: Positive = 8  # steps of the search for a line in the width of a line
    floor_below: Ends = (0.62, 0.9)  # the floor of the spectrum, from and to, over the expected frequency,
    floor_above: Ends = (1.1, 1.38)  # and beyond it
    floor_count: Positive = 60  # frequencies in each of the two
    slow_width: Positive = 15  # pixels, an odd number, over which slopes are averaged, for what changes slowly to be taken out
    quiet_slopes: NonNegative = 0.2  # of the mean slope, which is added to what others are measured by
    max_tooth: Rate = 3.0  # height at which a tooth is cut off


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
    shown_misfit: Share = 0.05  # of pictures that surely show the screen,
    shown_ratio: NonNegative = 2.0  # or over that of the better third of them
    comb_inset: Natural = 3  # pixels at each end of a moving area in which no comb is looked for
    same_length: Positive = 3  # of the finalists that may have the same length
    wrong_ratio: NonNegative = 2.0  # misfit over `misfit_wrong` of a place that is not worth settling
    coarse_ratio: NonNegative = 3.0  # misfit of a coarser grid over that of the right one that is enough, before it is settled
    start_ratio: NonNegative = 2.0  # misfit over the best, of a place with another scaler that is settled, too,
    start_more: NonNegative = 0.01  # and so much more
    between_misfit: Share = 0.25  # up to which places between whole pixels are tried
    between_steps: Rates = (0.5, 0.25, 0.12)  # pixels; the last only where one of the others helped
    between_gain: Share = 0.7  # misfit over that of the whole pixel, at most
    good_deal: Rate = 4.0  # misfit of a coarser grid over that of the right one, from which it counts for more,
    best_deal: Rate = 3.0  # and so many times as much at most
    mirror_slack: NonNegative = 0.1  # by how much a period may differ from its mirror at the sampling limit to be either, a share
    still_price: NonNegative = 0.3  # of a line of pixels in the screen that never moves, in lines that do
    settle_rounds: Positive = 3  # of looking around the best place
    held_slack: NonNegative = 0.25  # lines of pixels by which a place may hold less than the best
    rough_ratio: NonNegative = 1.5  # misfit over the best at a rough look, of places that are promising,
    rough_more: NonNegative = 0.08  # and so much more
    coarser_cells: Rates = (0.9, 0.8, 0.5, 1 / 3)  # of a grid over those of the right one: large pixels fit a finer grid, too
    coarser_periods: Rates = (
        1.35,
        1.75,
        2.3,
        3.0,
        3.9,
    )  # over that of the screen, near which the comb of a coarser grid is sought,
    coarser_slack: Share = 0.13  # within such a share
    coarser_least: Positive = 8  # cells that a coarser grid has more than
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
    absent_misfit: Share = 0.15  # of a single picture that shows something else,
    absent_ratio: NonNegative = 3.0  # and over that of the better quarter
    blank_energy: Share = 0.05  # detail over the median of a single picture that shows nothing
    blank_share: Share = 0.5  # share of a stretch without the screen above which it is a blank one
    min_pictures: Positive = 4  # that say what moves
    cut_pictures: Positive = 16  # that are looked through for a change of the layout
    max_cuts: Positive = 2  # changes of the layout
    min_run: Positive = 5  # pictures of a layout, at least,
    runs: Positive = 6  # and at least one of so many equal parts
    merged_overlap: Share = 0.98  # intersection over union of two screens that are one
    same_overlap: Share = 0.97  # the same of rectangles that are looked at only once
    known_overlap: Share = 0.9  # the same with a screen that is not looked for any more
    misfit_price: NonNegative = 4.0  # of the misfit, where the best of several screens is chosen
    score_worth: Share = 0.25  # of the score of its moving area there
    alike_size: NonNegative = 0.01  # by how much two screens of the same size may differ, a share
    alike_periods: NonNegative = 0.06  # the same for the periods of a clear grid, across and down
    clear_worth: NonNegative = 0.1  # score that a clear grid is worth
    clear_tries: Natural = 2  # more rectangles that are looked at closely where they have one
    unclear_score: Share = 0.6  # of a rectangle without one that is still looked at when a screen was found
    covered_share: Share = 0.5  # share of it in a screen that was found, above which it is no longer looked at


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
    one_palette: Share = 0.9  # share of the pictures that one palette of four levels has to fit to be the only one
    min_sorted: Positive = 3  # pictures that are sorted into palettes
    doubt_ratio: Share = 0.7  # distance to the nearest shade over that to the next, above which a level may be either
    smoothing: Rate = 2.0  # gray levels, of the histogram in which peaks are sought
    peak_reach: Positive = 5  # gray levels on each side that belong to a peak
    min_peak: NonNegative = 1e-5  # share of the pixels, a gray level, of a peak
    close_levels: Positive = 8  # from a gray, of the pixels that say where it lies
    settle_rounds: Positive = 8  # of bringing grays to the middle of their pixels
    four_rounds: Positive = 20  # the same where there are four
    four_settled: NonNegative = 0.05  # gray levels that they may still move by
    lowest_share: Share = 0.005  # share of the pixels that are darker than the darkest gray,
    highest_share: Share = 0.995  # and than the lightest
    min_shade: Share = 1e-4  # share of the pixels of a shade that shows
    least_spacing: Share = 0.12  # of the range of grays between two of them, below which there is a price
    middle_scale: Rate = 1.9  # from which repeated pixels are also read by their middle
    edge_share: Share = 0.5  # of the step from shade to shade, in a neighborhood that holds more than one
    min_edges: Natural = 200  # pixels in such neighborhoods that a picture must have more than


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
