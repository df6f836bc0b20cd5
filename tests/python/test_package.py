# SPDX-License-Identifier: Apache-2.0
"""The package as such: names, stub, help, presets, life without pandas."""

import ast
import inspect
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT, SMALL, TINY

import moesim
from moesim import _core


def test_every_name_has_help():
    for name in moesim.__all__:
        thing = getattr(moesim, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name
    for name, member in vars(moesim.LayersResult).items():
        if isinstance(member, property):
            assert member.__doc__, name


def test_the_stub_names_what_the_compiled_part_has():
    stub = ast.parse((ROOT / "python/moesim/_core.pyi").read_text())
    said = {}
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            said[node.name] = {item.name for item in node.body} - {"__init__"}
        elif isinstance(node, ast.FunctionDef):
            said[node.name] = None
        elif isinstance(node, ast.AnnAssign):
            said[node.target.id] = None
    assert set(said) == {name for name in dir(_core) if not name.startswith("_")}
    for name, members in said.items():
        if members is not None:
            has = {item for item in dir(getattr(_core, name)) if not item.startswith("_")}
            assert has == members, name


def test_version_and_data(program):
    assert program("--version").startswith(f"moesim {moesim.__version__}\n")
    assert moesim.build + "\n" == program("--version")
    assert moesim.data_folder() == str(ROOT / "scenarios")


def test_a_missing_data_folder_is_the_environments(monkeypatch):
    monkeypatch.setenv("MOESIM_DATA", "/nowhere")
    with pytest.raises(moesim.EnvironmentFault, match="^MOESIM_DATA: /nowhere is not a folder$"):
        moesim.Scenario(TINY)


def test_without_pandas_arrays_and_dicts_work():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import moesim\n"
        f"r = moesim.run({str(TINY)!r}, overrides={SMALL!r})\n"
        "print(r.expert_load.shape, r['summary.steps'])\n"
        "try:\n    r.layers\nexcept ImportError as e:\n    print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout.splitlines() == [
        "(2, 6, 64) 2",
        "moesim's tables are pandas frames: install pandas, or use .report",
    ], done.stderr


def test_a_wheel_brings_its_presets_wherever_it_is_put(tmp_path):
    build = pathlib.Path(os.environ["MOESIM_BUILD"])
    words = [sys.executable, ROOT / "python/wheel.py", build, tmp_path]
    wheel = pathlib.Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
    assert wheel.name.startswith(f"moesim-{moesim.__version__}-cp3") and wheel.parent == tmp_path
    site = tmp_path / "env/lib/python3/site-packages"
    with zipfile.ZipFile(wheel) as pack:  # as pip would
        assert pack.testzip() is None
        listed = {line.split(",")[0] for line in pack.read(record_of(pack)).decode().splitlines()}
        assert listed == set(pack.namelist())
        pack.extractall(site)
    next(site.glob("*.data")).joinpath("data/share").rename(tmp_path / "env/share")
    code = (
        "import moesim\nprint(moesim.__file__)\nprint(moesim.data_folder())\n"
        "file = moesim.data_folder() + '/tinymoe_h200.toml'\n"
        f"print(moesim.run(file, overrides={SMALL!r})['summary.steps'])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.splitlines() == [
        str(site / "moesim/__init__.py"),
        str(tmp_path / "env/share/moesim/scenarios"),
        "2",
    ], done.stderr


def record_of(pack):
    return next(name for name in pack.namelist() if name.endswith("RECORD"))
