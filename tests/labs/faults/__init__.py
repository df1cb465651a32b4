"""Faults that the doctor must name: each is made in something that runs, and taken away again.

tests/labs/test_doctor.py judges what the doctor says; tests/bench/doctor.py prints the same as a table.
"""
