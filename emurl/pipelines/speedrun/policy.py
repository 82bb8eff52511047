"""`policy`: from the cloned policy on, by PPO that the reward model pays, or by exploring with the judge that remembers, and PPO then.

policy/            the network (safetensors + config.json)
play.json          how it is to be played
history.json       one row an update, or a round; with `method: explore` by name, `explore` and `practice`
trials.json        the fixed trials the weights were chosen by; practice.json those of practice
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emurl.agents.ppo.agent import PPOAgent
from emurl.agents.ppo.config import PPOConfig
from emurl.agents.ppo.token_networks import token_network
from emurl.core.errors import InputError
from emurl.core.files import write_json
from emurl.core.settings import Natural, NonNegative, Positive, Share
from emurl.core.store import Artifact, Output
from emurl.core.tracking import Tracker
from emurl.envs.gameboy.vector import ThreadedVectorEnv
from emurl.footage.dataset import FrameReader
from emurl.footage.tokens import Tokens
from emurl.games.settings import EmulatorSettings
from emurl.models.recurrent_policy import RecurrentPolicy
from emurl.pipelines.shared.playing import consoles, emulator_of, holds, write_play
from emurl.pipelines.speedrun.cadence import frames_per_action
from emurl.pipelines.speedrun.course import load_judge
from emurl.pipelines.speedrun.exploring import ExploreSettings, explore, read_labels, trial_return
from emurl.pipelines.speedrun.players import TokenPolicy, agent_of, familiarity, load_perception, load_policy, memory_of
from emurl.pipelines.speedrun.practicing import practice
from emurl.pipelines.speedrun.scouting import FILE as SCOUTED
from emurl.pipelines.speedrun.scouting import read_scouted
from emurl.rewards.progress import ProgressReward
from emurl.rewards.splits import SplitJudge
from emurl.screen import ScreenSpec
from emurl.training.archive import StateArchive
from emurl.training.console_source import ConsoleSource
from emurl.training.evaluate import Player, Record, play
from emurl.training.on_policy import Selection, State, late_mean, train
from emurl.training.perception import Perception
from emurl.training.practice import PracticeSettings
from emurl.training.settings import PlaySettings
from emurl.training.supervised import resolve_device, seeded
from emurl.training.ways import Place

METRICS: dict[str, str] = {
    "return_mean": "↑ mean return of the kept weights on fresh seeds: over an episode's steps, the best progress so far less that at "
    "power-on, by the judge with `method: explore` and by the ranker with `ppo`; beside `return_mean_clone`",
    "return_mean_clone": "the same of the clone, on the same seeds",
    "return_std": "standard deviation of it over the episodes",
    "return_std_clone": "the same of the clone",
    "selection_return": "return of the kept weights in the trials they were chosen by: the best of several, so never below the clone's;"
    " with `method: explore` the mean of the share of the course and of the share that finished",
    "selection_return_clone": "return in those trials of what training began with: of the clone, but with `start: scratch`",
    "selection_return_last": "return of the last weights in those trials",
    "best_update": "the update after which the weights that were kept were tried; 0: before any",
    "updates": "updates made",
    "env_steps": "environment steps of all consoles together",
    "entropy": "entropy of the actions, in nats; as the following, a mean over the last quarter of the updates",
    "entropy_ratio": "the same as a share of the largest there is; 1: every action is as likely as any other",
    "approx_kl": "estimate of KL(old ‖ new policy) of an update, in nats",
    "clipfrac": "share of samples whose probability ratio was clipped",
    "explained_variance": "↑ share of the variance of the returns that the value head explains; 0: as good as their mean",
    "reward_mean": "mean reward of a step",
    "steps_per_second": "environment steps a second, learning included",
    "course_mean": "↑ mean share of the course that fresh episodes get to, by the judge; beside `course_mean_clone`. With"
    " `method: explore`, as the next three",
    "course_mean_clone": "the same of the clone, on the same seeds",
    "finished_ways": "ways to the end of the course that were found and kept",
    "frontier": "↑ furthest share of the course that was found",
    "practice_return": "return of the kept weights in the trials of practice (`policy.practice`), as `selection_return` and with"
    " sticky actions: the best of several; beside `practice_return_before`",
    "practice_return_before": "the same before practice",
    "practice_best_update": "the update of practice after which the weights that were kept were tried; 0: practice did not help",
    "wall_seconds": "seconds of collecting and learning, without the trials",
}

OF_PPO = ("entropy", "entropy_ratio", "approx_kl", "clipfrac", "explained_variance", "reward_mean")

FRESH = 0xF4E5  # seeds of the episodes that are reported, apart from those of the trials


class PolicySettings(PPOConfig):
    """`policy`: PPO over VQ tokens; its network is the cloned one's."""

    emulator: EmulatorSettings = EmulatorSettings()
    start: Literal["clone", "scratch"] = "clone"  # what learns: the cloned policy, or one of its shape that has learned nothing
    memory: Literal["recurrent", "frames", "none"] | None = None  # what the cloned policy has to have; left unsaid, what it has
    kl_coef: NonNegative = 0.2  # weight of KL(policy ‖ clone)
    value_warmup: Share = 0.08  # share of the updates that teach the value head alone: the clone has no value
    time_penalty: NonNegative = 0.001  # cost of a step, in the reward model's unit
    reward_interval: Positive = 1  # steps between two looks at the progress, which pay for all that was made meanwhile
    episode_steps: Positive = 2_000  # actions an episode is long at most
    archive_share: Share = 0.5  # episodes that start from the archive instead of power-on
    archive_capacity: Positive = 256  # states kept
    archive_save_every: Positive = 64  # steps that earn a save
    ood: bool = False  # shrink gains in places that the OOD detector finds unfamiliar
    method: Literal["ppo", "explore"] = "ppo"  # how it learns: paid by the ranker, or from the ways it finds with the judge
    explore: ExploreSettings = ExploreSettings()  # how it explores
    practice: PracticeSettings = PracticeSettings()  # PPO after it, from where what was found sometimes fails
    play: PlaySettings = PlaySettings()  # how it chooses in play, and in trials
    trials: Positive = 7  # moments at which the weights are tried; those that did best are kept
    trial_seed: Natural = 0x7121A1  # of the actions sampled in trials
    evaluation_episodes: Positive = 16  # on fresh seeds, for `return_mean` of the policy and of the clone

    def settled(self, inputs: Mapping[str, Artifact]) -> PolicySettings:
        """With the cadence of the clone."""
        return self.model_copy(update={"emulator": emulator_of(inputs["behavior"], self.emulator)})


