# SPDX-License-Identifier: Apache-2.0
"""The converter, on dumps written here in each tool's form. Skipped (exit 77) without numpy."""

import base64
import contextlib
import importlib.util
import io
import json
import pathlib
import pickle
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError:
    print("skipped: no numpy")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("convert", ROOT / "notebooks/convert_routing.py")
convert = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(convert)


def has(module):
    return importlib.util.find_spec(module) is not None


class Converter(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.folder = pathlib.Path(self.scratch.name)
        self.real_load = convert.load_torch
        self.addCleanup(setattr, convert, "load_torch", self.real_load)

    def dumps(self, **by_name):
        """Stands in for torch.load: these names hold this plain data."""
        convert.load_torch = lambda path: by_name[path]

    def run_form(self, *arguments):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            code = convert.main([*map(str, arguments), "--out", str(self.folder / "out")])
        return code, errors.getvalue()

    def array(self, name):
        return np.load(self.folder / "out" / name, allow_pickle=False)

    def refused(self, *arguments):
        code, errors = self.run_form(*arguments)
        self.assertEqual(code, 2)
        self.assertFalse((self.folder / "out").exists())
        return errors.replace(str(self.folder) + "/", "")

    def test_sglang_stat_leaves_out_unused_steps(self):
        counts = np.zeros((4, 2, 3), dtype=np.int32)
        counts[1] = [[1, 2, 3], [4, 5, 6]]
        counts[2] = 7
        self.dumps(a={"rank": 0, "logical_count": counts})
        self.assertEqual(self.run_form("sglang-stat", "a"), (0, ""))
        np.testing.assert_array_equal(self.array("counts.npy"), counts[1:3])

    def test_sglang_stat_refuses_other_dumps(self):
        self.dumps(a={"records": []}, b={"logical_count": np.zeros((2, 2))})
        self.assertEqual(self.refused("sglang-stat", "a"), "error: a: no logical_count\n")
        self.assertEqual(
            self.refused("sglang-stat", "b"),
            "error: b: logical_count (2, 2); expected [step, layer, expert]\n",
        )
        self.assertEqual(
            self.refused("sglang-stat", "a", "b"),
            "error: sglang-stat: one file, it is already summed over ranks\n",
        )

    def per_pass(self, counts, mapping):
        return {
            "records": [
                {"forward_pass_id": i, "rank": 0, "global_physical_count": np.array(c)}
                for i, c in counts
            ],
            "last_physical_to_logical_map": np.array(mapping),
        }

    def test_sglang_per_pass_adds_ranks_and_maps_replicas(self):
        mapping = [[0, 1, 2, 1], [2, 2, 1, 0]]  # expert 1, then expert 2, has two slots
        one = [[1, 2, 3, 4], [5, 6, 7, 8]]
        self.dumps(
            a=self.per_pass([(7, one), (3, one)], mapping), b=self.per_pass([(3, one)], mapping)
        )
        self.assertEqual(self.run_form("sglang-per-pass", "a", "b"), (0, ""))
        first = np.array([[1, 6, 3], [8, 7, 11]])
        np.testing.assert_array_equal(self.array("counts.npy"), np.stack([2 * first, first]))

    def test_sglang_per_pass_refuses_maps_that_differ(self):
        one = [[1, 2]]
        self.dumps(a=self.per_pass([(0, one)], [[0, 1]]), b=self.per_pass([(0, one)], [[1, 0]]))
        self.assertIn("a rebalancing came between", self.refused("sglang-per-pass", "a", "b"))
        self.dumps(a=self.per_pass([(0, one)], [[0, 5]]))
        self.assertEqual(
            self.refused("sglang-per-pass", "a", "--experts", 2),
            "error: the map names experts outside 0 to 1\n",
        )

    def test_sglang_per_token_cuts_padding_and_keeps_sequences(self):
        ids = np.full((2, 3, 8), -1)
        ids[:, :, :2] = np.arange(12).reshape(2, 3, 2)
        self.dumps(a={"records": [{"topk_ids_of_layer": ids, "extend_seq_lens": [2, 1]}]})
        self.assertEqual(self.run_form("sglang-per-token", "a"), (0, ""))
        np.testing.assert_array_equal(
            self.array("topk.npy"), ids[:, :, :2].transpose(1, 0, 2).astype(np.int32)
        )
        self.assertEqual(
            (self.folder / "out/index.csv").read_text(), "row_start,rows\n0,2\n2,1\n"
        )

    def responses(self, *lines):
        (self.folder / "r.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
        return self.folder / "r.jsonl"

    def test_responses_of_sglang_and_vllm(self):
        ids = np.arange(12, dtype="<i4").reshape(3, 2, 2)
        text = base64.b64encode(ids.tobytes()).decode()
        path = self.responses(
            {"meta_info": {"routed_experts": text}},
            {"prompt_routed_experts": ids[:1].tolist(), "routed_experts": ids[1:].tolist()},
        )
        code = self.run_form("responses", path, "--layers", 2, "--top-k", 2)
        self.assertEqual(code, (0, ""))
        np.testing.assert_array_equal(self.array("topk.npy"), np.concatenate([ids, ids]))
        self.assertEqual(
            (self.folder / "out/index.csv").read_text(), "row_start,rows\n0,3\n3,3\n"
        )

    def test_responses_refused(self):
        text = base64.b64encode(bytes(12)).decode()
        path = self.responses({"meta_info": {"routed_experts": text}})
        self.assertEqual(
            self.refused("responses", path),
            "error: base64 carries no shape: give --layers and --top-k\n",
        )
        self.assertEqual(
            self.refused("responses", path, "--layers", 2, "--top-k", 2),
            "error: r.jsonl:1: 3 numbers are no [token, 2, 2]\n",
        )
        path = self.responses({"text": "no routing"})
        self.assertEqual(
            self.refused("responses", path), "error: r.jsonl:1: no routed_experts\n"
        )

    def test_router_logits_take_the_largest(self):
        one = np.array([[0.1, 0.9, 0.5], [3.0, 1.0, 2.0]])
        np.savez(self.folder / "l.npz", *([one] * 11))
        self.assertEqual(
            self.run_form("router-logits", self.folder / "l.npz", "--top-k", 2), (0, "")
        )
        expected = np.stack([[[1, 2], [0, 2]]] * 11, axis=1).reshape(2, 11, 2)
        np.testing.assert_array_equal(self.array("topk.npy"), expected)

    def test_pickles_never_run(self):
        class Harm:
            def __reduce__(self):
                return (pathlib.Path.touch, (pathlib.Path(folder) / "harm",))

        folder = self.scratch.name
        evil = np.empty(1, dtype=object)
        evil[0] = Harm()
        np.savez(self.folder / "l.npz", evil)
        with self.assertRaises(ValueError):
            convert.router_logits([self.folder / "l.npz"], type("O", (), {"top_k": 1}))
        if has("torch"):
            (self.folder / "x.pt").write_bytes(pickle.dumps(Harm()))
            with self.assertRaises(convert.Refused):
                self.real_load(self.folder / "x.pt")
        self.assertFalse((self.folder / "harm").exists())

    @unittest.skipUnless(has("torch"), "no torch")
    def test_a_real_pt_file(self):
        import torch

        path = self.folder / "x.pt"
        torch.save({"rank": 0, "logical_count": torch.ones(1, 2, 3, dtype=torch.int32)}, path)
        self.assertEqual(self.run_form("sglang-stat", path), (0, ""))
        np.testing.assert_array_equal(self.array("counts.npy"), np.ones((1, 2, 3)))

    @unittest.skipUnless(has("pyarrow"), "no pyarrow")
    def test_parquet(self):
        import pyarrow as pa
        import pyarrow.parquet as pq

        paths = []
        for layer in range(2):
            paths.append(self.folder / f"{layer}.parquet")
            pq.write_table(pa.table({"indices": [[layer, 2], [3, layer]]}), paths[-1])
        self.assertEqual(self.run_form("parquet", *paths), (0, ""))
        np.testing.assert_array_equal(
            self.array("topk.npy"), [[[0, 2], [1, 2]], [[3, 0], [3, 1]]]
        )


if __name__ == "__main__":
    unittest.main()
