"""The one place in the package that knows its version (pyproject.toml reads it here)."""

__version__ = "0.1.0"
