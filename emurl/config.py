"""Settings: one small frozen class a stage, read from YAML, overridden by `a.b=c`, with errors that name the key.

The fields `seed`, `device`, `screen`, `emulator` and `broadcast` may stand once at the top of the file; every stage that has
a field of that name gets them, unless its own section says otherwise. So the settings object a stage is given is
complete, and it alone (with the parents' digests) decides whether the stage has to run again.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emurl.errors import InputError

Positive = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

NOT_IN_FINGERPRINT: dict[str, Any] = {"fingerprint": False}  # where and how fast, never what comes out


class Settings(BaseModel):
    """Base of every settings class: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    def fingerprint_values(self) -> dict[str, Any]:
        """The values that decide the result, as JSON-ready data."""
        return _fingerprint_values(self)


def _fingerprint_values(settings: BaseModel) -> dict[str, Any]:
    values = {}
    for name, field in type(settings).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("fingerprint") is False:
            continue
        value = getattr(settings, name)
        values[name] = _fingerprint_values(value) if isinstance(value, BaseModel) else value
    return values


Device = Annotated[str, Field(json_schema_extra=NOT_IN_FINGERPRINT)]  # auto | cpu | cuda | cuda:N | mps


class ScreenSettings(Settings):
    """What a frame holds: 1 channel of 4 shades by default."""

    channels: Literal[1, 3] = 1
    shades: Literal[4, 256] = 4


class EmulatorSettings(Settings):
    """Which ROM, and how an action is played. `rom: embedded` is the open game in the package."""

    rom: str = "embedded"
    frame_skip: Positive = 30  # emulator frames an action takes
    press_ticks: Positive = 8  # of which the button is held down


class BroadcastSettings(Settings):
    """The loopback leaderboard of the embedded game; absent when a real site is read."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8571
    runs: Positive = 12
    cache: Annotated[str, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = "data/.broadcast"
    seed: Natural = 0


class RunsSettings(Settings):
    """`runs`: which leaderboard to read."""

    api_base: str = "https://www.speedrun.com/api/v1"
    game: str = "46w22l6r"
    # Names or ids. Empty: the glitchless ones where a game has such (a glitch's order is not progress), else every one;
    # never those the site calls miscellaneous.
    categories: list[str] = []
    max_runs: Positive = 50
    timeout_s: Rate = 30.0
    # Pages once read are kept beside the store; this many days later even old runs are looked at again. 0: always.
    recheck_days: Annotated[float, Field(ge=0, json_schema_extra=NOT_IN_FINGERPRINT)] = 7.0
    broadcast: BroadcastSettings | None = None


class VideosSettings(Settings):
    """`videos`: how to download."""

    max_height: Positive = 720
    max_videos: Positive = 50
    parallel: Positive = Field(default=2, json_schema_extra=NOT_IN_FINGERPRINT)
    rate_limit: Natural = Field(default=0, json_schema_extra=NOT_IN_FINGERPRINT)  # bytes a second of all together, 0 for none
    cookies: str | None = Field(default=None, json_schema_extra=NOT_IN_FINGERPRINT)  # a file in Netscape format, never written to
    retries: Natural = Field(default=3, json_schema_extra=NOT_IN_FINGERPRINT)
    broadcast: BroadcastSettings | None = None


class FramesSettings(Settings):
    """`frames`: how often to look, and how sure to be of the screen."""

    fps: Rate = 8.0
    val_share: Share = 0.2
    min_confidence: Share = 0.5
    crop_config: str | None = "configs/video_crop_config.json"
    parallel: Positive = Field(default=2, json_schema_extra=NOT_IN_FINGERPRINT)
    screen: ScreenSettings = ScreenSettings()


class OptimiserSettings(Settings):
    """What every trained model shares: steps, batch, learning rate and the cadence of looking."""

    seed: Natural = 0
    device: Device = "auto"
    steps: Positive = 20_000
    batch_size: Positive = 64
    learning_rate: Rate = 3e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    warmup_steps: Natural = 200
    eval_every: Positive = 500
    checkpoint_every: Positive = 200
    patience: Natural = 0  # evaluations on held-out videos without a new best before training stops; 0: never
    ema: Share = 0.0  # decay of the averaged weights that are kept instead of the last; 0: none
    optimiser: Literal["adamw", "muon"] = "adamw"  # muon: for the matrices between hidden layers, AdamW for all else
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where it is quicker


class TokenizerSettings(OptimiserSettings):
    """`tokenizer`: VQ-VAE, one token a 16×16 cell."""

    vocab: Positive = 512
    dim: Positive = 240
    encoder: Literal["context", "cells"] = "context"  # learnt over the grid, or each cell's main directions set at the start
    depth: Positive = 3  # residual blocks a side on the 9×10 grid
    decoder_depth: Natural = 0  # the decoder's, where it is to have others; 0: as many
    optimiser: Literal["adamw", "muon"] = "muon"
    code_dim: Positive = 192
    codebook: Literal["cosine", "plain", "fsq"] = "cosine"
    broadcast: BroadcastSettings | None = None  # the embedded game's: its font and its runs are what some metrics need
    augment: Share = 0.5  # frames shown with stream-like faults; the clean frame is what the decoder has to say


class DynamicsSettings(OptimiserSettings):
    """`dynamics`: next-token transformer over the grid."""

    dim: Positive = 192
    layers: Positive = 3
    heads: Positive = 4
    context: Positive = 1  # frames seen
    gap: Positive = 2  # footage frames between one grid and the next
    optimiser: Literal["adamw", "muon"] = "muon"
    told: bool = False  # whether the model may be told which way the screen moves, as inferred from the footage


class RewardSettings(OptimiserSettings):
    """`reward`: Bradley–Terry ranker, later is better."""

    arch: Literal["small", "resnet18", "resnet34"] = "resnet34"
    epochs: Positive = 50
    steps_per_epoch: Positive = 200


class BehaviorSettings(OptimiserSettings):
    """`behavior`: inverse dynamics names the actions in the footage, cloning makes the first policy."""

    emulator: EmulatorSettings = EmulatorSettings()
    explore_steps: Positive = 50_000  # emulator actions gathered for the inverse model
    inverse_steps: Positive = 5_000
    min_confidence: Share = 0.5
    rounds: Positive = 1
    dim: Positive = 256
    layers: Positive = 4
    heads: Positive = 4
    context: Positive = 2


class PolicySettings(Settings):
    """`policy`: PPO over VQ tokens; its network is the cloned one's."""

    seed: Natural = 0
    device: Device = "auto"
    emulator: EmulatorSettings = EmulatorSettings()
    total_steps: Positive = 2_000_000
    envs: Positive = 16
    rollout: Positive = 128
    epochs: Positive = 3
    minibatch: Positive = 512
    learning_rate: Rate = 2.5e-4
    gamma: Share = 0.99
    gae_lambda: Share = 0.95
    clip: Rate = 0.2
    entropy: Annotated[float, Field(ge=0)] = 0.01
    leash: Annotated[float, Field(ge=0)] = 0.2  # weight of KL(policy ‖ clone), annealed
    time_penalty: Annotated[float, Field(ge=0)] = 0.001
    episode_steps: Positive = 2_000
    archive_share: Share = 0.5  # episodes that start from the archive instead of power-on
    ood: bool = False
    alarm: Literal["stop", "warn"] = "stop"


