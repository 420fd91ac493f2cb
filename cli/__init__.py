"""The `kworkspace` command, and `client`, which hub, gateway and services share with it.

Light enough for any laptop: heavy imports happen in the command that needs them.
"""

__version__ = "0.1.0"
