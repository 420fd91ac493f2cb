"""One module for each command; `main` loads the one that is used, and nothing here before."""
