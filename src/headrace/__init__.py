"""Headrace, a self-hosted backend for logs, events and jobs; only the version and the date of its build stand here."""

__version__ = "1.0.0"
# The day the version was made, and which build of that day.
__build__ = "2026-11-22.1"
