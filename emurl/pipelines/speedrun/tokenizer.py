"""`tokenizer`: learn to see. A VQ-VAE on the footage; measured on videos it never saw.

model/                the tokenizer            reconstruction.png   held-out frames | what the tokens say
history.json          every number of training codebook.png         every code, the most used first
screen.json           the screen it reads      tokens/              the whole footage as tokens (`emurl.footage.tokens`)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

from emurl.core.errors import InputError
from emurl.core.settings import Natural, NonNegative, Positive, Rate, Settings, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage import pairing
from emurl.footage.catalog import Catalog, evenly_spread
from emurl.footage.changes import blind_changes
from emurl.footage.dataset import CHUNK, FrameReader
from emurl.footage.legibility import text_legibility
from emurl.footage.tokens import write_tokens
from emurl.games.settings import BroadcastSettings, broadcasting
from emurl.models.cells import PIXELS
from emurl.models.codebook import FSQ_LEVELS
from emurl.models.tokenizer import Tokenizer
from emurl.screen import ScreenSpec, to_gray
from emurl.training.augment import stream_faults
from emurl.training.outputs import write_history, write_picture, write_screen
from emurl.training.settings import Augment, AugmentSettings, OptimizerSettings
from emurl.training.supervised import fit, resolve_device, seeded

METRICS: dict[str, str] = {
    "recon_mse": "↓ mean squared error of decoded held-out frames, on the 0–1 scale; beside `nearest_frame_mse`, `mean_frame_mse`",
    "nearest_frame_mse": "the same error when a frame is answered by the nearest of some training frames",
    "mean_frame_mse": "the same error when every frame is answered by the mean training frame",
    "pixel_accuracy": "↑ share of the pixels of held-out frames decoded to their exact shade",
    "blind_changes": "↓ share of the changes of single cells that leave the token as it was, between held-out frames, each"
    " different change once: what whoever reads tokens cannot see; null where no single cell ever changes",
    "active_codes": "↑ share of the vocabulary used on held-out frames",
    "perplexity": "how many codes, used equally often, would give the entropy of the codes on held-out frames",
    "text_legibility": "↑ share of the letters on held-out frames that can still be read when decoded; null for a game without a font",
    "token_agreement": "↑ share of tokens that a frame of a video and the emulator's frame of that moment have in common; null where"
    " runs cannot be replayed; beside `pixel_agreement`",
    "pixel_agreement": "share of pixels that those two frames have in common",
    "frames_per_second": "frames a second in training",
}


class QuantizerSettings(Settings):
    """How the codes are learned."""

    decay: Share = 0.95  # what a batch leaves of the codes' moving averages
    commitment: NonNegative = 0.25  # weight of the commitment loss
    dead_below: NonNegative = 0.1  # a code that so few cells a batch, on average, are nearest to is dead, and replaced
    kmeans_iterations: Positive = 10  # where codes start as clusters
    unquantized: Share = 0.15  # of the steps before the codebook comes in, with an encoder of context
    revive_until: Share = 0.8  # of the steps; after that dead codes stay dead, so that the decoder knows every code
    init_frames: Positive = 4096  # that an encoder of cells is set up by
    max_cells: Positive = 65_536  # different cells of them that are looked at
    max_log_odds: Rate = 6.0  # largest that a code's picture starts with


class TokenizerEvaluation(Settings):
    """How many frames the numbers are of."""

    frames: Positive = 2048  # held-out frames of the final numbers
    quick_frames: Positive = 256  # of those, the ones looked at during training
    neighbor_pool: Positive = 1024  # training frames among which the nearest is sought
    neighbor_frames: Positive = 512  # held-out frames it is sought for
    change_frames: Positive = 2  # that lie between a cell before and after it changes
    change_pixels: Positive = 8  # of the cell that have to change
    change_cells: Positive = 4  # of the frame that may change at most


class TokenizerSettings(OptimizerSettings):
    """`tokenizer`: VQ-VAE, one token a 16×16 cell."""

    vocab: Positive = 512  # tokens there are
    dim: Positive = 240  # width on the 9×10 grid
    encoder: Literal["context", "cells"] = "context"  # learned over the grid, or each cell's main directions set at the start
    depth: Positive = 3  # residual blocks a side on the 9×10 grid
    decoder_depth: Natural = 0  # the decoder's, where it is to have others; 0: as many
    optimizer: Literal["adamw", "muon"] = "muon"  # muon: for the matrices between hidden layers, AdamW for all else
    code_dim: Positive = 192  # numbers a code is made of
    codebook: Literal["cosine", "plain", "fsq"] = "cosine"  # unit codes by moving averages, codes by gradient, or rounding (FSQ)
    quantizer: QuantizerSettings = QuantizerSettings()  # how the codes are learned
    broadcast: BroadcastSettings | None = None  # the demo leaderboard's: its runs are what `token_agreement` needs
    augment: Augment = (
        AugmentSettings()
    )  # stream-like faults on the frames it reads; the clean frame is what the decoder has to say
    evaluation: TokenizerEvaluation = TokenizerEvaluation()  # how many frames the numbers are of


def run(settings: TokenizerSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train a `Tokenizer` on the train split, measure it on the held-out videos beside two baselines, tokenize the footage."""
    check(settings)
    device, asked = resolve_device(settings.device), settings.evaluation
    tracker.doing("reading the footage")
    reader = FrameReader(inputs["frames"].folder)
    spec = reader.spec
    seen, unseen = Catalog.of(reader, "train"), Catalog.of(reader, "val")
    cumulative = np.cumsum(seen.weights())
    held_out = unseen.read(reader, evenly_spread(asked.frames, len(unseen)))
    quick = held_out[evenly_spread(asked.quick_frames, len(held_out))]

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        return seen.read(reader, np.minimum(np.searchsorted(cumulative, rng.random(count)), len(seen) - 1))

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        clean = draw(rng, settings.batch_size)
        return stream_faults(clean, rng, settings.augment, spec.shades), clean

    def picture(model: Tokenizer) -> dict[str, np.ndarray]:
        some = evenly_spread(6, len(quick))
        tokens = model.encode(quick)
        said = model.decode(tokens[torch.as_tensor(some)]).cpu().numpy()
        return {"reconstruction": side_by_side(quick[some], said, spec), "codebook": codebook_picture(model, tokens, spec)}

    def first_frames() -> np.ndarray:
        return draw(np.random.default_rng(settings.seed), settings.quantizer.init_frames)

    model: Tokenizer = seeded(settings.seed, lambda: new_tokenizer(settings, spec, first_frames))
    result = fit(
        model, sample, settings, output=output, tracker=tracker, name="tokenizer", device=device,
        evaluate=lambda model: measure(model, quick, spec), best_by="recon_mse", picture=picture,
    )  # fmt: skip

    tracker.doing("measuring itself on held-out videos")
    output.metrics.update(measure(model, held_out, spec))
    tracker.doing("measuring what it stands beside")
    trained_on = seen.read(reader, evenly_spread(asked.neighbor_pool, len(seen)))
    output.metrics.update(baselines(held_out[evenly_spread(asked.neighbor_frames, len(held_out))], trained_on, spec))
    tracker.doing("looking for changes that its tokens do not tell")
    change = asked.change_frames, asked.change_pixels, asked.change_cells
    output.metrics["blind_changes"] = blind_changes(lambda frames: model.encode(frames).cpu().numpy(), reader, "val", *change)
    tracker.doing("comparing the stream with the emulator")
    known_game(settings, model, held_out, reader, output)
    output.metrics["frames_per_second"] = result.frames_per_second
    tracker.doing("drawing the codebook")
    model.save_pretrained(output.path("model"))
    for name, drawn in picture(model).items():
        write_picture(output, f"{name}.png", drawn)
    write_history(output, tokenizer=result)
    write_screen(output, spec)
    write_tokens(output, reader, inputs["frames"], model, tracker)


