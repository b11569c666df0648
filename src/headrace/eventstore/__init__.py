"""The durable log, the columnar engine and its queries: rows, columns and time; no accounts, no HTTP."""
