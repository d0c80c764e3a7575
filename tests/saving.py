"""Where a simulation leaves its rounds in tests."""

from crowd_sim.tournament.log import TournamentLog
from crowd_sim.valuation.log import ValuationLog


class Kept:
    """Saves every round, and goes on with one of them."""

    def __init__(self, packed=None):
        self.packed, self.rounds = packed, []

    def last(self, rules, n_workers):
        return TournamentLog.unpack(self.packed, rules, n_workers) if self.packed else None

    def after(self, log):
        self.rounds.append(log.pack())

    def stopped(self, log):
        raise AssertionError

    def last_values(self):
        return ValuationLog()

    def after_evaluations(self, log, over=False):
        pass

    def stopped_valuing(self, log):
        raise AssertionError
