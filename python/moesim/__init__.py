# SPDX-License-Identifier: Apache-2.0
"""Simulate Mixture-of-Experts layers on a GPU cluster from real routing traces.

>>> import moesim
>>> result = moesim.run("scenarios/tinymoe_h200.toml", overrides={"batch.steps": 2})
>>> result["summary.step_s.mean"]       # seconds; the fields are those of moesim run --json
>>> result.expert_load                  # NumPy [step, layer, expert]
>>> result.layers                       # pandas, a row a layer of a step

Every function is the command of the same name, run in this process: same inputs, same bytes.
Units: names end in them (_s seconds, _bytes, _ratio); docs/python.md is the manual.
"""

from moesim._core import build, data_folder
from moesim._core import version as __version__
from moesim._errors import BugError, Diagnostic, EnvironmentFault, Error, Interrupted, ScenarioError
from moesim._report import Report
from moesim._run import PARTS, PHASES, LayersResult, ServingResult, WholeResult, run
from moesim._scenario import Scenario
from moesim._studies import (
    calibrate,
    capacity,
    command,
    compare,
    explain,
    memory,
    place,
    plan,
    result_report,
    results,
    sweep,
    validate,
)

__all__ = [
    "BugError",
    "Diagnostic",
    "EnvironmentFault",
    "Error",
    "Interrupted",
    "LayersResult",
    "PARTS",
    "PHASES",
    "Report",
    "Scenario",
    "ScenarioError",
    "ServingResult",
    "WholeResult",
    "__version__",
    "build",
    "calibrate",
    "capacity",
    "command",
    "compare",
    "data_folder",
    "explain",
    "memory",
    "place",
    "plan",
    "result_report",
    "results",
    "run",
    "sweep",
    "validate",
]
