"""What `cryodeco info` says of files that other programs wrote."""

import collections
import json
import pathlib

import numpy as np
import pytest
import starfile
from conftest import cryodeco
from cryosparc.dataset import Dataset

FORMATS = pathlib.Path(__file__).parent.parent / "data/formats"

# particles, box, pixel size, groups, kV, where poses are from, what a problem says (None: there is none)
SAMPLES = {
    "4k_dataset.cs": (0, None, None, 0, None, None, "no particles (0 rows)"),
    "empty.csdat.cs": (0, None, None, 0, None, None, "no particles (0 rows)"),
    "zero_rows.csdat.cs": (0, None, None, 0, None, None, "no particles (0 rows)"),
    "cryosparc_J2_particles_exported.cs": (22, 300, 1.345, 1, 300, None, "is not found; tried"),
    "cryosparc_P12_J24_001_particles.cs": (2019, 180, 2.95, 1, 200, "alignments3D", "is not found; tried"),
    "empiar_10076_7.cs": (7, 320, 1.31, 1, 300, None, None),
    "empiar_10076_7.star": (7, 320, 1.31, 0, 300, None, None),
    "relion31.star": (5, 256, 2.806, 1, 300, "alignments3D", "is not found; tried"),
    "relion31.v2.star": (5, 256, 2.806, 1, 300, "alignments3D", "is not found; tried"),
    "relion31.6opticsgroups.star": (139, None, None, 6, 200, None, "1.24 Å, that of row 0 is 1.25 Å"),
    "relion5.star": (17, 448, 0.89, 1, 100, "alignments3D", "is not found; tried"),
    "FinalRefinement-OriginalParticles-PfCRT.star": (5, None, None, 0, 300, None, "is not found; tried"),
}

# What STAR files call them, and what makes CryoSPARC's units of theirs.
STAR_RANGES = {
    "ctf/accel_kv": ("rlnVoltage", 1),
    "ctf/cs_mm": ("rlnSphericalAberration", 1),
    "ctf/amp_contrast": ("rlnAmplitudeContrast", 1),
    "ctf/df1_A": ("rlnDefocusU", 1),
    "ctf/df2_A": ("rlnDefocusV", 1),
    "ctf/df_angle_rad": ("rlnDefocusAngle", np.pi / 180),
    "ctf/phase_shift_rad": ("rlnPhaseShift", np.pi / 180),
}

def info(*arguments):
    return json.loads(cryodeco("info", *arguments, "--json", "True").stdout)


@pytest.mark.parametrize("name", SAMPLES)
def test_info_is_true(name):
    particles, box, psize, groups, kV, poses, problem = SAMPLES[name]
    said = info(FORMATS / name)
    assert said["particles"] == particles
    assert said["box"] == box
    assert psize is None or abs(said["psize_A"] - psize) < 1e-4
    assert len(said["exposure_groups"]) == groups
    assert kV is None or said["ranges"]["ctf/accel_kv"] == {"min": kV, "max": kV, "not_finite": 0}
    assert said["poses"] == poses
    assert said["can_run"]["known_poses"] is False
    assert any(problem in p for p in said["problems"]) if problem else said["problems"] == []


def rows_of(name):
    """The CTF's columns, psize, image places of a sample as cryosparc-tools or starfile read it, in CryoSPARC's units."""
    if name.endswith(".cs"):
        d = Dataset.load(FORMATS / name)
        numbers = {n: np.asarray(d[n], dtype=float) for n in d.fields() if n in STAR_RANGES}
        return len(d), numbers, collections.Counter(d["blob/path"]) if "blob/path" in d.fields() else {}, len(d.fields())
    blocks = starfile.read(FORMATS / name, always_dict=True)
    table = blocks["particles"] if "particles" in blocks else next(iter(blocks.values()))
    if "optics" in blocks:
        table = table.merge(blocks["optics"], on="rlnOpticsGroup", how="left")
    numbers = {ours: table[theirs].to_numpy(dtype=float) * unit for ours, (theirs, unit) in STAR_RANGES.items() if theirs in table}
    return len(table), numbers, collections.Counter(x.split("@")[1] for x in table["rlnImageName"]), None


@pytest.mark.parametrize("name", SAMPLES)
def test_info_says_what_other_readers_find(name):
    rows, numbers, stacks, columns = rows_of(name)
    said = info(FORMATS / name)
    assert said["particles"] == rows
    if not rows:
        return
    assert said["stacks"]["count"] == len(stacks)
    assert columns is None or len(said["columns"]) == columns
    for column, values in numbers.items():
        told = said["ranges"][column]
        assert np.allclose([told["min"], told["max"]], [values.min(), values.max()], rtol=1e-6, atol=1e-7), column
        assert told["not_finite"] == 0
    assert set(numbers) >= {"ctf/accel_kv", "ctf/cs_mm", "ctf/df1_A", "ctf/df2_A", "ctf/df_angle_rad"}


def test_star_and_cs_of_the_same_images_agree():
    cs, star = (info(FORMATS / f"empiar_10076_7.{ending}") for ending in ("cs", "star"))
    for column in ("df1_A", "df2_A", "df_angle_rad", "cs_mm", "amp_contrast"):
        for end in ("min", "max"):
            assert np.isclose(cs["ranges"]["ctf/" + column][end], star["ranges"]["ctf/" + column][end], rtol=1e-6), column
    assert cs["contrast"] == star["contrast"] == "dark_on_light"  # stated in one, seen in the images of the other
    assert (cs["contrast_from"], star["contrast_from"]) == ("stated", "seen")
    assert cs["training_box"] == star["training_box"] == 128
    assert np.isclose(cs["training_psize_A"], 1.31 * 320 / 128, rtol=1e-5)


def test_optics_groups_of_two_pixel_sizes_go_together_when_a_box_is_given():
    said = info(FORMATS / "relion31.6opticsgroups.star", "--box", "96")
    assert [s["particles"] for s in said["image_sizes"]] == [84, 55]
    sizes = [s["psize_A"] * s["cut"] / 96 for s in said["image_sizes"]]
    assert abs(sizes[0] / sizes[1] - 1) < 1e-3 and said["poses"] == "alignments3D"
