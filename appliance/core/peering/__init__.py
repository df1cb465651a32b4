"""Colleagues and sites: what `appliance peer` writes into appliance.yaml, and what it hands to the other side."""
