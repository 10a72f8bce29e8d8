"""What was built, and what runs here."""

from __future__ import annotations

from typing import Any

from pgcore import _dispatch
from pgcore._version import __version__


def build_info() -> dict[str, Any]:
    """Describe the compiled core in use.

    Returns
    -------
    dict
        ``version``; ``variant`` (the instruction-set level in use), ``levels_built``, ``levels_supported``;
        ``compiler``, ``flags``, ``eigen`` (version), ``eigen_simd``; ``threads``.

    Examples
    --------
    >>> import pgcore
    >>> pgcore.build_info()["variant"] in ("base", "v2", "v3", "v4")
    True
    """
    build = _dispatch.compiled.build()
    return {
        "version": __version__,
        "variant": build.variant,
        "compiler": build.compiler,
        "flags": build.flags,
        "eigen": build.eigen,
        "eigen_simd": build.eigen_simd,
        "levels_built": _dispatch.levels_built(),
        "levels_supported": _dispatch.levels_supported(),
        "threads": _dispatch.get_num_threads(),
    }
