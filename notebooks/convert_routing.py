# SPDX-License-Identifier: Apache-2.0
"""Converts routing dumps that only Python reads into what `moesim trace import` reads.

    convert_routing.py FORM INPUT... --out FOLDER [--experts E] [--top-k K] [--layers L]

Forms, and what is written into FOLDER:

    sglang-stat       SGLang recorder, mode stat (.pt)            counts.npy [step, layer, expert]
    sglang-per-pass   the same, mode per_pass, a file a rank      counts.npy, physical ids mapped
    sglang-per-token  the same, mode per_token                    topk.npy + index.csv
    responses         JSON lines of responses with routed_experts topk.npy + index.csv
                      (SGLang meta_info.routed_experts, base64 of int32 [token, layer, slot];
                      vLLM prompt_routed_experts and routed_experts as nested lists)
    router-logits     .npz with one float array [token, expert] a layer (np.savez(*router_logits))
    parquet           FLAME-MoE: a file a layer with a column `indices`, list<int>[slot]

Needs numpy; torch only for .pt, which is read with weights_only=True so that no file can run code;
pyarrow only for Parquet. Then: moesim trace import FOLDER/topk.npy PACK --index FOLDER/index.csv.
Physical expert ids are mapped to logical ones by the map in the dump; SGLang keeps only the last
one, so dumps whose ranks hold different maps are refused; a rebalancing inside a dump that all
ranks saw cannot be seen: turn rebalancing off while recording.
"""

import argparse
import base64
import json
import pathlib
import sys


class Refused(Exception):
    """The input is wrong; the message says how."""


