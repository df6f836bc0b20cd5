# SPDX-License-Identifier: Apache-2.0
"""The other commands: each is the command line's own, run in this process."""

import contextlib
import os
import pathlib
import sys
import tempfile

from moesim import _core
from moesim._errors import Interrupted
from moesim._report import Report, frame_of
from moesim._scenario import as_scenario, override_words


@contextlib.contextmanager
def progress_of(progress):
    """What the compiled part is to call."""
    if progress is not True:
        yield progress or None
        return
    shown = []

    def show(what, done, total):
        shown[:] = [f"{what}: {done} of {total}" if total else what]
        sys.stderr.write(f"\r\033[K{shown[0]}")
        sys.stderr.flush()

    try:
        yield show
    finally:
        if shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _words(options):
    """Keyword arguments as words: None and False are left out, True is a flag, lists are joined."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(flag)
        else:
            many = isinstance(value, (list, tuple, range)) or hasattr(value, "tolist")
            text = ",".join(str(item) for item in value) if many else str(value)
            words.append(f"{flag}={text}")
    return words


def _repeated(option, values):
    values = [values] if isinstance(values, (str, os.PathLike)) else values or ()
    return [f"{option}={os.fspath(value)}" for value in values]


def command(*words, progress=None):
    """Runs any command of the program in this process: ``command("trace", "info", "my-pack", "--json")``.

    The words are those of a command line, numbers and paths too. ``json`` of the report is what it
    prints. One command at a time runs in a process, others wait; the GIL is released.
    """
    return collect(*words, progress=progress)


def collect(*words, texts=None, progress=None, folder=None, result=Report):
    """The command's report, with the files that it leaves in a folder."""
    with progress_of(progress) as told:
        printed, messages, stop = _core.command([str(word) for word in words], texts or {}, told)
    files = sorted(folder.iterdir()) if folder and folder.is_dir() else []
    made = result(printed, {file.name: file.read_bytes() for file in files}, messages)
    if stop is None:
        return made
    if printed and isinstance(stop, KeyboardInterrupt):
        raise Interrupted("interrupted; partial holds what is done", made) from None
    raise stop


def run_study(*words, texts=None, progress=None, result=Report):
    """A command with --out, --json and --quiet."""
    with tempfile.TemporaryDirectory(prefix="moesim-") as scratch:
        folder = pathlib.Path(scratch) / "out"
        flags = [f"--out={folder}", "--json", "--quiet"]
        return collect(*words, *flags, texts=texts, progress=progress, folder=folder, result=result)


def _of_scenario(name, scenario, overrides, words, progress):
    named, texts = as_scenario(scenario, override_words(overrides)).words()
    return run_study(name, *named, *words, texts=texts, progress=progress)


def capacity(
    scenario, *, factors=None, policies=None, scopes=None, overrides=None, seed=None, threads=0, progress=None
):
    """Capacity factors x overflow policies x scopes: drops, cost and knee (`moesim capacity`).

    factors   numbers, or "first:last:step";  policies  drop, spill, pad, replica ...;
    scopes    rank, group ...
    ``report["curves"]``; table("capacity") has a row a point: dropped_mean_ratio, step_mean_s (s) ...
    """
    options = dict(factors=factors, policies=policies, scopes=scopes, seed=seed, threads=threads)
    return _of_scenario("capacity", scenario, overrides, _words(options), progress)


def place(
    scenario,
    *,
    placements=None,
    maps=(),
    slots=None,
    survive=None,
    moves=None,
    shared_map=False,
    bounds=True,
    train=None,
    windows=None,
    horizon=None,
    move_steps=None,
    every=None,
    threshold=None,
    overrides=None,
    seed=None,
    threads=0,
    progress=None,
):
    """Placements and replicas side by side, made on some steps, judged on later ones (`moesim place`).

    placements  contiguous, round_robin, random, greedy, eplb, eplb_global, optimised
    maps        engines' placement files that take part;  slots  of a layer, over all ranks
    every, threshold  rebalancing policies;  horizon  steps that a placement is to last
    docs/placement.md has the others. ``files`` holds the engines' maps, table("place") a row a placement.
    """
    options = dict(
        placements=placements,
        slots=slots,
        survive=survive,
        moves=moves,
        shared_map=shared_map,
        no_bounds=not bounds,
        train=train,
        windows=windows,
        horizon=horizon,
        move_steps=move_steps,
        every=every,
        threshold=threshold,
        seed=seed,
        threads=threads,
    )
    words = [*_words(options), *_repeated("--map", maps)]
    return _of_scenario("place", scenario, overrides, words, progress)


