"""`cnn`: PPO with the network of Nature DQN (2015), paid from the game's memory.

policy/            the network (safetensors + config.json)
play.json          how it is to be played
history.json       one row an update                trials.json    the evaluation episodes, if there were any
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from emurl.agents.base import restart
from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.pixel_networks import PixelPolicy
from emurl.core.errors import InputError
from emurl.core.files import write_json
from emurl.core.progress import Progress
from emurl.core.settings import Device, Natural, Settings
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.console import BUTTONS
from emurl.envs.gameboy.paid import PaidVectorEnv, Totals
from emurl.pipelines.baseline.players import POLICY
from emurl.pipelines.baseline.settings import CheckpointingSettings, EnvSettings, LoggingSettings, TrainingSettings
from emurl.pipelines.shared.playing import write_play
from emurl.rewards.ram import TERMS
from emurl.screen import ScreenSpec
from emurl.training.evaluate import RandomAgent
from emurl.training.on_policy import Selection, State, late_mean, train
from emurl.training.rollout import Episode
from emurl.training.settings import PlaySettings
from emurl.training.sources import VectorSource
from emurl.training.supervised import resolve_device, seeded

METRICS: dict[str, str] = {
    "return_mean": "↑ reward of an episode from power-on on fresh seeds, by the kept weights, mean; beside `return_mean_random`",
    "return_mean_random": "the same of buttons drawn at random",
    "return_std": "standard deviation of it over the episodes",
    "return_std_random": "the same of buttons drawn at random",
    "badges_mean": "↑ badges at the end of those episodes, mean; beside `badges_mean_random`",
    "badges_mean_random": "the same of buttons drawn at random",
    "selection_return": "reward of the kept weights in the evaluation episodes they were chosen by (`training.eval_every`), null without any",
    "best_update": "the update after which the weights that were kept were tried; without evaluation episodes the last",
    "updates": "updates made",
    "env_steps": "environment steps of all consoles together",
    "episode_reward": "mean reward of the training episodes that ended in the last quarter of the updates; null where none did",
    "entropy": "entropy of the actions, in nats; as the following, a mean over the last quarter of the updates",
    "entropy_ratio": "the same as a share of the largest there is; 1: every action is as likely as any other",
    "approx_kl": "estimate of KL(old ‖ new policy) of an update, in nats",
    "clipfrac": "share of samples whose probability ratio was clipped",
    "explained_variance": "↑ share of the variance of the returns that the value head explains; 0: as good as their mean",
    "steps_per_second": "environment steps a second, learning included",
    "wall_seconds": "seconds of collecting and learning, without evaluation episodes",
}

OF_PPO = ("entropy", "entropy_ratio", "approx_kl", "clipfrac", "explained_variance")
TAGS = {
    "policy_loss": "train/policy_loss", "value_loss": "train/value_loss", "entropy": "train/entropy_loss", "approx_kl": "train/approx_kl",
    "clipfrac": "train/clipfrac", "explained_variance": "train/explained_variance", "steps_per_second": "perf/steps_per_second",
    "trial_return": "eval/mean_reward",
}  # fmt: skip
"""The loop's numbers by the tags that people's dashboards know."""
TRIAL, FRESH = 0x7121A1, 0xF4E5  # seeds of the evaluation episodes, and of those that are reported


class CnnSettings(Settings):
    """`cnn`: the environment, PPO, and how often it is saved and looked at."""

    seed: Natural = 0  # of every random draw
    device: Device = "auto"  # auto, cpu, cuda, cuda:N or mps
    env: EnvSettings = EnvSettings()  # the game, what is seen of it, and what is paid
    training: TrainingSettings = TrainingSettings()  # PPO
    checkpointing: CheckpointingSettings = CheckpointingSettings()  # how often training is saved
    logging: LoggingSettings = LoggingSettings()  # where numbers go besides


def run(settings: CnnSettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train; headline `return_mean`: what the kept weights are paid in episodes of fresh seeds, beside chance."""
    device, training, spec = resolve_device(settings.device), settings.training, ScreenSpec()
    _require_folder(settings.checkpointing.save_dir)
    config = training.ppo(settings.seed, settings.device, settings.checkpointing.save_interval)
    policy = seeded(settings.seed, lambda: new_policy(settings, spec)).to(device)
    rng = np.random.default_rng([settings.seed, 0xC99])
    agent = PPOAgent(policy, config, rng)
    copies = settings.logging.tensorboard_dir
    signature = settings.fingerprint_values()
    envs = consoles(settings, training.num_envs, spec)
    watched: PaidVectorEnv | None = None
    try:
        watched = consoles(settings, training.eval_episodes, spec)
        board = _Dashboard(tracker, agent, envs, settings)
        source = VectorSource(envs, agent, training.num_steps, rng, seed=settings.seed)
        selection = None
        if training.eval_every:
            selection = Selection(
                lambda one: board.evaluated(watched, one, TRIAL), around=agent.forget, every=training.eval_every
            )
        with tracker.copied_to(None if copies is None else Path(copies) / settings.logging.run_name):
            state = train(
                agent, source, config, tracker=board, scratch=output.scratch, signature=signature, selection=selection,  # type: ignore[arg-type]
                saved=lambda file: board.saved(output, file), episodes=board.ended, name="cnn",
            )  # fmt: skip
        fresh = {
            "": play_episodes(agent, watched, settings.seed + FRESH, tracker, "play on fresh seeds"),
            "_random": play_episodes(RandomAgent(len(BUTTONS)), watched, settings.seed + FRESH, tracker, "play at random"),
        }
    finally:
        envs.close()
        if watched is not None:
            watched.close()
    for who, episodes in fresh.items():
        returns = [one.paid for one in episodes]
        output.metrics |= {f"return_mean{who}": float(np.mean(returns)), f"return_std{who}": float(np.std(returns))}
        output.metrics[f"badges_mean{who}"] = float(np.mean([one.badges for one in episodes]))
    output.metrics |= _metrics(state, training)
    for alarm in state.alarms:
        output.note(f"alarm: {alarm}")
    policy.save_pretrained(output.path(POLICY))
    write_play(output, settings.env.emulator, spec, PlaySettings())
    write_json(output.path("history.json"), state.history)
    write_json(output.path("trials.json"), [{"update": at, "return": value} for at, value in state.trials])


