"""The commands and what each does, for help: of the command, and of the gateway's answers."""

SECTIONS = {
    "Workspaces": {
        "connect": "Open a shell, or run a command, in a workspace.",
        "start": "Start a workspace and wait until it is ready.",
        "stop": "Stop a workspace and wait until it is stopped.",
        "status": "Show what a workspace is doing.",
        "list": "List your workspaces and what each is doing.",
        "ports": "Show what listens in a workspace, and the way to it.",
        "create": "Make a workspace beside your default one.",
        "delete": "Delete a workspace and all files in it.",
        "open": "Open the hub's page in your browser.",
        "proxy": "Carry ssh's connection into a workspace (ProxyCommand).",
    },
    "You at the hub": {
        "whoami": "Show who you are at the hub.",
        "login": "Sign in, also when you are signed in already.",
        "logout": "End this computer's token.",
        "keys": "List, add and remove your SSH keys.",
    },
    "This computer": {
        "config": "Show every setting and where it comes from.",
        "doctor": "Find out what is wrong, and what to do about it.",
        "ssh-config": "Let plain ssh, scp, rsync and editors know the way.",
        "completion": "Print the script that completes commands in a shell.",
    },
}
COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}

AT_THE_GATEWAY = {"open": "Show the address of the hub's page."} | {
    name: COMMANDS[name] for name in ("start", "stop", "status", "keys", "ports")
}
"""What `ssh NAME@HUB kworkspace COMMAND` answers, beside `help`: it opens no browser."""
