"""A finished run: its arrays without a copy, its model, and subsets of its particles."""
import glob
import os
import tempfile
import threading
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _cryodeco, _job
from ._errors import ArgumentError

StrPath = Union[str, "os.PathLike[str]"]
_NEWEST = -2
_UID, _LATENTS, _ROTATION, _SHIFT, _LABELS, _PROBABILITY = range(6)  # deco_result_array


class _Memory:
    """Memory of the library that NumPy may look at: what it makes of this keeps this, and this keeps the owner."""

    def __init__(self, owner: "_cryodeco._Handle", address: int, typestr: str, shape: Tuple[int, ...]) -> None:
        self.owner = owner
        self.__array_interface__ = {"version": 3, "data": (address, True), "typestr": typestr, "shape": shape}


class Poses(NamedTuple):
    """Rotations and shifts; an image with rotation R and shift t is, shifted by +t, the slice of the map's transform at c @ R."""

    rotation: "npt.NDArray[np.float32]"  #: [N,3,3]
    shift: "npt.NDArray[np.float32]"  #: [N,2], pixels of the box, x first


class Encoded(NamedTuple):
    """Latents of other particles; row i of each array is the same particle."""

    uids: "npt.NDArray[np.uint64]"  #: [n]
    latents: "npt.NDArray[np.float32]"  #: [n,Z]
    error: "Optional[npt.NDArray[np.float32]]"  #: [n] with use_gt_poses: mean squared difference of image and slice; None without poses