def run(settings: PolicySettings, inputs: Mapping[str, Artifact], output: Output, tracker: Tracker) -> None:
    """Train the policy; headline `return_mean`: what the chosen weights get on fresh seeds, beside the clone's."""
    device = resolve_device(settings.device)
    perception, spec = load_perception(inputs, device)
    settings = settings.settled(inputs)
    emulator = settings.emulator
    clone = load_policy(inputs["behavior"], perception, device)
    if settings.memory not in (None, memory_of(clone)):
        raise InputError(
            f"policy.memory: {settings.memory}, expected {memory_of(clone)}, as the policy of {inputs['behavior'].ref} has; "
            "behavior.memory decides it"
        )
    policy = copy.deepcopy(clone) if settings.start == "clone" else untrained(clone, settings.seed)
    signature = settings.fingerprint_values() | {name: artifact.digest for name, artifact in sorted(inputs.items())}

    judge = None
    if settings.method == "explore":
        if not isinstance(policy, RecurrentPolicy):
            raise InputError(
                f"policy.method: explore, expected ppo, because the policy of {inputs['behavior'].ref} does not remember"
            )
        judge = load_judge(inputs["reward"], device)
    fresh_envs = consoles(emulator, spec, settings.evaluation_episodes)

    def episodes(candidate: TokenPolicy, where: ThreadedVectorEnv, seed: int, tick: Callable[[], object]) -> list[Record]:
        perception.forget()
        player = Player("", agent_of(candidate), how=settings.play)
        return play(where, perception, player, max_steps=settings.episode_steps, seed=seed, judge=judge, tick=tick)

    def selected(candidate: TokenPolicy, where: ThreadedVectorEnv) -> float:
        with tracker.progress(settings.episode_steps, "trial", "actions") as bar:
            records = episodes(candidate, where, settings.trial_seed, lambda: bar.update(1))
        return float(np.mean([episode_return(one.progress) for one in records]))

    try:
        if judge is not None:
            assert isinstance(policy, RecurrentPolicy)
            learned = _explore(settings, inputs, policy, perception, judge, spec, signature, output, tracker)
        else:
            learned = _ppo(settings, inputs, policy, perception, spec, signature, selected, output, tracker)
        with tracker.progress(2 * settings.episode_steps, "play on fresh seeds", "actions") as bar:
            fresh = {
                name: episodes(one, fresh_envs, settings.seed + FRESH, lambda: bar.update(1))
                for name, one in (("", policy), ("_clone", clone))
            }
    finally:
        fresh_envs.close()
    for who, records in fresh.items():
        values = [episode_return(one.progress) for one in records]
        output.metrics |= {f"return_mean{who}": float(np.mean(values)), f"return_std{who}": float(np.std(values))}
        if judge is not None:
            output.metrics[f"course_mean{who}"] = float(np.mean([one.progress[-1] for one in records]))
    output.metrics |= learned
    policy.save_pretrained(output.path("policy"))
    write_play(output, emulator, spec, settings.play)
    if output.metrics["return_mean"] < output.metrics["return_mean_clone"]:
        output.note(
            f"on fresh seeds the policy gets {output.metrics['return_mean']:.4g}, less than the clone's "
            f"{output.metrics['return_mean_clone']:.4g}: training made it worse, whatever the trials said"
        )
    if output.metrics["best_update"] == 0 and not output.metrics.get("practice_best_update"):
        output.note("no trial did better than the one before training: the weights that it began with were kept")


