"""The settings of the baseline, by the names that people know them by: `env`, `training`, `checkpointing`, `logging`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.pixel_networks import DEEPEST, LARGEST, SMALLEST, WIDEST
from emurl.core.settings import NOT_IN_FINGERPRINT, Natural, NonNegative, PathText, Positive, Rate, Settings, Share
from emurl.envs.gameboy.console import PRESS_TICKS
from emurl.envs.gameboy.paid import FRAME_SKIP, MAX_STEPS
from emurl.games.settings import EmulatorSettings, rom_path
from emurl.rewards.ram import RamRewardSettings

Side = Annotated[int, Field(ge=SMALLEST, le=LARGEST)]
NO_LIMIT = 1e9  # of the KL


class EnvSettings(Settings):
    """The environment: which game, what is seen of it, how long an episode is, and what is paid."""

    # A path, `embedded`, or the name of a game that ships with its ROM.
    rom_path: Annotated[PathText, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = "embedded"
    frame_skip: Positive = FRAME_SKIP  # emulator frames (1/59.7 s) an action takes
    press_ticks: Positive = PRESS_TICKS  # of which the button is held down
    obs_height: Side = 84  # pixels that a frame is scaled to
    obs_width: Side = 84  # pixels that a frame is scaled to
    grayscale: Literal[True] = True  # frames are gray
    frame_stack: Annotated[int, Field(ge=1, le=DEEPEST)] = 4  # frames that are seen at once
    max_steps: Positive = MAX_STEPS  # actions until an episode is truncated
    reward: RamRewardSettings = RamRewardSettings()  # what is paid

    @model_validator(mode="after")
    def _released_in_time(self) -> Self:
        if self.press_ticks >= self.frame_skip:
            raise ValueError(f"press_ticks is {self.press_ticks}, expected fewer than the {self.frame_skip} of frame_skip")
        return self

    @property
    def emulator(self) -> EmulatorSettings:
        """The same as other pipelines say it; what is not set here is not set there."""
        told = self.model_fields_set & {"frame_skip", "press_ticks"}
        return EmulatorSettings.model_construct(
            told | {"rom"}, rom=self.rom_path, frame_skip=self.frame_skip, press_ticks=self.press_ticks
        )

    @property
    def rom(self) -> Path:
        """The ROM.

        Raises:
            InputError: there is no such file.
        """
        return rom_path(self.emulator, "env.rom_path")

    def files(self) -> dict[str, Path]:
        """The ROM."""
        return {"rom_path": self.rom}

    def modules(self) -> tuple[str, ...]:
        """The module of the game, which reads its memory."""
        return self.emulator.modules() if self.rom else ()


class TrainingSettings(Settings):
    """PPO (1707.06347), by the names of CleanRL."""

    num_envs: Positive = 4  # Game Boys played side by side
    # Threads that run them; left out, one a core.
    num_workers: Annotated[Positive | None, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = None
    total_timesteps: Positive = 500_000  # steps of all of them together
    batch_size: Positive = 2048  # steps between two updates
    minibatch_size: Positive = 256  # steps a gradient is of; with a memory, of whole sequences
    update_epochs: Positive = 4  # passes over what was collected
    learning_rate: Rate = 2.5e-4  # at the start
    anneal_lr: bool = True  # let it fall linearly to 0
    gamma: Share = 0.99  # discount a step
    gae_lambda: Share = 0.95  # of generalized advantage estimation (1506.02438)
    clip_coef: Rate = 0.2  # range of the probability ratio
    clip_vloss: bool = True  # clip the value's change, too
    norm_adv: bool = True  # normalize advantages within a minibatch
    norm_reward: bool = False  # divide rewards by the running deviation of the discounted return
    ent_coef: NonNegative = 0.01  # weight of the entropy bonus
    vf_coef: NonNegative = 0.5  # weight of the value loss
    max_grad_norm: Rate = 0.5  # longer gradients are cut to this length
    # An update ends where a minibatch is 1.5 times this approximate KL from the policy that collected; left out, never.
    target_kl: Rate | None = None
    memory: Literal["none", "recurrent"] = "none"  # recurrent: a GRU over the frames' features
    hidden: Annotated[int, Field(ge=1, le=WIDEST)] = 256  # size of its state
    eval_every: Natural = (
        0  # updates between evaluation episodes; the weights that did best in them are kept; 0: none, the last are
    )
    eval_episodes: Positive = 4  # that are played then, each from power-on with dice of its own

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.batch_size % self.num_envs:
            raise ValueError(f"batch_size is {self.batch_size}, expected a multiple of the {self.num_envs} of num_envs")
        if self.batch_size % self.minibatch_size:
            raise ValueError(
                f"minibatch_size is {self.minibatch_size}, expected a divisor of the {self.batch_size} of batch_size"
            )
        if self.memory == "recurrent" and self.minibatch_size % self.num_steps:
            raise ValueError(
                f"minibatch_size is {self.minibatch_size}, expected with a memory a multiple of the {self.num_steps} steps an environment "
                "plays between updates (batch_size / num_envs)"
            )
        return self

    @property
    def num_steps(self) -> int:
        """Steps of each environment between two updates."""
        return self.batch_size // self.num_envs

    @property
    def updates(self) -> int:
        """Updates in all."""
        return max(1, self.total_timesteps // self.batch_size)

    def ppo(self, seed: int, device: str, save_interval: int) -> PPOConfig:
        """The same as the agent's settings."""
        same = {name: getattr(self, name) for name in PPOConfig.model_fields if name in type(self).model_fields}
        return PPOConfig(
            **same | {"target_kl": self.target_kl or NO_LIMIT}, seed=seed, device=device, total_steps=self.total_timesteps,
            num_steps=self.num_steps, learning_rate_final=0.0 if self.anneal_lr else 1.0, checkpoint_every=save_interval, alarm="warn",
        )  # fmt: skip


class CheckpointingSettings(Settings):
    """How often training is saved. A killed run goes on from its last checkpoint, which the store keeps, to the same weights."""

    save_interval: Positive = (
        50  # updates between checkpoints; consoles go on from their saved states, so it is part of the result
    )
    # A folder that gets a copy of the policy at each of them, besides: `update_000050/`; left out, none.
    save_dir: Annotated[PathText | None, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = None


class LoggingSettings(Settings):
    """Where numbers go besides the console and the store's `.tracking`."""

    # A folder for event files of TensorBoard, besides: `<tensorboard_dir>/<run_name>`; left out, none.
    tensorboard_dir: Annotated[PathText | None, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = None
    # What this run is called there.
    run_name: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[^/\\.][^/\\]*$", json_schema_extra=NOT_IN_FINGERPRINT)
    ] = "baseline"
    log_interval: Annotated[Positive, Field(json_schema_extra=NOT_IN_FINGERPRINT)] = 5  # updates between two looks at the numbers
