"""The HTTP side: a handler parses, calls one function of the domain, and writes.

No SQL, no spawner, no `try`: errors are rendered in one place, `base`. Every method declares its
scope; opting out of authentication is explicit.
"""
