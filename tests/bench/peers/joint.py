#!/usr/bin/env python3
"""Encoder and decoder trained together: ours beside PyTorch's stock modules, from one start on the same batches.

    joint.py build/release/bin/cryodeco SET/project/J12 DIRECTORY [--truth SET/truth] [--seeds 1 2 3] [--steps 200]
    joint.py build/release/bin/cryodeco tests/data/tiny/project/J12 DIRECTORY --ind ROWS --epochs 4 --seeds 1 --save tests/data/joint_losses.npy

The second makes what tests/python/test_encoder.py compares with (ROWS: the numbers 0 to 127).

Runs cryodeco with a small transformer and known poses, takes its weights after the pretraining for PyTorch's start, prepares the images
with NumPy and SciPy (METHOD.md sections 1, 2 and 4), and trains on the same batches in the same order. Prints a line a seed: how far the
losses of a step are apart over the first `steps`, those of the last epoch, and the adjusted Rand indices of two Gaussians on either's latents.
Ends with 1 when a loss of the first `steps` is more than 1 % off, or when ours end, in the mean of the seeds, more than 1 % higher or with an
index more than 0.02 lower. Wants torch, numpy, scipy, mrcfile; scikit-learn with --truth.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys

import mrcfile
import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.spatial
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from encoder import Encoder  # noqa: E402
from images import window  # noqa: E402

BATCH, WIDTH, DEPTH, HEADS, LATENT, HIDDEN, LAYERS, FREQUENCIES = 64, 48, 2, 2, 8, 128, 2, 32
LR, LR_ENCODER, MIN_LR_ENCODER = 1e-3, 1e-3, 1e-4
RUN = f"""--use_gt_poses True --finetune_strategy random_initial --encoder_width {WIDTH} --encoder_depth {DEPTH} --encoder_heads {HEADS}
          --feature_dim {LATENT} --hypervolume_dim {HIDDEN} --hypervolume_layers {LAYERS} --pe_dim {FREQUENCIES} --feat_sigma 1.25
          --lr {LR} --lr_conf_encoder {LR_ENCODER} --min_lr_encoder {MIN_LR_ENCODER} --batch_size_known_poses {BATCH} --n_imgs_pose_search 0
          --n_imgs_pretrain 640 --log_interval 1 --log_heavy_interval 0 --k_num 2""".split()

# ---- what both begin with ------------------------------------------------------------------------------------------


def checkpoint(path):
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    notes, data = header.pop("__metadata__"), raw[8 + n :]
    return notes, {k: torch.from_numpy(np.frombuffer(data[slice(*e["data_offsets"])], "<f4").reshape(e["shape"]).copy()) for k, e in header.items()}


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., SC'11)."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k0, b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def order(seed, epoch, n):
    """The order of an epoch's images (core/base/philox.h): stream 4, an inside-out shuffle."""
    def numbers():
        index = 0
        while True:
            a, b, c, d = philox([index, 4 << 12, epoch + 1, 0], [seed & 0xFFFFFFFF, seed >> 32])
            yield a | b << 32
            yield c | d << 32
            index += 1
    draw, out = numbers(), [0] * n
    for i in range(n):
        j = 0
        if i:
            x = next(draw)
            while x < 2**64 % (i + 1):
                x = next(draw)
            j = x % (i + 1)
        out[i], out[j] = out[j], i
    return out


# ---- images, by NumPy and SciPy ------------------------------------------------------------------------------------