def untrained(policy: TokenPolicy, seed: int) -> TokenPolicy:
    """A policy of the shape of `policy` that has learned nothing, where it is and ready to play."""
    return seeded(seed, lambda: type(policy)(**policy.config)).to(policy.device).eval()


def _ppo(
    settings: PolicySettings, inputs: Mapping[str, Artifact], policy: TokenPolicy, perception: Perception, spec: ScreenSpec,
    signature: dict[str, Any], selected: Callable[[TokenPolicy, ThreadedVectorEnv], float], output: Output,
    tracker: Tracker,
) -> dict[str, Any]:  # fmt: skip
    """PPO, paid by the ranker's progress; trains `policy` in place and returns its metrics."""
    rng = np.random.default_rng([settings.seed, 0x990])
    familiar = familiarity(inputs, perception.device) if settings.ood else None
    reward = ProgressReward(perception.progress, settings.time_penalty, familiar, settings.reward_interval)
    envs, trial_envs = (consoles(settings.emulator, spec, settings.num_envs) for _ in range(2))
    try:
        agent = PPOAgent(token_network(policy), settings, rng, reference=token_network(copy.deepcopy(policy)))
        source = ConsoleSource(
            envs, agent, settings.num_steps, rng, reward, perception, episode_steps=settings.episode_steps,
            archive=StateArchive(settings.archive_capacity, settings.archive_save_every), archive_share=settings.archive_share,
        )  # fmt: skip
        state = train(
            agent, source, settings, tracker=tracker, scratch=output.scratch, saved=output.scratch_saved, signature=signature,
            selection=Selection(
                lambda candidate: selected(candidate.network.module, trial_envs),  # type: ignore[arg-type]
                settings.trials, perception.forget,
            ),
        )  # fmt: skip
    finally:
        envs.close()
        trial_envs.close()
    write_json(output.path("history.json"), state.history)
    _tell(state, "trials.json", output)
    return _metrics(state, settings)


