"""`load`: a model of any algorithm from its file. It knows all algorithms, so its layer is above theirs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pgcore import algorithms
from pgcore._kinds import find_class
from pgcore.io.checkpoint import read_checkpoint
from pgcore.training.algorithm import Algorithm
from pgcore.training.persistence import model_from

if TYPE_CHECKING:
    from pgcore.rollout.types import EnvLike
    from pgcore.training.config import Config

__all__ = ["load"]


def load(path: str | os.PathLike[str], env: EnvLike | None = None) -> Algorithm[Config]:
    """Read a model of any algorithm, shipped or defined by the caller.

    Classes of the caller's own (algorithms, policies, baselines) are found if they are defined by then, or if
    the module that defines them can be imported.

    Parameters
    ----------
    path
        The file, or a run directory with a ``model.npz`` in it.
    env
        Where to learn on; without one the model can only predict. An id is made with the ``num_envs`` and
        ``backend`` that the model was trained with; of a vector environment ``num_envs`` is taken.

    Returns
    -------
    Algorithm

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no checkpoint, a damaged one, or the environment does not fit it.
    """
    metadata, arrays = read_checkpoint(path)
    kind: type[Algorithm[Config]] = find_class(
        "algorithm", metadata.get("algorithm"), Algorithm, algorithms.shipped()
    )
    return model_from(kind, path, metadata, arrays, env)