class Images:
    def __init__(self, job, ind=None):
        rows = np.load(next(p for p in job.glob("*particles.cs") if "passthrough" not in p.name))
        more = np.load(next(job.glob("*passthrough*.cs")))
        rows = rows if ind is None else rows[np.loadtxt(ind, dtype=int)]
        at = {u: i for i, u in enumerate(more["uid"])}
        more = more[[at[u] for u in rows["uid"]]]
        self.uid = rows["uid"]
        stacks = {p: mrcfile.read(job.parent / p.decode()) for p in set(rows["blob/path"])}
        raw = np.stack([stacks[r["blob/path"]][r["blob/idx"]] for r in rows]).astype("f8")
        self.box = box = raw.shape[-1]
        assert (rows["blob/sign"] == -1).all()
        f = scipy.fft.fftshift(scipy.fft.fft2(scipy.fft.ifftshift(raw * window(box), axes=(1, 2))), axes=(1, 2))
        h = np.pad(f.real - f.imag, ((0, 0), (0, 1), (0, 1)), mode="wrap")
        k = np.arange(box + 1) - box // 2
        inside = k[:, None] ** 2 + k**2 <= (box // 2) ** 2
        inside[box // 2, box // 2] = False
        y, x = np.nonzero(inside)
        self.k = np.stack([k[x], k[y]], 1) / box  # cycles a pixel
        values = (h / h.std())[:, inside]
        psize = rows["blob/psize_A"].astype("f8")
        shift = more["alignments3D/shift"].astype("f8") * (more["alignments3D/psize_A"] / psize)[:, None]
        phase = 2 * np.pi * shift @ self.k.T
        self.target = torch.from_numpy((np.cos(phase) * values + np.sin(phase) * values[:, ::-1]).astype("f4"))
        self.ctf = torch.from_numpy(self.contrast(more, psize).astype("f4"))
        self.R = torch.from_numpy(np.stack([rotation(v) for v in more["alignments3D/pose"].astype("f8")]).astype("f4"))
        self.pixels = torch.from_numpy(self.encoder_view(raw))

    def contrast(self, c, psize):
        s = self.k[None] / psize[:, None, None]
        s2, angle = (s**2).sum(-1), np.arctan2(s[..., 1], s[..., 0])
        get = lambda name: c[f"ctf/{name}"].astype("f8")[:, None]  # noqa: E731
        volt, cs, w = get("accel_kv") * 1e3, get("cs_mm") * 1e7, get("amp_contrast")
        wave = 12.2639 / np.sqrt(volt + 0.97845e-6 * volt**2)
        u, v = get("df1_A"), get("df2_A")
        df = 0.5 * (u + v + (u - v) * np.cos(2 * (angle - get("df_angle_rad"))))
        gamma = 2 * np.pi * (-0.5 * df * wave * s2 + 0.25 * cs * wave**3 * s2**2) - get("phase_shift_rad")
        return np.sqrt(1 - w**2) * np.sin(gamma) - w * np.cos(gamma)

    @staticmethod
    def encoder_view(raw):
        y, x = np.ogrid[:224, :224]
        seen = (x - 111.5) ** 2 + (y - 111.5) ** 2 <= 94**2
        out = np.empty((len(raw), 1, 224, 224), "f4")
        for to, image in zip(out, raw):
            large = scipy.ndimage.zoom(image, 224 / image.shape[0], order=3, mode="mirror")
            low, high = large.min(), large.max()
            to[0] = np.where(seen, ((large - low) / (high - low) * 255).astype("u1"), 0)
        return (out / 255 - np.float32(0.549995056189533)) / np.float32(0.11784453744259035)


def rotation(v):
    return scipy.spatial.transform.Rotation.from_rotvec(v).as_matrix().T


# ---- the model -----------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n, n), nn.LayerNorm(n))

    def forward(self, x):
        return x + self.layers(x)


class Decoder(nn.Module):
    def __init__(self, freqs, box):
        super().__init__()
        self.register_buffer("freqs", freqs * (box // 2))
        body = [nn.Linear(6 * FREQUENCIES + LATENT, HIDDEN), nn.LayerNorm(HIDDEN), nn.ReLU()]
        for _ in range(LAYERS):
            body += [Residual(HIDDEN), nn.ReLU()]
        self.main_layers = nn.Sequential(*body, nn.Linear(HIDDEN, 1))

    def forward(self, points, z):  # [B,P,3], [B,Z] -> [B,P]
        k = points @ self.freqs.T
        return self.main_layers(torch.cat([k.sin(), k.cos(), z[:, None].expand(-1, points.shape[1], -1)], -1))[..., 0]


def timm_name(name):
    """Of the peer's parameter, as checkpoints call it."""
    if name.startswith("blocks."):
        block, part = name[7:].split(".", 1)
        return f"blocks.{block}.{'mlp.' if part.startswith('fc') else 'attn.' if part.startswith(('qkv', 'proj')) else ''}{part}"
    whole = {"cls": "cls_token", "positions": "pos_embed"}
    module, _, rest = name.partition(".")
    return whole.get(name) or {"patches": "patch_embed.proj.", "norm": "head.norm.", "head": "head.mlp_classifier.0."}[module] + rest


def model_from(path, box):
    notes, t = checkpoint(path)
    encoder, decoder = Encoder(WIDTH, DEPTH, HEADS, LATENT), Decoder(t["rand_freqs"], box)
    encoder.load_state_dict({k: t["encoder." + timm_name(k)] for k in encoder.state_dict() if "batches" not in k}, strict=False)
    decoder.load_state_dict({k: t["decoder." + k] for k in decoder.state_dict() if k != "freqs"}, strict=False)
    slow = torch.optim.AdamW(decoder.parameters(), lr=LR, weight_decay=0.01)
    for name, p in decoder.named_parameters():  # the pretraining's moments
        slow.state[p] = {"step": torch.tensor(float(notes["decoder_steps"])), "exp_avg": t["adam.m.decoder." + name],
                         "exp_avg_sq": t["adam.v.decoder." + name]}
    fast = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad], lr=0, weight_decay=0)
    return encoder, decoder, slow, fast


def encoder_rate(e, total):
    if e < 1:
        return LR_ENCODER * e
    return (LR_ENCODER - MIN_LR_ENCODER) * 0.5 * (1 + math.cos(math.pi * (e - 1) / total)) + MIN_LR_ENCODER


def train(images, start, seed, epochs, most=None):
    """The loss of each step, and latents in evaluation mode afterwards (None when stopped after `most` steps)."""
    encoder, decoder, slow, fast = model_from(start, images.box)
    n, losses = len(images.uid), []
    points = torch.from_numpy(np.pad(images.k, ((0, 0), (0, 1))).astype("f4"))
    encoder.train()
    for epoch in range(epochs):
        of = order(seed, epoch, n)
        batches = math.ceil(n / BATCH)
        for b in range(batches):
            rows = of[b * BATCH : (b + 1) * BATCH]
            fast.param_groups[0]["lr"] = encoder_rate(epoch + b / batches, epochs)
            z = encoder(images.pixels[rows])
            loss = F.mse_loss(images.ctf[rows] * decoder(points @ images.R[rows], z), images.target[rows])
            slow.zero_grad(), fast.zero_grad()
            loss.backward()
            slow.step(), fast.step()
            losses.append(loss.item())
            if len(losses) == most:
                return np.array(losses), None
    with torch.inference_mode():
        encoder.eval()
        return np.array(losses), torch.cat([encoder(x) for x in images.pixels.split(BATCH)]).numpy()


# ---- side by side --------------------------------------------------------------------------------------------------


def ours(command, job, place, seed, epochs, words=()):
    outdir = place / f"run_{seed}"
    subprocess.run([command, "run", "--particles", job, "--outdir", outdir, *RUN, "--epochs_sgd", str(epochs - 2), "--seed", str(seed), *words],
                   check=True, capture_output=True)
    events = [json.loads(line) for line in (outdir / "metrics.jsonl").read_text().splitlines()]
    return np.array([e["loss"] for e in events if e["event"] == "losses" and e["epoch"] >= 0]), outdir / "out"


def index_of(z, images, truth):
    from sklearn.metrics import adjusted_rand_score
    from sklearn.mixture import GaussianMixture
    particles = np.load(truth / "particles.npy")
    classes = dict(zip(particles["uid"], particles["label"]))
    found = GaussianMixture(2, n_init=5, random_state=0).fit_predict(z.astype("f8"))
    return adjusted_rand_score([classes[u] for u in images.uid], found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", type=pathlib.Path)
    parser.add_argument("job", type=pathlib.Path)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--truth", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=13)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ind", help="some rows of the set only")
    parser.add_argument("--save", type=pathlib.Path, help="PyTorch's losses of the last seed, for tests/data/joint_losses.npy")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    images, ends, worst = Images(a.job, a.ind), [], 0
    for seed in a.seeds:
        mine, out = ours(a.command, a.job, a.directory, seed, a.epochs, ["--threads", str(a.threads), *(["--ind", a.ind] if a.ind else [])])
        theirs, z = train(images, out / "weights.-1.safetensors", seed, a.epochs)
        assert len(mine) == len(theirs), "other batches"
        if a.save:
            np.save(a.save, theirs)
        off = np.abs(mine / theirs - 1)
        worst = max(worst, off[: a.steps].max())
        each = math.ceil(len(images.uid) / BATCH)
        end = [mine[-each:].mean(), theirs[-each:].mean()]
        if a.truth:
            end += [index_of(np.load(out / f"conf.{a.epochs - 1}.npy"), images, a.truth), index_of(z, images, a.truth)]
        ends.append(end)
        print(f"seed {seed}: {min(a.steps, len(mine))} steps apart by at most {100 * off[: a.steps].max():.4f} %, all {len(mine)} by "
              f"{100 * off.max():.4f} %; losses {mine[0]:.5f} and {theirs[0]:.5f} to {end[0]:.5f} and {end[1]:.5f}"
              + (f"; adjusted Rand index {end[2]:.3f} and {end[3]:.3f}" if a.truth else ""), flush=True)
    end = np.mean(ends, axis=0)
    sound = worst < 0.01 and end[0] < 1.01 * end[1] and (not a.truth or end[2] > end[3] - 0.02)
    print("means of the last epoch:", *np.round(end, 5), "sound" if sound else "NOT AS IT SHOULD BE")
    sys.exit(not sound)


if __name__ == "__main__":
    main()
