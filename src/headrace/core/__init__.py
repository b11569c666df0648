"""The product without HTTP: records, rules and tables, a room per noun; no status codes, headers or dialect names."""
