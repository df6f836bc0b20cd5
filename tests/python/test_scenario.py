# SPDX-License-Identifier: Apache-2.0
"""Scenario: files and dicts, overrides, mistakes word for word."""

import pathlib
import tomllib

import numpy as np
import pytest
from conftest import SMALL, TINY, words_of

import moesim
from moesim._scenario import toml_text


def mistakes(*arguments, **more):
    with pytest.raises(moesim.ScenarioError) as caught:
        moesim.Scenario(*arguments, **more)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, moesim.Error)
    return caught.value


def test_resolved_is_that_of_the_program(program):
    scenario = moesim.Scenario(TINY, SMALL)
    assert scenario.resolved == program("check", TINY, *words_of(SMALL))
    assert scenario.kind == "moe_layers"
    assert scenario["batch.steps"] == 2 and scenario.values["cluster"]["nodes"] == 2
    with pytest.raises(KeyError, match="batch.step"):
        scenario["batch.step"]


def test_a_dict_is_the_file_with_its_tables(program):
    values = tomllib.loads(TINY.read_text())
    scenario = moesim.Scenario(values, SMALL)
    assert scenario.resolved == moesim.Scenario(TINY, SMALL).resolved
    ours, theirs = (moesim.run(one).report for one in (scenario, moesim.Scenario(TINY, SMALL)))
    assert ours.pop("scenario") == "scenario" and theirs.pop("scenario") == str(TINY)
    assert [one for one in theirs.pop("inputs") if one not in ours["inputs"]] == [
        {"path": str(TINY), "sha256": sha256(TINY)}
    ]
    ours.pop("inputs")
    assert ours == theirs


def sha256(file):
    import hashlib

    return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()


def test_a_resolved_scenario_loads_back(tmp_path):
    scenario = moesim.Scenario(TINY, SMALL)
    scenario.save(tmp_path / "resolved.toml")
    assert moesim.Scenario(tmp_path / "resolved.toml").resolved == scenario.resolved
    assert moesim.Scenario(scenario.values).resolved == scenario.resolved


def test_overrides_win_nested_or_not_the_last_one_last():
    scenario = moesim.Scenario(TINY, {"batch": {"steps": 3}, "capacity.policy": "drop", "seed": None})
    scenario = scenario.replace(["capacity.factor=1.5"]).replace({"batch.steps": np.int64(2)})
    wanted = {"batch.steps": 2, "capacity.policy": "drop", "capacity.factor": 1.5, "seed": 1}
    assert {path: scenario[path] for path in wanted} == wanted
    assert moesim.Scenario(TINY, {"model.name": 'a "b" \\ c\n'})["model.name"] == 'a "b" \\ c\n'


def test_toml_text_reads_back():
    values = {
        "seed": 7,
        "a": {"text": 'q"\\\n\tü', "yes": True, "x": 1e-06, "list": [1, 2.5, "z"], "deep": {"k": 0}},
        "empty": {},
        "odd key": {"with.dot": [{"i": 1}]},
        "path": pathlib.Path("a/b"),
    }
    assert tomllib.loads(toml_text(values)) == {**values, "path": "a/b"}


def test_all_mistakes_of_a_dict_with_their_places(program, tmp_path):
    values = {"cluster": {"preset": "h200-hgx", "nodes": 0}, "batch": {"tokns_per_rank": 3}}
    error = mistakes(values, name="mine")
    (tmp_path / "mine").write_text(toml_text(values))
    code, text = program("check", tmp_path / "mine")
    assert code == 2 and text.replace(f"{tmp_path}/", "") == f"{error}\n"
    assert "mine: error: model: missing; expected a table [model]\n" in str(error)
    nodes, near = error.diagnostics[3], error.diagnostics[-1]
    assert nodes == ("mine", 3, 9, "cluster.nodes", "0 is out of range", "expected an integer from 1 to 100000", "nodes = 0")
    assert (near.line, near.found) == (5, 'unknown key; did you mean "tokens_per_rank"?')


def test_mistakes_word_for_word(tmp_path):
    assert str(mistakes(TINY, {"capacity.factor": "high"})) == (
        '--set capacity.factor="high": error: capacity.factor: "high" is a string; expected a number above 0'
    )
    assert str(mistakes(TINY, ["capacity"])) == "--set capacity: error: expected path.to.key=value"
    assert str(mistakes(TINY, "batch.steps=2")) == (
        "error: overrides: 'batch.steps=2'; expected a dict or a list"
    )
    assert str(mistakes({"a": {"b": object}})).startswith("error: a scenario holds no type: ")
    assert str(mistakes({3: {}})) == "error: a key of a scenario is a word, not 3"
    with pytest.raises(moesim.EnvironmentFault) as caught:
        moesim.Scenario(tmp_path / "none.toml")
    assert str(caught.value) == f"cannot read {tmp_path}/none.toml: No such file or directory"


def test_words_say_what_it_is():
    assert repr(moesim.Scenario(TINY)) == f"<moesim.Scenario '{TINY}': moe_layers>"
