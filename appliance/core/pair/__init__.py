"""What two boxes need to stand in for each other, as text and values: keepalived, conntrackd, routing rules.

Made from the configuration by the child that compiles; `names` alone is for those who run what it made.
"""
