# SPDX-License-Identifier: Apache-2.0
"""One run: MoE layers, a whole model, or requests over time."""

import functools

from moesim import _core
from moesim._report import Report, frame_of
from moesim._scenario import as_scenario, override_words
from moesim._studies import progress_of, run_study

PHASES = ("gate", "dispatch", "experts", "combine")
PARTS = tuple(_core.part_names)


def run(scenario, *, overrides=None, seed=None, threads=0, strict=False, progress=None):
    """Simulates a scenario: `moesim run`.

    scenario   Scenario, path or dict;  overrides  as of Scenario
    seed       instead of the scenario's
    threads    0: all cores; results do not depend on it
    strict     refuse a result that leaves the range of the measurements behind it
    progress   called as progress(what, done, total) from this thread, or True for a line on
               standard error; an exception in it ends the run

    Returns a LayersResult, a WholeResult (step.kind prefill, decode, train) or a ServingResult. The
    GIL is released; Ctrl-C ends the run with KeyboardInterrupt. Raises ScenarioError,
    EnvironmentFault.
    """
    more = [*override_words(overrides), *([f"seed={int(seed)}"] if seed is not None else [])]
    scenario = as_scenario(scenario, more)
    if scenario.kind == "moe_layers":
        with progress_of(progress) as told:
            return LayersResult(_core.run_layers(scenario.source(), threads, strict, told), scenario)
    words, texts = scenario.words()
    flags = ["--threads", threads, *(["--strict"] if strict else [])]
    kind = ServingResult if scenario.kind == "serving" else WholeResult
    return run_study("run", *words, *flags, texts=texts, progress=progress, result=kind)


class LayersResult(Report):
    """A run of MoE layers. Arrays are read-only views of the simulator's own memory: S steps, L layers.

    Frames (pandas) have the columns of the CSV tables of `moesim run --out`.
    """

    def __init__(self, core, scenario):
        self._core = core
        self.scenario = scenario
        self.messages = ""

    @functools.cached_property
    def json(self):
        return self._core.json()

    @functools.cached_property
    def files(self):
        names = ("summary", "layers", "experts", "ranks", "links", "pairs")
        tables = {f"{name}.csv": self._core.csv(name).encode() for name in names}
        resolved = {"scenario.toml": self.scenario.resolved.encode()}
        return {"report.json": self.json.encode(), **tables, **resolved}

    def save(self, folder):
        """Writes what `moesim run --out` writes, report.html included; returns the folder."""
        self._core.save(str(folder))
        return folder

    @property
    def step_s(self):
        """[S] makespan of a step, s."""
        return self._core.step_s

    @property
    def layer_s(self):
        """[S, L] makespan of a layer, s."""
        return self._core.layer_s

    @property
    def path_s(self):
        """[S, L, part] critical path of a layer, s; parts are moesim.PARTS and sum to layer_s."""
        return self._core.path_s

    @property
    def phase_mean_s(self):
        """[S, L, 4] gate, dispatch, experts, combine (moesim.PHASES): mean over ranks, s."""
        return self._core.phase_mean_s

    @property
    def phase_max_s(self):
        """[S, L, 4] the same of the slowest rank, s."""
        return self._core.phase_max_s

    @property
    def expert_load(self):
        """[S, L, expert] routed assignments, before capacity."""
        return self._core.expert_load

    @property
    def rank_load(self):
        """[S, L, rank] accepted assignments."""
        return self._core.rank_load

    @property
    def traffic(self):
        """[S, source, destination] dispatch bytes between ranks; cells of ranks_per_cell ranks."""
        return self._core.traffic

    @property
    def ranks_per_cell(self):
        """Ranks that share a cell of traffic: 1 up to 64 ranks."""
        return self._core.ranks_per_cell

    @property
    def link_bytes(self):
        """[S, link] bytes of dispatch and combine over all layers."""
        return self._core.link_bytes

    @property
    def link_rate(self):
        """[link] usable capacity, bytes/s."""
        return self._core.link_rate

    @property
    def link_names(self):
        """[link] names, such as "n0.nic3 -> leaf0.3"."""
        return self._core.link_names

    @functools.cached_property
    def steps(self):
        """Frame, a row a step: makespan_s, flows, network_events, path_*_s."""
        return steps_frame(self.report["steps"])

    @functools.cached_property
    def layers(self):
        """Frame, a row a layer of a step: times, critical path, drops, imbalance, bytes."""
        return self.table("layers")

    @functools.cached_property
    def experts(self):
        """Frame: step, layer, expert, assignments."""
        return self.table("experts")

    @functools.cached_property
    def ranks(self):
        """Frame: step, layer, rank, assignments."""
        return self.table("ranks")

    @functools.cached_property
    def links(self):
        """Frame: step, link, name, bytes, effective_bytes_per_s, utilization_ratio; used links only."""
        return self.table("links")

    def explain(self, layer=None):
        """The text of `moesim explain`: where each microsecond goes, hot experts, pairs and links."""
        layers = self.layer_s.shape[1]
        if layer is not None and not 0 <= layer < layers:
            raise IndexError(f"layer {layer}: the scenario has MoE layers 0 to {layers - 1}")
        return self._core.explain(-1 if layer is None else layer)

    def __str__(self):
        return self._core.summary()


class WholeResult(Report):
    """A run of a whole model: prefill, decode or training steps."""

    @property
    def step_s(self):
        """[S] makespan of a step, s (NumPy)."""
        import numpy

        return numpy.array([step["makespan_s"] for step in self.report["steps"]])

    @functools.cached_property
    def steps(self):
        """Frame, a row a step: makespan_s, communication_s, flows, network_events, path_*_s."""
        return steps_frame(self.report["steps"])


class ServingResult(Report):
    """Requests over time."""

    @functools.cached_property
    def requests(self):
        """Frame, a row a request in order of arrival (docs/serving.md has the columns)."""
        return self.table("requests")

    @functools.cached_property
    def series(self):
        """Frame, a row an interval: queue, running requests, KV cache."""
        return self.table("series")


def steps_frame(steps):
    """The plain fields of steps, and their critical paths."""
    header = [key for key, value in steps[0].items() if not isinstance(value, (dict, list))]
    header += [f"path_{part}" for part in steps[0]["critical_path"]]
    lines = [",".join(header)]
    for step in steps:
        plain = [value for value in step.values() if not isinstance(value, (dict, list))]
        lines.append(",".join(repr(x) for x in [*plain, *step["critical_path"].values()]))
    return frame_of("\n".join(lines))
