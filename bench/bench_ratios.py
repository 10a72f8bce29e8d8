"""Importance weights: sums of log-ratios, weighted returns, effective sample size; and the NumPy reference.

    python bench/bench_ratios.py

The options are those of harness.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import harness
import sizes
from bench_scan import reference_part
from harness import Case, copy_limit
from pgcore import kernels, reference


def cases(dtype: np.dtype[Any]) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for shape in (sizes.SCAN_WIDE, (sizes.SCAN_COLUMN,)):
        x = (0.05 * rng.standard_normal(shape)).astype(dtype)
        r = rng.standard_normal(shape).astype(dtype)
        ends = rng.random(shape) < 1.0 / sizes.EPISODE_LENGTH
        ends[-1] = True
        size = " × ".join(map(str, shape))
        part, share = reference_part(ends)
        xp, rp, ep = x[part], r[part], ends[part]
        for direction in ("past", "future", "trajectory"):
            yield Case(
                f"cumulative_log_ratios {direction}",
                f"{size}, ends",
                lambda x=x, ends=ends, d=direction: kernels.cumulative_log_ratios(x, ends=ends, direction=d),
                lambda x=xp, ends=ep, d=direction: reference.cumulative_log_ratios(x, ends=ends, direction=d),
                copy_limit(x, ends, x),
                reference_share=share,
            )
        yield Case(
            "weighted_reward_to_go",
            f"{size}, ends",
            lambda r=r, x=x, ends=ends: kernels.weighted_reward_to_go(r, x, 0.99, ends=ends),
            lambda r=rp, x=xp, ends=ep: reference.weighted_reward_to_go(r, x, 0.99, ends=ends),
            copy_limit(r, x, ends, r),
            reference_share=share,
        )
        yield Case(
            "effective_sample_size",
            size,
            lambda x=x: kernels.effective_sample_size(x),
            lambda x=x: reference.effective_sample_size(x),
            copy_limit(x),
        )


if __name__ == "__main__":
    harness.main(cases, __doc__)
