#!/usr/bin/env python3
"""Makes tests/data/encoder_steps: latents of the golden encoders after each of three optimiser steps, in double precision.

    encoder_steps.py tests/golden/i_encoder tests/data/encoder_steps

The golden numbers have one step; PyTorch's stock modules in float64 (tests/bench/peers/encoder.py) go on from the same weights, images and
gradient of the latents, which stays. Of the first step they must give the golden latents, or nothing is written. Wants torch and numpy.
"""
import json
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "bench/peers"))
from encoder import Encoder  # noqa: E402
from joint import timm_name  # noqa: E402

STEPS = 3


def tensors(path):
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    return {k: torch.from_numpy(np.frombuffer(raw[8 + n :][slice(*e["data_offsets"])], "<f4").reshape(e["shape"]).astype("f8"))
            for k, e in header.items() if k != "__metadata__" and e["dtype"] == "F32"}


def steps(folder):
    width, depth, heads, latent, _ = (int(x) for x in np.load(folder / "config.npy"))
    t = {k.removeprefix("base_encoder."): v for k, v in tensors(folder / "checkpoint/model.safetensors").items()}
    t |= {k.removeprefix("vit_backbone."): v for k, v in tensors(folder / "head.safetensors").items()}
    net = Encoder(width, depth, heads, latent).double()
    net.load_state_dict({k: t[timm_name(k)] for k in net.state_dict() if "batches" not in k}, strict=False)
    pixels = torch.from_numpy(np.load(folder / "bytes.npy").astype("f8"))
    x = (pixels.reshape(-1, 1, 224, 224) / 255 - 0.549995056189533) / 0.11784453744259035
    cot, out = torch.from_numpy(np.load(folder / "cot.npy").astype("f8")), []
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=6e-5, weight_decay=0)
    for _ in range(STEPS):
        optimiser.zero_grad()
        (net.train()(x) * cot).sum().backward()
        optimiser.step()
        with torch.inference_mode():
            out.append(net.eval()(x).numpy())
    golden = np.load(folder / "step_z.npy")
    assert np.abs(out[0] - golden).max() < 1e-4 * np.abs(golden).max(), f"{folder.name}: other latents after one step"
    return np.array(out)


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    for folder in sorted(source.glob("*_*")):
        np.save(target / f"{folder.name}.npy", steps(folder))


if __name__ == "__main__":
    main()
