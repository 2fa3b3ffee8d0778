"""What a finished run gives to CryoSPARC: particle groups with their own uids, latents as components, density maps."""
import os
import re
import shutil
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from .._result import Result
from .instance import Job, SlotRefused

Say = Callable[[str], None]
BLOB = ("blob", "blob", True)
POSES = ("alignments3D", "alignments3D", True)
BESIDE_MAP = {"map_half_A": "half_0", "map_half_B": "half_1", "mask_refine": "mask"}  # slots of a refinement, our names of the files
CENTRES = ("location/center_x_frac", "location/center_y_frac")


def _dataset() -> Any:
    from cryosparc.dataset import Dataset

    return Dataset


def rows_of(uids: Any, wanted: Any, what: str) -> Any:
    """Where `wanted` stand among `uids`, in the order of `uids`. Both must be without repeats, and all wanted ones there."""
    for name, values in ((what, uids), ("the run", wanted)):
        if len(np.unique(values)) != len(values):
            raise ValueError(f"{name}: uids stand more than once")
    mask = np.isin(uids, wanted)
    if mask.sum() != len(wanted):
        raise ValueError(f"{what}: {len(wanted) - mask.sum()} of the run's {len(wanted)} particles are not in it; it is another set")
    return mask


def check_full(particles: Any, full: Any) -> None:
    """Is `full` the set that `particles` was made from, particle for particle and not recentred?"""
    mask = rows_of(np.asarray(full["uid"]), np.asarray(particles["uid"]), "particles_full")
    if not all(c in d.fields() for c in CENTRES for d in (particles, full)):
        raise ValueError("particles_full: without location/center_x_frac and center_y_frac in both sets nobody can tell whether one was recentred")
    part = full.mask(mask)
    order, of_part = np.argsort(particles["uid"]), np.argsort(part["uid"])
    for column in CENTRES:
        moved = np.abs(np.asarray(particles[column])[order] - np.asarray(part[column])[of_part]).max(initial=0)
        if moved > 1e-6:
            raise ValueError(f"particles_full: the small set was recentred ({column} differs by up to {moved:.2g}); extract it again from "
                             "the large one without recentring, or leave particles_full out")


def poses_changed(outdir: str) -> bool:
    """Did the run estimate or improve poses? Then they are the run's own in its subsets."""
    with open(os.path.join(outdir, "job.yaml"), encoding="utf-8") as f:
        return re.search(r"^use_gt_poses: true\b", f.read(), re.M) is None


