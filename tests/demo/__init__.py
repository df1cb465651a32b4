"""What a newcomer sees first: an office goes online, live (sudo make demo).

DEMO_SECONDS=30 leaves the prompt after 30 seconds, DEMO_SECONDS=0 shows everything and stops; without a terminal
it stops by itself, too. Exit code 0: everything that was shown worked.
"""