def new_policy(settings: CnnSettings, spec: ScreenSpec) -> PixelPolicy:
    """The untrained network that the settings describe."""
    env, hidden = settings.env, settings.training.hidden if settings.training.memory == "recurrent" else 0
    return PixelPolicy(len(BUTTONS), env.obs_height, env.obs_width, env.frame_stack, spec.shades, hidden)


def consoles(settings: CnnSettings, number: int, spec: ScreenSpec) -> PaidVectorEnv:
    """`number` Game Boys that pay what the settings say."""
    env = settings.env
    return PaidVectorEnv(
        env.rom, number, env.frame_skip, env.press_ticks, env.max_steps, spec, env.reward, settings.training.num_workers
    )


def play_episodes(agent: Any, envs: PaidVectorEnv, seed: int, tracker: Tracker, what: str) -> list[Totals]:
    """One episode from power-on on every console, sampled actions; what came of each. Episode i draws from dice of its own."""
    dice = [np.random.default_rng([seed, i]) for i in range(envs.num_envs)]
    frames, _ = envs.reset()
    envs.ended.clear()
    carry, over = agent.initial(envs.num_envs), np.zeros(envs.num_envs, bool)
    results: list[Totals | None] = [None] * envs.num_envs
    with tracker.progress(envs.max_steps, what, "actions") as bar:
        while not over.all():
            noise = np.stack([one.gumbel(size=agent.actions) for one in dice])
            actions, carry, _ = agent.act(carry, frames, None, noise)
            totals = list(envs.totals)
            frames, _, terminated, truncated, _ = envs.step(actions)
            ended = terminated | truncated
            for i in np.flatnonzero(ended & ~over).tolist():
                results[i] = totals[i]
            carry = restart(carry, agent.initial(envs.num_envs), ended)
            over |= ended
            bar.update(1)
    return [one for one in results if one is not None]


