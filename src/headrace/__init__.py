"""Headrace, a self-hosted backend for logs, events and jobs; only the version stands here."""

__version__ = "1.0.0"
