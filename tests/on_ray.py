"""A run on the Ray that a test has started."""

from contextlib import closing

from crowd_sim.actors.placement import actors_of, required_by_run, reserved
from crowd_sim.actors.round_manager import Supervisor
from crowd_sim.progress import quiet


def run_on_ray(config, task, progress=quiet, record=None, name=""):
    """The outcome of a configuration's runs; see `Supervisor`."""
    with (
        reserved(required_by_run(actors_of(config), with_crowd=config.task.kind == "vector")) as group,
        closing(Supervisor(config, task, progress, name, group, record)) as supervisor,
    ):
        return supervisor.outcome()
