"""Tables of `core/billing`."""
