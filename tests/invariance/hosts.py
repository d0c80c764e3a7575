"""Runs on Ray by way of a folder, stopped where one likes."""

import json

import pytest

from crowd_sim.config import CheckpointConfig
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.store.run_log import RunLog
from crowd_sim.tasks.load import load_task
from tests.on_ray import run_on_ray
from tests.runs import TEXTS, config, simulated, tables

ON_RAY = pytest.mark.usefixtures("local_ray")


def setup(request, kind, n_actors=1, **changes):
    if kind not in TEXTS:
        return config(kind, n_actors, **changes)
    for package in ("torch", "peft"):
        pytest.importorskip(package, reason="needs the extra llm")
    return config(kind, n_actors, request.getfixturevalue("parts"), **changes)


def on_ray(own, folder, before=()):
    """By way of the folder, as the command line does it; what lies there before."""
    task = load_task(own)
    n_workers = own.runs * own.crowd.n_workers
    with open_run(folder, own, task) as fingerprint, RunLog(folder, fingerprint, n_workers) as record:
        for checkpoint in before:
            Checkpoints(folder, fingerprint).write(checkpoint)
        write_run(folder, run_on_ray(own, task, record=record), fingerprint)
    return tables(folder)


def events(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class Stopped(Exception):
    """The process ended here."""


def quiet(*_, **__):
    """For events that nobody reads."""


def stopping(own, pieces):
    """The states in which a run stops: whenever one of the rounds is kept, and with every so many-th of the valuation.

    Each time it goes on from there; last comes the outcome.
    """
    kept = {}

    def keep(checkpoint):
        if kept.get(checkpoint.stage) == checkpoint:
            return
        kept[checkpoint.stage] = checkpoint
        told.append(checkpoint)
        if checkpoint.stage == "round" or len(told) == pieces:
            raise Stopped

    while True:
        told = []
        saving = Checkpointer(list(kept.values()), CheckpointConfig(seconds=0.0, rounds=1), keep, quiet)
        try:
            outcome = simulated(own, saving=saving)
        except Stopped:
            yield dict(kept)
        else:
            yield outcome
            return
