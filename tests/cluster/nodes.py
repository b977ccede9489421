"""Three Ray nodes on one machine, each with its own address, disk and home: network and mount namespaces, and a bridge.

    10.77.0.254  this machine: S3 (moto), PostgreSQL, MLflow's server
    10.77.0.1    the head, from which drivers run
    10.77.0.2, 10.77.0.3    workers

It takes root and Linux; `available` says what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

START_ATTEMPTS = 3  # on a busy machine Ray's start may take longer than its timeout of 30 seconds
BRIDGE, HERE = "tuning0", "10.77.0.254"
ROOT = Path(__file__).parents[2]
CODE = (ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())


def available() -> str:
    """What is missing for such a cluster, in words; "" if nothing is."""
    if os.getuid() != 0:
        return "network namespaces take root"
    missing = [name for name in ("ip", "unshare", "mount") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    made = subprocess.run(["ip", "netns", "add", "tuning-probe"], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespace can be made ({made.stderr.strip()})"
    subprocess.run(["ip", "netns", "del", "tuning-probe"], check=False)
    return ""


class Node:
    """One machine of the cluster.

    disk: the folder that it alone sees, as /root and as /tmp. cache: its user's cache, a disk of its own with so many
    bytes, as `mount` writes them. veth: its cable's end here.
    """

    def __init__(self, number: int, folder: Path, environment: dict[str, str], cache: str = "400m") -> None:
        self.name, self.address = f"tuning-n{number}", f"10.77.0.{number}"
        self.disk = folder / self.name
        self.cache = self.disk / "root" / ".cache"
        self._environment = environment
        self.cache.mkdir(parents=True)
        (self.disk / "tmp").mkdir()
        (self.disk / "boot_id").write_text(f"{uuid.uuid4()}\n")
        self.veth = veth = f"tuning-v{number}"
        try:
            for line in (
                f"mount -t tmpfs -o size={cache} tmpfs {self.cache}",
                f"ip netns add {self.name}",
                f"ip link add {veth} type veth peer name eth0 netns {self.name}",
                f"ip link set {veth} master {BRIDGE} up",
                f"ip -n {self.name} addr add {self.address}/24 dev eth0",
                f"ip -n {self.name} link set eth0 up",
                f"ip -n {self.name} link set lo up",
            ):
                subprocess.run(line.split(), check=True)
        except BaseException:
            self.remove()
            raise

    def line(self, *command: str) -> list[str]:
        """The command line that runs `command` on this machine, with its own disk."""
        steps = []
        for place in (
            CODE
        ):  # the code and its Python are the same on all, as in an image; they may be in /tmp or /root
            if place.is_relative_to("/tmp") or place.is_relative_to("/root"):
                target = self.disk / place.relative_to("/")
                steps += [f"mkdir -p {target}", f"mount --bind {place} {target}"]
        steps += [
            f"mount --rbind {self.disk}/root /root",
            f"mount --rbind {self.disk}/tmp /tmp",
            # one kernel runs them all, but no machine may take another's processes for its own
            f"mount --bind {self.disk}/boot_id /proc/sys/kernel/random/boot_id",
        ]
        steps += [f"cd {ROOT}", 'exec "$@"']
        return [
            "ip",
            "netns",
            "exec",
            self.name,
            "unshare",
            "-m",
            "sh",
            "-c",
            " && ".join(steps),
            "sh",
            *command,
        ]

    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        return self._environment | {"HOME": "/root", "TMPDIR": "/tmp", "RAY_AUTH_MODE": "token"}

    def run(self, *command: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command on this machine and wait for it."""
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            self.line(*command),
            env=self.environment(),
            capture_output=True,
            text=True,
            check=check,
            **options,
        )

    def popen(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command on this machine."""
        with log.open("ab") as out:
            return subprocess.Popen(self.line(*command), env=self.environment(), stdout=out, stderr=out)

    def start_ray(self, head: str | None, cpus: int) -> None:
        """Start its Ray node: the head, or one that joins the head at this address."""
        subprocess.run(["ip", "link", "set", self.veth, "up"], check=True)
        where = (
            ["--head", "--port=6379", "--include-dashboard=false"]
            if head is None
            else [f"--address={head}:6379"]
        )
        line = [
            sys.executable, "-m", "ray.scripts.scripts", "start", *where, f"--node-ip-address={self.address}",
            f"--num-cpus={cpus}", "--object-store-memory=80000000", "--disable-usage-stats",
        ]  # fmt: skip
        for _ in range(START_ATTEMPTS):
            done = self.run(*line, check=False, timeout=600)
            if done.returncode == 0:
                return
            self._end_processes()
        raise RuntimeError(f"{self.name}: {done.stdout[-2000:]} {done.stderr[-2000:]}")

    def pids(self) -> list[int]:
        """Its processes."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def kill(self) -> None:
        """Cut its power: it answers nothing more, and says no goodbye. `start_ray` brings it back."""
        subprocess.run(["ip", "link", "set", self.veth, "down"], check=False, capture_output=True)
        self._end_processes()

    def _end_processes(self) -> None:
        for _ in range(5):
            for pid in self.pids():
                subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)
            if not self.pids():
                return
            time.sleep(0.2)

    def remove(self) -> None:
        """End its processes, and remove its network and its disk."""
        self.kill()
        # the cable too: the network's own end of it stays until the last connection in there is given up
        subprocess.run(["ip", "link", "del", self.veth], check=False, capture_output=True)
        subprocess.run(["umount", "-l", str(self.cache)], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


def make_bridge() -> None:
    """The network that joins the nodes and this machine."""
    # with a hardware address of its own: otherwise it has one of its cables', and another when that is gone
    line = ["ip", "link", "add", BRIDGE, "address", "02:00:0a:4d:00:fe", "type", "bridge"]
    subprocess.run(line, check=True)
    subprocess.run(["ip", "addr", "add", f"{HERE}/24", "dev", BRIDGE], check=True)
    subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)


def remove_bridge() -> None:
    """Without effect if there is none."""
    subprocess.run(["ip", "link", "del", BRIDGE], check=False, capture_output=True)
