"""`Collector`: plays a policy in a vector environment and returns what happened as one `Batch`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, Unpack

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from pgcore._arguments import (
    AnyArray,
    AnyDType,
    BoolArray,
    Float64Array,
    IntArray,
    check_shape,
    float_array,
    integer,
)
from pgcore._stacklevel import user_stacklevel
from pgcore.data.batch import Batch, trusted_batch
from pgcore.policies.any_policy import Segments, segments_of
from pgcore.rollout.buffer import EpisodeTracker, Noise, StepBuffer
from pgcore.rollout.copying import HoldsEnv
from pgcore.rollout.faults import FaultyEnvironmentError
from pgcore.rollout.limits import episode_limit
from pgcore.rollout.outcomes import not_finite
from pgcore.rollout.spaces import check_fit
from pgcore.rollout.types import AnyVectorEnv
from pgcore.rollout.vector import Step, VectorStepper

__all__ = ["Collector"]

_MIN_NOISE_STEPS = 128  # drawn at once when it is not known how long the episodes will be


class ActingPolicy(Protocol):
    """What a collector needs of a policy."""

    @property
    def obs_dim(self) -> int: ...
    @property
    def action_shape(self) -> tuple[int, ...]: ...
    @property
    def action_dtype(self) -> AnyDType: ...
    @property
    def dtype(self) -> AnyDType: ...
    def draw_noise(self, rng: np.random.Generator, num_steps: int, num_envs: int, /) -> AnyArray: ...
    def actor(
        self, obs: AnyArray, noise: AnyArray, actions: AnyArray, state: AnyArray | None = None, /
    ) -> Callable[[int], object]: ...
    def log_prob(self, obs: AnyArray, actions: AnyArray, /, **segments: Unpack[Segments]) -> AnyArray: ...


class Collector(HoldsEnv):
    """Collects experience: one environment step and one policy call per vector step, one batch per rollout.

    The batch lies environment by environment and in time order. It holds transitions only: the steps that a
    next-step environment spends on resets are left out. A segment that the environment truncated, or that the
    end of the rollout cut, carries the observation that it stopped at in ``bootstrap_obs`` (rows of
    terminated segments are 0). Actions are those that the policy sampled, before any clipping for the
    environment, and ``log_probs`` are theirs, computed in one pass over the whole batch. Rewards are float64.
    Observations are raw: flattened, not normalised, and in the environment's own precision
    (`ObservationAdapter.dtype`), whatever the policy's is. Nothing here moves a normaliser.

    The same generator and the same environments give the same batches in every autoreset mode when
    ``whole_episodes`` is true; otherwise a next-step environment has fewer transitions in the same number of
    steps.

    Parameters
    ----------
    env
        A gymnasium vector environment; `make_vector_env` makes one.
    policy
        Acts. It may be trained in place between rollouts.
    rng
        Source of the policy's noise, and of the seeds of resets.
    seed
        Of the first reset, when the first rollout isn't of whole episodes. By default one is drawn from
        ``rng``.
    max_steps
        In rollouts of whole episodes: an environment's last episode is cut this many steps after its
        ``n_steps``-th if it has not ended, and counts as truncated there. By default the environment's time
        limit, at least 100,000.

    Attributes
    ----------
    env, rng
        As given.
    num_envs : int
        N.
    episode_returns, episode_lengths : list
        Undiscounted returns and numbers of steps of the episodes that ended during the last `collect`, in the
        order in which they ended; summed over the whole episode, also where it began in an earlier batch.
        With whole episodes, those in the batch.
    num_env_steps : int
        Transitions that the environments made in the last `collect`, whether or not they are in the batch.

    Warns
    -----
    RuntimeWarning
        The first time that an episode is cut.

    Raises
    ------
    TypeError, ValueError
        If ``env`` is no vector environment or doesn't say its autoreset mode, or ``policy`` doesn't fit its
        spaces.

    Examples
    --------
    >>> from pgcore.policies import CategoricalPolicy
    >>> from pgcore.rollout import make_vector_env
    >>> env = make_vector_env("CartPole-v1", num_envs=4)
    >>> collector = Collector(env, CategoricalPolicy(4, 2), rng=np.random.default_rng(0))
    >>> collector.collect(32).num_steps
    128
    """

    env: AnyVectorEnv
    restart_attributes: ClassVar[Mapping[str, object]] = {"_can_resume": False}

    def __init__(
        self,
        env: AnyVectorEnv,
        policy: ActingPolicy,
        *,
        rng: np.random.Generator,
        seed: int | None = None,
        max_steps: int | None = None,
    ) -> None:
        self._stepper = VectorStepper(env)
        self._max_steps = episode_limit(env, max_steps)
        self._has_warned = False
        self.env = env
        self.policy = policy
        self.rng = rng
        self.num_envs = self._stepper.num_envs
        self.episode_returns: list[float] = []
        self.episode_lengths: list[int] = []
        self.num_env_steps = 0
        self._seed = seed
        self._last_obs = np.empty((self.num_envs, policy.obs_dim), self._stepper.observations.dtype)
        self._tracker = EpisodeTracker(self.num_envs)
        self._can_resume = False
        self._may_idle = self._stepper.mode is AutoresetMode.NEXT_STEP
        self._num_idle = 0
        self._memory: AnyArray | None = None
        self._finals: list[tuple[int, NDArray[np.intp], AnyArray]] = []

    @property
    def policy(self) -> ActingPolicy:
        """The policy that acts; another one may be assigned, and continues the episodes that are running."""
        return self._policy

    @policy.setter
    def policy(self, policy: ActingPolicy) -> None:
        check_fit(policy, self._stepper.observations, self._stepper.actions)
        self._policy = policy

    def collect(self, n_steps: int, *, whole_episodes: bool = False) -> Batch:
        """Play the policy and return what happened.

        Parameters
        ----------
        n_steps
            Steps per environment. (In a next-step environment those that only reset are among them.)
        whole_episodes
            False: take exactly that many; episodes that are still running continue in the next call, unless
            other code has stepped or reset the environments meanwhile (an evaluation, another collector);
            then new ones begin. True: begin
            new episodes everywhere, seeded from ``rng``, and play each environment to the end of the
            episode in which it makes its ``n_steps``-th transition. What environments do while they wait for
            the slowest one is dropped.

        Returns
        -------
        Batch
            With ``bootstrap_obs`` and ``log_probs``.

        Raises
        ------
        TypeError, ValueError
            If ``n_steps`` is not a positive integer.
        FaultyEnvironmentError
            A `ValueError`: if an environment returns what doesn't fit its spaces, or an observation or a
            reward that is not finite.
        FloatingPointError
            If the policy's actions are not finite though its observations are.
        """
        n_steps = integer("n_steps", n_steps, minimum=1)
        # Not after other code has used the environments: their episodes are not those seen last.
        resumes = self._can_resume and not whole_episodes and not self._stepper.is_disturbed
        self._can_resume = False
        self._finals.clear()
        self._num_idle = 0
        if not resumes:
            self._begin_episodes(draw_seed=whole_episodes or self._seed is None)
        policy = self.policy
        # Segments begin here, and what begins before them is not in the batch: nothing of it is remembered.
        self._memory = self._fresh_memory(self.num_envs)
        buffer = StepBuffer(
            self.num_envs,
            policy.obs_dim,
            tuple(policy.action_shape),
            self._last_obs.dtype,
            policy.action_dtype,
        )
        buffer.obs[0] = self._last_obs
        play = self._play_episodes if whole_episodes else self._play_steps
        length = play(buffer, n_steps)
        self._require_finite(buffer, 0, length)
        self._last_obs[:] = buffer.obs[length]
        self.num_env_steps = length * self.num_envs - self._num_idle
        batch = self._make_batch(buffer, length)
        # Only now: after an exception within a rollout (Ctrl-C is one) its episodes cannot be continued.
        self._can_resume = not whole_episodes
        return batch

    def _actor(self, buffer: StepBuffer, noise: Noise) -> Callable[[int], object]:
        memory = () if self._memory is None else (self._memory,)
        return self.policy.actor(buffer.obs, noise.rows, buffer.actions, *memory)

    def _draw_noise(self, num_steps: int) -> AnyArray:
        return self.policy.draw_noise(self.rng, num_steps, self.num_envs)

    def _fresh_memory(self, num_envs: int) -> AnyArray | None:
        """Return what a policy with memory knows at the start of a segment; None of one without."""
        initial_state: Callable[[int], AnyArray | None] = getattr(
            self.policy, "initial_state", lambda _: None
        )
        return initial_state(num_envs)

    def _begin_episodes(self, *, draw_seed: bool) -> None:
        """Reset all environments; their first observations are the last ones seen."""
        if draw_seed:
            seed: int | None = int(self.rng.integers(2**31 - self.num_envs))  # environment i gets seed + i
        else:
            seed, self._seed = self._seed, None
        self._stepper.reset(self._last_obs, seed=seed)
        self._tracker.reset()

    def _play_steps(self, buffer: StepBuffer, n_steps: int) -> int:
        if n_steps == 1 and self._stepper.all_idle:
            n_steps = 2  # or there would be no transition at all
        buffer.reserve(n_steps)
        noise = Noise(self._draw_noise(n_steps), may_idle=self._may_idle)
        act = self._actor(buffer, noise)
        for t in range(n_steps):
            self._advance(buffer, t, noise, act)
        return n_steps

    def _play_episodes(self, buffer: StepBuffer, n_steps: int) -> int:
        # How much noise is drawn depends on n_steps and the episodes alone, never on the past of this object.
        noise = Noise(self._draw_noise(max(n_steps, _MIN_NOISE_STEPS)), may_idle=self._may_idle)
        buffer.reserve(len(noise))
        act = self._actor(buffer, noise)
        num_recorded = np.zeros(self.num_envs, np.int64)
        playing = np.ones(self.num_envs, np.bool_)
        most_steps = n_steps + self._max_steps
        t = num_checked = 0
        while playing.any():
            if t == len(noise):
                self._require_finite(buffer, num_checked, t)  # or it might never end
                num_checked = t
                noise.append(self._draw_noise(t))
                buffer.reserve(len(noise))
                act = self._actor(buffer, noise)
            step = self._advance(buffer, t, noise, act)
            recorded = buffer.recorded[t]
            recorded &= playing
            num_recorded += recorded
            playing &= ~(step.done & (num_recorded >= n_steps))
            t += 1
            if t >= most_steps and (endless := playing & (num_recorded >= most_steps)).any():
                self._truncate(buffer, t - 1, np.flatnonzero(endless))
                playing &= ~endless
        return t

    def _truncate(self, buffer: StepBuffer, t: int, envs: NDArray[np.intp]) -> None:
        """Let some environments' episodes end with step ``t``, as a time limit would."""
        buffer.done[t, envs] = True
        self._finals.append((t, envs, buffer.obs[t + 1, envs]))
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"whole_episodes: expected episodes that end, got one in environment {envs[0]} that was "
                f"still running max_steps = {self._max_steps:,} steps after the rollout had its n_steps; it "
                "counts as truncated there. Give the environment a time limit (gymnasium.wrappers.TimeLimit) "
                "or train with whole_episodes=False",
                RuntimeWarning,
                stacklevel=user_stacklevel(),
            )

    def _advance(self, buffer: StepBuffer, t: int, noise: Noise, act: Callable[[int], object]) -> Step:
        """Make one vector step and store it."""
        actions = buffer.actions[t]
        try:
            noise.prepare(t)
            act(t)
            step = self._stepper.step(actions, buffer.obs[t + 1])
        except Exception:
            buffer.rewards[t] = 0.0  # there are none yet
            self._require_finite(
                buffer, t, t + 1
            )  # the cause, if the policy or the environment refuses numbers that are not finite
            raise
        buffer.rewards[t] = step.rewards
        buffer.terminated[t] = step.terminated
        buffer.done[t] = step.done
        if step.idle is not None:
            np.logical_not(step.idle, out=buffer.recorded[t])
            self._num_idle += int(np.count_nonzero(step.idle))
            noise.delay(step.idle)
        if self._memory is not None:
            begins = np.flatnonzero(step.done if step.idle is None else step.done | step.idle)
            self._memory[begins] = self._fresh_memory(len(begins))
        if step.cut.size:
            self._finals.append((t, step.cut, step.final_obs))
        return step

    def _require_finite(self, buffer: StepBuffer, start: int, stop: int) -> None:
        """Refuse steps from which nothing could be learned, and say where the first of them is."""
        recorded = buffer.recorded[start:stop]
        first: tuple[int, ...] | None = None
        for name in ("obs", "actions", "rewards"):  # of one step, the earlier are the cause of the later
            values = getattr(buffer, name)[start:stop]
            if values.dtype.kind != "f" or np.isfinite(values).all():
                continue
            bad = ~np.isfinite(values) & recorded.reshape(recorded.shape + (1,) * (values.ndim - 2))
            if bad.any():
                found = tuple(int(i) for i in np.argwhere(bad)[0])
                if first is None or found[0] < first[0]:
                    first, field, value = found, name, values[found]
        if first is None:
            return
        t, env, *index = first
        when = f"got {value} in environment {env} at step {start + t} of the rollout"
        if field == "actions":
            raise FloatingPointError(
                f"policy: expected finite actions, {when}, component {index}; its observation is finite, "
                "so its parameters are not"
            )
        component = self._stepper.observations.component(index[0]) if field == "obs" else "reward"
        raise FaultyEnvironmentError(f"{component}: expected a finite number, {when}")

    def _make_batch(self, buffer: StepBuffer, length: int) -> Batch:
        """Transpose the buffer: recorded steps only, environment by environment, in time order."""
        truncated_obs = self._truncated_obs(buffer.recorded)
        num_recorded = np.count_nonzero(buffer.recorded[:length], axis=0)
        recorded = buffer.pop_rows("recorded", length, None)
        rows = None if recorded.all() else np.flatnonzero(recorded)  # of (N·length,) steps
        del recorded

        done = buffer.pop_rows("done", length, rows)
        ends = done.copy()
        ends[np.cumsum(num_recorded)[num_recorded > 0] - 1] = True
        segment_ends = np.flatnonzero(ends)
        segment_envs, segment_times = np.divmod(segment_ends if rows is None else rows[segment_ends], length)
        segment_done = done[segment_ends]

        rewards = buffer.pop_rows("rewards", length, rows)
        self._count_episodes(rewards, segment_ends, segment_envs, segment_done, segment_times)
        terminated = buffer.pop_rows("terminated", length, rows)

        bootstrap_obs = np.zeros((len(segment_ends), buffer.obs.shape[2]), buffer.obs.dtype)
        bootstrap_obs[~segment_done] = buffer.obs[length, segment_envs[~segment_done]]
        bootstrap_obs[segment_done & ~terminated[segment_ends]] = truncated_obs
        if (lost := not_finite(bootstrap_obs)) is not None:
            _, segment, value = lost
            column = int(np.flatnonzero(~np.isfinite(bootstrap_obs[segment]))[0])
            raise FaultyEnvironmentError(
                f"{self._stepper.observations.component(column)}: expected a finite number, got {value} in "
                f"environment {segment_envs[segment]} at step {segment_times[segment] + 1} of the rollout"
            )

        actions = buffer.pop_rows("actions", length, rows)
        obs = buffer.pop_rows("obs", length, rows)
        segments = segments_of(self.policy, segment_ends - np.diff(segment_ends, prepend=-1) + 1)
        # Of a policy of any class: the batch is not checked again.
        log_probs = float_array("log_probs", self.policy.log_prob(obs, actions, **segments))
        check_shape("log_probs", log_probs, rewards.shape)
        if not np.isfinite(log_probs).all():
            row = int(np.isfinite(log_probs).argmin())
            raise FloatingPointError(
                f"log_prob: expected finite numbers for the policy's own actions, got {log_probs[row]} for "
                f"action {actions[row]}"
            )
        return trusted_batch(
            obs,
            actions,
            rewards,
            ends,
            # Flags of an environment may be bytes other than 0 and 1; these are not.
            terminated=np.logical_and(terminated, ends),
            bootstrap_obs=bootstrap_obs,
            log_probs=log_probs,
        )

    def _truncated_obs(self, recorded: BoolArray) -> AnyArray:
        """Last observations of the recorded episodes that the environment truncated, in the batch's order."""
        if not self._finals:
            return self._last_obs[:0]
        times = np.concatenate([np.full(len(envs), t) for t, envs, _ in self._finals])
        envs = np.concatenate([envs for _, envs, _ in self._finals])
        obs = np.concatenate([obs for _, _, obs in self._finals])
        order = np.lexsort((times, envs))
        kept: AnyArray = obs[order[recorded[times, envs][order]]]
        return kept

    def _count_episodes(
        self,
        rewards: Float64Array,
        segment_ends: IntArray,
        segment_envs: IntArray,
        segment_done: BoolArray,
        end_times: IntArray,
    ) -> None:
        starts = np.zeros_like(segment_ends)
        starts[1:] = segment_ends[:-1] + 1
        returns, lengths = self._tracker.add(
            rewards, starts=starts, ends=segment_ends, envs=segment_envs, done=segment_done
        )
        order = np.argsort(end_times[segment_done], kind="stable")
        self.episode_returns = returns[order].tolist()
        self.episode_lengths = lengths[order].tolist()
