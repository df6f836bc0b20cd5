# SPDX-License-Identifier: Apache-2.0
"""The other commands: the same documents as the program's, mistakes word for word."""

import io
import json

import pandas
import pytest
from conftest import ROOT, SMALL, TINY, words_of

import moesim

SET = words_of(SMALL)


def test_capacity(program):
    ours = moesim.capacity(TINY, factors=[1, 1.5], policies=["drop"], scopes="rank", overrides=SMALL)
    options = ["--factors=1,1.5", "--policies=drop", "--scopes=rank"]
    assert ours.json == program("capacity", TINY, *SET, *options, "--json")
    assert ours.table("capacity")["factor"].dropna().tolist() == [1, 1.5]
    assert sorted(ours.files)[:3] == ["capacity.csv", "capacity.json", "capacity.svg"]


def test_a_study_of_a_dict_is_that_of_its_file():
    scenario = moesim.Scenario(TINY, SMALL)
    options = dict(factors="1", policies="drop", scopes="rank")
    ours = moesim.capacity(scenario.values, **options).report
    theirs = moesim.capacity(scenario, **options).report
    assert (ours.pop("scenario"), theirs.pop("scenario")) == ("scenario", str(TINY))
    ours.pop("inputs"), theirs.pop("inputs")
    assert ours == theirs


def test_place(program, tmp_path):
    options = ["--placements=contiguous,eplb", "--slots=80", "--no-bounds", "--every=1"]
    ours = moesim.place(
        TINY, placements=["contiguous", "eplb"], slots=80, bounds=False, every=[1], overrides=SMALL
    )
    assert ours.json == program("place", TINY, *SET, *options, "--json")
    assert "eplb.sglang.json" in ours.files
    (tmp_path / "map.json").write_bytes(ours.files["eplb.sglang.json"])
    again = moesim.place(
        TINY, placements="contiguous", maps=tmp_path / "map.json", bounds=False, overrides=SMALL
    )
    assert len(again.report["placements"]) == len(ours.report["placements"])
    words = ["explain", TINY, *SET, "--layer=2", f"--map={tmp_path}/map.json", "--quiet"]
    changes = moesim.explain(TINY, layer=2, map=tmp_path / "map.json", overrides=SMALL)
    assert changes == program(*words) and "map.json" in changes


def test_compare(program):
    drop = {"capacity.policy": "drop", "capacity.factor": 1.0}
    ours = moesim.compare(TINY, overrides_b=drop, seeds=2, overrides=SMALL)
    words = ['--set-b=capacity.policy="drop"', "--set-b=capacity.factor=1.0", "--seeds=2"]
    assert ours.json == program("compare", TINY, *SET, *words, "--json")
    assert ours["step.b_s"] < ours["step.a_s"]
    values = moesim.Scenario(TINY, SMALL).values  # two dicts of the same name
    pair = moesim.compare(values, {**values, "capacity": {"policy": "drop", "factor": 1.0}}, seeds=2)
    assert pair["step"] == ours["step"]


def test_plan(program, tmp_path):
    scenario = ROOT / "scenarios/studies/decode_node.toml"
    (tmp_path / "plan.toml").write_text(
        f'scenario = "{scenario}"\n[grid]\nbatch.tokens_per_rank = [4, 16]\n'
        '[limits]\ntpot = "1 s"\n[search]\nobjectives = ["throughput", "latency"]\n'
        'choose = "throughput"\nvary = 0.0\n'
    )
    ours = moesim.plan(tmp_path / "plan.toml", method="exhaustive")
    assert ours.json == program("plan", tmp_path / "plan.toml", "--method=exhaustive", "--json")
    assert len(ours.table("plan")) == 2 and ours.report["front"]


