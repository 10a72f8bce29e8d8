"""Files of earlier versions, and today's names of what is in them.

======================  ==========================================  ============================
file                    says                                        which is now
======================  ==========================================  ============================
batch, version 1        array ``tail_obs``                          ``bootstrap_obs``
checkpoint, version 1   array ``replay/{i}.tail_obs``               ``replay/{i}.bootstrap_obs``
checkpoint, version 1   ``num_choices`` of a policy                 ``nvec``
======================  ==========================================  ============================
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["EARLIER_FIELDS", "upgrade_checkpoint", "with_todays_fields"]

EARLIER_FIELDS = {"tail_obs": "bootstrap_obs"}
"""Of a `Batch`: today's name for each of version 1 that has changed."""

ArrayT = TypeVar("ArrayT")


def with_todays_fields(arrays: dict[str, ArrayT]) -> dict[str, ArrayT]:
    """Return the arrays of a batch by today's names.

    >>> with_todays_fields({"obs": 1, "tail_obs": 2})
    {'obs': 1, 'bootstrap_obs': 2}
    """
    return {EARLIER_FIELDS.get(name, name): array for name, array in arrays.items()}


def upgrade_checkpoint(
    version: int, metadata: dict[str, object], arrays: dict[str, ArrayT]
) -> tuple[dict[str, object], dict[str, ArrayT]]:
    """Return a checkpoint's content as today's version would have written it.

    >>> upgrade_checkpoint(1, {"policy": {"num_choices": [2, 3]}}, {"replay/0.tail_obs": 1.0})
    ({'policy': {'nvec': [2, 3]}}, {'replay/0.bootstrap_obs': 1.0})
    """
    if version > 1:
        return metadata, arrays
    policy = metadata.get("policy")
    if isinstance(policy, dict) and "num_choices" in policy:
        todays = {"nvec" if name == "num_choices" else name: value for name, value in policy.items()}
        metadata = {**metadata, "policy": todays}
    return metadata, {_todays_array(name): array for name, array in arrays.items()}


def _todays_array(name: str) -> str:
    component, slash, key = name.partition("/")
    number, dot, field = key.partition(".")
    if component == "replay" and field in EARLIER_FIELDS:
        return f"{component}{slash}{number}{dot}{EARLIER_FIELDS[field]}"
    return name
