"""Headrace: a self-hosted backend for logs, events and jobs. Only the version stands here; the rooms are the packages."""

__version__ = "1.0.0"
