"""What scripts/bench is made of.

- command: one command, measured
- corpora: what it is measured on
- lines: the lines of the table
- peers: other tools
- table: prints it
- gate: compares ratios with the stored ones
- selftest: whether the gate sees what it is for
"""
