"""Write a route pack: what every gate of a trained model chose on held-out text.

Reads <work>/<name>.pt, <work>/held_out.json and <work>/manifest.json, runs the
model once over every recorded sequence (all its tokens at once, no dropout) and
writes into the pack folder

    pack.json         facts, provenance, training curve, skew
    topk.npy.gz       uint8 [token, layer, slot], expert ids, heaviest first
    weights.npy.gz    float16 [token, layer, slot], gate probabilities
    sequences.csv     one line per sequence; its rows are contiguous

The same inputs give the same bytes.
"""
from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import sentencepiece
import torch

from model import Shape, TinyMoe
from train import DECAY_SHARE, FINAL_SHARE, LEARNING_RATE, WARM_UP

TOP_SHARE = 0.2  # of the experts, for the share of the busiest


def recorded_sequences(work: Path, per_kind: int) -> list[dict]:
    """The first per_kind recorded sequences of every kind, kinds in corpus order."""
    rows = [r for r in json.loads((work / "held_out.json").read_text()) if r["split"] == "record"]
    kinds = dict.fromkeys(r["kind"] for r in rows)
    return [r for kind in kinds for r in [r for r in rows if r["kind"] == kind][:per_kind]]


@torch.no_grad()
def route(model: TinyMoe, rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Ids uint8 and weights float16 [token, layer, slot] of the sequences in order."""
    ids, weights = [], []
    for row in rows:
        _, routings = model(torch.tensor([row["ids"][:-1]]))
        ids.append(torch.stack([r.ids for r in routings], dim=1).numpy())
        weights.append(torch.stack([r.weights for r in routings], dim=1).numpy())
    return np.concatenate(ids).astype(np.uint8), np.concatenate(weights).astype(np.float16)


def layer_skew(ids: np.ndarray, sequence: int, experts: int) -> dict[str, float]:
    """Skew figures of one layer, from ids [token, slot]."""
    load = np.bincount(ids.ravel(), minlength=experts).astype(float)
    busiest = np.sort(load)[::-1][:round(TOP_SHARE * experts)]
    chosen = np.zeros((len(ids), experts), dtype=bool)
    np.put_along_axis(chosen, ids.astype(int), True, axis=1)
    chosen = chosen.reshape(-1, sequence, experts)
    shared = (chosen[:, :-1] & chosen[:, 1:]).sum(-1)
    return {"load_max_over_mean": load.max() / load.mean(),
            "coefficient_of_variation": load.std() / load.mean(),
            "std_ln_load": np.log(np.maximum(load, 0.5)).std(),
            "top_20_percent_share": busiest.sum() / load.sum(),
            "consecutive_overlap": shared.mean() / ids.shape[1],
            "idle_experts": float((load == 0).sum())}


def skew(ids: np.ndarray, sequence: int, experts: int) -> dict:
    layers = [layer_skew(ids[:, layer], sequence, experts) for layer in range(ids.shape[1])]
    median = {key: round(float(np.median([row[key] for row in layers])), 4) for key in layers[0]}
    rounded = [{"layer": i, **{key: round(float(value), 4) for key, value in row.items()}}
               for i, row in enumerate(layers)]
    return {"median": median, "per_layer": rounded}


def domain_load(ids: np.ndarray, rows: list[dict], experts: int) -> dict[str, float]:
    """Per kind of text, the largest over the mean load, median over layers."""
    by_sequence = ids.reshape(len(rows), -1, *ids.shape[1:])  # [sequence, token, layer, slot]
    result = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = by_sequence[[row["kind"] == kind for row in rows]]
        loads = [np.bincount(mine[:, :, layer].ravel(), minlength=experts)
                 for layer in range(ids.shape[1])]
        result[kind] = round(float(np.median([x.max() / x.mean() for x in loads])), 4)
    return result


def write_array(path: Path, array: np.ndarray) -> None:
    """NumPy format 1.0, C order, gzip without name or time."""
    raw = io.BytesIO()
    np.lib.format.write_array(raw, np.ascontiguousarray(array), version=(1, 0))
    with open(path, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(raw.getvalue())


def write_sequences(path: Path, rows: list[dict], sequence: int) -> None:
    with open(path, "w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out, lineterminator="\n")
        lines.writerow(["sequence", "row_start", "rows", "domain", "source"])
        for i, row in enumerate(rows):
            lines.writerow([i, i * sequence, sequence, row["kind"], row["source"]])


def training_tokens(work: Path) -> dict[str, int]:
    """Training tokens available per kind."""
    return {path.stem.removeprefix("train_"): len(np.load(path, mmap_mode="r"))
            for path in sorted(work.glob("train_*.npy"))}


def provenance(work: Path, settings: dict) -> dict:
    return {"scripts": ["corpus.py", "tokens.py", "model.py", "train.py", "record.py"],
            "torch": torch.__version__, "numpy": np.__version__,
            "sentencepiece": sentencepiece.__version__,
            "optimiser": {"name": "AdamW", "learning_rate": LEARNING_RATE, "betas": [0.9, 0.95],
                          "weight_decay": 0.01, "gradient_clip": 1.0, "warm_up_steps": WARM_UP,
                          "decay_share": DECAY_SHARE, "final_share": FINAL_SHARE},
            "training": settings, "corpus_tokens_by_kind": training_tokens(work),
            "corpus_packages": json.loads((work / "manifest.json").read_text())}


def describe(name: str, shape: Shape, state: dict, tokens: int) -> dict:
    return {"format": "moesim-route-pack", "version": 1, "model": f"tinymoe-{name}",
            "experts": shape.experts, "top_k": shape.top_k, "layers": shape.layers,
            "first_moe_layer": 0, "slot_order": "weight_descending", "phase": "full_sequence",
            "tokens": tokens, "sequence_tokens": shape.sequence,
            "weights": "softmax probabilities of the chosen experts, not renormalised",
            "expert_ids": "logical", "seed": state["settings"]["seed"],
            "source": "a small model trained by the scripts in scenarios/traces/tinymoe",
            "licence": "made by this project, same licence as the project; holds no corpus text"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with the trained model")
    parser.add_argument("name", help="name of the training run")
    parser.add_argument("pack", type=Path, help="folder to write the pack into")
    parser.add_argument("--per-kind", type=int, default=7, help="sequences of every kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    state = torch.load(options.work / f"{options.name}.pt")
    shape = Shape(**state["settings"]["shape"])
    model = TinyMoe(shape)
    model.load_state_dict(state["model"])
    rows = recorded_sequences(options.work, options.per_kind)
    ids, weights = route(model, rows)
    facts = {**describe(options.name, shape, state, len(ids)),
             "provenance": provenance(options.work, state["settings"]),
             "training_curve": state["curve"],
             "skew": {**skew(ids, shape.sequence, shape.experts),
                      "load_max_over_mean_by_domain": domain_load(ids, rows, shape.experts)}}
    options.pack.mkdir(parents=True, exist_ok=True)
    (options.pack / "pack.json").write_text(json.dumps(facts, indent=1) + "\n")
    write_array(options.pack / "topk.npy.gz", ids)
    write_array(options.pack / "weights.npy.gz", weights)
    write_sequences(options.pack / "sequences.csv", rows, shape.sequence)


if __name__ == "__main__":
    main()
