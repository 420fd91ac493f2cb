"""The hub's secrets: made once, whoever comes first, and told apart without being told."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from kworkspace.hub.clock import utc_now
from kworkspace.hub.config import HubOptions
from kworkspace.hub.files import FileUnusable
from kworkspace.hub.key_ring import read_ring, write_ring
from kworkspace.hub.secret_files import load, shared
from tests.hub.fake_spawner import FakeSpawner


def test_hubs_that_start_at_once_agree(tmp_path: Path) -> None:
    options = HubOptions(data_dir=str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: load(options, utc_now), range(8)))
    texts = {
        (
            *(one.cookie, one.admin_token, one.door_key.public_key),
            *(*one.authority.public_keys(), *one.host_authority.public_keys()),
        )
        for one in loaded
    }
    assert len(texts) == 1
    for file in ("cookie_secret", "admin_token", "user_ca", "host_ca", "gateway_host_key"):
        assert (tmp_path / file).stat().st_mode & 0o777 == 0o600


def test_what_hubs_share(tmp_path: Path) -> None:
    one = HubOptions(data_dir=str(tmp_path))
    other = HubOptions(data_dir=str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    ours, theirs = (shared(each, load(each, utc_now)) for each in (one, other))
    assert [item.digest for item in ours] == [
        item.digest for item in shared(one, load(one, utc_now))
    ]
    files = ("cookie_secret", "user_ca", "gateway_host_key", str(tmp_path), "host_ca")
    for item, their, file in zip(ours, theirs, files, strict=True):
        assert item.digest != their.digest
        assert file in item.otherwise
        assert item.text not in item.otherwise


def test_hubs_fit_whatever_has_been_rotated(tmp_path: Path) -> None:
    """One that started before the rotation, and one that starts when the old key is gone."""
    options = HubOptions(data_dir=str(tmp_path))

    def digests() -> list[str]:
        return [item.digest for item in shared(options, load(options, utc_now))]

    before = digests()
    for file in (tmp_path / "user_ca", tmp_path / "host_ca"):
        for _ in range(2):
            ring = read_ring(file)
            assert ring is not None
            write_ring(file, ring.rotated("new", utc_now(), timedelta(0)), tmp_path / "other")
        again = read_ring(file)
        assert again is not None
        assert again.origin not in {one.fingerprint for one in again.keys}
    assert digests() == before


def test_a_spawner_of_many_machines_asks_for_no_place(tmp_path: Path) -> None:
    directories = [tmp_path / "a", tmp_path / "b"]
    for directory in directories:
        directory.mkdir()
    every = [HubOptions(data_dir=str(each), spawner_class=FakeSpawner) for each in directories]
    places = {shared(each, load(each, utc_now))[-2].digest for each in every}
    assert len(places) == 1


def test_a_secret_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "cookie_secret").write_text("x")
    (tmp_path / "cookie_secret").chmod(0o644)
    with pytest.raises(FileUnusable, match="others may read it: chmod 600"):
        load(HubOptions(data_dir=str(tmp_path)), utc_now)
