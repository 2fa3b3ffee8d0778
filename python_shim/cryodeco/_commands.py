"""What the command line does, as functions. Options stand in the library's table (_table.py), types for the checker in the generated
_commands.pyi."""
import json
import os
from typing import Any, Callable, Dict, Optional

from . import _job, _table
from ._result import Result, open_result


def run(particles: Any, outdir: Any, *, progress: Optional[Callable[[_job.Progress], object]] = None, **options: Any) -> Result:
    """Train on a CryoSPARC job, then make maps, clusters and subsets; gives the opened result.

    particles   CryoSPARC job directory or one of its .cs files; only read
    outdir      directory to write to; what another run left there is kept aside in it
    progress    called with a cryodeco.Progress several times a second, in this thread; an exception in it stops the run

    Everything is checked before anything is written. Ctrl-C stops with a whole checkpoint and raises KeyboardInterrupt; resume="auto" goes on.
    Other threads run on meanwhile.

    Raises ArgumentError, FormatError, FileError before anything is written; DivergedError, StoppedError (SIGTERM, a file STOP), FileError
    (disk full), OutOfMemoryError, DeviceError while running; what was whole then stays whole.
    """
    _job.run_command("run", _job.words({**options, "particles": particles, "outdir": outdir}), progress)
    return open_result(outdir)


def check(particles: Any, outdir: Any, **options: Any) -> None:
    """All checks that cryodeco.run makes with these options, and its forecast of time, memory and disk (in the log). Writes nothing.

    Raises ArgumentError, FormatError, FileError, UnsupportedError, as cryodeco.run would.
    """
    _job.run_command("run", _job.words({**options, "particles": particles, "outdir": outdir, "dry_run": True}))


def analyze(outdir: Any, *, progress: Optional[Callable[[_job.Progress], object]] = None, **options: Any) -> Result:
    """Analyse a finished or stopped run again, with other settings (k_num, clustering_type, flip_hand ...); gives the result with that clustering.

    outdir      directory of the run
    progress    as in cryodeco.run

    Each part made anew takes the place of its namesake, the others stay. Raises as cryodeco.run.
    """
    text = _job.run_command("analyze", _job.words({**options, "outdir": outdir}), progress)
    return open_result(outdir, clustering=_clustering_in(text, outdir))


def _clustering_in(summary: str, outdir: Any) -> Optional[str]:
    """'analysis_99/clustering8', of the line that says where the plot is."""
    out = os.path.join(os.fspath(outdir), "out")
    plots = [line.split(None, 1)[1] for line in summary.splitlines() if line.startswith("plot ")]
    return os.path.relpath(os.path.dirname(plots[0]), out) if plots else None


def info(particles: Any, **options: Any) -> Dict[str, Any]:
    """What an input holds, what can be run with it and what is missing, as a dict (`cryodeco info --json` prints the same).

    particles   CryoSPARC job directory or one of its .cs files; only read

    Raises FileError, FormatError.
    """
    found: Dict[str, Any] = json.loads(_job.run_command("info", _job.words({**options, "particles": particles, "json": True})))
    return found


def simulate(structures: Any, outdir: Any, *, progress: Optional[Callable[[_job.Progress], object]] = None, **options: Any) -> str:
    """Make a CryoSPARC project with known truth from structures or maps; gives the path of its job, for cryodeco.run.

    structures  PDB or mmCIF files (FILE:AB takes chains A and B), or MRC maps; several are classes of particles
    outdir      directory to write to: project/ and truth/

    Raises ArgumentError, FormatError, FileError; nothing stays then.
    """
    _job.run_command("simulate", _job.words({**options, "from": structures, "outdir": outdir}), progress)
    return os.path.join(os.fspath(outdir), "project", "J1")


_rows = _table.table()
for _function in (run, check, analyze, info, simulate):
    _table.describe(_function, _rows)
