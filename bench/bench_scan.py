"""Recursions along time, `reward_to_go`, `gae` and `vtrace`, against the NumPy reference and other libraries.

    python bench/bench_scan.py

The options are those of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import harness
import sizes
from harness import Case, copy_limit
from pgcore import kernels, reference


def _numba_loops() -> tuple[Any, Any] | None:
    """Compiled scalar loops over one column, as other libraries have them."""
    numba = harness.optional("numba")
    if numba is None:
        return None

    @numba.njit
    def reward_to_go(rewards: Any, ends: Any, gamma: Any, out: Any) -> None:
        total = rewards.dtype.type(0)
        for t in range(len(rewards) - 1, -1, -1):
            if ends[t]:
                total = rewards.dtype.type(0)
            total = rewards[t] + gamma * total
            out[t] = total

    @numba.njit
    def gae(rewards: Any, values: Any, ends: Any, gammas: Any, out: Any) -> None:
        gamma, lam = gammas
        advantages, targets = out
        following = rewards.dtype.type(0)
        advantage = rewards.dtype.type(0)
        for t in range(len(rewards) - 1, -1, -1):
            if ends[t]:
                following = rewards.dtype.type(0)
                advantage = rewards.dtype.type(0)
            advantage = rewards[t] + gamma * following - values[t] + gamma * lam * advantage
            following = values[t]
            advantages[t] = advantage
            targets[t] = advantage + values[t]

    return reward_to_go, gae


def _data(shape: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    ends = rng.random(shape) < 1.0 / sizes.EPISODE_LENGTH
    ends[-1] = True
    return {
        "rewards": rng.standard_normal(shape).astype(dtype),
        "values": rng.standard_normal(shape).astype(dtype),
        "log_ratios": (0.1 * rng.standard_normal(shape)).astype(dtype),
        "ends": ends,
    }


def _numba_peers(d: dict[str, np.ndarray]) -> dict[str, dict[str, harness.Run]]:
    loops = _numba_loops() if d["rewards"].ndim == 1 else None
    if loops is None:
        return {}
    r, v, ends = d["rewards"], d["values"], d["ends"]
    gamma, lam = r.dtype.type(0.99), r.dtype.type(0.95)
    first, second = np.empty_like(r), np.empty_like(r)

    def reward_to_go() -> np.ndarray:
        loops[0](r, ends, gamma, first)
        return first

    def gae() -> tuple[np.ndarray, np.ndarray]:
        loops[1](r, v, ends, (gamma, lam), (first, second))
        return first, second

    return {"reward_to_go": {"numba": reward_to_go}, "gae": {"numba": gae}}


def reference_part(ends: np.ndarray) -> tuple[slice, float]:
    """The first rows, up to an end, that the reference can do in reasonable time; and their share of all."""
    if ends.ndim == 2:
        return slice(None), 1.0
    stop = sizes.SCAN_REFERENCE + int(np.argmax(ends[sizes.SCAN_REFERENCE :])) + 1
    return slice(stop), stop / len(ends)


def cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    for shape in (sizes.SCAN_WIDE, (sizes.SCAN_COLUMN,)):
        d = _data(shape, dtype)
        r, v, x, ends = d["rewards"], d["values"], d["log_ratios"], d["ends"]
        size = " × ".join(map(str, shape))
        peers = _numba_peers(d)
        part, share = reference_part(ends)
        rp, vp, xp, ep = r[part], v[part], x[part], ends[part]
        yield Case(
            "reward_to_go",
            f"{size}, ends",
            lambda r=r, ends=ends: kernels.reward_to_go(r, 0.99, ends=ends),
            lambda r=rp, ends=ep: reference.reward_to_go(r, 0.99, ends=ends),
            copy_limit(r, ends, r),
            peers.get("reward_to_go", {}),
            reference_share=share,
        )
        yield Case(
            "gae",
            f"{size}, ends",
            lambda r=r, v=v, ends=ends: kernels.gae(r, v, 0.99, 0.95, ends=ends),
            lambda r=rp, v=vp, ends=ep: reference.gae(r, v, 0.99, 0.95, ends=ends),
            copy_limit(r, v, ends, r, v),
            peers.get("gae", {}),
            reference_share=share,
        )
        yield Case(
            "vtrace",
            f"{size}, ends",
            lambda r=r, v=v, x=x, ends=ends: kernels.vtrace(r, v, x, 0.99, ends=ends),
            lambda r=rp, v=vp, x=xp, ends=ep: reference.vtrace(r, v, x, 0.99, ends=ends),
            copy_limit(r, v, x, ends, r, v),
            reference_share=share,
        )
        if len(shape) == 2:
            yield Case(
                "reward_to_go",
                size,
                lambda r=r: kernels.reward_to_go(r, 0.99),
                lambda r=r: reference.reward_to_go(r, 0.99),
                copy_limit(r, r),
            )


if __name__ == "__main__":
    harness.main(cases, __doc__)
