"""The trials of a sweep, kept by Optuna in the store's journal. The one module that imports Optuna, and only when it is used.

What a trial is to be is drawn from the trials before it with a seed of its own, `[seed, number]`, and entered in one piece: so a sweep
that was killed draws what one that was not would have drawn, and nothing of a sampler is kept. While a trial is under way its process
holds a lease with its number; whoever finds a trial without a holder takes it up. Who begins a trial holds the lease of its number first.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from emurl.core.backends import Objects
from emurl.core.errors import InputError, WorkError
from emurl.core.journal import SWEEPS, Journal
from emurl.core.lease import Lease
from emurl.core.refusals import one_line
from emurl.sweep_plan import Plan
from emurl.sweep_space import Param

STATES = ("complete", "running", "pruned", "failed")  # in the order in which they are listed
NOTES = "emurl"  # the attribute of a trial that holds what is not Optuna's
STUDY = "sweep"


@dataclass
class Trial:
    """One trial.

    Attributes:
        id: Optuna's. number: from 0. params: by key; of a choice its text. state: one of `STATES`. value: of the metric, where complete.
        steps: at which something was reported. notes: `ref` and `digest` of the artifact, `why` it failed, `seconds`; `begun` and `left` say
            how often a process has begun it, and how often one has left it in good order.
    """

    id: int
    number: int
    params: dict[str, Param]
    state: str
    value: float | None
    steps: set[int] = field(default_factory=set)
    notes: dict[str, Any] = field(default_factory=dict)


def load_optuna() -> Any:
    """Optuna, quiet.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise InputError("sweep: Optuna is not installed, expected `pip install 'emurl[sweep]'`") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


