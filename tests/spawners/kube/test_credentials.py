"""Where the hub's credentials come from, how they stay fresh, and what is said of wrong ones."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kubernetes_asyncio.config import incluster_config as in_cluster

from kworkspace.spawners.kube import credentials, errors
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.credentials import Connection, Credentials, CredentialsError
from kworkspace.spawners.kube.kinds import Kind
from tests.spawners.kube.front import Authority, Front, serve
from tests.spawners.kube.objects import kubeconfig


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A server without TLS."""
    async with serve() as served:
        yield served


@pytest.fixture
async def secure(authority: Authority) -> AsyncIterator[Front]:
    """A server with TLS."""
    async with serve(authority) as served:
        yield served


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at each call whether the credentials have changed."""
    monkeypatch.setattr(credentials, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(credentials, "AGAIN_SECONDS", 0.0)


async def _open(config: Path, **options: object) -> KubeClient:
    return await KubeClient.open(Connection(kubeconfig=str(config), **options))  # type: ignore[arg-type]


async def _ask(client: KubeClient) -> None:
    await client.list(Kind.POD, "workspaces")


# -- where they come from --------------------------------------------------------------------------


async def test_nothing_is_configured(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"No cluster is configured.*home/\.kube/config"):
        await KubeClient.open(Connection())


async def test_the_file_is_missing(config: Path) -> None:
    with pytest.raises(CredentialsError, match=rf"{config} does not exist \(c\.KubeSpawner\.kubec"):
        await _open(config)


async def test_the_environments_file_is_missing(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(CredentialsError, match=rf"{config} does not exist \(\$KUBECONFIG\)"):
        await KubeClient.open(Connection())


async def test_the_environments_files(
    front: Front, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(kubeconfig(front.url))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{config}")
    async with await KubeClient.open(Connection()) as client:
        await _ask(client)
        assert client.server == front.url
    assert front.seen == ["Bearer secret"]


async def test_the_usual_file(front: Front, tmp_path: Path) -> None:
    usual = tmp_path / "home/.kube/config"
    usual.parent.mkdir(parents=True)
    usual.write_text(kubeconfig(front.url))
    async with await KubeClient.open(Connection()) as client:
        await _ask(client)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no kubeconfig"),
        ("[]", "is no kubeconfig"),
        ("{", "while parsing|expected"),
        ("apiVersion: v1", "contexts|current-context|is no kubeconfig"),
        (
            kubeconfig("http://x").replace("current-context: test", "current-context: other"),
            "other",
        ),
        (kubeconfig("http://x").replace("cluster: test, user", "cluster: none, user"), "none"),
        (kubeconfig("http://x").replace("server:", "proxy-url:"), "has no server"),
        (kubeconfig("https://x", cluster=", certificate-authority: no.crt"), "no.crt"),
        (kubeconfig("https://x", user="tokenFile: no-token"), "no-token"),
        (
            kubeconfig("https://x", user="exec: {command: no-such-tool, apiVersion: v1}"),
            "no-such-t",
        ),
        (kubeconfig("https://x", user="exec: {command: x}"), "apiVersion"),
    ],
)
async def test_a_file_that_is_wrong(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(CredentialsError, match=said) as found:
        await _open(config)
    assert f"the kubeconfig {config}: " in found.value.message
    assert "\n" not in found.value.message


async def test_a_file_that_may_not_be_read(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(kubeconfig("http://x"))

    def denied(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(config))

    monkeypatch.setattr("kworkspace.spawners.kube.sources.load_kube_config", denied)
    with pytest.raises(CredentialsError, match=f"{config}: Permission denied"):
        await _open(config)


async def test_another_context(front: Front, config: Path) -> None:
    config.write_text(kubeconfig(front.url).replace("current-context: test", "current-context: x"))
    async with await _open(config, kube_context="test") as client:
        await _ask(client)


# -- a pod's service account -----------------------------------------------------------------------


@pytest.fixture
def account(
    secure: Front, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A pod's surroundings; return its token's file."""
    token = tmp_path / "token"
    token.write_text("first\n")
    host, _, port = secure.url.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(in_cluster, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(in_cluster, "SERVICE_CERT_FILENAME", str(authority.file))
    return token


async def test_a_token_that_the_kubelet_renews(secure: Front, account: Path, hurry: None) -> None:
    async with await KubeClient.open(Connection()) as client:
        await _ask(client)
        account.write_text("second")
        await _ask(client)
    assert secure.seen == ["Bearer first", "Bearer second"]


async def test_a_token_that_expired_unseen(secure: Front, account: Path) -> None:
    async with await KubeClient.open(Connection()) as client:
        await _ask(client)
        account.write_text("second")
        secure.good = {"Bearer second"}
        await _ask(client)
    assert secure.seen == ["Bearer first", "Bearer first", "Bearer second"]


async def test_a_token_that_cannot_be_renewed(
    secure: Front, account: Path, hurry: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with await KubeClient.open(Connection()) as client:
        account.unlink()
        for _ in range(3):
            await _ask(client)
    assert secure.seen == ["Bearer first"] * 3
    assert caplog.text.count("cannot be renewed: the pod's service account") == 1


async def test_a_pod_without_a_token(account: Path) -> None:
    account.unlink()
    with pytest.raises(CredentialsError, match=f"service account .{account}.*token file"):
        await KubeClient.open(Connection())


# -- a kubeconfig's credentials that change --------------------------------------------------------


async def test_a_token_file(front: Front, config: Path, tmp_path: Path, hurry: None) -> None:
    token = tmp_path / "user-token"
    token.write_text("first")
    config.write_text(kubeconfig(front.url, user="tokenFile: user-token"))
    async with await _open(config) as client:
        await _ask(client)
        token.write_text("second\n")
        await _ask(client)
    assert front.seen == ["Bearer first", "Bearer second"]


def _plugin(tmp_path: Path, token: str, expires: str = "") -> Path:
    status = {"token": token} | ({"expirationTimestamp": expires} if expires else {})
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    tool = tmp_path / "plugin"
    tool.write_text(f"#!/bin/sh\necho x >> {tmp_path}/runs\ncat {tmp_path}/answer.json\n")
    tool.chmod(0o755)
    return tool


EXEC = "exec: {command: %s, apiVersion: client.authentication.k8s.io/v1}"


async def test_a_plugin_is_run_again_when_its_token_expires(
    front: Front, config: Path, tmp_path: Path, hurry: None
) -> None:
    tool = _plugin(tmp_path, "first", "2020-01-01T00:00:00Z")
    config.write_text(kubeconfig(front.url, user=EXEC % tool))
    async with await _open(config) as client:
        await _ask(client)
        _plugin(tmp_path, "second", "2999-01-01T00:00:00Z")
        await _ask(client)
        await _ask(client)
        assert front.seen[-1] == "Bearer second"
    runs = (tmp_path / "runs").read_text()
    assert len(runs.splitlines()) == 3  # at the start, and at both calls while it had expired


async def test_a_plugin_without_an_end_is_run_again_after_a_401(
    front: Front, config: Path, tmp_path: Path, hurry: None
) -> None:
    config.write_text(kubeconfig(front.url, user=EXEC % _plugin(tmp_path, "first")))
    async with await _open(config) as client:
        for _ in range(3):
            await _ask(client)
        assert len((tmp_path / "runs").read_text().splitlines()) == 1
        _plugin(tmp_path, "second")
        front.good = {"Bearer second"}
        await asyncio.gather(*(_ask(client) for _ in range(5)))
    assert len((tmp_path / "runs").read_text().splitlines()) == 2


async def test_a_plugin_that_fails(config: Path, tmp_path: Path) -> None:
    tool = tmp_path / "plugin"
    tool.write_text("#!/bin/sh\necho log in first >&2\nexit 3\n")
    tool.chmod(0o755)
    config.write_text(kubeconfig("http://x", user=EXEC % tool))
    with pytest.raises(CredentialsError, match=r"process returned 3\. log in first"):
        await _open(config)


async def test_credentials_that_stay_wrong_are_read_once_for_many_calls(
    front: Front, config: Path, tmp_path: Path
) -> None:
    config.write_text(kubeconfig(front.url, user=EXEC % _plugin(tmp_path, "first")))
    front.good = set()
    async with await _open(config) as client:
        found = await asyncio.gather(*(_ask(client) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(each, errors.Unauthorized) for each in found)
    assert len((tmp_path / "runs").read_text().splitlines()) == 2


async def test_a_client_certificate_that_is_renewed(
    secure: Front, authority: Authority, config: Path, tmp_path: Path
) -> None:
    authority.issue("one")
    text = kubeconfig(
        secure.url,
        user="client-certificate: %s.crt, client-key: %s.key",
        cluster=", certificate-authority: ca.crt",
    )
    config.write_text(text.replace("%s", "one"))
    secure.good_peer = "one"
    async with await _open(config) as client:
        await _ask(client)
        authority.issue("two")
        config.write_text(text.replace("%s", "two"))
        secure.good_peer = "two"
        await _ask(client)
    assert secure.peers == ["one", "one", "two"]


# -- trust -----------------------------------------------------------------------------------------


async def test_a_server_that_is_not_trusted(secure: Front, config: Path) -> None:
    config.write_text(kubeconfig(secure.url))
    async with await _open(config) as client:
        with pytest.raises(errors.ClusterUnreachable, match="is not trusted: ") as found:
            await _ask(client)
    assert secure.url in found.value.message
    assert f"kubeconfig {config}" in found.value.message
    assert not secure.seen


async def test_an_authority_that_changes(
    *,
    secure: Front,
    authority: Authority,
    config: Path,
    tmp_path: Path,
    hurry: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(Authority(elsewhere).file.read_bytes())
    config.write_text(kubeconfig(secure.url, cluster=", certificate-authority: trusted.crt"))
    async with await _open(config) as client:
        with pytest.raises(errors.ClusterUnreachable, match="is not trusted"):
            await _ask(client)
        trusted.write_text("nothing")
        with pytest.raises(errors.ClusterUnreachable, match="is not trusted"):
            await _ask(client)
        assert "certificates cannot be renewed" in caplog.text
        trusted.write_bytes(authority.file.read_bytes())
        await _ask(client)


async def test_an_authority_that_is_configured(
    secure: Front, authority: Authority, config: Path
) -> None:
    config.write_text(kubeconfig(secure.url))
    async with await _open(config, k8s_api_ssl_ca_cert=str(authority.file)) as client:
        await _ask(client)
    async with await _open(config, k8s_api_verify_ssl=False) as client:
        await _ask(client)


async def test_an_authority_that_is_none(secure: Front, config: Path, tmp_path: Path) -> None:
    (tmp_path / "no.crt").write_text("nothing")
    config.write_text(kubeconfig(secure.url, cluster=", certificate-authority: no.crt"))
    with pytest.raises(CredentialsError, match=r"certificates cannot be used.*no\.crt"):
        await _open(config)


async def test_a_name_for_the_servers_certificate(
    secure: Front, authority: Authority, config: Path
) -> None:
    trusted = ", certificate-authority: ca.crt, tls-server-name: %s"
    config.write_text(kubeconfig(secure.url, cluster=trusted % "cluster.test"))
    async with await _open(config) as client:
        await _ask(client)
    config.write_text(kubeconfig(secure.url, cluster=trusted % "other.test"))
    async with await _open(config) as client:
        with pytest.raises(errors.ClusterUnreachable, match="is not trusted"):
            await _ask(client)


# -- the way ---------------------------------------------------------------------------------------


async def test_a_proxy_of_the_kubeconfig(front: Front, config: Path) -> None:
    config.write_text(kubeconfig("http://cluster.test", cluster=f', proxy-url: "{front.url}"'))
    async with await _open(config) as client:
        await _ask(client)
    assert front.hosts == ["cluster.test"]


async def test_a_proxy_of_the_environment(
    front: Front, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(kubeconfig("http://cluster.test"))
    monkeypatch.setenv("http_proxy", front.url)
    async with await _open(config) as client:
        await _ask(client)
    monkeypatch.setenv("no_proxy", "cluster.test")
    assert (await Credentials.load(Connection(kubeconfig=str(config)))).proxy is None
    assert front.hosts == ["cluster.test"]


async def test_another_host(front: Front, config: Path) -> None:
    config.write_text(kubeconfig("http://cluster.test"))
    async with await _open(config, k8s_api_host=f"{front.url}/") as client:
        await _ask(client)
        assert client.server == front.url


async def test_a_netrc_is_nobodys_business(front: Front, config: Path, tmp_path: Path) -> None:
    """aiohttp refuses a call that has both; kubernetes_asyncio's session reads it at each call."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("default login x password y\n")
    (home / ".netrc").chmod(0o600)
    config.write_text(kubeconfig(front.url))
    async with await _open(config) as client:
        await _ask(client)
    assert front.seen == ["Bearer secret"]


def test_the_library_is_not_loaded_before_it_is_used() -> None:
    code = "import sys, kworkspace.spawners.kube.client; print('kubernetes_asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
