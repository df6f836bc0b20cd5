# SPDX-License-Identifier: Apache-2.0
"""Runs notebooks top to bottom and writes them as HTML: render.py FOLDER NOTEBOOK...

Exit code 77 where jupyter or a package of the notebooks is missing, 1 where a notebook fails.
"""

import importlib.util
import os
import pathlib
import re
import sys
import time

NEEDED = ("nbconvert", "ipykernel", "matplotlib", "numpy", "pandas", "jinja2", "moesim")
COLOURS = "\x1b\\[[0-9;]*m"


RESET = "get_ipython().run_line_magic('reset', '-f')"


def execute(notebook, manager):
    """Runs the cells in order on the kernel of `manager`, which forgets all that was before."""
    import nbformat
    from nbclient import NotebookClient

    notebook.cells.insert(0, nbformat.v4.new_code_cell(RESET))
    try:
        NotebookClient(notebook, timeout=300, km=manager).execute()
    finally:
        del notebook.cells[0]


def render(folder, file, manager, exporter):
    import nbformat
    from nbclient.exceptions import CellExecutionError

    begun = time.monotonic()
    notebook = nbformat.read(file, as_version=4)
    try:
        execute(notebook, manager)
    except CellExecutionError as error:
        print(f"{file}: {re.sub(COLOURS, '', str(error))}", file=sys.stderr)
        return False
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": file.stem}})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{file.stem}.html").write_text(page, encoding="utf-8")
    print(f"{folder / file.stem}.html ({time.monotonic() - begun:.1f} s)", flush=True)
    return True


def render_all(folder, files):
    """All on one kernel: its start and imports take longer than most notebooks."""
    from jupyter_client.manager import KernelManager
    from nbconvert import HTMLExporter

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(files[0].parent))
    exporter = HTMLExporter()
    try:
        return all([render(folder, file, manager, exporter) for file in files])
    finally:
        manager.shutdown_kernel(now=True)


def main():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print("skipped: no", ", ".join(missing), file=sys.stderr)
        return 77
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # ipykernel's debugger warns
    folder = pathlib.Path(sys.argv[1])
    files = [pathlib.Path(word).resolve() for word in sys.argv[2:]]
    return 0 if render_all(folder, files) else 1


if __name__ == "__main__":
    sys.exit(main())
