"""Check route packs without the code that wrote them; needs only NumPy.

For every pack folder given: sizes and types agree with pack.json, ids are in
range and distinct within a token and layer, weights fall from slot to slot and
are possible softmax values, the sequences cover all rows in order, the stored
skew is what the ids say, and the overlap of expert sets is largest between
neighbouring tokens. With several packs: the sequences are the same. Prints one
line per pack and the overlap by distance; fails at the first broken rule.
"""
from __future__ import annotations

import argparse
import ast
import csv
import gzip
import json
import statistics
import struct
from collections import Counter
from pathlib import Path

import numpy as np

DISTANCES = (1, 2, 4, 8, 16, 32, 64, 128)


def read_array(path: Path, kind: str) -> np.ndarray:
    """Array in a gzipped NumPy 1.0 file, its header read by hand."""
    packed = path.read_bytes()
    assert packed[4:8] == bytes(4), f"{path}: gzip time is not 0"
    data = gzip.decompress(packed)
    assert data[:8] == b"\x93NUMPY\x01\x00", f"{path}: not NumPy format 1.0"
    (length,) = struct.unpack("<H", data[8:10])
    header = ast.literal_eval(data[10:10 + length].decode("latin1"))
    assert header["descr"] == kind and not header["fortran_order"], f"{path}: {header}"
    return np.frombuffer(data[10 + length:], dtype=kind).reshape(header["shape"])


def check_sequences(path: Path, tokens: int) -> list[tuple[int, int]]:
    """(first row, rows) of every sequence, after checking that they are contiguous."""
    with open(path, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    spans = [(int(r["row_start"]), int(r["rows"])) for r in rows]
    assert [int(r["sequence"]) for r in rows] == list(range(len(rows))), "sequence numbers"
    assert all(r["domain"] and r["source"] for r in rows), "labels"
    ends = [start + count for start, count in spans]
    assert [start for start, _ in spans] == [0] + ends[:-1] and ends[-1] == tokens, "rows"
    return spans


def check_values(ids: np.ndarray, weights: np.ndarray, facts: dict) -> None:
    shape = (facts["tokens"], facts["layers"], facts["top_k"])
    assert ids.shape == weights.shape == shape, "shape"
    assert ids.max() < facts["experts"], "ids in range"
    assert (np.diff(np.sort(ids.astype(int), axis=2), axis=2) > 0).all(), "ids distinct"
    values = weights.astype(np.float64)
    assert np.isfinite(values).all() and (np.diff(values, axis=2) <= 0).all(), "weights fall"
    total = values.sum(axis=2)
    assert (values > 0).all() and (total < 1.002).all(), "weights are probabilities"
    assert (total > 0.998 * facts["top_k"] / facts["experts"]).all(), "weights are the largest"


def overlap(ids: np.ndarray, spans: list[tuple[int, int]], distance: int) -> list[float]:
    """Per layer, the mean share of experts two tokens of a sequence have in common."""
    pairs = [(start + i, start + i + distance)
             for start, count in spans for i in range(count - distance)]
    first, second = (ids[list(column)] for column in zip(*pairs))
    same = (first[..., :, None] == second[..., None, :]).sum(axis=(2, 3))
    return list(same.mean(axis=0) / ids.shape[2])


def check_skew(ids: np.ndarray, spans: list[tuple[int, int]], facts: dict) -> None:
    for layer, stored in enumerate(facts["skew"]["per_layer"]):
        load = Counter(ids[:, layer].ravel().tolist())
        ratio = max(load.values()) * facts["experts"] / sum(load.values())
        assert abs(ratio - stored["load_max_over_mean"]) < 1e-3, f"layer {layer}: load"
    stored = [row["consecutive_overlap"] for row in facts["skew"]["per_layer"]]
    assert np.allclose(overlap(ids, spans, 1), stored, atol=1e-3), "overlap"


def check_pack(folder: Path) -> str:
    """Check one pack; return its sequences file, to compare packs by."""
    facts = json.loads((folder / "pack.json").read_text())
    assert (facts["format"], facts["version"]) == ("moesim-route-pack", 1), "format"
    ids, weights = read_array(folder / "topk.npy.gz", "|u1"), read_array(
        folder / "weights.npy.gz", "<f2")
    check_values(ids, weights, facts)
    spans = check_sequences(folder / "sequences.csv", facts["tokens"])
    check_skew(ids, spans, facts)
    by_distance = {d: statistics.median(overlap(ids, spans, d)) for d in DISTANCES}
    assert by_distance[1] == max(by_distance.values()), "overlap is not largest at distance 1"
    print(f"{folder.name}: {facts['tokens']} tokens in {len(spans)} sequences, sound")
    print("  overlap by distance:", ", ".join(f"{d}: {v:.3f}" for d, v in by_distance.items()))
    return (folder / "sequences.csv").read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packs", type=Path, nargs="+", help="pack folders")
    sequences = [check_pack(folder) for folder in parser.parse_args().packs]
    assert len(set(sequences)) == 1, "the packs record different sequences"


if __name__ == "__main__":
    main()
