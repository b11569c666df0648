"""Tables of `core/people`."""
