# SPDX-License-Identifier: Apache-2.0
"""Notebooks are stored without outputs, say what they show, and read through the module alone."""

import json
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


class Notebooks(unittest.TestCase):
    def each(self):
        self.assertGreaterEqual(len(NOTEBOOKS), 5)
        for file in NOTEBOOKS:
            with self.subTest(file.name):
                yield json.loads(file.read_text(encoding="utf-8"))

    def test_stored_without_outputs(self):
        for notebook in self.each():
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    self.assertEqual(cell["outputs"], [])
                    self.assertIsNone(cell["execution_count"])

    def test_begin_with_a_title_and_end_with_what_one_sees(self):
        for notebook in self.each():
            first, last = (notebook["cells"][i] for i in (0, -1))
            self.assertEqual({first["cell_type"], last["cell_type"]}, {"markdown"})
            self.assertRegex("".join(first["source"]), "^# ")
            self.assertRegex("".join(last["source"]), "^\\*\\*What one sees.\\*\\*")

    def test_read_through_the_module(self):
        for notebook in self.each():
            code = "\n".join(
                "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"
            )
            self.assertIn("import moesim", code)
            self.assertIsNone(re.search(r"subprocess|os\.system|^\s*!", code, re.MULTILINE))


if __name__ == "__main__":
    unittest.main()
