# SPDX-License-Identifier: Apache-2.0
"""Runs notebooks top to bottom and writes them as HTML: render.py FOLDER NOTEBOOK...

Exit code 77 where jupyter or a package of the notebooks is missing, 1 where a notebook fails.
"""

import importlib.util
import os
import pathlib
import re
import sys

NEEDED = ("nbconvert", "ipykernel", "matplotlib", "numpy", "pandas", "jinja2", "moesim")
COLOURS = "\x1b\\[[0-9;]*m"


def render(folder, file):
    import nbformat
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import CellExecutionError, ExecutePreprocessor

    notebook = nbformat.read(file, as_version=4)
    try:
        ExecutePreprocessor(timeout=300, kernel_name="python3").preprocess(
            notebook, {"metadata": {"path": str(file.parent)}}
        )
    except CellExecutionError as error:
        print(f"{file}: {re.sub(COLOURS, '', str(error))}", file=sys.stderr)
        return False
    page, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": file.stem}})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{file.stem}.html").write_text(page, encoding="utf-8")
    print(folder / f"{file.stem}.html")
    return True


def main():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print("skipped: no", ", ".join(missing), file=sys.stderr)
        return 77
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # ipykernel's debugger warns
    folder = pathlib.Path(sys.argv[1])
    files = [pathlib.Path(word).resolve() for word in sys.argv[2:]]
    return 0 if all([render(folder, file) for file in files]) else 1


if __name__ == "__main__":
    sys.exit(main())