def check(settings: TokenizerSettings) -> None:
    """Check that the settings go together.

    Raises:
        InputError: two do not.
    """
    if settings.vocab > 2**16:
        raise InputError(f"tokenizer.vocab: {settings.vocab}, expected at most {2**16}, what 16 bits can name")
    if settings.codebook == "fsq" and settings.vocab not in FSQ_LEVELS:
        raise InputError(f"tokenizer.vocab: {settings.vocab} with codebook fsq, expected one of {sorted(FSQ_LEVELS)}")
    if settings.encoder == "cells" and settings.codebook != "cosine":
        raise InputError(f"tokenizer.codebook: {settings.codebook} with the encoder of cells, expected cosine")
    if settings.encoder == "cells" and not 2 <= settings.code_dim <= PIXELS:
        raise InputError(f"tokenizer.code_dim: {settings.code_dim} with the encoder of cells, expected 2 … {PIXELS}")


def new_tokenizer(settings: TokenizerSettings, spec: ScreenSpec, frames: Callable[[], np.ndarray | torch.Tensor]) -> Tokenizer:
    """An untrained tokenizer of these settings for this screen; one of cells asks for `frames` (N, 144, 160[, 3]) of the footage."""
    codes = settings.quantizer
    model = Tokenizer(
        shades=spec.shades, channels=spec.channels, dim=settings.dim, depth=settings.depth, vocab=settings.vocab,
        code_dim=settings.code_dim, codebook=settings.codebook, decay=codes.decay, decoder_depth=settings.decoder_depth,
        encoder=settings.encoder, commitment=codes.commitment, dead_below=codes.dead_below,
        kmeans_iterations=codes.kmeans_iterations, unquantized=codes.unquantized, revive_until=codes.revive_until,
        max_cells=codes.max_cells, max_log_odds=codes.max_log_odds,
    )  # fmt: skip
    if model.of_cells:
        model.start(frames())
    return model


