from crowd_sim.valuation.pacing import paced


def test_slow_ones_go_one_by_one():
    assert paced(1, 1, 5.0, 0.1) == 1
    assert paced(64, 64, 640.0, 0.1) == 1


def test_quick_ones_go_together_step_by_step():
    assert paced(1, 1, 1e-6, 0.1) == 4
    assert paced(4, 4, 0.0, 0.1) == 16
    assert paced(100, 100, 0.05, 0.1) == 200


def test_the_rest_of_a_chunk_counts_for_what_it_was():
    assert paced(100, 10, 0.005, 0.1) == 200
    assert paced(100, 0, 0.0, 0.1) == 1
