"""pyroute2 without its package's __init__.

`import pyroute2` loads every part of it: a database, a command line, Windows and BSD support; 16 MB and 60 ms that the
supervisor would carry for the life of the box. The parts import each other by full name, so an empty package in
sys.modules is all that they need. Import this module before any part of pyroute2.
"""

from __future__ import annotations

import importlib.util
import sys

if "pyroute2" not in sys.modules:
    _specification = importlib.util.find_spec("pyroute2")
    if _specification is None:
        raise ImportError("pyroute2 is not installed; it is Debian's package python3-pyroute2")
    sys.modules["pyroute2"] = importlib.util.module_from_spec(_specification)
