"""Measurements of the whole program: `python -m bench`, and a crash test without end: `python -m bench.soak`."""
