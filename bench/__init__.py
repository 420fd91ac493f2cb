"""The figures that are kept: `./xtask bench`. Medians, beside a peer or floor of the same run.

Nothing here is a test, and nothing of it is imported by the packages: it drives real processes
through REST, ssh and the command, as a person would.
"""
