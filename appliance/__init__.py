"""appliance: two cheap boxes become one office gateway, from a single appliance.yaml."""

__version__ = "0.1.0"
