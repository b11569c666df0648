"""Error groups: occurrences of one error counted together, with a state that people set."""
