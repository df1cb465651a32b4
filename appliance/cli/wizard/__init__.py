"""The screens of `appliance setup`."""
