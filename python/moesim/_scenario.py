# SPDX-License-Identifier: Apache-2.0
"""Scenarios: a TOML file or a dict, with overrides."""

import datetime
import math
import os
import re
import tomllib

from moesim import _core
from moesim._errors import ScenarioError


def toml_value(value):
    """A Python value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_escaped(letter) for letter in value) + '"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        items = (f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, os.PathLike):
        return toml_value(os.fspath(value))
    if hasattr(value, "item"):  # a NumPy scalar
        return toml_value(value.item())
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    kind = "a date" if isinstance(value, datetime.date) else type(value).__name__
    raise ScenarioError(f"error: a scenario holds no {kind}: {value!r}")


def _escaped(letter):
    plain = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return plain.get(letter) or (f"\\u{ord(letter):04x}" if ord(letter) < 32 else letter)


def toml_key(key):
    if not isinstance(key, str):
        raise ScenarioError(f"error: a key of a scenario is a word, not {key!r}")
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml_value(key)


def toml_text(values):
    """A dict of a scenario as TOML: its own keys, then its tables. ``None`` leaves a key out."""
    lines = []

    def write(table, path):
        plain = {k: v for k, v in table.items() if not isinstance(v, dict) and v is not None}
        if path and (plain or not table):
            lines.append(f"[{path}]")
        lines.extend(f"{toml_key(key)} = {toml_value(value)}" for key, value in plain.items())
        for key, value in table.items():
            if isinstance(value, dict):
                write(value, f"{path}.{toml_key(key)}" if path else toml_key(key))

    write(values, "")
    return "\n".join(lines) + "\n"


def override_words(overrides):
    """``{"capacity.factor": 1.25}``, or lists of ``"capacity.factor=1.25"``, as words of --set."""
    if isinstance(overrides, str):
        raise ScenarioError(f'error: overrides: {overrides!r}; expected a dict or a list')
    if isinstance(overrides, dict):
        flat = []

        def flatten(table, path):
            for key, value in table.items():
                if isinstance(value, dict):
                    flatten(value, f"{path}{key}.")
                elif value is not None:
                    flat.append(f"{path}{key}={toml_value(value)}")

        flatten(overrides, "")
        return flat
    return [str(word) for word in overrides or ()]


class Scenario:
    """A checked scenario: everything that one run depends on (keys: docs/scenario.md).

    ``source`` is the path of a TOML file, a dict of its tables, or another Scenario. Physical values
    are strings with units (``"50 GB/s"``), counts are integers, ratios are floats. ``overrides`` is
    ``{"path.to.key": value}``, nested or not, or a list of ``"path.to.key=value"``; they win over the
    source. Relative paths start at the folder of the file, of a dict at the working directory.

    Raises ScenarioError with every mistake at once. ``name`` stands for a dict in messages and reports.
    """

    def __init__(self, source, overrides=None, *, name="scenario"):
        self._overrides = override_words(overrides)
        if isinstance(source, Scenario):
            self.name, self._text = source.name, source._text
            self._overrides = source._overrides + self._overrides
        elif isinstance(source, dict):
            self.name, self._text = name, toml_text(source)
        else:
            self.name, self._text = os.fspath(source), None
        #: The scenario as TOML that loads back to the same values: no presets, every key written.
        #: :attr:`kind` is step.kind: moe_layers, prefill, decode, train or serving.
        self.resolved, self.kind = _core.load(self.source())

    def source(self, more=()):
        """For the compiled part."""
        return _core.Source(self.name, self._text, [*self._overrides, *more])

    def replace(self, overrides):
        """The same scenario with more overrides."""
        return Scenario(self, overrides)

    def words(self):
        """(words that name it on a command line, texts behind them)"""
        words = [self.name, *(f"--set={word}" for word in self._overrides)]
        return words, {} if self._text is None else {self.name: self._text}

    @property
    def values(self):
        """Every key as nested dicts, e.g. ``values["cluster"]["nodes"]``; quantities are text."""
        return tomllib.loads(self.resolved)

    def __getitem__(self, path):
        """One key: ``scenario["capacity.factor"]``."""
        at = self.values
        for word in path.split("."):
            if not isinstance(at, dict) or word not in at:
                raise KeyError(path)
            at = at[word]
        return at

    def save(self, file):
        """Writes the resolved scenario, for ``moesim run``."""
        with open(file, "w", encoding="utf-8") as out:
            out.write(self.resolved)

    def __repr__(self):
        return f"<moesim.Scenario {self.name!r}: {self.kind}>"


def as_scenario(given, overrides=None):
    return given if isinstance(given, Scenario) and not overrides else Scenario(given, overrides)
