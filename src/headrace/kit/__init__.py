"""Things that any program could use: clock, ids, database, outbound HTTP, files; it imports nothing of Headrace."""
