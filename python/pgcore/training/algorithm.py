"""What algorithms share: construction, the loop around ``update(batch)``, predicting, saving, loading."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, Self, TypeVar, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from pgcore import presets
from pgcore._arguments import integer, integers
from pgcore._kinds import register
from pgcore.baselines import Baseline, as_baseline
from pgcore.callbacks import Callback, ProgressBar, as_callbacks
from pgcore.policies import ObservationNormalizer, Policy, check_policy
from pgcore.rollout import LocalSampler, Rollout, Sampler, close_vector_env, make_vector_env
from pgcore.rollout.copying import HoldsEnv
from pgcore.rollout.sampler import AwaitedSampler
from pgcore.rollout.seeds import checked_seed, integer_seed
from pgcore.training import persistence
from pgcore.training.action_scale import warn_if_out_of_scale
from pgcore.training.attributes import OF_A_NEW_POLICY, refuse_arguments, refuse_attribute
from pgcore.training.config import Config, make_config
from pgcore.training.interrupts import Interrupts
from pgcore.training.loop import run
from pgcore.training.parts import Parts
from pgcore.training.prediction import Memory, Predictor
from pgcore.training.spaces import Spaces
from pgcore.training.state import TrainingState
from pgcore.values import ValueFunction

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pgcore._arguments import AnyArray
    from pgcore.data.batch import Batch
    from pgcore.rollout.types import AnySpace, AnyVectorEnv, EnvLike
    from pgcore.training.persistence import Component

__all__ = ["Algorithm"]

ConfigT_co = TypeVar("ConfigT_co", bound=Config, covariant=True)

_KEYWORDS = ("policy", "critic", "hidden", "activation", "seed", "num_envs", "backend", "sampler")


class Algorithm(HoldsEnv, ABC, Generic[ConfigT_co]):
    """Learns a policy from experience: collect, update, merge the normaliser's statistics, and again.

    A subclass names its configuration dataclass (``config_class``) and writes `update`. It may add `setup`
    (what it keeps between updates), `components` (what of that must be saved), `default_critic`, and
    ``command`` (its name on the command line and among the presets; by default the class's name in lower
    case). ``copy`` and ``pickle`` give an independent model that continues to learn in the same way, in a
    copy of the environment.

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
        process. With one, the environment only says what the spaces are. Not saved with the model, except for
        its state: after loading, `set_sampler` again.
    **hyperparameters
        Fields of the configuration dataclass.

    Attributes
    ----------
    policy, critic, config, env
        As given or made.
    num_timesteps : int
        Environment steps that it has learned from.
    rng : numpy.random.Generator
        What an update draws from; its state is saved with the model.
    predict_rng : numpy.random.Generator
        What `predict` draws from: another one, so that acting does not change what is learned.
    progress : float
        Of the current `learn`, from 0 to 1; schedules read it.
    spaces : Spaces
        What the model needs of its environment.
    training_state : TrainingState
        Counters, the last episodes, ``rng``.
    logs : dict
        The last iteration's numbers, by Stable-Baselines3's names.

    Raises
    ------
    TypeError, ValueError
        For an unknown hyperparameter, a value that does not fit, or what could not be saved; it is named.

    Warns
    -----
    UserWarning
        If hardly any of a new policy's actions are within the action space's bounds, or the bounds are far
        away.
    """

    config_class: ClassVar[type[Config]] = Config
    command: ClassVar[str]  # what the command line and the presets call it
    demonstrations_are: ClassVar[Literal["unused", "optional", "required"]] = "unused"
    """Whether the constructor takes ``demonstrations=``, and the command line ``--demonstrations``."""

    config: ConfigT_co
    env: AnyVectorEnv | None
    restart_attributes: ClassVar[Mapping[str, object]] = {"_has_begun": False}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.command = cls.__dict__.get("command", cls.__name__.lower())
        register(cls)  # as found by `load`

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Refuse what would be misunderstood or ignored, with a message that says what to write."""
        refuse_arguments(cls.__name__, args, kwargs)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: object) -> None:
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
        **hyperparameters: object,
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
        try:
            self._build(
                Parts(
                    config=config,
                    spaces=Spaces.of(made),
                    policy=policy,
                    critic=None if critic is None else as_baseline(critic),
                    hidden=integers("hidden", hidden, minimum=1),
                    activation=activation,
                    seed=self.seed,
                    num_envs=int(made.num_envs),
                    backend=self.backend,
                )
            )
            if self.policy.is_own:
                check_policy(self.policy, self.spaces.some_observations())
            self.set_sampler(sampler)
            persistence.require_saveable(self)
            warn_if_out_of_scale(self.action_space, self.policy)
        except BaseException:
            if isinstance(env, str):
                close_vector_env(made)  # nothing else refers to it
            raise

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Make a model without an environment, and without a call of ``__init__``: as `load` does."""
        model = cls.__new__(cls)
        model.env = None
        model._build(parts)
        return model

    def _build(self, parts: Parts) -> None:
        """Make everything but the environment, for the constructor and for loading alike."""
        config = cast("ConfigT_co", parts.config)  # `config_class` is its class
        self.config, self.spaces = config, parts.spaces
        self.hidden, self.activation = parts.hidden, parts.activation
        self.seed, self.num_envs, self.backend = parts.seed, parts.num_envs, parts.backend
        policy_seed, critic_seed, rng, predict_rng = np.random.SeedSequence(self.seed).spawn(4)
        self.training_state, self.predict_rng = TrainingState(rng), np.random.default_rng(predict_rng)
        self._predictor = Predictor(self.spaces)
        policy = parts.policy
        if policy is None:
            policy = self.spaces.default_policy(
                hidden=self.hidden,
                activation=self.activation,
                seed=integer_seed(policy_seed),
                init_log_std=config.init_log_std,
            )
        self.spaces.check_policy(policy)
        if config.normalize_observations and policy.normalizer is None:
            policy.normalizer = ObservationNormalizer(policy.obs_dim)
        self.policy = policy
        self.critic = self.default_critic(integer_seed(critic_seed)) if parts.critic is None else parts.critic
        if self.critic is not None:
            self.critic.normalizer = policy.normalizer
        self.progress = 0.0
        self.logs: dict[str, float] = {}
        self._sampler: Sampler | None = None  # one of the caller's own
        self._local: LocalSampler | None = None
        self._has_begun = False  # whether the sampler was told to begin episodes
        self.setup()
        self._is_made = True

    # What it consists of

    @property
    def parts(self) -> Parts:
        """What the model is made of, as `from_parts` takes it."""
        return Parts(
            config=self.config,
            spaces=self.spaces,
            policy=self.policy,
            critic=self.critic,
            hidden=self.hidden,
            activation=self.activation,
            seed=self.seed,
            num_envs=self.num_envs,
            backend=self.backend,
        )

    @property
    def observation_space(self) -> AnySpace:
        """Of one environment."""
        return self.spaces.observation

    @property
    def action_space(self) -> AnySpace:
        """Of one environment."""
        return self.spaces.action

    @property
    def rng(self) -> np.random.Generator:
        """What an update draws from, and the rollouts too."""
        return self.training_state.rng

    @property
    def num_timesteps(self) -> int:
        """Environment steps that it has learned from."""
        return self.training_state.num_timesteps

    @num_timesteps.setter
    def num_timesteps(self, value: int) -> None:
        self.training_state.num_timesteps = value

    @property
    def num_iterations(self) -> int:
        """Iterations since `learn` last counted anew."""
        return self.training_state.num_iterations

    @num_iterations.setter
    def num_iterations(self, value: int) -> None:
        self.training_state.num_iterations = value

    @property
    def num_updates(self) -> int:
        """Iterations since the model was made."""
        return self.training_state.num_updates

    @num_updates.setter
    def num_updates(self, value: int) -> None:
        self.training_state.num_updates = value

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
        callback: Callback[Self] | Iterable[Callback[Self]] | None = None,
        progress_bar: bool = False,
        reset_num_timesteps: bool = True,
    ) -> Self:
        """Train for at least ``total_timesteps`` environment steps, in whole iterations; return the model.

        If an exception (Ctrl-C is one) interrupts an iteration, the model is as it was before that iteration.
        It can be saved, and can continue to learn. Ctrl-C between iterations waits until all callbacks have
        been called; pressed again a second later, it no longer waits.

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
        if self.env is None and self._sampler is None:
            raise ValueError("env: expected an environment to learn in, got None; call set_env")
        total_timesteps = integer("total_timesteps", total_timesteps, minimum=0)
        callbacks = as_callbacks(callback)
        with Interrupts() as interrupts:
            if reset_num_timesteps:
                self.training_state.restart()
                self.begin_new_episodes()
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
        if sampler is self._sampler:  # of the caller's own
            if not isinstance(rollout, Rollout):
                raise TypeError(
                    f"sampler: expected collect to return a Rollout, got {type(rollout).__name__}"
                )
            self.spaces.check_batch(rollout.batch, "sampler")
        self.training_state.count(
            rollout.num_env_steps,
            episode_returns=rollout.episode_returns,
            episode_lengths=rollout.episode_lengths,
        )
        return rollout.batch

    @property
    def has_sampler(self) -> bool:
        """Whether experience comes from a sampler that was given, and not from playing in ``env``."""
        return self._sampler is not None

    @property
    def sampler(self) -> Sampler:
        """Where experience comes from: the one that was given, or one that plays in ``env``."""
        if self._sampler is not None:
            return self._sampler
        if self._local is None:
            assert self.env is not None
            self._local = LocalSampler(self.env, rng=self.rng)
        return self._local

    def set_sampler(self, sampler: Sampler | None) -> None:
        """Get experience from ``sampler`` from now on; None plays in the environment.

        A loaded model gives it the state that was saved.

        Raises
        ------
        TypeError
            If it lacks a method of `pgcore.rollout.Sampler`.
        """
        if sampler is not None and (isinstance(sampler, type) or not isinstance(sampler, Sampler)):
            raise TypeError(f"sampler: expected a pgcore.rollout.Sampler or None, got {sampler!r}")
        if sampler is not None and sampler.state() and type(sampler).load_state is Sampler.load_state:
            raise TypeError(
                f"sampler: expected load_state to go with state, got {type(sampler).__name__} without"
            )
        if sampler is not None and isinstance(self._sampler, AwaitedSampler):
            sampler.load_state(self._sampler.state())
        self._sampler, self._has_begun = sampler, False

    def begin_new_episodes(self) -> None:
        """Let the next `collect` begin new episodes instead of continuing the running ones."""
        self._has_begun = False

    def observe(self, batch: Batch) -> None:
        """Merge a batch's observations into the normaliser's statistics, after the update."""
        if self.config.normalize_observations and self.policy.normalizer is not None:
            self.policy.normalizer.update(batch.obs)

    # Acting

    def predict(
        self,
        obs: object,
        state: ArrayLike | None = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = False,
    ) -> tuple[AnyArray, ArrayLike | None]:
        """Choose actions, in the action space: clipped to a `Box`, with `Discrete`'s start added.

        Parameters
        ----------
        obs
            One raw observation, or a batch of them along a new first axis.
        state, episode_start
            For a policy with memory: what the call before returned, and which observations begin an episode
            (one flag, or one for each). Other policies read neither, and ``state`` comes back.
        deterministic
            The most likely action instead of a random one.

        Returns
        -------
        actions, state
        """
        rng = None if deterministic else self.predict_rng
        if not self.policy.has_memory:
            return self._predictor(self.policy, obs, rng), state
        memory = Memory(state, episode_start)
        return self._predictor(self.policy, obs, rng, memory), memory.state

    def set_env(self, env: EnvLike) -> None:
        """Learn in another environment from now on; other spaces than the model's raise a `ValueError`."""
        made = self._made(env)
        try:
            self.spaces.check_env(made)
        except ValueError:
            if isinstance(env, str):
                close_vector_env(made)  # nothing else refers to it
            raise
        self._keep_env(made, int(made.num_envs))

    def close(self) -> None:
        """Close the environment and a sampler. The model can still predict and be saved."""
        try:
            if self._sampler is not None:
                state = self._sampler.state()
                self._sampler.close()
                self._sampler = AwaitedSampler()
                self._sampler.load_state(state)
        finally:
            if self.env is not None:
                try:
                    close_vector_env(self.env)
                finally:
                    self._keep_env(None, self.num_envs)

    def _keep_env(self, env: AnyVectorEnv | None, num_envs: int) -> None:
        vars(self).update(
            env=env, num_envs=num_envs, _local=None, _has_begun=False
        )  # assigning them is refused

    def _made(self, env: EnvLike) -> AnyVectorEnv:
        if isinstance(env, gym.Env | VectorEnv):
            return make_vector_env(env, seed=self.seed)
        return make_vector_env(env, num_envs=self.num_envs, backend=self.backend, seed=self.seed)

    # Saving and loading

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all that is needed to predict and to continue learning to one file; return its path.

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
    def from_preset(cls, env_id: str, *, seed: int | None = 0, **overrides: object) -> Self:
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
