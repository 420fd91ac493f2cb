"""Who may come in: the interface (`base`) and its implementations.

Purely a matter of names and keys: an authenticator decides whether a proof is one. It opens no
connection, writes no database and imports nothing of the hub. It may use asyncssh's key and
signature types, never its connections.
"""
