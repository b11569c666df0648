"""The browser's door: server-rendered pages, one module and one template family per noun; no rules, no SQL."""
