"""A log that is written to while it is cut."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kworkspace.hub import bounded
from kworkspace.hub.bounded import bound_log
from tests.conftest import wait_until

WRITER = """
import sys
for line in sys.stdin:
    print(line, end="", flush=True)
    print("written", file=sys.stderr, flush=True)
"""


def test_the_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_BYTES", 100)
    log = tmp_path / "log"
    bound_log(log)  # there is none yet
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [sys.executable, "-c", WRITER],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        ) as writer,
    ):
        assert writer.stdin is not None
        assert writer.stderr is not None
        for number in range(1, 8):
            writer.stdin.write(f"{number}" * 49 + "\n")
            writer.stdin.flush()
            assert writer.stderr.readline() == "written\n"
            bound_log(log)
        writer.stdin.close()
    assert log.read_text() == "7" * 49 + "\n"
    assert (tmp_path / "log.1").read_text() == "5" * 49 + "\n" + "6" * 49 + "\n"


def test_the_hub_bounds_its_gateways_log(
    make_hub: Callable[..., Any],
) -> None:
    hub = make_hub(gateway=True)
    directory = hub.data_dir / "services" / "gateway"
    directory.mkdir(parents=True)
    with (directory / "log").open("wb") as log:
        log.truncate(bounded.MAX_BYTES)
    hub.start()
    wait_until((directory / "log.1").exists, "the log that was set aside")
    wait_until(lambda: 0 < (directory / "log").stat().st_size < 10_000, "what is said from then on")


def test_a_log_that_cannot_be_copied_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MAX_BYTES", 10)
    (tmp_path / "log").write_text("x" * 20)
    (tmp_path / "log.1").mkdir()
    with pytest.raises(OSError, match="directory"):
        bound_log(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "x" * 20
