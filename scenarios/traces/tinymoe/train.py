"""Train the tiny MoE model once, with a given weight alpha of the balance loss.

Reads the token arrays from the work folder and writes <work>/<name>.pt (model,
optimiser and curve; rewritten every CHECKPOINT steps) and <work>/<name>.json (the
settings and the curve). Run again with the same name, it goes on from the file.

Every batch holds one window of every kind, so B = number of kinds; the windows
depend only on the seed and the step, and the initial weights only on the seed.
The learning rate warms up, stays constant, and falls linearly over the last part.
"""
from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model import Routing, Shape, TinyMoe, balance_loss, parameter_counts

LEARNING_RATE = 1.5e-3
WARM_UP = 100          # steps
DECAY_SHARE = 0.25     # of all steps, at the end
FINAL_SHARE = 0.05     # of the learning rate, at the last step
EVALUATE, CHECKPOINT = 100, 100


def learning_rate(step: int, steps: int) -> float:
    left = (steps - step) / (DECAY_SHARE * steps)
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP, FINAL_SHARE + (1 - FINAL_SHARE) * left)


def load_kinds(work: Path) -> list[np.ndarray]:
    return [np.load(path) for path in sorted(work.glob("train_*.npy"))]


def batch(kinds: list[np.ndarray], length: int, seed: int, step: int) -> Tensor:
    """Token ids [B, T + 1]: one random window of every kind."""
    random = np.random.default_rng((seed, step))
    starts = [int(random.integers(0, len(ids) - length - 1)) for ids in kinds]
    rows = [ids[s:s + length + 1].astype(np.int64) for ids, s in zip(kinds, starts)]
    return torch.from_numpy(np.stack(rows))


def held_out(work: Path, split: str) -> Tensor:
    rows = json.loads((work / "held_out.json").read_text())
    return torch.tensor([row["ids"] for row in rows if row["split"] == split])


def losses(model: TinyMoe, ids: Tensor) -> tuple[Tensor, list[Routing]]:
    """Mean cross entropy (nats per token) over ids [B, T + 1]."""
    logits, routings = model(ids[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()), routings


@torch.no_grad()
def evaluate(model: TinyMoe, rows: Tensor) -> tuple[float, float]:
    """Mean loss, and the median over layers of the largest over the mean load."""
    shape, total = model.shape, 0.0
    loads = torch.zeros(shape.layers, shape.experts)
    for part in rows.split(8):
        loss, routings = losses(model, part)
        total += loss.item() * len(part)
        for layer, routing in enumerate(routings):
            loads[layer] += routing.ids.flatten().bincount(minlength=shape.experts)
    ratio = loads.max(1).values / loads.mean(1)
    return total / len(rows), ratio.quantile(0.5).item()


def save(path: Path, state: dict) -> None:
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)
    facts = {key: state[key] for key in ("settings", "curve")}
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


def train(work: Path, name: str, alpha: float, seed: int, steps: int) -> None:
    shape, path = Shape(), work / f"{name}.pt"
    torch.manual_seed(seed)
    model = TinyMoe(shape)
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.01)
    kinds, validation = load_kinds(work), held_out(work, "validation")
    state = torch.load(path) if path.exists() else {"step": 0, "curve": []}
    if state["step"]:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    recent: list[float] = []
    for step in range(state["step"], steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss, routings = losses(model, batch(kinds, shape.sequence, seed, step))
        balance = torch.stack([balance_loss(r) for r in routings]).sum()
        optimiser.zero_grad(set_to_none=True)
        (loss + alpha * balance).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        recent.append(loss.item())
        done = step + 1
        if done % EVALUATE == 0 or done == steps:
            value, ratio = evaluate(model, validation)
            state["curve"].append({"step": done, "train_loss": round(float(np.mean(recent)), 4),
                                   "validation_loss": round(value, 4),
                                   "load_max_over_mean": round(ratio, 3)})
            print(time.strftime("%H:%M:%S"), state["curve"][-1], flush=True)
            recent = []
        if done % CHECKPOINT == 0 or done == steps:
            settings = {"alpha": alpha, "seed": seed, "steps": done, "planned_steps": steps,
                        "batch_sequences": len(kinds), "learning_rate": LEARNING_RATE,
                        "warm_up_steps": WARM_UP, "decay_share": DECAY_SHARE,
                        "training_tokens": done * len(kinds) * shape.sequence,
                        "shape": asdict(shape), "parameters": parameter_counts(shape)}
            save(path, {"step": done, "model": model.state_dict(), "settings": settings,
                        "optimiser": optimiser.state_dict(), "curve": state["curve"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with the token arrays")
    parser.add_argument("name", help="name of the run, for example balanced")
    parser.add_argument("--alpha", type=float, required=True, help="weight of the balance loss")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.work, options.name, options.alpha, options.seed, options.steps)


if __name__ == "__main__":
    main()
