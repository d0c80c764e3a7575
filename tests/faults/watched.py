"""Hosts whose actors are killed by a plan, from outside or by themselves."""

import os
from contextlib import contextmanager

import ray

from crowd_sim.actors.host import RayHost
from crowd_sim.actors.round_manager import RoundManager
from crowd_sim.actors.run_metrics import RunMetrics
from tests.faults import trouble


class Watched(RayHost):
    """Counts failures; kills actors of a pool around their calls.

    A plan is a list of (pool, moment, call): before or during a call, by its number or by how its name begins; or after the
    answer to a call of that name.
    """

    def __init__(self, config, kill=()):
        self.measures = RunMetrics("test")
        super().__init__(config.actors, self.measures)
        self.kill = list(kill)

    def _is_due(self, kind, moment, number, name):
        for planned in self.kill:
            if planned[:2] == (kind, moment) and (planned[2] == number or name.startswith(str(planned[2]))):
                self.kill.remove(planned)
                return True
        return False

    def _watch(self, pool, kind):
        submit, gather, calls = pool.submit, pool.gather, iter(range(10_000))

        def killing(work):
            now = next(calls)
            if self._is_due(kind, "before", now, work.name):
                ray.kill(pool.actors[work.member])
            ticket = submit(work)
            if self._is_due(kind, "during", now, work.name):
                ray.kill(pool.actors[work.member])
            return ticket

        def gathered(works):
            works = list(works)
            answers = gather(works)
            if self._is_due(kind, "after", -1, works[0].name):
                ray.kill(pool.actors[works[0].member])
            return answers

        pool.submit, pool.gather = killing, gathered

    @contextmanager
    def crowd(self, cohort):
        with super().crowd(cohort) as crowd:
            self._watch(crowd.pool, "crowd")
            yield crowd

    @contextmanager
    def trainers(self, hosted):
        with super().trainers(hosted) as trainers:
            self._watch(trainers.pool, "trainer")
            yield trainers

    @contextmanager
    def evaluators(self, games):
        with super().evaluators(games) as evaluators:
            self._watch(evaluators.pool, "evaluator")
            yield evaluators


class MortalManager(RoundManager):
    """Dies after a round, where `trouble` has planned that."""

    def _report(self, stage, done, total, note="", /):
        super()._report(stage, done, total, note)
        if stage == "rounds" and trouble.met("manager", done):
            os._exit(1)
