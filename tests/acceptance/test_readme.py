"""The README's Python runs as it stands, from top to bottom, and its commands are those that are run elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_every_snippet_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = tmp_path / "readme.py"
    program.write_text("\n".join(blocks("python")), encoding="utf-8")
    done = subprocess.run([sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "success 0" in done.stdout
    assert "requests==2.32.3" in done.stdout


def test_the_commands_for_a_shell_work_one_after_the_other(tmp_path: Path) -> None:
    _, _, commands = blocks("bash")
    words = [shlex.split(line, comments=True)[1:] for line in commands.splitlines()]
    environment = {**os.environ, "ORCHLITE_STORE": str(tmp_path / "store")}
    for verb in [verb for verb in words if verb != ["start"]]:  # which stays in the foreground
        done = subprocess.run(
            [sys.executable, "-m", "orchlite", *verb], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (verb, done.returncode) == (verb, 0), done.stderr
    assert "nightly" in done.stdout or "greeting" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_request_with_curl_is_answered(tmp_path: Path) -> None:
    serve = [sys.executable, "-m", "orchlite", "serve", "--store", "my-store", "--port", "0"]
    [request] = blocks("sh")
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with subprocess.Popen(serve, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            command = ["sh", "-c", request.replace("http://127.0.0.1:8080", server.stdout.readline().strip())]
            done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        finally:
            server.terminate()
    assert done.stdout == "[]", done.stderr


def test_the_second_command_is_what_ci_runs_word_for_word() -> None:
    _, tests, _ = blocks("bash")
    assert tests in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_folders_that_it_names_are_there() -> None:
    for name in re.findall(r"`((?:tests|examples|orchlite)/[\w./-]+)`", README):
        assert (ROOT / name).exists(), name
