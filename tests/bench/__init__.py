"""What the product costs, beside what one would use without it: `python3 -m tests.bench` (sudo make bench).

Each subject is a module here with a function `measure(bench)`; SUBJECTS in tests/bench/__main__.py lists them.
"""
