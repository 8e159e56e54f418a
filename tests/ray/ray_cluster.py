"""A real Ray cluster of two nodes on loopback addresses, started by hand as the manual's page `cluster` says, and ended without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.processes import pids, read, stat

_HEAD, _WORKER = "127.0.0.2", "127.0.0.3"
_START_SECONDS = 90.0
_MARK = "ORCHLITE_TEST_CLUSTER"
"""The variable by which every process of the cluster is found again, wherever it went."""


class RayCluster:
    """A head that has no processor for jobs, and a worker node."""

    def __init__(self, command: Path, cache: Path) -> None:
        """Start nothing yet. `command` is `ray`, in the environment that both nodes have; `cache` is that of the nodes."""
        self._command = command
        self.cache = cache
        self.folder = Path(tempfile.mkdtemp(prefix="orc-", dir="/tmp"))  # the paths of sockets must be short
        self.token = uuid.uuid4().hex
        self._mark = uuid.uuid4().hex
        self._ports = {name: _free_port(address) for name, address in self._listening().items()}
        self.url = f"http://127.0.0.1:{self._ports['dashboard']}"
        self._env = {name: value for name, value in os.environ.items() if not name.startswith(("ORCHLITE_", "RAY_"))} | {
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "ORCHLITE_CACHE": str(cache),
            _MARK: self._mark,
        }
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def _listening() -> dict[str, str]:
        return {"gcs": _HEAD, "dashboard": "127.0.0.1", "client": _HEAD, "head agent": _HEAD, "worker agent": _WORKER}

    def start(self) -> None:
        """Start both nodes, and block until they are ready."""
        self._start_head()
        self.start_worker()
        self.wait_until_ready()

    def _start_head(self) -> None:
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
        command = [str(self._command), "start", "--block", "--disable-usage-stats", *options]
        command.append("--object-store-memory=100000000")
        with (self.folder / f"{name}.output").open("ab") as output:
            self._nodes[name] = subprocess.Popen(command, env=self._env, stdout=output, stderr=output, start_new_session=True)

    def wait_until_ready(self, nodes: int = 2) -> None:
        """Block until the head responds and knows that many live nodes."""
        give_up_at = time.monotonic() + _START_SECONDS
        while self._live_nodes() != nodes:
            if time.monotonic() > give_up_at:
                raise TimeoutError(self._output())
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

    def supervisors(self) -> list[int]:
        """Return the ids of the processes of Ray that have a job each."""
        return [pid for pid in self._of_nodes() if b"ray::JobSupervisor" in read(pid, "cmdline")]

    def kill_node(self, name: str) -> None:
        """Kill a node with SIGKILL: its services and its workers, but not what jobs have started in sessions of their own."""
        self._kill_all(lambda: self._of_nodes(name))
        self._nodes.pop(name).wait()

    def restart(self) -> None:
        """Kill everything, and start both nodes again, on the same ports: another life of the cluster."""
        self._kill_everything()
        self.start()

    def stop(self) -> None:
        """End the nodes as their service manager would, then kill what is left."""
        for node in self._nodes.values():
            node.send_signal(signal.SIGTERM)
        for node in self._nodes.values():
            with suppress(subprocess.TimeoutExpired):
                node.wait(15)
        self._kill_everything()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill_everything(self) -> None:
        self._kill_all(self._all)
        for node in self._nodes.values():
            node.wait()
        self._nodes.clear()

    def _kill_all(self, pids: Callable[[], list[int]]) -> None:
        """Block until these processes are gone; new ones may appear meanwhile."""
        give_up_at = time.monotonic() + 15
        while found := pids():
            assert time.monotonic() < give_up_at, f"processes are left: {found}"
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for node in self._nodes.values():
                node.poll()  # a zombie would be found again
            time.sleep(0.05)

    def _of_nodes(self, *names: str) -> list[int]:
        """Return the processes in the sessions of these nodes, of all by default; zombies excepted."""
        sessions = {str(node.pid).encode() for name, node in self._nodes.items() if not names or name in names}
        return [pid for pid in pids() if len(fields := stat(pid)) > 3 and fields[3] in sessions and fields[0] != b"Z"]

    def _all(self) -> list[int]:
        """Return all processes that the nodes or their jobs have started, wherever they are now."""
        mark = f"{_MARK}={self._mark}".encode()  # Ray's workers overwrite their environment with their title
        return [*self._of_nodes(), *(pid for pid in pids() if mark in read(pid, "environ").split(b"\0"))]

    def _output(self) -> str:
        """Return what the nodes have printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.output")))


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port
