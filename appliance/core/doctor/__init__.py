"""What is wrong, and why: evidence goes in, findings come out, each one sentence with its evidence and its remedy.

Nothing here asks the world; shell/doctoring.py gathers the evidence.
"""
