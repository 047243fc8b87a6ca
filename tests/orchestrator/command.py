"""The command `sequence` as tests run it: a process of its own each, or many forked from one that is warm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from components.base import ROOT

Done = subprocess.CompletedProcess[str]

# Reads a home and a command line from each line of standard input; each runs in a process of its own, forked after the slow imports, with its own
# output and exit code.
MANY = """
import json, os, sys, tempfile
import components.features, components.jobs, components.models, components.pipeline
from components.orchestrator.cli import main

for line in sys.stdin:
    home, arguments = json.loads(line)
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    child = os.fork()
    if child == 0:
        os.environ["SEQUENCE_HOME"] = home
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.argv = ["sequence", *arguments]
        code = 70
        try:
            code = main()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    said = []
    for file in (out, err):
        file.seek(0)
        said.append(file.read().decode())
    print(json.dumps([os.waitstatus_to_exitcode(status), *said]), flush=True)
"""


@lru_cache(maxsize=1)
def _server() -> subprocess.Popen[str]:
    """The process that the commands are forked from; it ends with the test run, whose end closes its standard input."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-c", MANY)
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Command:
    """`sequence` on a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "SEQUENCE_HOME": str(home), "PYTHONPATH": str(ROOT)}

    def __call__(self, *arguments: str, text: str = "") -> Done:
        command = (sys.executable, "-m", "components", *arguments)
        return subprocess.run(command, cwd=ROOT, env=self.environment, input=text, capture_output=True, text=True, timeout=120, check=False)

    def json(self, *arguments: str) -> Any:
        """What a command that succeeds answers with ``--json``."""
        return self.answers(arguments)[0]

    def many(self, *lines: tuple[str, ...]) -> list[Done]:
        """Many commands one after the other, each in a process of its own."""
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        found = []
        for line in lines:
            server.stdin.write(json.dumps([str(self.home), line]) + "\n")
            server.stdin.flush()
            found.append(subprocess.CompletedProcess(line, *json.loads(server.stdout.readline())))
        return found

    def answers(self, *lines: tuple[str, ...]) -> list[Any]:
        """What many commands that succeed answer with ``--json``."""
        found = self.many(*((*line, "--json") for line in lines))
        for done in found:
            assert done.returncode == 0, (done.args, done.stderr)
        return [json.loads(done.stdout) for done in found]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A process that goes on."""
        return subprocess.Popen((sys.executable, "-m", "components", *arguments), cwd=ROOT, env=self.environment, stderr=subprocess.DEVNULL)


def refused(done: Done, code: int, words: str) -> None:
    """The command ended with this code and one sentence that holds these words, and gave no answer."""
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False), (done.args, done.stderr)
    assert words in done.stderr, (done.args, done.stderr)
