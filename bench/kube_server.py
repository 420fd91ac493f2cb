"""The tests' API server as a process of its own, which does what the bench tells it.

Words come by stdin, a line each, and each is answered with a line of JSON: `cut` ends every watch,
`down` and `up` have nobody listen and listen again, `expire N` answers the next N watches of pods
with 410, `end NAME...` deletes pods as somebody else would, also while nobody listens.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kube_api.cluster import Cluster, serve

NAMESPACE = "workspaces"


class KubeServer:
    """The running process, as the bench has it.

    Attributes:
        url: of the API server.
        kubeconfig: of an admin.
        pid: of the process.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        told = self._answer()
        self.url: str = told["url"]
        self.kubeconfig: str = told["kubeconfig"]
        self.pid = process.pid

    def tell(self, *words: str) -> None:
        """Have it do something; returns when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the API server has ended")
        answer: dict[str, str] = json.loads(line)
        return answer


@contextmanager
def kube_server(ready_after: float) -> Iterator[KubeServer]:
    """Run one, whose node makes each pod ready after so many seconds."""
    with TemporaryDirectory(prefix="kube-bench-") as folder:
        command = [sys.executable, "-m", "bench.kube_server", folder, str(ready_after)]
        with subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield KubeServer(process)
            finally:
                process.kill()


async def _do(cluster: Cluster, words: list[str]) -> None:
    match words:
        case ["cut"]:
            cluster.faults.drop_watches()
        case ["down"]:
            await cluster._stop_listening()  # noqa: SLF001  # `faults.down` is a block
        case ["up"]:
            await cluster._listen()  # noqa: SLF001
        case ["expire", number]:
            cluster.compact()
            cluster.faults.expire_next(int(number), kind="pods")
            cluster.faults.drop_watches()
        case ["end", *names]:
            for name in names:
                cluster.delete("pods", NAMESPACE, name, gracePeriodSeconds=0)
        case _:
            raise ValueError(words)


async def _run(directory: Path, ready_after: float) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with serve(directory, cheap=ready_after) as cluster:
        # The garbage collector would go through all that it has ever stored, and be measured.
        gc.freeze()
        gc.disable()
        print(json.dumps({"url": cluster.url, "kubeconfig": str(cluster.kubeconfig)}), flush=True)
        while line := await reader.readline():
            await _do(cluster, line.decode().split())
            print("{}", flush=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("ready_after", type=float)
    given = parser.parse_args()
    asyncio.run(_run(given.directory, given.ready_after))


if __name__ == "__main__":
    main()
