"""Emulated machines: Debian's kernel, the world's files, and tests that need what this machine's kernel may lack."""
