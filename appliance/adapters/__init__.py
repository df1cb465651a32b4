"""The adapters: each speaks to one thing of the machine, and knows the values of core/state.py but no configuration."""
