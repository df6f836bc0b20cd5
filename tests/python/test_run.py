# SPDX-License-Identifier: Apache-2.0
"""run: the numbers of the program, as arrays and frames; Ctrl-C; threads."""

import signal
import threading
import time

import numpy as np
import pytest
from conftest import ROOT, SMALL, TINY, words_of

import moesim


def test_reports_are_those_of_the_program(small, program):
    assert small.json == program("run", TINY, *words_of(SMALL), "--json")
    assert str(small) == program("run", TINY, *words_of(SMALL))
    assert small.explain(3) == program("explain", TINY, *words_of(SMALL), "--layer", 3)


def test_folders_are_those_of_the_program(small, program, tmp_path):
    program("run", TINY, *words_of(SMALL), "--quiet", "--out", tmp_path / "theirs")
    small.save(tmp_path / "ours")
    theirs = {file.name: file.read_bytes() for file in (tmp_path / "theirs").iterdir()}
    assert theirs == {file.name: file.read_bytes() for file in (tmp_path / "ours").iterdir()}
    kept = {name: content for name, content in theirs.items() if name != "report.html"}
    assert small.files == kept


def test_the_seed_changes_the_result_as_in_the_program(program):
    words = [*words_of(SMALL), "--set=routing.draw=tokens"]
    overrides = {**SMALL, "routing.draw": "tokens"}
    runs = {seed: moesim.run(TINY, overrides=overrides, seed=seed).json for seed in (1, 7)}
    assert runs[1] != runs[7]
    assert runs[7] == program("run", TINY, *words, "--seed", 7, "--json")


def test_threads_change_nothing(small):
    assert moesim.run(TINY, overrides=SMALL, threads=1).json == small.json


def test_arrays_are_the_numbers_of_the_report(small):
    steps = small.report["steps"]
    layers = steps[0]["layers"]
    assert small.step_s.tolist() == [step["makespan_s"] for step in steps]
    assert small.layer_s[0].tolist() == [layer["makespan_s"] for layer in layers]
    parts = [f"{part}_s" for part in moesim.PARTS]
    assert small.path_s[1, 2].tolist() == [steps[1]["layers"][2]["critical_path"][p] for p in parts]
    np.testing.assert_allclose(small.path_s.sum(axis=2), small.layer_s, rtol=1e-9)
    for i, phase in enumerate(moesim.PHASES):
        spread = layers[1]["phases"][phase]
        assert (small.phase_mean_s[0, 1, i], small.phase_max_s[0, 1, i]) == (
            spread["mean_s"],
            spread["max_s"],
        )
    assert small.expert_load.shape == (2, 6, 64)
    assert small.rank_load.shape == (2, 6, 16)
    assignments = [[layer["assignments"] for layer in step["layers"]] for step in steps]
    assert small.expert_load.sum(axis=2).tolist() == assignments
    assert small.rank_load.sum(axis=2).tolist() == assignments  # nothing is dropped
    hot = layers[0]["hot"]
    assert small.expert_load[0, 0].max() == hot["experts"][0]["assignments"]
    assert small.traffic.shape == (2, 16, 16) and small.ranks_per_cell == 1
    assert small.link_bytes.shape == (2, len(small.link_names))
    assert small.link_rate.shape == (len(small.link_names),)


def test_arrays_are_views_that_nobody_can_write(small):
    first, second = small.expert_load, small.expert_load
    assert np.shares_memory(first, second) and not first.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0, 0] = 1
    result = moesim.run(TINY, overrides=SMALL)
    traffic = result.traffic
    total = int(traffic.sum())
    del result
    assert int(traffic.sum()) == total > 0  # the view keeps its memory alive


def test_frames_are_the_tables_of_the_program(small):
    assert len(small.layers) == 12 and len(small.experts) == 2 * 6 * 64 and len(small.ranks) == 192
    assert small.layers["makespan_s"].tolist() == small.layer_s.reshape(-1).tolist()
    loads = small.experts["assignments"].to_numpy().reshape(small.expert_load.shape)
    np.testing.assert_array_equal(loads, small.expert_load)
    assert small.steps["makespan_s"].tolist() == small.step_s.tolist()
    assert "path_combine_s" in small.steps.columns
    assert small.links["bytes"].sum() == small.link_bytes.sum()
    assert small.tables == ["experts", "layers", "links", "pairs", "ranks", "summary"]
    with pytest.raises(KeyError, match="there are experts, layers"):
        small.table("rank")


def test_fields_by_their_path(small):
    assert small["summary.step_s.mean"] == pytest.approx(small.step_s.mean(), rel=1e-12)
    assert small["steps.1.layers.0.layer"] == 0
    for path in ("summary.steps_s", "steps.9", "steps.x"):
        with pytest.raises(KeyError, match=path):
            small[path]
    with pytest.raises(IndexError, match=r"layer 6: the scenario has MoE layers 0 to 5"):
        small.explain(6)


def test_whole_models(program):
    file = ROOT / "scenarios/studies/decode_node.toml"
    result = moesim.run(file)
    assert isinstance(result, moesim.WholeResult)
    assert result.json == program("run", file, "--json")
    assert result.step_s.tolist() == [step["makespan_s"] for step in result.report["steps"]]
    assert result.steps["makespan_s"].tolist() == result.step_s.tolist()


def test_strict_refuses_what_is_assumed():
    with pytest.raises(moesim.ScenarioError) as caught:
        moesim.run(TINY, overrides=SMALL, strict=True)
    found = [one.found for one in caught.value.diagnostics]
    assert "dispatch: constants are assumed, not fitted to measurements" in found
    assert {one.key for one in caught.value.diagnostics} == {"--strict"}


def test_progress_is_told_on_the_calling_thread():
    told = []

    def progress(what, done, total):
        told.append((what, done, total, threading.get_ident()))

    moesim.run(TINY, overrides=SMALL, progress=progress)
    assert told[-1] == ("steps", 2, 2, threading.get_ident())


def test_an_exception_in_progress_ends_the_run():
    class Enough(Exception):
        pass

    def progress(what, done, total):
        raise Enough

    with pytest.raises(Enough):
        moesim.run(TINY, overrides={"batch.steps": 4}, progress=progress)


def test_runs_go_side_by_side_without_the_gil(small):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(moesim.run(TINY, overrides=SMALL).json))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [small.json] * 2


def interrupt():
    """Ctrl-C to this process."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def test_ctrl_c_ends_a_run():
    threading.Timer(0.3, interrupt).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        moesim.run(TINY, overrides={"batch.steps": 2000, "routing.draw": "tokens"})
    assert time.monotonic() - begin < 30
    assert moesim.run(TINY, overrides=SMALL)["summary.steps"] == 2  # and the next one runs


def test_ctrl_c_keeps_what_a_study_has():
    def interrupt_later(what, done, total):
        if done > total // 50:
            interrupt()

    more = {"batch.steps": 400, "routing.draw": "tokens"}
    options = dict(factors=1, policies="drop", scopes="rank", progress=interrupt_later)
    with pytest.raises(moesim.Interrupted) as caught:
        moesim.capacity(TINY, overrides={**SMALL, **more}, **options)
    report = caught.value.partial.report
    assert report["partial"] and 0 < report["steps_done"] < 400
    assert "interrupted" in str(caught.value)
    assert moesim.memory(ROOT / "scenarios/studies/decode_node.toml")["fits"]
