"""Writing a setting: the rest of the file stays, and what cannot be understood is left alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.config_file import checked, write
from kworkspace.cli.settings import KEYS, read_file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'user = "bob"\n'),
        (
            "# mine\n\nuser = 'alice'   # at work\napi = 'x'",
            "# mine\n\nuser = \"bob\"   # at work\napi = 'x'",
        ),
        ("api = 'x'", "api = 'x'\nuser = \"bob\"\n"),
        ("api = 'x'\r\n# é\r\n", "api = 'x'\r\n# é\r\nuser = \"bob\"\r\n"),
        ('user="alice"\r\napi = "x"\r\n', 'user = "bob"\r\napi = "x"\r\n'),
    ],
)
def test_one_line_changes(home: Path, before: str, after: str) -> None:
    file = home / "config.toml"
    file.write_bytes(before.encode())
    assert write(file, {"user": "bob"})
    assert file.read_bytes().decode() == after
    assert not write(file, {"user": "bob"})


def test_a_setting_is_taken_away(home: Path) -> None:
    file = home / "config.toml"
    file.write_text("# mine\nuser = 'alice'\napi = 'x'\n")
    assert write(file, {"user": ""})
    assert file.read_text() == "# mine\napi = 'x'\n"
    assert not write(file, {"user": ""})
    assert not write(home / "none.toml", {"user": ""})
    assert not (home / "none.toml").exists()


@pytest.mark.parametrize("text", ['"user" = "a"', 'user = """a"""', 'user = "a\\tb"'])
def test_what_is_written_in_another_way_stays(home: Path, text: str) -> None:
    file = home / "config.toml"
    file.write_text(text)
    with pytest.raises(UsageFault, match="set user by hand"):
        write(file, {"user": "bob"})
    assert file.read_text() == text


@pytest.mark.parametrize("content", [b"user = ", b"\xff", b"colour = 'red'"])
def test_a_file_that_is_wrong_already(home: Path, content: bytes) -> None:
    file = home / "config.toml"
    file.write_bytes(content)
    with pytest.raises(UsageFault, match=str(file)):
        write(file, {"user": "bob"})
    assert file.read_bytes() == content


@given(st.dictionaries(st.sampled_from(KEYS), st.text(min_size=1).filter(str.isprintable)))
def test_what_is_written_is_read(changes: dict[str, str]) -> None:
    file = Path.cwd() / "config.toml"
    file.unlink(missing_ok=True)
    write(file, changes)
    assert read_file(file) == changes


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("api", "HTTPS://Hub.example.org/", "https://hub.example.org"),
        ("user", "Alice", "alice"),
        ("ssh_key_path", "~/key", "~/key"),
        ("state_dir", "here", "{home}/here"),
        ("ca_file", "key", "{home}/key"),
    ],
)
def test_good_values(home: Path, key: str, text: str, value: str) -> None:
    (home / "key").touch()
    assert checked(key, text) == value.format(home=home)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("colour", "red", "there is no setting 'colour'; the keys are api, user"),
        ("api", "hub", "api: 'hub' is not an http or https URL of a hub, such as https://"),
        ("user", "a b", "name: a user name must not contain white space"),
        ("ssh_key_path", "nope", "ssh_key_path: there is no file "),
        ("ca_file", "~nobody-is-called-so/x", "ca_file: ~nobody-is-called-so/x begins with"),
    ],
)
def test_wrong_values(key: str, text: str, message: str) -> None:
    with pytest.raises(UsageFault) as caught:
        checked(key, text)
    assert caught.value.message.startswith(message)
