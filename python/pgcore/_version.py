"""The one place in the package that defines its version (pyproject.toml reads it here)."""

__version__ = "0.1.0"
