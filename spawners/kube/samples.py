"""What is looked at inside a pod, by one exec: processor time, SSH connections, the load of GPUs.

Pure: the program to run, and what its output says. The owner of the workspace can make it say
anything; that decides about their own workspace alone. cgroups are read in versions 1 and 2; the
connections are those of /proc/net/tcp and tcp6 (`spawners.sockets`).
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address

from kworkspace.spawners.sockets import Address, plain_address, read_address

_SCRIPT = r"""
# The image's own may be the account's to write to, and this may run as root.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
unset LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT
look() {
    read -r up rest < /proc/uptime || return
    if [ -r /sys/fs/cgroup/cpu.stat ]; then
        while read -r key value; do
            [ "$key" = usage_usec ] && echo "cpu $up $value"
        done < /sys/fs/cgroup/cpu.stat
    else
        for file in /sys/fs/cgroup/cpuacct/cpuacct.usage \
            /sys/fs/cgroup/cpu,cpuacct/cpuacct.usage /sys/fs/cgroup/cpuacct.usage; do
            [ -r "$file" ] && read -r value < "$file" && echo "cpu1 $up $value" && break
        done
    fi
}
look
files=
for file in /proc/net/tcp /proc/net/tcp6; do [ -r $file ] && files="$files $file"; done
if [ -n "$files" ]; then
    grep -h "^ *[0-9]*: [0-9A-F]*:$2 [0-9A-F]*:[0-9A-F]* 01 " $files
    [ $? -le 1 ] && echo tcp
fi
if [ "$1" = twice ]; then sleep 1; look; fi
if [ "$3" = gpu ]; then
    nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits |
        while read -r load; do echo "gpu $load"; done
fi
exit 0
"""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """A cgroup's counter.

    Attributes:
        used: seconds of processor time since the container began.
        uptime: seconds since the node began, when it was read.
    """

    used: float
    uptime: float

    def cores_since(self, before: "CpuTime") -> float | None:
        """Return the cores in use between two looks; None if they are not of one run."""
        seconds = self.uptime - before.uptime
        if seconds <= 0 or self.used < before.used:
            return None
        return (self.used - before.used) / seconds


@dataclass(slots=True)
class Sample:
    """What one exec saw.

    Attributes:
        cpu: one or two looks at the counter; none where it cannot be read.
        peers: who is connected to the SSH port; None where that cannot be read.
        gpus: the load of each GPU, 0 to 1.
    """

    cpu: list[CpuTime] = field(default_factory=list)
    peers: list[Address] | None = None
    gpus: list[float] = field(default_factory=list)

    def connections(self, gateways: Collection[str]) -> int | None:
        """Count the connections that do not come from a gateway.

        Raises:
            ValueError: what is said of a gateway is no IP address.
        """
        if self.peers is None:
            return None
        known = {plain_address(ip_address(address)) for address in gateways}
        return sum(peer not in known for peer in self.peers)


def program(*, port: int, gpu: bool, twice: bool) -> list[str]:
    """Return what to run in the container.

    Args:
        port: of the SSH server.
        gpu: whether to ask for the load of GPUs.
        twice: look at the counter again after a second, where no earlier look is known.
    """
    words = ["twice" if twice else "once", f"{port:04X}", "gpu" if gpu else ""]
    return ["/bin/sh", "-c", _SCRIPT, "kworkspace-signals", *words]


def parse(output: bytes) -> Sample:
    """Return what the program saw; lines that make no sense are left out."""
    sample = Sample()
    peers: list[Address] = []
    for line in output.decode(errors="replace").splitlines():
        words = line.split()
        try:
            if line == "tcp":
                sample.peers = peers
            elif len(words) > 3 and words[0].endswith(":"):
                peers.append(read_address(words[2]))
            elif len(words) == 3 and words[0] in {"cpu", "cpu1"}:
                unit = 1e-6 if words[0] == "cpu" else 1e-9
                used, uptime = int(words[2]) * unit, _finite(words[1])
                sample.cpu.append(CpuTime(used=used, uptime=uptime))
            elif len(words) == 2 and words[0] == "gpu":
                sample.gpus.append(min(max(_finite(words[1]) / 100, 0.0), 1.0))
        except (ValueError, OverflowError):
            continue
    return sample


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number