def load_torch(path):
    """A .pt file's plain data; never runs code of the file."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise Refused(f"{path}: torch reads no plain data from it: {error}") from error


def member(data, name, path):
    if not isinstance(data, dict) or name not in data:
        raise Refused(f"{path}: no {name}")
    return data[name]


def to_logical(counts, physical_to_logical, experts):
    """[..., layer, physical] -> [..., layer, logical]: replicas of an expert are added up."""
    import numpy as np

    physical_to_logical = np.asarray(physical_to_logical)
    if counts.shape[-2:] != physical_to_logical.shape:
        raise Refused(
            f"counts of {counts.shape[-2:]} layers x physical experts, a map of "
            f"{physical_to_logical.shape}"
        )
    if physical_to_logical.min() < 0 or physical_to_logical.max() >= experts:
        raise Refused(f"the map names experts outside 0 to {experts - 1}")
    logical = np.zeros(counts.shape[:-1] + (experts,), dtype=np.int64)
    for layer in range(counts.shape[-2]):
        for slot, expert in enumerate(physical_to_logical[layer]):
            logical[..., layer, expert] += counts[..., layer, slot]
    return logical


def sglang_stat(paths, _options):
    import numpy as np

    if len(paths) != 1:
        raise Refused("sglang-stat: one file, it is already summed over ranks")
    counts = np.asarray(member(load_torch(paths[0]), "logical_count", paths[0]))
    if counts.ndim != 3:
        raise Refused(f"{paths[0]}: logical_count {counts.shape}; expected [step, layer, expert]")
    used = counts.sum(axis=(1, 2)) > 0  # the ring buffer is filled with zeros
    return {"counts": counts[used]}


def sglang_per_pass(paths, options):
    """Adds the ranks of a forward pass up, then maps physical experts to logical ones."""
    import numpy as np

    passes = {}
    maps = []
    for path in paths:
        data = load_torch(path)
        maps.append(np.asarray(member(data, "last_physical_to_logical_map", path)))
        for record in member(data, "records", path):
            counts = np.asarray(member(record, "global_physical_count", path), dtype=np.int64)
            key = member(record, "forward_pass_id", path)
            if key in passes and passes[key].shape != counts.shape:
                raise Refused(f"{path}: pass {key} has another shape than on other ranks")
            passes[key] = passes.get(key, 0) + counts
    if not passes:
        raise Refused("no records")
    if any(not np.array_equal(maps[0], other) for other in maps[1:]):
        raise Refused("ranks hold different physical-to-logical maps; a rebalancing came between")
    experts = options.experts or int(maps[0].max()) + 1
    stacked = np.stack([passes[key] for key in sorted(passes)])
    return {"counts": to_logical(stacked, maps[0], experts)}


def sglang_per_token(paths, options):
    """topk_ids_of_layer [layer, token, 8], -1 beyond top_k; sequences by extend_seq_lens."""
    import numpy as np

    rows, lengths = [], []
    for path in paths:
        for record in member(load_torch(path), "records", path):
            ids = np.asarray(member(record, "topk_ids_of_layer", path))
            top_k = options.top_k or int((ids >= 0).sum(axis=2).max())
            rows.append(np.ascontiguousarray(ids[:, :, :top_k].transpose(1, 0, 2)))
            stated = record.get("extend_seq_lens")
            parts = [int(n) for n in stated] if stated is not None and len(stated) else []
            lengths += parts if sum(parts) == ids.shape[1] else [ids.shape[1]]
    if not rows:
        raise Refused("no records")
    return {"topk": np.concatenate(rows), "lengths": lengths}


def decoded(value, layers, top_k, where):
    """routed_experts of one response as [token, layer, slot]."""
    import numpy as np

    if isinstance(value, str):
        numbers = np.frombuffer(base64.b64decode(value, validate=True), dtype="<i4")
        if not layers or not top_k:
            raise Refused("base64 carries no shape: give --layers and --top-k")
        if numbers.size % (layers * top_k) != 0:
            raise Refused(f"{where}: {numbers.size} numbers are no [token, {layers}, {top_k}]")
        return numbers.reshape(-1, layers, top_k)
    array = np.asarray(value)
    if array.ndim != 3:
        raise Refused(f"{where}: routed_experts {array.shape}; expected [token, layer, slot]")
    return array


def responses(paths, options):
    """SGLang: meta_info.routed_experts. vLLM: prompt_routed_experts, then routed_experts."""
    import numpy as np

    rows, lengths = [], []
    for path in paths:
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                response = json.loads(line)
            except ValueError as error:
                raise Refused(f"{where}: {error}") from error
            source = response.get("meta_info", response)
            parts = [
                decoded(source[name], options.layers, options.top_k, where)
                for name in ("prompt_routed_experts", "routed_experts")
                if source.get(name) is not None
            ]
            if not parts:
                raise Refused(f"{where}: no routed_experts")
            rows.append(np.concatenate(parts))
            lengths.append(len(rows[-1]))
    if not rows:
        raise Refused("no responses")
    return {"topk": np.concatenate(rows), "lengths": lengths}


def router_logits(paths, options):
    import numpy as np

    if not options.top_k:
        raise Refused("router-logits: give --top-k")
    layers = []
    for path in paths:
        with np.load(path, allow_pickle=False) as archive:
            names = sorted(archive.files, key=lambda n: (len(n), n))
            layers += [archive[name] for name in names]
    if not layers or any(layer.ndim != 2 or layer.shape != layers[0].shape for layer in layers):
        raise Refused("router-logits: expected one [token, expert] array a layer, all alike")
    chosen = [np.argsort(-layer, axis=1, kind="stable")[:, : options.top_k] for layer in layers]
    return {"topk": np.stack(chosen, axis=1), "lengths": [layers[0].shape[0]]}


def parquet(paths, _options):
    import numpy as np
    import pyarrow.parquet as pq

    layers = []
    for path in paths:
        column = pq.read_table(path, columns=["indices"]).column("indices")
        layers.append(np.asarray(column.to_pylist()))
        if layers[-1].ndim != 2 or layers[-1].shape != layers[0].shape:
            raise Refused(f"{path}: indices {layers[-1].shape}; expected {layers[0].shape}")
    return {"topk": np.stack(layers, axis=1), "lengths": [layers[0].shape[0]]}


FORMS = {
    "sglang-stat": sglang_stat,
    "sglang-per-pass": sglang_per_pass,
    "sglang-per-token": sglang_per_token,
    "responses": responses,
    "router-logits": router_logits,
    "parquet": parquet,
}


def write(result, folder):
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    if "counts" in result:
        np.save(folder / "counts.npy", result["counts"].astype(np.int64), allow_pickle=False)
        return
    ids = np.ascontiguousarray(result["topk"]).astype(np.int32)
    np.save(folder / "topk.npy", ids, allow_pickle=False)
    row, lines = 0, ["row_start,rows"]
    for rows in result["lengths"]:
        lines.append(f"{row},{rows}")
        row += rows
    (folder / "index.csv").write_text("\n".join(lines) + "\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--experts", type=int)
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--layers", type=int)
    options = parser.parse_args(arguments)
    try:
        write(FORMS[options.form](options.inputs, options), options.out)
    except (Refused, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
