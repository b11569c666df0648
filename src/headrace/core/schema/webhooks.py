"""Tables of `core/webhooks`."""
