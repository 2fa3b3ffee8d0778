"""out/summaries: event files, read back by TensorBoard's own reader."""
import io
import json

import numpy
from conftest import BRIEF, TINY, cryodeco
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

JOB = TINY / "project/J12"


def read(outdir):
    events = EventAccumulator(str(outdir / "out/summaries"), size_guidance={"scalars": 0, "images": 0, "histograms": 0, "tensors": 0})
    events.Reload()
    return events


def test_numbers_pictures_and_histograms_of_a_run_that_was_cut_and_went_on(tmp_path):
    run = ["run", "--outdir", tmp_path / "run", "--log_heavy_interval", "1", "--threads", "2"]
    cryodeco(*run, "--particles", JOB, *BRIEF, "--seed", "1")
    first = read(tmp_path / "run")
    cryodeco(*run, "--resume", "auto", "--epochs_sgd", "2")
    events, out = read(tmp_path / "run"), tmp_path / "run/out"
    said = {e["epoch"]: e for e in map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines()) if e["event"] == "epoch"}

    assert len(list((out / "summaries").glob("events.out.tfevents.*"))) == 2
    for tag, name in (("training/loss", "loss"), ("learning_rate/decoder", "lr_decoder"), ("change/latents", "moved_latents")):
        scalars = {s.step: s.value for s in events.Scalars(tag)}
        assert scalars == {k: numpy.float32(e[name]) for k, e in said.items() if name in e}, tag
    assert set(s.step for s in first.Scalars("training/loss")) < set(said)

    picture = events.Images("progress/map")[-1]
    assert picture.encoded_image_string == (out / f"progress/map.{picture.step}.png").read_bytes()
    assert int.from_bytes(picture.encoded_image_string[16:20], "big") == picture.width > picture.height > 100
    assert io.BytesIO(picture.encoded_image_string).read(8) == b"\x89PNG\r\n\x1a\n"

    last = max(said)
    latents, histogram = numpy.load(out / f"conf.{last}.npy"), events.Histograms("latents")[-1]
    assert histogram.step == last
    h = histogram.histogram_value
    assert h.num == latents.size and sum(h.bucket) == latents.size
    assert (numpy.float32(h.min), numpy.float32(h.max)) == (latents.min(), latents.max())
    assert abs(h.sum - latents.astype(float).sum()) < 1e-6 * abs(latents).sum()
