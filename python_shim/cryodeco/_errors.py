"""One exception for each status of the library; the text is the library's own: file, row, value, what to do."""
from typing import List, Type


class Error(Exception):
    """What went wrong, in the library's words. Every exception of this package is one."""


class ArgumentError(Error, ValueError):
    """An option or an argument is wrong: name, value and range are in the message."""


class FormatError(Error, ValueError):
    """A file is there, but its content cannot be used."""


class FileError(Error, OSError):
    """A file is missing, cannot be read, or cannot be written."""


class OutOfMemoryError(Error, MemoryError):
    """There is no memory for it."""


class DeviceError(Error, RuntimeError):
    """The device or its library failed."""


class UnsupportedError(Error, NotImplementedError):
    """Understood, but this version cannot do it; the message names what works instead."""


class DivergedError(Error, ArithmeticError):
    """Training diverged; earlier checkpoints stand."""


class StoppedError(Error):
    """Stopped on request (SIGTERM, a file STOP), with a whole checkpoint on disk."""


# In the order of deco_status in cryodeco.h, which begins with success.
_by_status: List[Type[Error]] = [Error, ArgumentError, FormatError, FileError, OutOfMemoryError, DeviceError, UnsupportedError, DivergedError,
                                 StoppedError]


def of_status(status: int, message: str) -> Error:
    """The exception for a deco_status."""
    return (_by_status[status] if 0 < status < len(_by_status) else Error)(message)
