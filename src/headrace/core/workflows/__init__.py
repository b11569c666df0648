"""Workflows: named work. Built in, an installed function, an endpoint that is pushed to, a queue that is pulled."""
