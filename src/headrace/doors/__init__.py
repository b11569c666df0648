"""One folder per documented API, each its own shapes, envelope and credentials; no rules, no SQL, no other door."""
