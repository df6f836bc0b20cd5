# SPDX-License-Identifier: Apache-2.0
"""Reports: the JSON document and the tables that a command makes."""

import functools
import io
import json
import pathlib


def frame_of(csv):
    """A CSV table as a pandas frame."""
    try:
        import pandas
    except ImportError as missing:
        raise ImportError("moesim's tables are pandas frames: install pandas, or use .report") from missing
    return pandas.read_csv(io.StringIO(csv))


class Report:
    """What a command found (docs/report.md has every field and unit).

    ``json`` is the text that the command prints with --json, ``report`` the same as a dict, ``files``
    what it writes with --out (name -> bytes), ``messages`` what it says beside (notes, rows passed over).
    """

    def __init__(self, text, files=None, messages=""):
        self.json = text
        self.files = files or {}
        self.messages = messages

    @functools.cached_property
    def report(self):
        return json.loads(self.json)

    def __getitem__(self, path):
        """One field by its dotted path: ``report["summary.step_s.mean"]``, ``report["steps.0"]``."""
        at = self.report
        for word in path.split("."):
            try:
                at = at[int(word)] if isinstance(at, list) else at[word]
            except (KeyError, IndexError, ValueError, TypeError):
                raise KeyError(path) from None
        return at

    @property
    def tables(self):
        """Names of the tables that :meth:`table` knows."""
        return sorted(name[: -len(".csv")] for name in self.files if name.endswith(".csv"))

    def table(self, name):
        """A CSV table of the command as a pandas frame; columns end in their unit."""
        if name not in self.tables:
            raise KeyError(f"{name!r}; there are {', '.join(self.tables) or 'none'}")
        return frame_of(self.files[f"{name}.csv"].decode())

    def save(self, folder):
        """Writes what the command writes with --out into a folder; returns its path."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder

    def __repr__(self):
        kind = self.report.get("format", "report") if self.json.startswith("{") else "text"
        return f"<{type(self).__module__.split('.')[0]}.{type(self).__name__} {kind}>"
