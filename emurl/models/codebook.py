"""The codebook: continuous cell vectors to one of `vocab` codes and back, over `vector-quantize-pytorch`.

Three kinds, one face:
  cosine  unit vectors, moving-average codes, k-means start, dead codes revived (VQ-VAE-2's EMA, 1906.00446; cosine codes and
          the rest as in ViT-VQGAN, 2110.04627): the default
  plain   codes learned by gradient, as in the first VQ-VAE (1711.00937)
  fsq     finite scalar quantization (2309.15505): no codebook at all, a grid of rounded levels

A Game Boy screen is mostly the same few cells. Drawing new codes uniformly from the batch, as the library does, would draw
copies of those. So both the k-means start and the revival draw cells in proportion to their distance from the nearest
code (k-means++ seeding, Arthur & Vassilvitskii 2007).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

FSQ_LEVELS = {16: [4, 4], 64: [8, 8], 128: [8, 4, 4], 256: [8, 8, 4], 512: [8, 8, 8], 1024: [8, 8, 4, 4]}

Kind = Literal["cosine", "plain", "fsq"]


def spread_samples(
    samples: torch.Tensor, count: int, codes: torch.Tensor | None = None, weights: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """Draw `count` of the unit vectors `samples` (N, D), far from `codes` (K, D) and from each other: (count, D).

    `weights` (N,): how often each of them stands for the same vector.
    """
    if codes is None:
        distance = torch.ones(len(samples), device=samples.device)
    else:
        distance = 1.0 - (samples @ codes.T).amax(dim=1)
    drawn = []
    for _ in range(count):
        likely = distance.clamp(min=0.0) * weights + 1e-7  # all cells covered: any of them
        pick = samples[torch.multinomial(likely, 1)]  # (1, D)
        drawn.append(pick)
        distance = torch.minimum(distance, 1.0 - (samples @ pick.T).squeeze(1))
    return torch.cat(drawn)


class Codebook(nn.Module):
    """Vectors (B, N, code_dim) to their nearest codes. Of fsq nothing but `vocab` and `code_dim` matters.

    Args:
        vocab: how many codes there are; kind: as the module docstring tells.
        decay: what a batch leaves of the codes' moving averages. commitment: weight of the commitment loss.
        dead_below: a code that so few vectors a batch, on a moving average, are nearest to is dead, and replaced.
        kmeans_iterations: of Lloyd's algorithm, where codes start as clusters.
    """

    def __init__(
        self, vocab: int, code_dim: int, kind: Kind = "cosine", decay: float = 0.95, commitment: float = 0.25,
        dead_below: float = 0.1, kmeans_iterations: int = 10,
    ) -> None:  # fmt: skip
        # Imported where it is used: it brings torch's compiler with it, which commands that build no network need not wait for.
        from vector_quantize_pytorch import FSQ, VectorQuantize

        super().__init__()
        if kind not in get_args(Kind):
            raise ValueError(f"codebook is {kind!r}, expected one of {', '.join(get_args(Kind))}")
        self.vocab, self.kind, self.kmeans_iterations = vocab, kind, kmeans_iterations
        self.quantiser: Any  # VectorQuantize or FSQ, whose insides have no types; the key of weights that are already saved
        if kind == "fsq":
            if vocab not in FSQ_LEVELS:
                raise ValueError(f"codebook fsq offers a vocab of {sorted(FSQ_LEVELS)}, got {vocab}")
            self.quantiser = FSQ(FSQ_LEVELS[vocab], dim=code_dim)
        elif kind == "cosine":
            self.quantiser = VectorQuantize(
                code_dim, vocab, use_cosine_sim=True, kmeans_init=True, kmeans_iters=kmeans_iterations, decay=decay,
                threshold_ema_dead_code=dead_below, commitment_weight=commitment, rotation_trick=True,
            )  # fmt: skip
            codes = self.quantiser._codebook
            codes.reset_cluster_size = 1.0  # a revived code lives some batches before it is judged again
            codes.sample_fn = lambda samples, count: spread_samples(samples[0], count)[None]
            codes.replace_sample_fn = lambda samples, count: spread_samples(samples[0], count, codes.embed[0])[None]
        else:
            self.quantiser = VectorQuantize(
                code_dim, vocab, learnable_codebook=True, ema_update=False, rotation_trick=False, commitment_weight=commitment
            )

    @torch.no_grad()
    def cluster(self, vectors: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Make the codes those of spherical k-means of vectors (N, D), each there `weights` (N,) times: indices (N,) of the nearest.

        Raises:
            ValueError: the codebook's kind has no codes of length one.
        """
        if self.kind != "cosine":
            raise ValueError(f"codebook {self.kind}: only cosine codes can be clustered")
        samples = F.normalize(vectors.float(), dim=-1)
        codes = spread_samples(samples, self.vocab, weights=weights)
        for _ in range(self.kmeans_iterations):
            sums = torch.zeros_like(codes).index_add_(0, (samples @ codes.T).argmax(dim=-1), samples * weights[:, None])
            codes = torch.where(sums.any(dim=-1, keepdim=True), F.normalize(sums, dim=-1), codes)
        own = self.quantiser._codebook
        own.embed.copy_(codes)
        own.embed_avg.copy_(codes)
        own.cluster_size.fill_(1.0)
        own.initted.fill_(True)
        return self.nearest(vectors)

    @property
    def started(self) -> bool:
        """Whether the codes are of anything yet."""
        return self.kind != "cosine" or bool(self.quantiser._codebook.initted)

    def learned_buffers(self) -> Iterator[torch.Tensor]:
        """The codes, where they are learned by moving averages and so are no parameters."""
        if self.kind == "cosine":
            yield self.quantiser._codebook.embed

    def forward(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors (B, N, D) to (their codes (B, N, D) with gradient, indices (B, N) long, commitment loss scalar)."""
        # Never in bf16: the moving averages are sums of many vectors.
        with torch.autocast(vectors.device.type, enabled=False):
            if self.kind == "fsq":
                quantized, indices = self.quantiser(vectors.float())
                return quantized, indices.long(), vectors.new_zeros(())
            return self.quantiser(vectors.float())

    def unquantized(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors (B, N, D) as the decoder would get them from a codebook without end: of length one for the cosine kind."""
        return F.normalize(vectors.float(), dim=-1) if self.kind == "cosine" else vectors.float()

    def nearest(self, vectors: torch.Tensor) -> torch.Tensor:
        """Indices (B, N) of the codes nearest to vectors (B, N, D); nothing is learned."""
        if self.kind == "fsq":
            return self.quantiser(vectors)[1].long()
        codes = self.quantiser._codebook.embed[0]
        if self.kind == "cosine":
            return (F.normalize(vectors.float(), dim=-1) @ codes.T).argmax(dim=-1)
        return torch.cdist(vectors.float(), codes).argmin(dim=-1)

    def vectors(self, indices: torch.Tensor) -> torch.Tensor:
        """The code vectors (…, D) of indices (…)."""
        if self.kind == "fsq":
            flat = self.quantiser.indices_to_codes(indices.reshape(1, -1))
            return flat.reshape(*indices.shape, -1)
        return self.quantiser._codebook.embed[0][indices]

    def revive(self, on: bool) -> None:
        """Whether dead codes are replaced. Off near the end of training, so that the decoder knows every code."""
        if self.kind == "cosine":
            self.quantiser._codebook.has_dead_code_replacement = on
