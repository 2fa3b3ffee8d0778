"""The program as a child in a process group of its own: lines while it works, and an end that leaves no orphan."""
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from typing import IO, List, Optional

from .instance import child_environment

GRACE_S = float(os.environ.get("CRYODECO_GRACE_S", "120"))  # for a whole checkpoint, after SIGTERM


def program() -> str:
    """The command `cryodeco`: named by the command that started us, inside a wheel, or on the path."""
    inside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin", "cryodeco")
    for place in (os.environ.get("CRYODECO_PROGRAM"), inside, shutil.which("cryodeco")):
        if place and os.path.exists(place):
            return place
    sys.exit("cryodeco: the program is not on the path")


class Child:
    """`cryodeco WORDS` at work. Lines of its stderr wait in `lines`; its stdout is `summary` when it has ended."""

    def __init__(self, words: List[str]) -> None:
        self.lines: "queue.Queue[str]" = queue.Queue()
        self.summary = ""
        self.process = subprocess.Popen([program(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        errors="replace", env=child_environment(), start_new_session=True)
        assert self.process.stdout and self.process.stderr
        self._readers = [threading.Thread(target=self._read_lines, args=(self.process.stderr,), daemon=True),
                         threading.Thread(target=self._read_summary, args=(self.process.stdout,), daemon=True)]
        for reader in self._readers:
            reader.start()

    def _read_lines(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.put(line.rstrip("\n"))

    def _read_summary(self, stream: IO[str]) -> None:
        self.summary = stream.read()

    def take_lines(self) -> List[str]:
        taken = []
        while not self.lines.empty():
            taken.append(self.lines.get())
        return taken

    def ended(self) -> Optional[int]:
        """Its exit code once it has ended and all it said is there."""
        code = self.process.poll()
        if code is not None:
            for reader in self._readers:
                reader.join(5)
        return code

    def end(self) -> None:
        """Asks it to stop with a checkpoint; after a while ends the whole group."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                pass
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass
