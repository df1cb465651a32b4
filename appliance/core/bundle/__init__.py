"""Signed bundles: one file that carries a configuration to its site, and the rules by which a box believes it.

envelope is what everybody may send; payload is read only once enough signatures hold; rules decide, and refusals is
the list of everything that they refuse.
"""
