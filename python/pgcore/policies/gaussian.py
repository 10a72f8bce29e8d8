"""`GaussianPolicy`: normal distributions over action vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from pgcore._arguments import Float64Array, FloatDType, check_shape, float_array, float_dtype, integer, real
from pgcore.policies.compiled import CompiledPolicy

__all__ = ["GaussianPolicy"]


class GaussianPolicy(CompiledPolicy):
    r"""A normal distribution over actions whose mean is a network of the observation.

    .. math:: \pi_\theta(a \mid o) = \mathcal N\bigl(a; \mu_\theta(o), \Sigma\bigr), \qquad
              \nabla_\theta \log\pi_\theta
              = (\partial\mu_\theta/\partial\theta)^\top \Sigma^{-1}(a - \mu_\theta(o))

    Actions are unbounded; clip them on their way to an environment, never before their log-probability.

    Parameters
    ----------
    obs_dim, act_dim
        Lengths of an observation and of an action, A.
    hidden
        Hidden layer sizes; ``()`` is a linear policy.
    activation
        ``"tanh"``, ``"relu"``, ``"gelu"`` or ``"identity"``; the last layer is linear.
    covariance
        ``"diagonal"``: log σ (A,) is learned and the same everywhere; ``params`` ends with it.
        ``"full"``: Σ = L Lᵀ is learned and the same everywhere; ``params`` ends with the row-major lower
        triangle of L, its diagonal as logarithms.
        ``"state"``: the network has 2A outputs, μ and log σ − init_log_std.
        An array (A, A): Σ itself, fixed.
    init_log_std
        Initial log σ; not used with a fixed Σ. Like that of a fixed Σ, it must be small enough that σ is in
        the range of `dtype`, and large enough that 1/√σ is.
    dtype
        float32 or float64.
    seed
        Of the initial weights.

    Raises
    ------
    TypeError, ValueError
        ``{name}: expected {what}, got {what}``.

    Notes
    -----
    Lecture, part 2 (Gaussian policies); Williams (1992), section 6.

    Examples
    --------
    >>> import numpy as np
    >>> policy = GaussianPolicy(3, 1, seed=0)
    >>> actions, log_probs = policy.sample(np.zeros((5, 3)), np.random.default_rng(0))
    >>> actions.shape, policy.scores(np.zeros((5, 3)), actions).shape == (5, policy.num_params)
    ((5, 1), True)
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        covariance: Literal["diagonal", "full", "state"] | ArrayLike = "diagonal",
        init_log_std: float = 0.0,
        dtype: DTypeLike = "float32",
        seed: int = 0,
    ) -> None:
        self.act_dim = A = integer("act_dim", act_dim, minimum=1)
        self.init_log_std = real("init_log_std", init_log_std)
        action_dtype = float_dtype("dtype", dtype)
        self.covariance: str | Float64Array
        tril = None
        if isinstance(covariance, str):
            if covariance not in ("diagonal", "full", "state"):
                raise ValueError(
                    f"covariance: expected 'diagonal', 'full', 'state' or an (A, A) array, got {covariance!r}"
                )
            self.covariance = kind = covariance
            _check_range("init_log_std", self.init_log_std, action_dtype, full=kind == "full")
        else:
            kind = "fixed"
            self.covariance = _positive_definite(covariance, A)
            tril = np.ascontiguousarray(np.linalg.cholesky(self.covariance))
            _check_range("covariance", np.log(np.abs(tril).max()), action_dtype)
            _check_range("covariance", np.log(tril.diagonal().min()), action_dtype)
        free = np.full(A if kind == "diagonal" else 0, self.init_log_std)
        if kind == "full":
            rows, columns = np.tril_indices(A)
            free = np.where(rows == columns, self.init_log_std, 0.0)
        super().__init__(
            obs_dim,
            2 * A if kind == "state" else A,
            (A,),
            (kind, [A], self.init_log_std, tril),
            free=free,
            hidden=hidden,
            activation=activation,
            dtype=dtype,
            seed=seed,
        )

    def arguments(self) -> dict[str, object]:
        """Return the constructor's arguments but the seed."""
        covariance = self.covariance if isinstance(self.covariance, str) else self.covariance.tolist()
        return {
            **self.network_arguments(),
            "act_dim": self.act_dim,
            "covariance": covariance,
            "init_log_std": self.init_log_std,
        }


def _check_range(name: str, log_std: float, dtype: FloatDType, *, full: bool = True) -> None:
    """Refuse a scale that samples or densities in this dtype can't have: neither σ nor 1/√σ may overflow.

    The full form takes σ itself in double.
    """
    highest = float(np.log(np.finfo(dtype).max))
    lowest = -2 * highest
    if full:
        lowest = max(lowest, float(np.log(np.finfo(np.float64).tiny)))
    if not lowest < log_std < highest:
        raise ValueError(
            f"{name}: expected standard deviations from e^{lowest:.0f} to e^{highest:.0f} "
            f"(dtype {dtype.name}), got e^{log_std:.6g}"
        )


def _positive_definite(covariance: ArrayLike, A: int) -> Float64Array:
    matrix = float_array("covariance", covariance, np.dtype(np.float64)).astype(np.float64)
    check_shape("covariance", matrix, (A, A))
    if not np.isfinite(matrix).all():
        raise ValueError(f"covariance: expected finite numbers, got {matrix[~np.isfinite(matrix)][0]}")
    sizes = np.sqrt(np.abs(np.outer(matrix.diagonal(), matrix.diagonal())))  # of what an entry may be
    if (np.abs(matrix - matrix.T) > 1e-6 * sizes).any():
        raise ValueError("covariance: expected a symmetric matrix, got one that is not")
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ValueError("covariance: expected a positive definite matrix, got one that is not") from None
    return matrix