class _Dashboard:
    """The tracker of the training: numbers by the tags people know, every so many updates, with what episodes came to."""

    def __init__(self, tracker: Tracker, agent: PPOAgent, envs: PaidVectorEnv, settings: CnnSettings) -> None:
        self.tracker, self.agent, self.envs, self.settings = tracker, agent, envs, settings
        self.updates = 0  # made so far
        self.episodes: list[Totals] = []  # that ended since the last look

    def log(self, values: dict[str, float], step: int) -> None:
        """As `Tracker.log`, at environment steps."""
        if "trial_return" not in values:
            self.updates = step
            if step % self.settings.logging.log_interval and step != self.settings.training.updates:
                return
            values = values | self._of_episodes()
        told = {TAGS.get(name, name): value for name, value in values.items() if name in TAGS or "/" in name}
        self.tracker.log(told, step * self.settings.training.batch_size, tags=True)

    def _of_episodes(self) -> dict[str, float]:
        found = {"train/learning_rate": self.agent.optimizer.param_groups[0]["lr"]}
        if self.episodes:
            of: dict[str, Callable[[Totals], float]] = {
                "episode/mean_reward": lambda one: one.paid, "episode/mean_length": lambda one: one.steps,
                "episode/mean_badges": lambda one: one.badges, "episode/mean_milestones": lambda one: len(one.reached),
                "episode/success_rate": lambda one: one.finished,
            }  # fmt: skip
            found |= {name: float(np.mean([what(one) for one in self.episodes])) for name, what in of.items()}
            found |= {f"reward/{term}": float(np.mean([one.terms[term] for one in self.episodes])) for term in TERMS}
            self.episodes.clear()
        return found

    def ended(self, episodes: list[Episode]) -> None:
        """Episodes of the training ended."""
        self.episodes += self.envs.ended
        self.envs.ended.clear()

    def evaluated(self, envs: PaidVectorEnv | None, agent: Any, seed: int) -> float:
        """Mean reward of evaluation episodes."""
        assert envs is not None
        return float(np.mean([one.paid for one in play_episodes(agent, envs, seed, self.tracker, "evaluation episodes")]))

    def saved(self, output: Output, file: Path) -> None:
        """A checkpoint was written."""
        output.scratch_saved(file)
        folder = self.settings.checkpointing.save_dir
        if folder is None or not self.updates:
            return
        try:
            self.agent.network.save_pretrained(Path(folder) / f"update_{self.updates:06d}")
        except OSError as error:  # the store has it: no reason to end
            self.message(
                f"checkpointing.save_dir: {folder}: update {self.updates} could not be copied there ({error.strerror or error})"
            )

    def progress(self, total: float, description: str, unit: str = "it") -> AbstractContextManager[Progress]:
        """As `Tracker.progress`."""
        return self.tracker.progress(total, description, unit)

    def message(self, line: str) -> None:
        """As `Tracker.message`."""
        self.tracker.message(line)


def _require_folder(folder: str | None) -> None:
    """Raise `InputError` where the copies of the policy cannot be written: now, and not after hours."""
    if folder is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"checkpointing.save_dir: {folder}: cannot be written to ({reason}), expected a folder that can"
        ) from None


def _metrics(state: State, training: TrainingSettings) -> dict[str, Any]:
    steps = state.update * training.batch_size
    return {
        "selection_return": state.best if state.trials else None,
        "best_update": state.best_update if state.trials else state.update,
        "updates": state.update,
        "env_steps": steps,
        "episode_reward": late_mean(state, "episode_return"),
        **{name: late_mean(state, name) for name in OF_PPO},
        "steps_per_second": steps / max(state.seconds, 1e-9),
        "wall_seconds": state.seconds,
    }
