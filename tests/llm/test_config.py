from crowd_sim.config import RunConfig
from crowd_sim.results.folder import fingerprint


def test_a_run_of_points_knows_nothing_of_texts_and_honest_workers_of_no_behaviour():
    """Or folders made before there were any would be refused."""
    known = RunConfig.parse({}).determinants()
    assert set(known) == {"seed", "runs", "crowd", "tournament", "valuation"}
    assert set(known["crowd"]) == {"source", "path", "n_workers", "seed", "selection", "chunk_size"}
    assert fingerprint(RunConfig.parse({"crowd": {"behaviour": "honest"}}).determinants()) == fingerprint(known)
    lazy = RunConfig.parse({"crowd": {"behaviour": "tests.faults.trouble:lazy"}}).determinants()
    assert lazy["crowd"]["behaviour"] == "tests.faults.trouble:lazy"


def test_results_of_texts_depend_on_all_but_the_actors():
    def of(**sections):
        crowd = {"source": "example_feedback", "target": "warm", "n_workers": 8}
        content = {"crowd": crowd, "tournament": {"rounds": 1}, "valuation": {"method": "none"}, "llm": {}}
        return fingerprint(RunConfig.parse(content | sections).determinants())

    first = of()
    assert of(actors={"trainers": {"number": 3}}) == first
    assert of(crowd={"source": "example_feedback", "target": "terse", "n_workers": 8}) != first
    assert of(llm={"generation": {"temperature": 0.5}}) != first
