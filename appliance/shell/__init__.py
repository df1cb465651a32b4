"""The thin shell: `observe()` and `run(step)` are all that stands between the core and the machine."""
