"""The constant baselines of least variance, which need the policy's scores (Peters & Schaal 2008)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pgcore._arguments import FloatArray
from pgcore.baselines.base import Baseline

if TYPE_CHECKING:
    from pgcore.data.batch import Batch

__all__ = ["OptimalBaseline", "OptimalPerComponent", "OptimalScalar"]

_ROUNDING = 8 * np.finfo(np.float64).eps


class OptimalBaseline(Baseline):
    r"""A baseline that an estimator works out from the gradients of a batch's episodes.

    With h an episode's gradient without a baseline, and g its sum of scores (both weighted as the form has
    it), so that h − b·g is its gradient with the baseline b:

    .. math:: b^\star = \mathbb E[h \cdot g] / \mathbb E[g \cdot g]

    For the trajectory form h = g R, and this is the lecture's E[‖g‖²R]/E[‖g‖²]. Only
    `pgcore.estimators` can use it.

    Parameters
    ----------
    leave_one_out
        Leave an episode out of its own baseline, which keeps the gradient unbiased; where no other episode
        has any score, b = 0. False takes all episodes.

    Attributes
    ----------
    per_component : bool
        Whether there is one b for every parameter, instead of one for all.

    Examples
    --------
    Two episodes, each with the other's quotient for a baseline:

    >>> h, g = np.array([[2.0], [6.0]]), np.array([[1.0], [2.0]])
    >>> OptimalScalar().coefficients((h * g).sum(axis=0), (g * g).sum(axis=0), h * g, g * g).tolist()
    [[3.0], [2.0]]
    """

    per_component: bool

    def __init__(self, *, leave_one_out: bool = True) -> None:
        self.leave_one_out = bool(leave_one_out)

    def values(self, batch: Batch, returns: FloatArray) -> FloatArray:
        """Raise a `TypeError`: without the policy's scores it is not known."""
        raise TypeError(
            f"baseline: expected one that is known without the policy's scores, got {self!r}; "
            "pgcore.estimators can use it"
        )

    def coefficients(
        self,
        numerator: NDArray[np.float64],
        denominator: NDArray[np.float64],
        own_numerator: NDArray[np.float64],
        own_denominator: NDArray[np.float64],
        *,
        centre: float = 0.0,
    ) -> NDArray[np.float64]:
        """Return b from sums of h·g and g·g over all episodes, and each episode's own part of them.

        Parameters
        ----------
        numerator, denominator
            Sums, shape (..., K).
        own_numerator, own_denominator
            Of one episode each, shape (E, ..., K).
        centre
            A number that was taken from all returns before: the gradients are h − centre·g instead of h.

        Returns
        -------
        numpy.ndarray
            The baseline of each episode less ``centre``, (E, ..., K); b is 0 where the denominator vanishes.
        """
        left_out = float(self.leave_one_out)
        above = numerator - left_out * own_numerator
        below = denominator - left_out * own_denominator
        nothing = below <= _ROUNDING * denominator  # what is left of a difference may be rounding alone
        below[nothing] = np.inf
        above /= below
        above[nothing] -= centre
        return above

    def arguments(self) -> dict[str, object]:
        """Return what the constructor was given, by name."""
        return {"leave_one_out": self.leave_one_out}


class OptimalScalar(OptimalBaseline):
    r"""One number for all parameters: the constant that minimises the trace of the covariance.

    .. math:: b^\star = \frac{\mathbb E[\langle h, g\rangle]}{\mathbb E[\lVert g\rVert^2]}

    which is E[‖g‖²R]/E[‖g‖²] for the trajectory form and E⟨Σₜ sₜGₜ, g⟩/E‖g‖² for reward-to-go. With the
    form ``"gpomdp"`` there is one number for every time h, E[‖z_h‖² r_h]/E[‖z_h‖²] with z_h = Σ_{k≤h} s_k.

    Notes
    -----
    Lecture, part 3. Parameters and attributes are those of `OptimalBaseline`.

    Examples
    --------
    >>> OptimalScalar()
    OptimalScalar(leave_one_out=True)
    """

    per_component = False


class OptimalPerComponent(OptimalBaseline):
    r"""A number for every parameter: the constants that minimise each component's variance.

    .. math:: b_j^\star = \frac{\mathbb E[h_j g_j]}{\mathbb E[g_j^2]}

    which is E[g_j²R]/E[g_j²] for the trajectory form. With the form ``"gpomdp"`` there is one number for
    every parameter and time, :math:`b_{h,j} = \mathbb E[z_{h,j}^2 r_h]/\mathbb E[z_{h,j}^2]`. Parameters
    whose scores vanish get 0.

    Notes
    -----
    Lecture, part 3; Peters & Schaal (2008), section 3. Parameters and attributes are those of
    `OptimalBaseline`.

    Examples
    --------
    >>> OptimalPerComponent(leave_one_out=False)
    OptimalPerComponent(leave_one_out=False)
    """

    per_component = True
