"""``python -m pgcore`` is ``pgcore``."""

from __future__ import annotations

import sys

from pgcore.cli import main

if __name__ == "__main__":
    sys.exit(main())