class Subset:
    """Some particles of a run, in the run's order."""

    def __init__(self, result: "Result", rows: "npt.NDArray[np.int64]") -> None:
        self._result = result
        self.rows = rows  #: [n] i8, rows of the result's arrays, rising

    @property
    def uids(self) -> "npt.NDArray[np.uint64]":
        """[n] u8, CryoSPARC's uids."""
        return self._result.uids[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def save(self, path: StrPath, original: Optional[StrPath] = None) -> str:
        """Write the particles as files that CryoSPARC (Import Result Group) and RELION take; gives the path of the .cs file.

        path      with or without ".cs"; the .csg and .star go beside it
        original  job whose rows are written instead, joined on uid: the one before downsampling, for work at full size

        Every column and uid of the input stays. Raises FileError, FormatError, ArgumentError (an empty subset, uids that `original` lacks).
        """
        stem = os.fspath(path)
        stem = stem[:-3] if stem.endswith(".cs") else stem
        analysis = self._result._clustering.split("/")[0] if self._result._clustering else None
        with tempfile.TemporaryDirectory(prefix="cryodeco-") as place:
            uids = os.path.join(place, "uids.npy")
            np.save(uids, self.uids)
            _job.run_command("subset", _job.words({"outdir": self._result.outdir, "uids": uids, "output": stem, "analysis": analysis,
                                                   "original": original}))
        return stem + ".cs"


class Result:
    """A finished run, or one that has got to its first checkpoint. Row i of every array is the same particle.

    Arrays are read only and lie in the files of the run: a large one costs nothing until it is looked at (on a network file system it is read when it
    is first asked for). They stay good after close(). Made by cryodeco.run, cryodeco.analyze and cryodeco.open.
    """

    def __init__(self, outdir: StrPath, epoch: Optional[int], clustering: Optional[str], threads: int) -> None:
        self._outdir = os.fspath(outdir)
        self._threads = threads
        self._epoch_given = epoch is not None
        self._handle: Optional["_cryodeco._Handle"]
        self._handle, self._epoch, self._clustering = _cryodeco.result(self._outdir, _NEWEST if epoch is None else epoch, clustering)
        self._model: Optional[Tuple["_cryodeco._Handle", int, int, float]] = None
        self._decoding = threading.Lock()

    @property
    def outdir(self) -> str:
        """The run's directory."""
        return self._outdir

    @property
    def epoch(self) -> int:
        """The epoch that the arrays are of; -1 is pretraining."""
        return self._epoch

    @property
    def clustering(self) -> Optional[str]:
        """The folder with the clustering's maps and subsets; None when the run has none yet."""
        return os.path.join(self._outdir, "out", self._clustering) if self._clustering else None

    def _view(self, which: int) -> "npt.NDArray[Any]":
        handle = self._handle
        if handle is None:
            raise ArgumentError(f"{self._outdir}: this result is closed; open it again with cryodeco.open")
        return np.asarray(_Memory(handle, *_cryodeco.view(handle, which)))

    @property
    def uids(self) -> "npt.NDArray[np.uint64]":
        """[N] u8, CryoSPARC's uids in the order of the rows."""
        return self._view(_UID)

    @property
    def latents(self) -> "npt.NDArray[np.float32]":
        """[N,Z] f4. Z = 0 is one state: no columns."""
        return self._view(_LATENTS)

    @property
    def poses(self) -> Poses:
        """Rotations [N,3,3] and shifts [N,2] in pixels, those that belong to the maps of the clustering where there is one."""
        return Poses(self._view(_ROTATION), self._view(_SHIFT))

    @property
    def labels(self) -> "npt.NDArray[np.int32]":
        """[N] i4, each particle's cluster from 0. Raises FileError when the run has no clustering."""
        return self._view(_LABELS)

    @property
    def probability(self) -> "npt.NDArray[np.float32]":
        """[N,K] f4, how sure each cluster is; a row adds up to 1. Raises FileError when the run has no clustering."""
        return self._view(_PROBABILITY)

    @property
    def maps(self) -> List[str]:
        """Paths of the clusters' density maps (MRC), cluster 0 first."""
        return sorted(glob.glob(os.path.join(glob.escape(self.clustering), "vol_*.mrc"))) if self.clustering else []

    def _open_model(self) -> Tuple["_cryodeco._Handle", int, int, float]:
        if self._handle is None:
            raise ArgumentError(f"{self._outdir}: this result is closed; open it again with cryodeco.open")
        if self._model is None:
            self._model = _cryodeco.model(self._handle, self._threads)
        return self._model

    @property
    def box(self) -> int:
        """D, the edge of images and maps in pixels."""
        with self._decoding:
            return self._open_model()[1]

    @property
    def psize_A(self) -> float:
        """Å per pixel of the box."""
        with self._decoding:
            return self._open_model()[3]

    def decode(self, z: "npt.ArrayLike") -> "npt.NDArray[np.float32]":
        """The density of one state, or of several.

        z        [Z] or [n,Z], latents; rows of `latents`, or anything between them
        returns  [D,D,D] or [n,D,D,D] f4, z slowest; protein is positive, in the hand of the trained decoder

        Raises ArgumentError (another Z, numbers that are not finite), OutOfMemoryError, DeviceError. From several threads one at a time.
        """
        states = np.ascontiguousarray(z, dtype=np.float32)
        if states.ndim not in (1, 2):
            raise ArgumentError(f"z has the shape {states.shape}; one latent [Z], or several [n,Z], are expected")
        with self._decoding:
            model, D, Z, _ = self._open_model()
            rows = states.reshape(-1, states.shape[-1])
            out = np.empty((len(rows), D, D, D), np.float32)
            for map_, row in zip(out, rows):
                _cryodeco.decode(map_.ctypes.data, model, row.ctypes.data, row.size)
        return out if states.ndim == 2 else out[0]

    def subset(self, which: "npt.ArrayLike") -> Subset:
        """Some of the particles.

        which    [N] truth values, or uids in any order (integers); a uid that stands twice counts once

        Raises ArgumentError (another length, a uid that the run does not have, anything else).
        """
        given = np.asarray(which)
        if given.ndim == 1 and given.dtype == np.bool_:
            if len(given) != len(self):
                raise ArgumentError(f"a mask of {len(given):,} truth values; the run has {len(self):,} particles")
            return Subset(self, np.flatnonzero(given))
        if given.ndim != 1 or given.dtype.kind not in "iu" or (given.dtype.kind == "i" and (given < 0).any()):
            raise ArgumentError(f"which is of type {given.dtype} with {given.ndim} dimensions; [N] truth values, or uids are expected")
        wanted = given.astype(np.uint64)
        missing = ~np.isin(wanted, self.uids)
        if missing.any():
            raise ArgumentError(f"{missing.sum():,} of {len(wanted):,} uids are not in {self._outdir}, {wanted[missing][0]} for one")
        return Subset(self, np.flatnonzero(np.isin(self.uids, wanted)))

    def encode(self, particles: Union[StrPath, Sequence[StrPath]], output: Optional[StrPath] = None, **options: Any) -> Encoded:
        """Latents of other particles, from the encoder of this run.

        particles  CryoSPARC job directory or one of its .cs files; only read
        output     directory that the arrays are kept in, as docs/formats.md says; None: in memory alone
        options    those of `cryodeco encode`: ind, datadir, use_gt_poses, device, threads

        Raises ArgumentError (a run with a latent table has no encoder), FileError, FormatError, DeviceError.
        """
        with tempfile.TemporaryDirectory(prefix="cryodeco-") as place:
            folder = os.path.join(place, "encoded") if output is None else os.fspath(output)
            epoch = self._epoch if self._epoch_given else None
            _job.run_command("encode", _job.words({**options, "outdir": self._outdir, "particles": particles, "output": folder, "epoch": epoch}))
            mode: Any = None if output is None else "r"
            error = os.path.join(folder, "error.npy")
            return Encoded(np.load(os.path.join(folder, "uid.npy"), mmap_mode=mode), np.load(os.path.join(folder, "conf.npy"), mmap_mode=mode),
                           np.load(error, mmap_mode=mode) if os.path.exists(error) else None)

    def close(self) -> None:
        """Give files and memory back. Arrays taken before stay good; new ones are refused."""
        with self._decoding:
            self._handle = self._model = None

    def __enter__(self) -> "Result":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.uids)

    def __repr__(self) -> str:
        return f"<cryodeco.Result {self._outdir!r}, epoch {self._epoch}, {self._clustering or 'no clustering'}{', closed' * (self._handle is None)}>"


def open_result(outdir: StrPath, epoch: Optional[int] = None, clustering: Optional[str] = None, threads: int = 0) -> Result:
    """Open a run's directory.

    outdir      directory of a run
    epoch       state after this epoch (of those with weights); None: the newest
    clustering  folder below outdir/out, as "analysis_99/clustering8"; None: the one made last of that epoch, in the hand of the decoder
    threads     for decoding; 0: the cores this process may use. Results do not depend on it

    Raises FileError (no run, no such epoch or clustering), ArgumentError.
    """
    return Result(outdir, epoch, clustering, threads)


open = open_result