def _explore(
    settings: PolicySettings, inputs: Mapping[str, Artifact], policy: RecurrentPolicy, perception: Perception, judge: SplitJudge,
    spec: ScreenSpec, signature: dict[str, Any], output: Output, tracker: Tracker,
) -> dict[str, Any]:  # fmt: skip
    """Explore with the judge and learn from the ways; trains `policy` in place and returns its metrics."""
    reader = FrameReader(inputs["frames"].folder)
    tokens = Tokens(reader, inputs["frames"], inputs["tokenizer"])
    stride = frames_per_action(settings.emulator.frame_skip, reader.videos[0].fps)
    labels = read_labels(inputs["behavior"].path("labels.parquet"), tokens)
    scouted = settings.explore.scouted and holds(inputs["behavior"], SCOUTED)
    known = read_scouted(inputs["behavior"].path(SCOUTED), inputs) if scouted else None
    envs = consoles(settings.emulator, spec, settings.explore.consoles)
    try:
        told, ways = explore(
            policy, envs, perception, judge, tokens, labels, stride, settings.explore, how=settings.play, seed=settings.seed,
            device=perception.device, output=output, tracker=tracker, signature=signature, known=known,
        )  # fmt: skip
    finally:
        envs.close()
    history, practiced = {"explore": told.rounds}, {}
    _write_trials(output.path("trials.json"), enumerate(told.trials))
    if settings.practice.steps:
        state = _practice(settings, policy, ways, perception, judge, spec, signature, output, tracker)
        history["practice"] = state.history
        ran = _metrics(state, settings)
        told.steps += ran["env_steps"]
        told.seconds += state.seconds
        practiced = {name: ran[name] for name in OF_PPO} | {
            "practice_return": state.best,
            "practice_return_before": _return_before(state),
            "practice_best_update": state.best_update,
        }
    write_json(output.path("history.json"), history)
    return practiced | {
        "selection_return": told.best,
        "selection_return_clone": told.trials[0],
        "selection_return_last": told.trials[-1],
        "best_update": told.best_round,
        "updates": len(told.rounds),
        "env_steps": told.steps,
        "finished_ways": told.finished_ways,
        "frontier": told.frontier,
        "steps_per_second": told.steps / max(told.seconds, 1e-9),
        "wall_seconds": told.seconds,
    }


def _practice(
    settings: PolicySettings, policy: RecurrentPolicy, ways: Mapping[int, Sequence[Place]], perception: Perception, judge: SplitJudge,
    spec: ScreenSpec, signature: dict[str, Any], output: Output, tracker: Tracker,
) -> State:  # fmt: skip
    """PPO from places on the ways that were found, paid by the judge; trains `policy` in place."""
    goal, wait = judge.goal / (judge.positions - 1), settings.explore.wait_ticks
    envs, trial_envs = (consoles(settings.emulator, spec, settings.num_envs) for _ in range(2))

    def trial(candidate: RecurrentPolicy) -> float:
        with tracker.progress(settings.episode_steps, "trial", "actions") as bar:
            records = play(
                trial_envs, perception, Player("", agent_of(candidate), how=settings.play), max_steps=settings.episode_steps,
                seed=settings.trial_seed, wait_ticks=wait, sticky=settings.practice.sticky, judge=judge, tick=lambda: bar.update(1),
            )  # fmt: skip
        return trial_return([(one.progress[-1], one.progress[-1] >= goal) for one in records])

    try:
        state = practice(
            policy, ways, envs, perception, judge, settings.practice, settings, wait_ticks=wait, trial=trial, trials=settings.trials,
            output=output, tracker=tracker, signature=signature,
        )  # fmt: skip
    finally:
        envs.close()
        trial_envs.close()
    _tell(state, "practice.json", output)
    return state


def episode_return(progress: Sequence[float]) -> float:
    """How soon and how far an episode got: the mean over its steps of the best Φ so far, less Φ at power-on.

    What was reached stays reached: a game that starts over when its end screen is left must not cost the weights that got there.
    """
    return float(np.maximum.accumulate(progress).mean() - progress[0])


def _metrics(state: State, settings: PolicySettings) -> dict[str, Any]:
    """What PPO came to; entropy and the rest are means over the last quarter of the updates."""
    steps = state.update * settings.num_envs * settings.num_steps
    return {
        "selection_return": state.best,
        "selection_return_clone": _return_before(state),
        "selection_return_last": state.trials[-1][1],
        "best_update": state.best_update,
        "updates": state.update,
        "env_steps": steps,
        **{name: late_mean(state, name) for name in OF_PPO},
        "steps_per_second": steps / max(state.seconds, 1e-9),
        "wall_seconds": state.seconds,
    }


def _return_before(state: State) -> float | None:
    """What the trial before any update gave; None where there was none."""
    update, value = state.trials[0]
    return value if update == 0 else None


def _tell(state: State, name: str, output: Output) -> None:
    """Write a run's trials into the file `name`, and note its alarms."""
    _write_trials(output.path(name), state.trials)
    for alarm in state.alarms:
        output.note(f"alarm: {alarm}")


def _write_trials(path: Path, trials: Iterable[Sequence[float]]) -> None:
    write_json(path, [{"update": at, "return": value} for at, value in trials])
