"""Presets of `pgcore.NPG`, tuned on seeds from 100, measured on seeds 0 to 9 (bench/learning.py).

They are TRPO's, whose step NPG takes without the line search, but for one environment. Those that NPG was not
measured on are left out.
"""

from __future__ import annotations

from dataclasses import replace

from pgcore.presets.trpo import PRESETS as TRPO

_PENDULUM = TRPO["Pendulum-v1"]

PRESETS = {
    **{env_id: TRPO[env_id] for env_id in ("CartPole-v1", "Acrobot-v1", "InvertedPendulum-v5")},
    "Pendulum-v1": replace(_PENDULUM, hyperparameters={**_PENDULUM.hyperparameters, "target_kl": 0.02}),
}
