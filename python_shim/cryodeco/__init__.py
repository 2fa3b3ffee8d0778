"""cryodeco: structures, poses and states from single-particle images, with no starting model.

    run(particles, outdir, **options)   train on a CryoSPARC job, and analyse; gives the result
    check(particles, outdir, ...)       all checks of run and its forecast; writes nothing
    analyze(outdir, **options)          analyse a finished run again, with other settings
    open(outdir)                        a finished run: latents, poses, labels as NumPy arrays, density maps, subsets
    info(path)                          what an input holds, and what can be run with it
    simulate(structures, outdir, ...)   make a project with known truth

Options are those of the command line (`cryodeco options`). Log lines go to logging.getLogger("cryodeco"). Every exception is a cryodeco.Error with
the library's message. After a fork (multiprocessing's default on Linux before Python 3.14) objects of the parent are refused in the child:
threads and devices do not survive one.
"""
from . import _cryodeco
from ._commands import analyze, check, info, run, simulate
from ._errors import (ArgumentError, DeviceError, DivergedError, Error, FileError, FormatError, OutOfMemoryError, StoppedError,
                      UnsupportedError)
from ._job import Progress
from ._result import Encoded, Poses, Result, Subset, open

__version__ = _cryodeco.version().split()[0]
__all__ = ["run", "check", "analyze", "open", "info", "simulate", "Result", "Poses", "Subset", "Encoded", "Progress", "Error", "ArgumentError", "FormatError",
           "FileError", "OutOfMemoryError", "DeviceError", "UnsupportedError", "DivergedError", "StoppedError", "__version__"]
