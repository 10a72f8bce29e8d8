"""From a raw observation, or a batch of them, to actions that the environment takes."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from pgcore._arguments import FloatArray, bool_array, check_shape, float_array
from pgcore.rollout.faults import describe
from pgcore.rollout.outcomes import not_finite

if TYPE_CHECKING:
    from pgcore._arguments import AnyArray
    from pgcore.policies import Policy
    from pgcore.rollout.types import AnySpace
    from pgcore.training.spaces import Spaces

__all__ = ["Memory", "Predictor"]


class Memory:
    """What a policy with memory remembers from one `Predictor` call to the next.

    Parameters
    ----------
    state
        That of the call before, which is not changed; None at first.
    episode_start
        Which of the observations begin an episode: one flag, or one for each; None for no more than ``state``
        says.
    """

    def __init__(self, state: ArrayLike | None, episode_start: ArrayLike | None) -> None:
        self.state = state
        self._episode_start = episode_start

    def recalled(self, policy: Policy, num_rows: int) -> FloatArray | None:
        """Return the memory before an observation in each row, to be overwritten; None if there is none.

        Raises
        ------
        ValueError
            If the state or the flags are not for that many rows.
        """
        fresh = policy.initial_state(num_rows)
        if fresh is None:
            return None
        if self.state is not None:
            state = float_array("state", self.state, fresh.dtype)
            check_shape("state", state, fresh.shape)
            begins = np.zeros(num_rows, np.bool_)
            if self._episode_start is not None:
                flags = np.atleast_1d(np.asarray(self._episode_start))
                begins = bool_array("episode_start", flags, (num_rows,))
            fresh[~begins] = state[~begins]
        self.state = fresh
        return fresh


class Predictor:
    """Acting outside of training: recognises one observation or a batch, and adapts both to the spaces.

    Parameters
    ----------
    spaces
        Of one environment.
    """

    def __init__(self, spaces: Spaces) -> None:
        observation_space, action_space = spaces.observation, spaces.action
        self._space = observation_space
        self._observations, self._actions = spaces.observations, spaces.actions
        self._box_shape = observation_space.shape if isinstance(observation_space, gym.spaces.Box) else None
        self._is_small = self._box_shape is not None and len(self._box_shape) == 1 and spaces.obs_dim <= 64
        self._is_plain_choice = (
            isinstance(action_space, gym.spaces.Discrete)
            and action_space.start == 0
            and action_space.dtype == np.int64
        )
        self._is_box = isinstance(action_space, gym.spaces.Box)
        self._bounds: tuple[AnyArray, AnyArray] | None = None
        if isinstance(action_space, gym.spaces.Box) and len(action_space.shape) == 1:
            self._bounds = action_space.low[None], action_space.high[None]

    def __call__(
        self, policy: Policy, obs: object, rng: np.random.Generator | None, memory: Memory | None = None
    ) -> AnyArray:
        """Return an action for each observation in ``obs``: the mode if ``rng`` is None, else a sample.

        Parameters
        ----------
        policy
            Gives the actions.
        obs
            One observation of the space, or several stacked along a new first axis (a dictionary or tuple of
            such stacks for `Dict` and `Tuple` spaces).
        rng
            Source of the noise.
        memory
            What a policy with memory remembers; it is given the memory after these observations.

        Returns
        -------
        numpy.ndarray
            One action (a NumPy integer for `Discrete`), or a stack of them; clipped to a `Box`.

        Raises
        ------
        ValueError
            If ``obs`` is neither one observation nor a batch, or isn't finite, or the policy's parameters
            are not.
        """
        # What an interactive loop passes, thousands of times a second.
        if type(obs) is ndarray and obs.shape == self._box_shape:
            single = True
            try:  # a sum is not finite with NaN in it; of a few numbers this is the fastest test by far
                finite = self._is_small and isfinite(sum(obs.tolist()))
            except (TypeError, OverflowError):  # no numbers: the policy says so
                finite = False
            if finite:
                flat = obs[None]
            else:
                flat = obs.reshape(1, -1)
                self._require_finite(flat, single)
        else:
            flat, single = self._flattened(obs)
        if memory is not None or policy.is_own:
            actions = _checked_actions(policy, flat, rng, memory)
        elif rng is None:
            actions = policy.mode(flat)
        else:
            actions = policy.act(flat, policy.draw_noise(rng, 1, len(flat))[0])
        if self._is_plain_choice:
            return actions[0] if single else actions
        if self._is_box and not (single and isfinite(sum(actions[0].tolist()))):
            _require_finite_actions(actions, single)
        if self._bounds is not None and actions.dtype == self._bounds[0].dtype:
            low, high = self._bounds  # what the adapter does, without its checks
            actions = np.minimum(np.maximum(actions, low), high)
        else:
            actions = self._actions.to_env(actions)
        return actions[0] if single else actions

    def _flattened(self, obs: object) -> tuple[AnyArray, bool]:
        """Any observation or batch of them as finite rows, and whether it is one."""
        if not isinstance(self._space, gym.spaces.Tuple):
            _refuse_outcome(obs)
        try:
            single = _num_rows(self._space, obs, "obs") is None
        except ValueError:
            _refuse_outcome(obs)
            raise
        flat = self._observations.single(obs) if single else self._observations(obs)
        self._require_finite(flat, single)
        return flat, single

    def _require_finite(self, flat: AnyArray, single: bool) -> None:
        if (lost := not_finite(flat)) is not None:
            _, row, value = lost
            column = int(np.flatnonzero(~np.isfinite(flat[row]))[0])
            component = self._observations.component(column)
            raise ValueError(f"{component}: expected a finite number, got {value}{_in_row(row, single)}")


def _checked_actions(
    policy: Policy, rows: AnyArray, rng: np.random.Generator | None, memory: Memory | None
) -> AnyArray:
    """The actions of a policy with memory, or of a class of the user's."""
    state = () if memory is None else (memory.recalled(policy, len(rows)),)
    if rng is None:
        return policy.checked_actions(policy.mode(rows, *state), len(rows), "mode")
    noise = policy.draw_noise(rng, 1, len(rows))[0]
    return policy.checked_actions(policy.act(rows, noise, *state), len(rows), "act")


