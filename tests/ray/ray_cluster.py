"""A real Ray cluster of two nodes on loopback addresses, started by hand as the manual's page `cluster` says, and ended without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

_HEAD, _WORKER = "127.0.0.2", "127.0.0.3"
_START_SECONDS = 90.0
_SERVICES = ("raylet/raylet", "gcs_server", "dashboard", "agent", "log_monitor", "monitor.py", "ray start")
_MARK = "ORCHLITE_TEST_CLUSTER"
"""The variable by which every process of the cluster is found again, wherever it went."""


class RayCluster:
    """A head without processors for jobs, and a worker node. Jobs that ask for a CPU run on the worker."""

    def __init__(self, cache: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orc-", dir="/tmp"))  # noqa: S108: the paths of sockets must be short
        self.token = uuid.uuid4().hex
        self.mark = uuid.uuid4().hex
        self._ports = {name: _free_port(address) for name, address in self._listening().items()}
        self.url = f"http://127.0.0.1:{self._ports['dashboard']}"
        self._env = {name: value for name, value in os.environ.items() if not name.startswith(("ORCHLITE_", "RAY_"))} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "ORCHLITE_CACHE": str(cache),
            _MARK: self.mark,
        }
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def _listening() -> dict[str, str]:
        return {"gcs": _HEAD, "dashboard": "127.0.0.1", "client": _HEAD, "head agent": _HEAD, "worker agent": _WORKER}

    def start_head(self) -> None:
        """Start the head; it listens on the same ports each time."""
        self._start(
            "head",
            *("--head", f"--node-ip-address={_HEAD}", f"--port={self._ports['gcs']}", "--num-cpus=0"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={self._ports['dashboard']}"),
            *(f"--ray-client-server-port={self._ports['client']}", f"--dashboard-agent-listen-port={self._ports['head agent']}"),
            f"--temp-dir={self.folder}",
        )

    def start_worker(self) -> None:
        """Start the worker node."""
        self._start(
            "worker",
            *(f"--address={_HEAD}:{self._ports['gcs']}", f"--node-ip-address={_WORKER}", "--num-cpus=4"),
            f"--dashboard-agent-listen-port={self._ports['worker agent']}",
        )

    def _start(self, name: str, *options: str) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats", *options]
        command.append("--object-store-memory=100000000")
        with self.folder.with_suffix(f".{name}").open("ab") as output:
            self._nodes[name] = subprocess.Popen(command, env=self._env, stdout=output, stderr=output, start_new_session=True)

    def wait_until_ready(self, nodes: int = 2) -> None:
        """Block until the head responds and knows that many live nodes."""
        give_up_at = time.monotonic() + _START_SECONDS
        while self._live_nodes() != nodes:
            if time.monotonic() > give_up_at:
                raise TimeoutError(self.output())
            time.sleep(0.3)

    def _live_nodes(self) -> int:
        with suppress(URLError, OSError, KeyError, ValueError):
            self.get("/api/version")
            summary = json.loads(self.get("/nodes?view=summary"))["data"]["summary"]
            return sum(node["raylet"].get("state") == "ALIVE" for node in summary)
        return -1

    def get(self, path: str) -> bytes:
        """Return what the head responds to a GET request."""
        request = Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with urlopen(request, timeout=10) as response:
            content: bytes = response.read()
            return content

    def processes(self, words: str = "", address: str = "") -> list[int]:
        """Return the cluster's processes whose command line has the words; with an address, only those of that node."""
        return [pid for pid, command, env in self._all() if words in command and (not address or address in command + env)]

    def _all(self) -> Iterator[tuple[int, str, str]]:
        mark = f"{_MARK}={self.mark}".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            with suppress(OSError):
                env = (entry / "environ").read_bytes()
                if mark in env.split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    yield int(entry.name), command, env.decode("utf-8", "replace")

    def kill_node(self, name: str) -> None:
        """Kill the services of a node with SIGKILL: raylet and agents, and those of the head. What they have started is left alone."""
        address = {"head": _HEAD, "worker": _WORKER}[name]
        for _ in range(2):
            for pid, command, _ in self._all():
                if any(word in command for word in _SERVICES) and (address in command or (name == "head" and "gcs_server" in command)):
                    _kill(pid)
        self._nodes.pop(name).wait(10)

    def stop(self) -> list[str]:
        """End everything; return what was left after the nodes' own shutdown, and had to be killed."""
        for node in self._nodes.values():
            node.send_signal(signal.SIGTERM)
        for node in self._nodes.values():
            with suppress(subprocess.TimeoutExpired):
                node.wait(15)
        self._nodes.clear()
        left = [command for _, command, _ in self._all()]
        give_up_at = time.monotonic() + 10
        while pids := self.processes():
            for pid in pids:
                _kill(pid)
            assert time.monotonic() < give_up_at, pids
            time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("head", "worker"):
            self.folder.with_suffix(f".{name}").unlink(missing_ok=True)
        return left

    def output(self) -> str:
        """Return what the nodes have printed."""
        files = (self.folder.with_suffix(f".{name}") for name in ("head", "worker"))
        return "\n".join(file.read_text() for file in files if file.exists())


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
