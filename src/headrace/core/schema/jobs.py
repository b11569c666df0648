"""Tables of `core/jobs` and `core/workflows`."""
