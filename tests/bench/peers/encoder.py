#!/usr/bin/env python3
"""The encoder in PyTorch, with stock modules: what a user would run instead. Prints lines like `cryodeco bench --json`.

    python3 encoder.py [--threads 2] [--seconds 10] [--cases encoder_train,encoder_eval]

ViT-S/14 of METHOD.md section 4 in float32: scaled_dot_product_attention, BatchNorm1d over the tokens, AdamW (its fused form), 4 images a
step; the loss is the sum of squares of the latents. `memory` is the process's peak in MB.
"""
import argparse
import json
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.BatchNorm1d(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x.reshape(b * t, c)).reshape(b, t, c))))


class Encoder(nn.Module):
    def __init__(self, width=384, depth=12, heads=12, latent=128, side=224, patch=14):
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.register_buffer("positions", torch.randn(1, (side // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, latent)
        for p in self.patches.parameters():
            p.requires_grad = False

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x)[:, 0]))


def best_rate(work, amount, seconds):
    work()
    best, start = 0.0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        t = time.perf_counter()
        work()
        best = max(best, amount / (time.perf_counter() - t))
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--cases", default="encoder_train,encoder_eval")
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    net, x = Encoder(), torch.randn(args.batch, 1, 224, 224)
    optimiser = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=6e-5, weight_decay=0, fused=True)

    def train():
        optimiser.zero_grad(set_to_none=True)
        net.train()(x).square().sum().backward()
        optimiser.step()

    def evaluate():
        with torch.inference_mode():
            net.eval()(x)

    for name in args.cases.split(","):
        rate = best_rate(train if name.startswith("encoder_train") else evaluate, args.batch, args.seconds)
        print(json.dumps({"case": name, "value": round(rate, 3), "unit": "images/s", "threads": args.threads, "device": "cpu",
                          "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                          "shape": {"batch": args.batch, "model": "ViT-S/14"}}), flush=True)


if __name__ == "__main__":
    main()
