"""`./xtask demo`: a person's first hub, in one directory, with everything of theirs in it."""
