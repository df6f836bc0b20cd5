# SPDX-License-Identifier: Apache-2.0
"""pytest on one file. Exit 77 where pytest, NumPy or pandas is missing."""

import importlib.util
import sys

missing = [name for name in ("pytest", "numpy", "pandas") if importlib.util.find_spec(name) is None]
if missing:
    print("skipped: no", ", ".join(missing))
    sys.exit(77)

import pytest

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
