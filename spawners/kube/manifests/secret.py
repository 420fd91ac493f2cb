"""The Secret of a workspace: who may come in, its host key, and what the pod begins with.

It is mounted as a whole, so that a change reaches a running pod. `passwd`, `group` and `profile.sh`
are mounted over the image's for a plain user, who can write none of them.
"""

import base64
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube.identity import Identity, identity
from kworkspace.spawners.kube.manifests.meta import metadata
from kworkspace.spawners.kube.names import Names, template_fields

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

HOST_KEY = "ssh_host_ed25519_key"
HOST_CERTIFICATE = f"{HOST_KEY}-cert.pub"


def make_secret(
    options: "KubeSpawnerOptions",
    workspace: Workspace,
    names: Names,
    *,
    host_key_private: str | None,
    host_key_public: str | None,
    certified: str | None = None,
) -> dict[str, Any]:
    """Return the Secret.

    Args:
        options: the configuration.
        workspace: whose it is, with keys and authorities.
        names: of its objects.
        host_key_private: in OpenSSH's format; None leaves the one that is there.
        host_key_public: an OpenSSH line; None leaves the one that is there.
        certified: the host key to have a certificate of the hub's for, an OpenSSH line.
    """
    account = template_fields(options, workspace, names)["account"]
    who = identity(options, workspace, names)
    content = {
        "bootstrap.sh": script("bootstrap.sh"),
        "profile.sh": script("profile.sh"),
        "passwd": passwd(account, who),
        "group": group(account, who),
    }
    if host_key_private is not None and host_key_public is not None:
        content[HOST_KEY] = host_key_private.rstrip("\n") + "\n"
        content[f"{HOST_KEY}.pub"] = host_key_public.rstrip("\n") + "\n"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(
            options,
            workspace,
            names,
            names.secret,
            labels=options.extra_labels,
            annotations=options.extra_annotations,
        ),
        "type": "Opaque",
        "data": keys_of(workspace, certified) | _encoded(content),
    }


def keys_of(workspace: Workspace, certified: str | None = None) -> dict[str, str]:
    """Return what of a Secret says who trusts whom, as its `data` has it.

    Args:
        workspace: whose.
        certified: the host key to have a certificate of the hub's for, an OpenSSH line.
    """
    content = {
        "authorized_keys": _lines(workspace.authorized_keys),
        "user_ca.pub": _lines(workspace.user_authorities),
    }
    if certified and workspace.certify is not None:
        content[HOST_CERTIFICATE] = workspace.certify(certified) + "\n"
    return _encoded(content)


def _encoded(content: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(text.encode()).decode() for key, text in content.items()}


@cache
def script(name: str) -> str:
    """Return a script of a workspace's container; it is package data."""
    return resources.files("kworkspace.spawners.kube").joinpath(name).read_text()


def passwd(account: str, who: Identity) -> str:
    """Return an /etc/passwd with the account in it; `*` is no password, and not locked."""
    return (
        "root:*:0:0:root:/root:/bin/sh\n"
        f"{account}:*:{who.uid}:{who.gid}:{account}:{who.home}:{who.shell}\n"
        "sshd:*:101:65534:sshd:/run/sshd:/usr/sbin/nologin\n"
        "nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )


def group(account: str, who: Identity) -> str:
    """Return an /etc/group with the account's groups in it."""
    groups = {0: "root", 5: "tty", 65534: "nogroup"}
    for gid in (who.gid, *who.more_gids):
        groups.setdefault(gid, account if gid == who.gid else f"group{gid}")
    return "".join(f"{name}:*:{gid}:\n" for gid, name in groups.items())


def _lines(lines: tuple[str, ...]) -> str:
    return "".join(f"{line}\n" for line in lines)
