"""Presets of `pgcore.NPG`, tuned on seeds from 100, measured on others (docs/results.md).

They are TRPO's, whose step NPG takes without the line search. Those that NPG was not measured on are left
out.
"""

from __future__ import annotations

from pgcore.presets.trpo import PRESETS as TRPO

_MEASURED = ("CartPole-v1", "Acrobot-v1", "InvertedPendulum-v5", "Pendulum-v1")

PRESETS = {env_id: TRPO[env_id] for env_id in _MEASURED}