class Trials:
    """All trials of a sweep, of whichever process.

    Args:
        reads: refs of the artifacts that every trial reads, which `gc` keeps while one is under way.

    Raises:
        InputError: the journal is damaged, or Optuna is not installed.
    """

    def __init__(self, objects: Objects, plan: Plan, reads: Iterable[str] = ()) -> None:
        self._optuna = load_optuna()
        self._objects, self._plan, self._reads = objects, plan, list(reads)
        try:
            self._storage = self._optuna.storages.JournalStorage(Journal(objects, f"{SWEEPS}/{plan.key}/journal"))
            self._study = self._optuna.create_study(
                storage=self._storage, study_name=STUDY, direction=plan.direction, load_if_exists=True,
                pruner=self._optuna.pruners.MedianPruner(n_startup_trials=plan.warmup),
            )  # fmt: skip
            self._id = self._storage.get_study_id_from_name(STUDY)
        except (KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:  # JSON, and no journal of Optuna's
            raise InputError(
                f"sweep {plan.name}: its journal in {objects.url} cannot be read ({type(error).__name__}: {one_line(error)}), "
                f"expected what `emurl sweep` wrote; another --name begins anew"
            ) from None
        states = self._optuna.trial.TrialState
        self._states = {
            states.COMPLETE: "complete",
            states.RUNNING: "running",
            states.PRUNED: "pruned",
            states.FAIL: "failed",
            states.WAITING: "running",
        }
        self._by_name = {name: state for state, name in self._states.items() if state != states.WAITING}

    def all(self) -> list[Trial]:
        """Every trial, by number."""
        return [self._trial(one) for one in self._frozen()]

    def _frozen(self) -> list[Any]:
        found: list[Any] = self._storage.get_all_trials(self._id, deepcopy=True)
        return sorted(found, key=lambda one: int(one.number))

    def _trial(self, frozen: Any) -> Trial:
        state = self._states[frozen.state]
        return Trial(
            frozen._trial_id, frozen.number, dict(frozen.params), state, frozen.value if state == "complete" else None,
            set(frozen.intermediate_values), dict(frozen.user_attrs.get(NOTES, {})),
        )  # fmt: skip

    # --- beginning ---------------------------------------------------------------------------------------------------

    def take(self, patient: bool) -> tuple[Trial, Lease] | None:
        """The next trial to work on, held: one that was left behind, else a new one, else None.

        Args:
            patient: watch a silent process of another machine for its lease's time to live, rather than leave its trial to it.
        """
        for trial in self.all():
            if trial.state == "running":
                with contextlib.suppress(WorkError):
                    lease = self._hold(trial.number, patient)
                    trial = self.all()[trial.number]  # what its process did last
                    if trial.state == "running":
                        return trial, lease
                    lease.release()
        return self._begin_new()

    def _begin_new(self) -> tuple[Trial, Lease] | None:
        while (number := len(self.all())) < self._plan.trials:
            try:
                lease = self._hold(number, patient=True)
            except WorkError:  # another process is entering the trial of this number
                time.sleep(0.05)
                continue
            try:
                if len(self.all()) == number:
                    return self._enter(number), lease
            except BaseException:
                lease.release()
                raise
            lease.release()
        return None

    def _hold(self, number: int, patient: bool) -> Lease:
        what = f"sweep {self._plan.name}: trial {number}"
        return Lease.take(
            self._objects, f".leases/{SWEEPS[1:]}-{self._plan.key}-{number}", what, patient=patient, reads=self._reads
        )

    def _enter(self, number: int) -> Trial:
        spaces = {key: self._distribution(key) for key in self._plan.spaces}
        running = self._optuna.trial.create_trial(
            state=self._by_name["running"], params=self._drawn(number, spaces), distributions=spaces
        )
        self._storage.create_new_trial(self._id, template_trial=running)
        return self.all()[number]

    def _distribution(self, key: str) -> Any:
        space, kinds = self._plan.spaces[key], self._optuna.distributions
        if space.kind == "choice":
            return kinds.CategoricalDistribution(space.choices)
        if space.kind == "int":
            return kinds.IntDistribution(int(space.low), int(space.high), log=space.log)
        return kinds.FloatDistribution(space.low, space.high, log=space.log)

    def _drawn(self, number: int, spaces: dict[str, Any]) -> dict[str, Param]:
        """What trial `number` is to be, by the trials before it; always the same for the same of them."""
        plan = self._plan
        if plan.sampler == "grid":
            params: dict[str, Param] = {}
            rest = number
            for key, space in reversed(list(plan.spaces.items())):
                rest, place = divmod(rest, space.count or 1)
                params[key] = space.at(place)
            return {key: params[key] for key in plan.spaces}
        import numpy as np

        seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
        samplers = self._optuna.samplers
        sampler = samplers.RandomSampler(seed) if plan.sampler == "random" else samplers.TPESampler(seed=seed)
        # In memory: what is drawn is entered in the journal in one piece, or not at all.
        study = self._optuna.create_study(direction=plan.direction, sampler=sampler)
        study.add_trials(self._frozen()[:number])
        drawn = study.ask(spaces).params
        return {key: space.rounded(drawn[key]) for key, space in plan.spaces.items()}

    # --- telling -----------------------------------------------------------------------------------------------------

    def note(self, trial: Trial, **notes: Any) -> None:
        """Keep something about a trial that is under way."""
        trial.notes |= notes
        self._storage.set_trial_user_attr(trial.id, NOTES, trial.notes)

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Keep a value that was logged in training, and say whether the trial is to be pruned.

        Args:
            value: in the sense of the metric: less is better where less of that is.
        """
        if step < 0 or not math.isfinite(value):
            return False
        if step not in trial.steps:  # it goes on from a checkpoint before this step: the same is logged again
            trial.steps.add(step)
            self._storage.set_trial_intermediate_value(trial.id, step, value)
        return bool(self._study.pruner.prune(self._study, self._storage.get_trial(trial.id)))

    def end(self, trial: Trial, state: str, value: float | None = None, **notes: Any) -> None:
        """A trial is over."""
        self.note(trial, **notes)
        self._storage.set_trial_state_values(trial.id, self._by_name[state], None if value is None else [value])
        trial.state, trial.value = state, value