def known_game(settings: TokenizerSettings, model: Tokenizer, held_out: np.ndarray, reader: FrameReader, output: Output) -> None:
    """`text_legibility` and `token_agreement`, null where the game's font and its runs are not known."""
    legibility = agreement = None
    if settings.broadcast is None or reader.spec != ScreenSpec():
        output.note("text_legibility and token_agreement are null: they need four shades, a font, and a demo leaderboard")
    else:
        font = broadcasting(settings.broadcast).font
        legibility = None if font is None else text_legibility(model, held_out, font())
        moments = pairing.same_moments(reader, settings.broadcast)
        if moments is None:
            output.note("token_agreement is null: no held-out video is of the broadcast's")
        else:
            agreement = pairing.token_agreement(model, moments)
            output.metrics["pixel_agreement"] = float((moments[0] == moments[1]).mean())
    output.metrics["text_legibility"] = legibility
    output.metrics["token_agreement"] = agreement


def measure(model: Tokenizer, frames: np.ndarray, spec: ScreenSpec) -> dict[str, float]:
    """How well tokens say `frames` (N, 144, 160[, 3]).

    recon_mse: mean squared error on the 0–1 scale; pixel_accuracy: share of exact shades; active_codes: share of the vocabulary
    used at all; perplexity: of the code use, as if so many codes were used equally often.
    """
    used = torch.zeros(model.vocab, dtype=torch.float64)
    squared = exact = 0.0
    for start in range(0, len(frames), CHUNK):
        part = frames[start : start + CHUNK]
        tokens = model.encode(part)
        said = model.decode(tokens).cpu().numpy()
        squared += float(np.square((said.astype(np.float32) - part) / (spec.shades - 1)).sum(dtype=np.float64))
        exact += float((said == part).sum())
        used += torch.bincount(tokens.flatten().cpu(), minlength=model.vocab)
    share = used[used > 0] / used.sum()
    return {
        "recon_mse": squared / frames.size,
        "pixel_accuracy": exact / frames.size,
        "active_codes": float((used > 0).double().mean()),
        "perplexity": float(torch.exp(-(share * share.log()).sum())),
    }


def side_by_side(left: np.ndarray, right: np.ndarray, spec: ScreenSpec) -> np.ndarray:
    """Frames (N, 144, 160[, 3]) in N rows of two, for looking at: uint8 (N·144, 320[, 3])."""
    return np.concatenate([np.concatenate(list(to_gray(frames, spec))) for frames in (left, right)], axis=1)


def codebook_picture(model: Tokenizer, tokens: torch.Tensor, spec: ScreenSpec, across: int = 32) -> np.ndarray:
    """Every code as the decoder draws it in the midst of its own kind, the most used first, unused ones dimmed: uint8 picture.

    `tokens` (N, 9, 10) tell how much each code is used.
    """
    use = torch.bincount(tokens.flatten().cpu(), minlength=model.vocab)
    order = use.argsort(descending=True, stable=True)
    rows = -(-model.vocab // across)
    whole = np.full((18 * rows, 18 * across, *([3] if spec.channels == 3 else [])), 128, np.uint8)
    for start in range(0, model.vocab, CHUNK):
        part = order[start : start + CHUNK]
        alone = model.decode(part.view(-1, 1, 1).expand(-1, 9, 10).contiguous()).cpu().numpy()[:, 64:80, 64:80]
        for place, cell in enumerate(to_gray(alone, spec), start):
            y, x = 18 * (place // across) + 1, 18 * (place % across) + 1
            whole[y : y + 16, x : x + 16] = cell if use[order[place]] else 96 + cell // 4
    return whole


def baselines(frames: np.ndarray, trained_on: np.ndarray, spec: ScreenSpec) -> dict[str, float]:
    """The same error when every frame is answered by the mean training frame, or by its nearest among `trained_on`."""
    scale = spec.shades - 1
    known = trained_on.reshape(len(trained_on), -1).astype(np.float32) / scale
    asked = frames.reshape(len(frames), -1).astype(np.float32) / scale
    distance = np.square(asked).sum(1)[:, None] + np.square(known).sum(1) - 2 * asked @ known.T
    return {
        "mean_frame_mse": float(np.square(asked - known.mean(axis=0)).mean()),
        "nearest_frame_mse": float(distance.min(axis=1).clip(min=0).mean() / asked.shape[1]),
    }