class Outputs:
    """The outputs of a result, ready to be declared and saved. `particles`: the job's input, all slots joined."""

    def __init__(self, job: Job, result: Result, particles: Any, full: Optional[Any], say: Say) -> None:
        self.job, self.result, self.particles, self.full, self.say = job, result, particles, full, say
        self.new_poses = poses_changed(result.outdir)
        self.mask = rows_of(np.asarray(particles["uid"]), result.uids, "particles")
        if full is not None:
            check_full(particles.mask(self.mask), full)

    def _columns(self, dataset: Any, slots: List[Any]) -> Any:
        return dataset.filter_prefixes([s[0] for s in slots])

    def _subset_file(self, k: int) -> str:
        return os.path.join(str(self.result.clustering), "clustering_cs_star", f"cluster_{k}.cs")

    def _with_poses(self, rows: Any, clusters: List[int]) -> Any:
        """`rows` with alignments3D as the run's own subsets of those clusters hold them."""
        found = [_dataset().load(self._subset_file(k)).filter_prefixes(["alignments3D"]) for k in clusters]
        uid = np.concatenate([np.asarray(d["uid"]) for d in found])
        order = np.argsort(uid)
        at = order[np.searchsorted(uid[order], np.asarray(rows["uid"]))]
        if not np.array_equal(uid[at], np.asarray(rows["uid"])):
            raise ValueError(f"{self.result.clustering}: its subsets and its labels do not agree")
        fields = [f for f in found[0].descr() if f[0] != "uid"]
        rows.add_fields(fields)
        for name in (f[0] for f in fields):
            rows[name] = np.concatenate([np.asarray(d[name]) for d in found])[at]
        return rows

    def _members(self, k: int) -> Any:
        return np.isin(np.asarray(self.particles["uid"]), self.result.uids[self.result.labels == k])

    def publish(self) -> List[str]:
        """Declares and saves everything; gives the names of the outputs."""
        K = self.result.probability.shape[1] if self.result.clustering else 0
        names = [self._cluster(k, K) for k in range(K)]
        names += [self._cluster_full(k) for k in range(K)] if self.full is not None else []
        names += [self._latents(K)] if self.result.latents.shape[1] else []
        names += self._volumes()
        return names

    def _plot(self) -> Optional[str]:
        path = os.path.join(self.result.clustering or "", "z_pca.png")
        return path if os.path.exists(path) else None

    def _cluster(self, k: int, K: int) -> str:
        slots = [BLOB, POSES] if self.new_poses else [BLOB]
        rows = self._columns(self.particles.mask(self._members(k)), [BLOB])
        if self.new_poses:
            rows = self._with_poses(rows, [k])
        return self._save("particle", f"cluster_{k}", slots, rows, f"Cluster {k} ({len(rows):,} particles)", "particles")

    def _cluster_full(self, k: int) -> str:
        assert self.full is not None
        uids = np.asarray(self.particles["uid"])[self._members(k)]
        rows = self._columns(self.full.mask(np.isin(np.asarray(self.full["uid"]), uids)), [BLOB])
        return self._save("particle", f"cluster_{k}_full", [BLOB], rows, f"Cluster {k} at full size ({len(rows):,} particles)", "particles_full")

    def _latents(self, K: int) -> str:
        rows = self.particles.mask(self.mask)
        rows = rows.filter_prefixes([]) if not self.new_poses else self._with_poses(rows.filter_prefixes([]), list(range(K)))
        uid = self.result.uids
        order = np.argsort(uid)
        z = self.result.latents[order[np.searchsorted(uid[order], np.asarray(rows["uid"]))]]
        slots = [(f"components_mode_{i}", "components", True) for i in range(z.shape[1])]
        rows.add_fields([f for name, _, _ in slots for f in ((f"{name}/component", "<u4"), (f"{name}/value", "<f4"))])
        for i, (name, _, _) in enumerate(slots):
            rows[f"{name}/component"] = np.full(len(rows), i, np.uint32)
            rows[f"{name}/value"] = z[:, i]
        return self._save("particle", "particles_latent", slots + [POSES] * self.new_poses, rows, "All particles with their latents", "particles")

    def _save(self, type_: str, name: str, slots: List[Any], rows: Any, title: str, passthrough: Optional[str]) -> str:
        self.job.add_output(type_, name, slots, title, passthrough)
        self.job.save(name, rows, self._plot())
        self.say(f"{name}: {len(rows):,} rows")
        return name

    # ---- density maps ----

    def _volumes(self) -> List[str]:
        analysis = os.path.join(self.result.outdir, "out", f"analysis_{self.result.epoch}")
        paths = self.result.maps or [p for p in [os.path.join(analysis, "vol_000.mrc")] if os.path.exists(p)]
        return [self._volume(k, path) for k, path in enumerate(paths)]

    def _volume(self, k: int, path: str) -> str:
        """A map, and beside it half maps and mask where the validation made them and the instance has slots for them."""
        name, number = f"volume_{k}", re.findall(r"\d+", os.path.basename(path))[-1]
        validation = os.path.join(os.path.dirname(path), "validation")
        files = {"map": path, **{slot: os.path.join(validation, f"{what}_{number}.mrc") for slot, what in BESIDE_MAP.items()}}
        slots = self._declare_volume(name, k, [slot for slot, file in files.items() if os.path.exists(file)])
        rows = self.job.instance.ask(lambda: self.job.job.alloc_output(name, 1))
        for slot in slots:
            file = f"{self.job.uid}_{name}_{slot}.mrc"
            shutil.copyfile(files[slot], os.path.join(self.job.dir, file))
            rows[f"{slot}/path"] = [f"{os.path.basename(self.job.dir)}/{file}"]
            rows[f"{slot}/shape"] = [[self.result.box] * 3]
            rows[f"{slot}/psize_A"] = [self.result.psize_A]
        self.job.save(name, rows)
        self.say(f"{name}: {', '.join(slots)}")
        return name

    def _declare_volume(self, name: str, k: int, wanted: List[str]) -> List[str]:
        """The slots that were taken. Their dtypes are the instance's own words: asked for where they can be, otherwise the map's is tried."""
        known = _volume_slots(self.job)
        tries = [{slot: known[slot] for slot in wanted if slot in known}] if "map" in known else []
        refused: Optional[SlotRefused] = None
        for slots in [*tries, {"map": "blob"}, {"map": "map"}]:
            try:
                self.job.add_output("volume", name, [(slot, dtype, True) for slot, dtype in slots.items()], f"Map of cluster {k}")
                return list(slots)
            except SlotRefused as error:
                refused = error
        assert refused
        raise refused


def _volume_slots(job: Job) -> Dict[str, str]:
    """What refinements of this instance call the slots of their volume output, and the dtypes; empty where it cannot be asked (4.x)."""
    found: Dict[str, str] = {}
    try:
        for spec in job.instance.cs.job_register.specs if job.instance.generation == 5 else []:
            if spec.type in ("homo_refine_new", "nonuniform_refine_new"):
                for output in spec.outputs.root.values():
                    if output.type == "volume":  # a slot that is a word alone is name and dtype
                        found.update({s: s for s in output.slots if isinstance(s, str)})
                        found.update({s.name: s.dtype for s in output.slots if not isinstance(s, str)})
    except Exception:
        return {}  # an instance whose register the client cannot read
    return found


def where(split: str) -> Tuple[str, str]:
    """'J42.particles' as job and output."""
    match = re.fullmatch(r"(J\d+)\.([A-Za-z][A-Za-z0-9_]*)", split)
    if not match:
        raise ValueError(f"'{split}' is no output of a job; write it as J42.particles")
    return match.group(1), match.group(2)
