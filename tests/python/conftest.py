# SPDX-License-Identifier: Apache-2.0
"""What the tests share: the program, and a small scenario."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ROOT / "scenarios/tinymoe_h200.toml"
SMALL = {"batch.steps": 2, "batch.tokens_per_rank": 48, "cluster.nodes": 2, "parallel.ep": 16}


@pytest.fixture(scope="session")
def program():
    """Runs the program; returns standard output, or (code, standard error) where it fails."""

    def run(*words):
        line = [os.environ["MOESIM_BINARY"], *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else (done.returncode, done.stderr)

    return run


def words_of(overrides):
    return [f"--set={key}={value}" for key, value in overrides.items()]


@pytest.fixture(scope="session")
def small():
    import moesim

    return moesim.run(TINY, overrides=SMALL)
