"""The SSH front door: a process of its own that knows the hub only through REST.

It terminates SSH on both sides and relays between them. Nothing here imports the hub, opens a
database, or dials what a user asked for from its own network: forwards are dialled inside the
workspace.
"""
