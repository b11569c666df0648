"""Dashboards: what an account pins to look at again."""
