"""The functional core: bytes to configuration, configuration to desired state, desired and observed to a plan.

Nothing below this package opens a file or a socket, starts a process, or reads a clock; tests/unit/test_purity.py
reads the imports and keeps it so.
"""
