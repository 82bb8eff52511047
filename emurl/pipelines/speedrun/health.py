"""What is expected of what tokenizer, dynamics and reward measured of themselves, before a long run is built on them.

The stages measure on held-out footage and on fresh play in the emulator; a bound here is where play on the embedded game began to
suffer, or what a judge that works has with room to spare (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emurl.core.artifact import DEFAULT_PIPELINE
from emurl.core.errors import InputError
from emurl.core.store import Store


@dataclass(frozen=True)
class Norm:
    """One expectation: a metric of a stage that should be at least, or at most, so much, and what to do where it is not."""

    stage: str
    metric: str
    least: float | None
    most: float | None
    mend: str

    def met_by(self, value: float) -> bool:
        """Whether a value is as expected."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def expected(self) -> str:
        """What was expected, for people."""
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"


NORMS = (
    Norm(
        "tokenizer", "token_agreement", 0.95, None, "footage and emulator look different: look at the crops and at screen.shades"
    ),
    Norm("tokenizer", "blind_changes", None, 0.06, "more tokenizer.vocab: the policy cannot see what its tokens do not tell"),
    Norm("dynamics", "false_alarms", None, 0.05, "more held-out videos, or a larger dynamics.ood.threshold"),
    Norm(
        "dynamics", "auroc_other", 0.95, None, "train tokenizer and dynamics for longer: the detector cannot tell what is strange"
    ),
    Norm("dynamics", "auroc_offroute", 0.8, None, "more videos: places beside the route look like the route"),
    Norm("reward", "splits", 5, None, "more videos of one category: runs of different routes have little in common"),
    Norm("reward", "splits_passed", 0.9, None, "a larger reward.course.splits.margin, or more videos"),
    Norm("reward", "order_correlation", 0.95, None, "more reward.course.alignment.rounds, or more videos of one category"),
    Norm("reward", "pair_accuracy", 0.95, None, "more reward.course.alignment.rounds, or more videos of one category"),
    Norm("reward", "spearman_ram", 0.9, None, "the judge is wrong in play: is emulator.frame_skip right for frames.fps?"),
    Norm("reward", "spearman_ram_chance", 0.85, None, "the judge can be fooled: a larger reward.course.splits.min_likeness"),
    Norm("reward", "aliasing_auc", 0.9, None, "places that come twice are confused: more tokenizer.vocab, or more videos"),
    Norm("reward", "farming_gain_max", None, 0.1, "walking in circles is paid: a larger reward.course.splits.min_likeness"),
)


@dataclass(frozen=True)
class Health:
    """One stage's artifact: what it is called, its numbers that have a norm, and those norms it does not meet."""

    ref: str
    told: Mapping[str, float]
    unmet: tuple[Norm, ...]

    @property
    def seen(self) -> str:
        """The numbers, those first that are not as expected."""
        bad = [f"{norm.metric} {self.told[norm.metric]:.3g}, expected {norm.expected}" for norm in self.unmet]
        fine = [f"{name} {value:.3g}" for name, value in self.told.items() if name not in {norm.metric for norm in self.unmet}]
        return f"{self.ref}: {'; '.join(bad + ([', '.join(fine)] if fine else []))}"


def of_metrics(ref: str, stage: str, metrics: Mapping[str, Any]) -> Health:
    """The health of an artifact with these metrics; what was not measured (None, or by an older version) is not asked for.

    Raises:
        InputError: a metric is no number.
    """
    norms = [norm for norm in NORMS if norm.stage == stage and metrics.get(norm.metric) is not None]
    for name, value in ((norm.metric, metrics[norm.metric]) for norm in norms):
        if isinstance(value, str):
            raise InputError(f"{ref}: metrics.{name} is {value[:80]!r}, expected a number")
    told = {norm.metric: float(metrics[norm.metric]) for norm in norms}
    return Health(ref, told, tuple(norm for norm in norms if not norm.met_by(told[norm.metric])))


def of_store(store: Store) -> dict[str, Health]:
    """The newest artifact of each stage that has norms, by stage; stages that made nothing yet are not there."""
    found = {}
    for stage in dict.fromkeys(norm.stage for norm in NORMS):
        if store.versions(DEFAULT_PIPELINE, stage):
            artifact = store.get(stage)
            found[stage] = of_metrics(artifact.ref, stage, artifact.metrics)
    return found
