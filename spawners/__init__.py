"""How a workspace is started: the interface (`base`) and its implementations.

A spawner is idempotent, holds no database, knows nothing of HTTP and imports nothing of the hub.
Only this package touches Kubernetes or starts a workspace's processes.
"""