def _require_finite_actions(actions: AnyArray, single: bool) -> None:
    if (lost := not_finite(actions, "component")) is not None:
        component, row, value = lost
        raise ValueError(
            f"policy: expected finite actions, got {value}{_in_row(row, single)}, {component}; the "
            "observation is finite, so the policy's parameters are not"
        )


def _in_row(row: int, single: bool) -> str:
    return "" if single else f" in row {row}"


def _num_rows(space: AnySpace, obs: object, name: str) -> int | None:
    """How many observations of a space ``obs`` holds along a first axis of its own; None if it is one."""
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        counts = {_num_rows(one, value, one_name) for one, value, one_name in _parts_of(space, obs, name)}
        if len(counts) == 1:
            return counts.pop()
        raise ValueError(
            f"{name}: expected one observation, or as many in every part, got parts of "
            f"{sorted('one' if count is None else f'a batch of {count}' for count in counts)}"
        )
    shape, part = space.shape or (), "" if name == "obs" else f"{name} to be "
    try:
        values = np.asarray(obs)
    except Exception:  # of a ragged list, or of anything else
        values = np.empty(0, object)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"obs: expected {part}real numbers of shape {shape}, got {describe(obs)}")
    if values.shape in (shape, (*values.shape[:1], *shape)):
        return None if values.shape == shape else len(values)
    batch = ", ".join(["N", *map(str, shape)])
    raise ValueError(
        f"obs: expected {part}one observation of shape {shape} or a batch ({batch}), got shape {values.shape}"
    )


def _parts_of(
    space: gym.spaces.Dict | gym.spaces.Tuple[Any], obs: object, name: str
) -> list[tuple[AnySpace, object, str]]:
    """Each part of a `Dict` or `Tuple` space, with its share of ``obs`` and its name."""
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(obs, Mapping) or any(key not in obs for key in space.spaces):
            got = f"one with keys {list(obs)}" if isinstance(obs, Mapping) else describe(obs)
            raise ValueError(f"{name}: expected an observation of {space}, got {got}")
        return [(part, obs[key], f"{name}[{key!r}]") for key, part in space.spaces.items()]
    if not isinstance(obs, tuple | list) or len(obs) != len(space.spaces):
        got = f"one of {len(obs)}" if isinstance(obs, tuple | list) else describe(obs)
        raise ValueError(f"{name}: expected an observation of {space}, got {got}")
    return [(part, obs[i], f"{name}[{i}]") for i, part in enumerate(space.spaces)]


def _refuse_outcome(obs: object) -> None:
    """Say what is wrong with all that `reset` or `step` returned."""
    if isinstance(obs, tuple) and len(obs) in (2, 5) and isinstance(obs[-1], dict):
        call, values = {
            2: ("reset()", "(obs, info)"),
            5: ("step()", "(obs, reward, terminated, truncated, info)"),
        }[len(obs)]
        raise ValueError(
            f"obs: expected an observation, got a tuple {values} as {call} returns it; pass its obs"
        )
