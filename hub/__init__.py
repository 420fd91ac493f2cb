"""The hub: REST, database and the life cycle of workspaces.

Layers, top to bottom: `app` wires; `api` parses and writes; the domain (`servers`, `driver`,
`login`, `sessions`, `users`, `tokens`) owns transactions and the state machine; `db` holds tables
and queries. Only `db` speaks SQL; nothing here touches a process, a pod or an SSH connection.
"""

__version__ = "0.1.0"