def test_sweep_and_results(program, tmp_path):
    study, store = tmp_path / "study.toml", tmp_path / "store.sqlite"
    study.write_text(
        f'scenario = "{TINY}"\nmetrics = ["summary.step_s.mean"]\n[set]\n'
        + "".join(f"{key} = {value}\n" for key, value in SMALL.items())
        + "[grid]\nmodel.expert_width = [704, 1408]\n"
    )
    ours = moesim.sweep(study, store)
    assert "2 points, 2 scenarios: 2 simulated, 0 known before" in ours.messages
    assert "0 simulated, 2 known before" in moesim.sweep(study, store).messages
    assert ours.json == program("results", store, "--json")
    frame = moesim.results(store, where="model.expert_width>=1000", columns=["summary.step_s.p50"])
    assert len(frame) == 1
    csv = program("results", store, "--csv")
    pandas.testing.assert_frame_equal(moesim.results(store), pandas.read_csv(io.StringIO(csv)))
    one = moesim.result_report(store, 1)
    assert one["summary.step_s.mean"] == ours.table("results")["summary.step_s.mean"][1]
    with pytest.raises(moesim.ScenarioError) as caught:
        moesim.result_report(store, 2)
    assert str(caught.value) == 'error: study "study" has no point 2'


def test_validate(program, tmp_path):
    lines = (ROOT / "scenarios/validation/experts.csv").read_text().splitlines()[:3]
    cases = ROOT / "scenarios/validation/experts.csv"
    folder = f"{cases.parent}/"
    (tmp_path / "cases.csv").write_text(
        "\n".join(line.replace("experts_h100", f"{folder}experts_h100") for line in lines) + "\n"
    )
    ours = moesim.validate(tmp_path / "cases.csv")
    assert ours.json == program("validate", tmp_path / "cases.csv", "--json")
    assert len(ours.table("validation")) == 2


def raw_line(case, ranks, size, time_s):
    """An all-to-all as `moesim measure` writes it."""
    line = {
        "format": "moesim-raw",
        "schema": 1,
        "kind": "collective",
        "case": case,
        "l2": "none",
        "time": {"median_s": time_s},
        "device": {"name": "NVIDIA H100", "driver": "9"},
        "moesim": {"version": "0.1"},
        "input": {"op": "all_to_all", "ranks": ranks, "bytes": size},
    }
    return json.dumps(line) + "\n"


def test_calibrate_finds_the_constants_behind_made_up_times(program, tmp_path):
    raw = tmp_path / "raw.jsonl"
    sizes = [(ranks, 1 << power) for ranks in (2, 4, 8) for power in range(20, 29, 2)]
    raw.write_text(
        "".join(
            raw_line(f"{n}/{size}", n, size, 20e-6 + size * (n - 1) / n / 300e9) for n, size in sizes
        )
    )
    ours = moesim.calibrate(raw, "h100-hgx", kernels="nccl")
    assert ours.json == program("calibrate", raw, "--cluster=h100-hgx", "--kernel=nccl", "--json")
    nccl = ours.report["kernels"][0]
    assert nccl["constants_si"]["communication_start"] == pytest.approx(20e-6, rel=0.2)
    assert nccl["fitted"]["p90_ratio"] < 0.02
    assert len(ours.table("points")) >= len(sizes)
    (tmp_path / "mine.toml").write_bytes(ours.files["calibration.toml"])
    overrides = {**SMALL, "calibration.preset": str(tmp_path / "mine.toml")}
    assert moesim.Scenario(TINY, overrides).kind == "moe_layers"


def test_any_command(program):
    words = ["topology", TINY, "--bytes-per-pair", "1MB"]
    assert moesim.command(*words).json == program(*words)
    assert moesim.command("--version").json == program("--version")
    assert moesim.command("run", "--help").json == program("run", "--help")


def test_mistakes_word_for_word():
    with pytest.raises(moesim.ScenarioError) as caught:
        moesim.capacity(TINY, policies="dropp", overrides=SMALL)
    assert str(caught.value).startswith("error: --policies") and "drop" in str(caught.value)
    with pytest.raises(moesim.ScenarioError) as caught:
        moesim.command("rnu", TINY)
    assert str(caught.value).startswith('error: unknown command "rnu"; did you mean "run"? known: ')
    assert caught.value.diagnostics[0].found.startswith('unknown command "rnu"')
    with pytest.raises(moesim.ScenarioError) as caught:
        moesim.place(TINY, windows=500, overrides=SMALL)
    assert str(caught.value) == "error: --windows: Value 500 not in range 1 to 100"
    with pytest.raises(moesim.ScenarioError) as caught:
        moesim.compare(TINY)
    assert str(caught.value) == "error: compare: nothing to compare with; name B, or change it with --set-b"
