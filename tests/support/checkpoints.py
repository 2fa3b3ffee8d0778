"""Checkpoints as a test sees them: which there are, and a spoilt one."""
import json
import re

import numpy as np


def newest(outdir):
    """The newest checkpoint of a run, by the position in its name: (epoch in which it stands, batches done in it)."""
    def position(path):
        n = [int(x) for x in re.findall(r"-?\d+", path.name)]
        return (n[0] + 1, 0) if path.name.startswith("weights.") else (n[0], n[1])
    return max((outdir / "out").glob("*.safetensors"), key=position)


def on_the_way(outdir):
    return sorted((outdir / "out").glob("checkpoint.*.safetensors"))


def read(path):
    """Notes, and tensors by name in the order of the file."""
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    notes = header.pop("__metadata__")
    order = sorted(header, key=lambda name: header[name]["data_offsets"][0])
    data = raw[8 + n :]
    return notes, {k: np.frombuffer(data[slice(*header[k]["data_offsets"])], "<f4").reshape(header[k]["shape"]) for k in order}


def fnv(h, words):
    for w in words:
        h = ((h ^ w) * 1099511628211) & (2**64 - 1)
    return h


def blow_up(path, tensor, factor):
    """Multiplies a tensor and makes the checksum right again: a whole file of a training that is lost already."""
    raw = bytearray(path.read_bytes())
    n = int.from_bytes(raw[:8], "little")
    notes, tensors = read(path)
    start, end = json.loads(raw[8 : 8 + n])[tensor]["data_offsets"]
    tensors[tensor] = (tensors[tensor] * np.float32(factor)).astype("<f4")
    raw[8 + n + start : 8 + n + end] = tensors[tensor].tobytes()
    h = 14695981039346656037
    for key, text in notes.items():
        if key != "checksum":
            h = fnv(h, f"{key}\n{text}\n".encode())
    for name, x in tensors.items():
        h = fnv(fnv(h, f"{name}\n".encode()), x.ravel().view("<u4").tolist())
    path.write_bytes(bytes(raw).replace(notes["checksum"].encode(), f"{h:016x}".encode()))
