"""Presets of `pgcore.NPG`, tuned on seeds from 100, measured on seeds 0 to 9 (bench/learning.py).

They are TRPO's, whose step NPG takes without the line search, but for one environment.
"""

from __future__ import annotations

from dataclasses import replace

from pgcore.presets.trpo import PRESETS as TRPO

_PENDULUM = TRPO["Pendulum-v1"]

PRESETS = {
    **TRPO,
    "Pendulum-v1": replace(_PENDULUM, hyperparameters={**_PENDULUM.hyperparameters, "target_kl": 0.02}),
}