class EvaluationSettings(Settings):
    """`evaluation`: policy, clone and chance, from power-on."""

    seed: Natural = 0
    device: Device = "auto"
    emulator: EmulatorSettings = EmulatorSettings()
    episodes: Positive = 10
    max_steps: Positive = 2_000


class TrackingSettings(Settings):
    """Where numbers and pictures go besides the console."""

    tensorboard: bool = True
    wandb: bool = True  # offline unless a key is set
    project: str = "emurl"


class Config(Settings):
    """A whole settings file."""

    seed: Natural = 0
    device: Device = "auto"
    store: str = "data"
    screen: ScreenSettings = ScreenSettings()
    emulator: EmulatorSettings = EmulatorSettings()
    broadcast: BroadcastSettings | None = None
    tracking: TrackingSettings = TrackingSettings()
    runs: RunsSettings = RunsSettings()
    videos: VideosSettings = VideosSettings()
    frames: FramesSettings = FramesSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    dynamics: DynamicsSettings = DynamicsSettings()
    reward: RewardSettings = RewardSettings()
    behavior: BehaviorSettings = BehaviorSettings()
    policy: PolicySettings = PolicySettings()
    evaluation: EvaluationSettings = EvaluationSettings()


STAGES = ("runs", "videos", "frames", "tokenizer", "dynamics", "reward", "behavior", "policy", "evaluation")
SHARED = ("seed", "device", "screen", "emulator", "broadcast")


def load_config(path: str | os.PathLike[str] | None, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """Read `path` (None: defaults), apply `overrides` of the form `a.b=value`, check everything.

    Raises:
        InputError: the file is missing or no YAML mapping, a key is unknown, a value has the wrong type or range.
    """
    values: dict[str, Any] = {}
    source = "defaults"
    if path is not None:
        source = str(path)
        values = _read_yaml(Path(path))
    for override in overrides:
        _apply_override(values, override)
    _spread_shared(values)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise InputError(_one_line(error, source)) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"--config {path}: no such file, expected a settings file such as configs/demo.yaml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise InputError(f"--config {path}: not valid YAML ({' '.join(str(error).split())})") from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise InputError(f"--config {path}: holds a {type(loaded).__name__}, expected a mapping of settings")
    return loaded


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InputError(f"--set {override}: expected key=value, for example reward.epochs=2")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    here = values
    for part in parts[:-1]:
        inner = here.get(part)
        if inner is None:
            inner = here[part] = {}
        if not isinstance(inner, dict):
            raise InputError(f"--set {override}: {part} holds a value, expected a section")
        here = inner
    here[parts[-1]] = value


def _spread_shared(values: dict[str, Any]) -> None:
    for stage in STAGES:
        section = values.get(stage)
        if section is None:
            section = values[stage] = {}
        if not isinstance(section, dict):
            continue  # the schema says so with the key's name
        model = Config.model_fields[stage].annotation
        fields = getattr(model, "model_fields", {})
        for name in SHARED:
            if name not in values or name not in fields:
                continue
            shared = values[name]
            if isinstance(shared, dict) and isinstance(section.get(name, {}), dict):
                section[name] = {**shared, **section.get(name, {})}
            else:
                section.setdefault(name, shared)


def _one_line(error: ValidationError, source: str) -> str:
    problems = error.errors(include_url=False)
    # A shared value that is wrong is wrong in every stage it was copied to: name it once, where the user wrote it.
    written = {problem["loc"] for problem in problems}
    problems = [problem for problem in problems if problem["loc"][1:] not in written]
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    others = len({problem["loc"] for problem in problems}) - 1
    more = f" (and {others} more)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
        return f"{source}: unknown key {key}; {hint}{more}"
    message = first["msg"].replace("Input should be", "expected").replace("a valid ", "a ").replace("a integer", "an integer")
    return f"{source}: {key}: {message}, got {first['input']!r}{more}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Config
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            return []
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((option for option in options if hasattr(option, "model_fields")), None)
        if model is None:
            return []
    return sorted(model.model_fields)
