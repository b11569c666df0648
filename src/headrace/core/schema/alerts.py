"""Tables of `core/searches` and `core/alerts`."""
