"""What bounds a caller: rate windows, log-in throttles, daily quotas and queue room. The numbers come from settings."""
