"""`tokenizer`: learn to see. A VQ-VAE on the footage; measured on videos it never saw.

model/                the tokenizer            reconstruction.png   held-out frames | what the tokens say
history.json          every number of training codebook.png         every code, the most used first
screen.json           the screen it reads
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

from emurl.core.errors import InputError
from emurl.core.settings import Natural, Positive, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.footage import pairing
from emurl.footage.dataset import FrameReader
from emurl.footage.learning import CHUNK, Catalog, side_by_side, spread, train, write_history, write_picture, write_screen
from emurl.footage.legibility import text_legibility
from emurl.games.settings import BroadcastSettings, broadcasting
from emurl.models.cells import PIXELS
from emurl.models.codebook import FSQ_LEVELS
from emurl.models.tokenizer import Tokenizer
from emurl.screen import ScreenSpec, to_gray
from emurl.training.augment import stream_faults
from emurl.training.settings import OptimizerSettings
from emurl.training.supervised import resolve_device, seeded

CODE_VERSION = 2
FIRST = 4096  # frames that a tokenizer of cells is set up by
HELD_OUT = 2048  # held-out frames the final numbers are of
GLANCE = 256  # and those during training
NEIGHBORS = 1024  # training frames the nearest one is sought among


class TokenizerSettings(OptimizerSettings):
    """`tokenizer`: VQ-VAE, one token a 16×16 cell."""

    vocab: Positive = 512
    dim: Positive = 240
    encoder: Literal["context", "cells"] = "context"  # learned over the grid, or each cell's main directions set at the start
    depth: Positive = 3  # residual blocks a side on the 9×10 grid
    decoder_depth: Natural = 0  # the decoder's, where it is to have others; 0: as many
    optimizer: Literal["adamw", "muon"] = "muon"
    code_dim: Positive = 192
    codebook: Literal["cosine", "plain", "fsq"] = "cosine"
    broadcast: BroadcastSettings | None = None  # the embedded game's: its font and its runs are what some metrics need
    augment: Share = 0.5  # frames shown with stream-like faults; the clean frame is what the decoder has to say


def run(settings: TokenizerSettings, inputs: dict[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train a `Tokenizer` on the train split and measure it on the held-out videos, beside two baselines."""
    check(settings)
    device = resolve_device(settings.device)
    reader = FrameReader(inputs["frames"].folder)
    spec = reader.spec
    seen, unseen = Catalog.of(reader, "train"), Catalog.of(reader, "val")
    odds = np.cumsum(seen.weights())
    held_out = unseen.read(reader, spread(HELD_OUT, len(unseen)))
    glance = held_out[spread(GLANCE, len(held_out))]

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        return seen.read(reader, np.minimum(np.searchsorted(odds, rng.random(count)), len(seen) - 1))

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        clean = draw(rng, settings.batch_size)
        return stream_faults(clean, rng, settings.augment, spec.shades), clean

    def picture(model: Tokenizer) -> dict[str, np.ndarray]:
        some = glance[spread(6, len(glance))]
        tokens = model.encode(glance)
        said = model.decode(tokens[torch.as_tensor(spread(6, len(glance)))]).cpu().numpy()
        return {"reconstruction": side_by_side(some, said, spec), "codebook": codebook_picture(model, tokens, spec)}

    model: Tokenizer = seeded(
        settings.seed, lambda: new_tokenizer(settings, spec, lambda: draw(np.random.default_rng(settings.seed), FIRST))
    )
    result = train(
        model, sample, settings, device, output, tracker, "tokenizer",
        evaluate=lambda model: measure(model, glance, spec), best_by="recon_mse", picture=picture,
    )  # fmt: skip

    output.metrics.update(measure(model, held_out, spec))
    trained_on = seen.read(reader, spread(NEIGHBORS, len(seen)))
    output.metrics.update(baselines(held_out[spread(512, len(held_out))], trained_on, spec))
    known_game(settings, model, held_out, reader, output)
    output.metrics["frames_per_second"] = result.frames_per_second
    model.save_pretrained(output.path("model"))
    for name, drawn in picture(model).items():
        write_picture(output, f"{name}.png", drawn)
    write_history(output, tokenizer=result)
    write_screen(output, spec)


def check(settings: TokenizerSettings) -> None:
    """Raise `InputError` where two settings do not go together."""
    if settings.codebook == "fsq" and settings.vocab not in FSQ_LEVELS:
        raise InputError(f"tokenizer.vocab: {settings.vocab} with codebook fsq, expected one of {sorted(FSQ_LEVELS)}")
    if settings.encoder == "cells" and settings.codebook != "cosine":
        raise InputError(f"tokenizer.codebook: {settings.codebook} with the encoder of cells, expected cosine")
    if settings.encoder == "cells" and not 2 <= settings.code_dim <= PIXELS:
        raise InputError(f"tokenizer.code_dim: {settings.code_dim} with the encoder of cells, expected 2 … {PIXELS}")


def new_tokenizer(settings: TokenizerSettings, spec: ScreenSpec, frames: Callable[[], np.ndarray | torch.Tensor]) -> Tokenizer:
    """An untrained tokenizer of these settings for this screen; one of cells asks for `frames` (N, 144, 160[, 3]) of the footage."""
    model = Tokenizer(
        shades=spec.shades, channels=spec.channels, dim=settings.dim, depth=settings.depth, vocab=settings.vocab,
        code_dim=settings.code_dim, codebook=settings.codebook, decoder_depth=settings.decoder_depth, encoder=settings.encoder,
    )  # fmt: skip
    if model.of_cells:
        model.start(frames())
    return model


def known_game(settings: TokenizerSettings, model: Tokenizer, held_out: np.ndarray, reader: FrameReader, output: Output) -> None:
    """`text_legibility` and `token_agreement`, null where the game's font and its runs are not known."""
    legibility = agreement = None
    if settings.broadcast is None or reader.spec.shades != 4:
        output.note("text_legibility and token_agreement are null: they need the embedded game's font and its broadcast")
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
