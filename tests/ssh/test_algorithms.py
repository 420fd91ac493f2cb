"""What our servers and clients offer."""

import asyncssh

from kworkspace.ssh.algorithms import modern_algorithms


def test_each_list_has_something_and_nothing_old() -> None:
    algorithms = modern_algorithms()
    assert algorithms["kex_algs"][0].startswith("mlkem768x25519") or (
        "curve25519-sha256" in algorithms["kex_algs"]
    )
    for names in (
        algorithms["kex_algs"],
        algorithms["encryption_algs"],
        algorithms["mac_algs"],
        algorithms["signature_algs"],
    ):
        assert len(names) == len(set(names)) > 2
        assert not [name for name in names if "sha1" in name or "ssh-rsa" in name or "cbc" in name]


def test_asyncssh_takes_them() -> None:
    asyncssh.SSHServerConnectionOptions(
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")], **modern_algorithms()
    )
