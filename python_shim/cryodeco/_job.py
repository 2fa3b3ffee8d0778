"""A command of the library at work: its log lines, its progress, and how Ctrl-C stops it."""
import logging
import os
import threading
from typing import Any, Callable, List, Mapping, NamedTuple, Optional

from . import _cryodeco

_log = logging.getLogger("cryodeco")
_levels = {0: logging.DEBUG, 1: logging.INFO, 2: logging.WARNING}  # deco_level; errors become exceptions, progress is asked for
_ERROR = 3
_TICK_S = 0.1


class Progress(NamedTuple):
    """How far a job's present phase is."""

    what: str  #: "epoch 3/12"
    unit: str  #: "images"
    done: int
    total: int
    seconds: float  #: since the phase began


def words(options: Mapping[str, Any]) -> List[str]:
    """Options as words of the command line; None leaves the default. What they mean, and whether it may be, is for the option table."""
    line: List[str] = []
    for name, value in options.items():
        if value is None:
            continue
        several = value if isinstance(value, (list, tuple)) else [value]
        line += [f"--{name}={_text(v)}" for v in several] or [f"--{name}="]
    return line


def _text(value: Any) -> str:
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, (str, bool, int, float)):
        return str(value)
    raise TypeError(f"an option is {value!r}, of type {type(value).__name__}; text, numbers, truth values, paths and lists of these are expected")


class _Teller:
    """Hands on lines and progress, in the thread that called run()."""

    def __init__(self, watch: "_cryodeco._Handle", callback: Optional[Callable[[Progress], object]]) -> None:
        self.watch, self.callback = watch, callback
        self.errors: List[str] = []
        self.last: Optional[Progress] = None

    def tell(self) -> None:
        for level, text in _cryodeco.lines(self.watch):
            if level == _ERROR:
                self.errors.append(text)
            elif level in _levels:
                _log.log(_levels[level], "%s", text)
        now = _cryodeco.progress(self.watch) if self.callback else None
        if now and self.callback and (self.last is None or now[:4] != self.last[:4]):
            self.last = Progress(*now)
            self.callback(self.last)


def run_command(name: str, line: List[str], progress: Optional[Callable[[Progress], object]] = None) -> str:
    """Runs one command to its end, without the GIL, in a thread of its own; what it says for stdout comes back.

    KeyboardInterrupt, and whatever `progress` raises, asks the job to stop with a whole checkpoint, waits for that, and is raised then.
    """
    watch = _cryodeco.watch()
    done = threading.Event()
    outcome: List[Any] = [None, None]  # text, exception

    def work() -> None:
        try:
            outcome[0] = _cryodeco.command(name, line, watch)[0]
        except BaseException as error:  # handed to the thread that waits
            outcome[1] = error
        finally:
            done.set()

    teller = _Teller(watch, progress)
    interrupted: Optional[BaseException] = None
    thread = threading.Thread(target=work, name=f"cryodeco {name}")
    thread.start()
    while True:
        try:
            ended = done.wait(_TICK_S)
            teller.tell()
            if ended:
                break
        except BaseException as error:
            _cryodeco.stop(watch)
            if interrupted is None:
                interrupted = error
                _log.warning("stopping with a checkpoint; this can take a moment")
            teller.callback = None
    thread.join()
    for text in teller.errors:
        if outcome[1] is None or text != str(outcome[1]):
            _log.error("%s", text)
    if interrupted is not None:
        raise interrupted from outcome[1]
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0] or ""
