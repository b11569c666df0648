"""Events: taking them in, reading them back. Where they lie on disk is the event store's affair."""
