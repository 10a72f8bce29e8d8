"""What algorithms share: construction, the loop around ``update(batch)``, predicting, saving, loading."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from pgcore import policies, presets
from pgcore._arguments import integer, integers
from pgcore._kinds import register
from pgcore.baselines import Baseline, as_baseline
from pgcore.callbacks import Callback, ProgressBar, as_callbacks
from pgcore.policies import ObservationNormalizer, Policy
from pgcore.rollout import LocalSampler, Sampler, close_vector_env, make_vector_env
from pgcore.rollout.copying import HoldsEnv
from pgcore.rollout.prediction import Predictor
from pgcore.rollout.sampler import AwaitedSampler
from pgcore.rollout.seeds import checked_seed, integer_seed
from pgcore.training import persistence
from pgcore.training.action_scale import warn_if_out_of_scale
from pgcore.training.attributes import OF_A_NEW_POLICY, refuse_arguments, refuse_attribute
from pgcore.training.config import Config, make_config
from pgcore.training.interrupts import Interrupts
from pgcore.training.loop import run
from pgcore.training.persistence import WINDOW, EnvLike
from pgcore.training.statistics import mean_or_nan
from pgcore.values import ValueFunction

if TYPE_CHECKING:
    from pgcore.data.batch import Batch
    from pgcore.training.persistence import Component

__all__ = ["Algorithm"]

ConfigT = TypeVar("ConfigT", bound=Config)

_KEYWORDS = ("policy", "critic", "hidden", "activation", "seed", "num_envs", "backend", "sampler")


class Algorithm(HoldsEnv, ABC, Generic[ConfigT]):
    """Learns a policy from experience: collect, update, merge the normaliser's statistics, and again.

    A subclass names its configuration dataclass and writes `update`. It may add `setup` (what it keeps
    between updates), `components` (what of that must be saved) and `default_critic`. ``copy`` and ``pickle``
    give an independent model that goes on learning in the same way, in a copy of the environment.

    Parameters
    ----------
    env
        A gymnasium id, an environment or a vector environment.
    policy
        The policy to train, in place; by default one that fits the spaces.
    critic
        The baseline, or a `pgcore.values.ValueFunction`, which becomes one; by default the one that the
        configuration names.
    hidden, activation
        Hidden layer sizes and activation of the default policy and critic; not to be given with a policy.
    seed
        Seeds everything random. None draws one, kept in ``model.seed``.
    num_envs, backend
        Of an id: how many copies to step (by default 1), and how ("sync", "async", "native", "envpool").
    sampler
        Where experience comes from, a `pgcore.rollout.Sampler`; by default the environment is played in this
        process. With one, the environment only says what the spaces are. Not saved with the model, but for
        its state: after loading, `set_sampler` again.
    **hyperparameters
        Fields of the configuration dataclass.

    Attributes
    ----------
    policy, critic, config, env
        As given or made.
    num_timesteps : int
        Environment steps that it has learned from.
    logs : dict
        The last iteration's numbers, by Stable-Baselines3's names.

    Raises
    ------
    TypeError, ValueError
        For an unknown hyperparameter, a value that does not fit, or what could not be saved; it is named.

    Warns
    -----
    UserWarning
        If hardly any of a new policy's actions lie in the action space's bounds, or these are far away.
    """

    config_class: ClassVar[type[Config]] = Config
    _where_episodes_are_lost = {"_has_begun": False}  # noqa: RUF012 - never changed
    command: ClassVar[str]  # what the command line and the presets call it
    config: ConfigT
    env: VectorEnv[Any, Any, Any] | None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.command = cls.__dict__.get("command", cls.__name__.lower())
        register(cls)  # as found by `load`

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse what would be misunderstood or ignored, with a message that says what to write."""
        refuse_arguments(cls.__name__, args, kwargs)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_is_made"):
            refuse_attribute(self, name)
        super().__setattr__(name, as_baseline(value) if isinstance(value, ValueFunction) else value)

    def __init__(
        self,
        env: EnvLike,
        *,
        policy: Policy | None = None,
        critic: Baseline | ValueFunction | None = None,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        seed: int | None = 0,
        num_envs: int | None = None,
        backend: str | None = None,
        sampler: Sampler | None = None,
        **hyperparameters: Any,
    ) -> None:
        config = make_config(
            self.config_class, hyperparameters, owner=type(self).__name__, also_valid=_KEYWORDS
        )
        if policy is not None and not isinstance(policy, Policy):
            raise TypeError(f"policy: expected one from pgcore.policies or None, got {policy!r}")
        if critic is not None and not isinstance(critic, Baseline | ValueFunction):
            raise TypeError(f"critic: expected one from pgcore.baselines or None, got {critic!r}")
        if isinstance(env, gym.Env | VectorEnv) and not (num_envs is None and backend is None):
            raise ValueError(
                f"num_envs, backend: expected neither with a made environment, got {num_envs}, {backend}"
            )
        self.seed = checked_seed(seed)
        self.num_envs, self.backend = 1 if num_envs is None else num_envs, backend or "sync"
        self.env = made = self._made(env)
        self.num_envs = int(made.num_envs)
        try:
            self._build(
                config=config,
                observation_space=made.single_observation_space,
                action_space=made.single_action_space,
                policy=policy,
                critic=None if critic is None else as_baseline(critic),
                hidden=integers("hidden", hidden, minimum=1),
                activation=activation,
            )
            self.set_sampler(sampler)
            persistence.require_saveable(self)
            warn_if_out_of_scale(self.action_space, self.policy)
        except BaseException:
            if isinstance(env, str):
                close_vector_env(made)  # nobody else knows it
            raise

    def _build(
        self,
        *,
        config: Any,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        policy: Policy | None,
        critic: Baseline | None,
        hidden: tuple[int, ...],
        activation: str,
    ) -> None:
        """Make everything but the environment, for the constructor and for loading alike."""
        policy_seed, critic_seed, rng, predict_rng = np.random.SeedSequence(self.seed).spawn(4)
        self.config, self.hidden, self.activation = config, hidden, activation
        self.observation_space, self.action_space = observation_space, action_space
        self._rng, self._predict_rng = np.random.default_rng(rng), np.random.default_rng(predict_rng)
        self._predictor = Predictor(observation_space, action_space)
        if policy is None:
            spread = {"init_log_std": config.init_log_std} if isinstance(action_space, gym.spaces.Box) else {}
            policy = policies.for_spaces(
                self._predictor.obs_dim,
                action_space,
                hidden=hidden,
                activation=activation,
                seed=integer_seed(policy_seed),
                **spread,
            )
        self._predictor.check_fit(policy)
        if config.normalize_observations and policy.normalizer is None:
            policy.normalizer = ObservationNormalizer(policy.obs_dim)
        self.policy = policy
        self.critic = self.default_critic(integer_seed(critic_seed)) if critic is None else critic
        if self.critic is not None:
            self.critic.normalizer = policy.normalizer
        self.num_timesteps = self.num_iterations = self.num_updates = 0
        self.progress = 0.0  # of the current `learn`, from 0 to 1; schedules read it
        self.logs: dict[str, float] = {}
        self._episode_returns: deque[float] = deque(maxlen=WINDOW)
        self._episode_lengths: deque[int] = deque(maxlen=WINDOW)
        self._sampler: Sampler | None = None  # one of the caller's own
        self._local: LocalSampler | None = None
        self._has_begun = False  # whether the sampler was told to begin episodes
        self.setup()
        self._is_made = True

    # What a subclass fills in

    @abstractmethod
    def update(self, batch: Batch) -> dict[str, float]:
        """Improve the policy by one batch of the experience that it made.

        Returns
        -------
        dict
            Numbers for the log; they appear as ``train/{name}``.
        """

    def setup(self) -> None:
        """Make what is kept between updates, such as an optimizer. Policy and critic are there already."""

    def components(self) -> dict[str, Component]:
        """Return what has a state to be saved besides the policy's parameters, by a name for each."""
        parts: dict[str, Component | None] = {
            "critic": self.critic,
            "normalizer": self.policy.normalizer,
            "sampler": self._sampler,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def default_critic(self, seed: int) -> Baseline | None:
        """Return the baseline to use when the caller gives none; None for an algorithm without one."""
        return None

    # Learning

    def learn(
        self,
        total_timesteps: int,
        *,
        callback: Callback | Iterable[Callback] | None = None,
        progress_bar: bool = False,
        reset_num_timesteps: bool = True,
    ) -> Self:
        """Train for at least ``total_timesteps`` environment steps, in whole iterations; return the model.

        If an exception (Ctrl-C is one) cuts an iteration short, the model is as it was before that iteration,
        and can be saved or learn on. Ctrl-C between iterations waits until all callbacks have been called;
        pressed again a second later, it no longer waits.

        Parameters
        ----------
        total_timesteps
            Environment steps to take, summed over environments.
        callback
            One or several, called with the model after every iteration; ``False`` from one (also NumPy's, or
            another library's) ends training.
        progress_bar
            Show a bar on standard error.
        reset_num_timesteps
            Start counting and playing anew. False continues ``num_timesteps`` and takes ``total_timesteps``
            *more*.

        Raises
        ------
        ValueError
            If the model has no environment, or ``total_timesteps`` is negative.
        """
        if self.env is None:
            raise ValueError("env: expected an environment to learn in, got None; call set_env")
        total_timesteps = integer("total_timesteps", total_timesteps, minimum=0)
        callbacks = as_callbacks(callback)
        with Interrupts() as interrupts:
            if reset_num_timesteps:
                self.num_timesteps = self.num_iterations = 0
                self._episode_returns.clear()
                self._episode_lengths.clear()
                self._has_begun = False
            target = self.num_timesteps + total_timesteps
            bar = ProgressBar(target, self.num_timesteps) if progress_bar else None
            try:
                run(self, target, callbacks if bar is None else [*callbacks, bar], interrupts)
            finally:
                if bar is not None:
                    bar.close()
        return self

    def collect(self) -> Batch:
        """Get one iteration's experience from the sampler, and count its steps and episodes."""
        sampler = self.sampler
        if not self._has_begun:
            # Not drawn from the generator: a resumed run begins episodes where an unbroken one doesn't.
            sampler.begin_episodes(integer_seed(np.random.SeedSequence([self.seed, self.num_updates])))
            self._has_begun = True
        rollout = sampler.collect(self.policy, self.config.n_steps, whole_episodes=self.config.whole_episodes)
        self._episode_returns.extend(rollout.episode_returns)
        self._episode_lengths.extend(rollout.episode_lengths)
        self.num_timesteps += rollout.num_env_steps
        return rollout.batch

    @property
    def sampler(self) -> Sampler:
        """Where experience comes from: the one that was given, or one that plays in ``env``."""
        if self._sampler is not None:
            return self._sampler
        if self._local is None:
            assert self.env is not None
            self._local = LocalSampler(self.env, rng=self._rng)
        return self._local

    def set_sampler(self, sampler: Sampler | None) -> None:
        """Get experience from ``sampler`` from now on; None plays in the environment.

        A loaded model gives it the state that was saved.

        Raises
        ------
        TypeError
            If it lacks a method of `pgcore.rollout.Sampler`.
        """
        if sampler is not None and not isinstance(sampler, Sampler):
            raise TypeError(f"sampler: expected a pgcore.rollout.Sampler or None, got {sampler!r}")
        if sampler is not None and isinstance(self._sampler, AwaitedSampler):
            sampler.load_state(self._sampler.state())
        self._sampler, self._has_begun = sampler, False

    def observe(self, batch: Batch) -> None:
        """Merge a batch's observations into the normaliser's statistics, after the update."""
        if self.config.normalize_observations and self.policy.normalizer is not None:
            self.policy.normalizer.update(batch.obs)

    def _log(self, train_logs: dict[str, float], num_steps: int, elapsed: float) -> None:
        self.logs = {
            "rollout/ep_rew_mean": mean_or_nan(self._episode_returns),
            "rollout/ep_len_mean": mean_or_nan(self._episode_lengths),
            "time/iterations": self.num_iterations,
            "time/fps": int(num_steps / max(elapsed, 1e-9)),
            "time/time_elapsed": round(elapsed, 3),
            "time/total_timesteps": self.num_timesteps,
            **{f"train/{name}": value for name, value in train_logs.items()},
            "train/n_updates": self.num_updates,
        }

    # Acting

    def predict(
        self,
        obs: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Choose actions, in the action space: clipped to a `Box`, with `Discrete`'s start added.

        Parameters
        ----------
        obs
            One raw observation, or a batch of them along a new first axis.
        state, episode_start
            For Stable-Baselines3's sake: ``state`` is handed back, ``episode_start`` is not read.
        deterministic
            The most likely action instead of a random one.

        Returns
        -------
        actions, state
        """
        return self._predictor(self.policy, obs, None if deterministic else self._predict_rng), state

    def set_env(self, env: EnvLike) -> None:
        """Learn in another environment from now on; other spaces than the model's raise a `ValueError`."""
        made = self._made(env)
        for name in ("observation_space", "action_space"):
            expected, got = getattr(self, name), getattr(made, f"single_{name}")
            if expected != got:
                if isinstance(env, str):
                    close_vector_env(made)
                raise ValueError(f"env: expected {name} {expected}, got {got}")
        self._keep_env(made, int(made.num_envs))

    def close(self) -> None:
        """Close the environment and a sampler. The model can still predict and be saved."""
        try:
            if self._sampler is not None:
                self._sampler.close()
        finally:
            if self.env is not None:
                try:
                    close_vector_env(self.env)
                finally:
                    self._keep_env(None, self.num_envs)

    def _keep_env(self, env: VectorEnv[Any, Any, Any] | None, num_envs: int) -> None:
        vars(self).update(
            env=env, num_envs=num_envs, _local=None, _has_begun=False
        )  # assigning them is refused

    def _made(self, env: EnvLike) -> VectorEnv[Any, Any, Any]:
        if isinstance(env, gym.Env | VectorEnv):
            return make_vector_env(env, seed=self.seed)
        return make_vector_env(env, num_envs=self.num_envs, backend=self.backend, seed=self.seed)

    # Saving and loading

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write to one file, whose path is returned, all that is needed to predict and to go on learning.

        After loading, a run with ``whole_episodes`` continues bit for bit as if it had not stopped. Without,
        it continues from the start of new episodes, since environments cannot be saved.

        Parameters
        ----------
        path
            Where to; ``.npz`` is added to a name without a suffix.
        """
        return persistence.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: EnvLike | None = None) -> Self:
        """Read a model of this class that `save` wrote; otherwise as `pgcore.load`."""
        return persistence.load_as(cls, path, env)

    @classmethod
    def from_preset(cls, env_id: str, *, seed: int | None = 0, **overrides: Any) -> Self:
        """Make a model with the hyperparameters shipped for an environment, as ``pgcore train`` does.

        Parameters
        ----------
        env_id
            The environment's id; ``pgcore.presets.find(algorithm, env_id)`` shows what is used.
        seed
            As in the constructor.
        **overrides
            Constructor arguments and hyperparameters that take the place of the preset's.

        Raises
        ------
        ValueError
            If no preset is shipped for that environment.
        """
        arguments = dict(presets.find(cls.command, env_id).arguments)
        if overrides.get("policy") is not None:
            for name in OF_A_NEW_POLICY:
                arguments.pop(name, None)
        return cls(env_id, seed=seed, **{**arguments, **overrides})