def explain(scenario, *, layer=None, map=None, overrides=None, seed=None, threads=0, progress=None):
    """Where each microsecond of a layer goes, hot experts, ranks, pairs and links, as text (`moesim explain`).

    layer   this MoE layer alone, from 0
    map     an engine's placement file: also what it changes, beside the scenario's own placement
    Of a result at hand: ``result.explain(layer)``.
    """
    named, texts = as_scenario(scenario, override_words(overrides)).words()
    map = None if map is None else os.fspath(map)
    options = _words(dict(layer=layer, map=map, seed=seed, threads=threads))
    return collect("explain", *named, *options, "--quiet", texts=texts, progress=progress).json


def memory(scenario, *, overrides=None, progress=None):
    """What a rank of a whole model holds, in bytes (`moesim memory`)."""
    named, texts = as_scenario(scenario, override_words(overrides)).words()
    return run_study("memory", *named, texts=texts, progress=progress)


def compare(a, b=None, *, overrides_b=None, seeds=None, overrides=None, seed=None, threads=0, progress=None):
    """Two scenarios with the same seeds: what changed and where the time went (`moesim compare`).

    b            a Scenario, dict or path; None: A again, with overrides_b
    seeds        runs of each; a difference inside their spread is called none
    """
    first = as_scenario(a, override_words(overrides))
    words, texts = first.words()
    words_b = override_words(overrides_b)
    if b is not None:
        other = as_scenario(b)
        named, more = other.words()
        if other.name in texts and more != texts:
            more = {f"{other.name} b": more[other.name]}
            named[0] = f"{other.name} b"
        texts = {**texts, **more}
        words.insert(1, named[0])
        words_b = [word[len("--set=") :] for word in named[1:]] + words_b
    words += [f"--set-b={word}" for word in words_b]
    options = _words(dict(seeds=seeds, seed=seed, threads=threads))
    return run_study("compare", *words, *options, texts=texts, progress=progress)


def plan(file, *, overrides=None, method=None, seed=None, threads=0, progress=None):
    """Clusters x layouts under limits: Pareto front and what limits each (`moesim plan`).

    file    a plan (TOML; docs/plan.md);  method  exhaustive, bounds or halving
    ``report["front"]`` are indices into ``report["configurations"]``; table("plan") has a row each.
    """
    words = [f"--set={word}" for word in override_words(overrides)]
    words += _words(dict(method=method, seed=seed, threads=threads))
    return run_study("plan", os.fspath(file), *words, progress=progress)


def sweep(study, store, *, take_over=(), part=None, again=False, stop=False, threads=0, progress=None):
    """A scenario under many settings, into a result store (`moesim sweep`).

    study   TOML file (docs/sweep.md);  store  SQLite file, made if it is not there
    Ctrl-C keeps what is done: the same call goes on from there. table("results") has a row a point.
    """
    options = dict(part=part, again=again, stop=stop, threads=threads)
    words = [os.fspath(study), f"--store={os.fspath(store)}", *_repeated("--from", take_over)]
    return run_study("sweep", *words, *_words(options), progress=progress)


def results(store, *, study=None, where=(), columns=None, sort=None, descending=False, times=False):
    """Points of a result store as a pandas frame (`moesim results`).

    where    "model.top_k>=8" or a list of such;  columns  any paths into the reports
    """
    options = dict(study=study, columns=columns, sort=sort, descending=descending, times=times)
    words = [os.fspath(store), *_repeated("--where", where), *_words(options)]
    return frame_of(command("results", *words, "--csv").json)


def result_report(store, point, *, study=None):
    """The whole report of one point of a result store."""
    words = _words(dict(study=study, report=int(point)))
    return command("results", os.fspath(store), *words)


def validate(cases, *, threads=0, progress=None):
    """Predictions beside published measurements (`moesim validate`).

    cases   CSV (docs/validation.md). table("validation") has a row a case, report["tiers"] the errors.
    """
    return run_study("validate", os.fspath(cases), "--threads", threads, progress=progress)


def calibrate(files, cluster, *, kernels=()):
    """Cost constants fitted to measurements, with held-out errors (`moesim calibrate`).

    files     measurements: raw files of `moesim measure`, nccl-tests and DeepEP logs, published CSV
    cluster   preset or path of the hardware that they were taken on
    ``files["calibration.toml"]`` is what [calibration] preset takes; table("points") has a row a point:
    measured and predicted seconds.
    """
    files = [files] if isinstance(files, (str, os.PathLike)) else files
    with tempfile.TemporaryDirectory(prefix="moesim-") as scratch:
        folder = pathlib.Path(scratch) / "out"
        words = [os.fspath(file) for file in files]
        words += [f"--cluster={cluster}", *_repeated("--kernel", kernels)]
        words += [f"--output={folder / 'calibration.toml'}", f"--out={folder}", "--json"]
        return collect("calibrate", *words, folder=folder)
