"""The Fisher matrix of a policy: products, solutions, preconditioners (lecture, part 5)."""

from __future__ import annotations

from pgcore.curvature.fisher import Fisher

__all__ = ["Fisher"]
