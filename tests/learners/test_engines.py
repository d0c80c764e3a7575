"""vLLM as an engine, against a fake of what it is asked: a model that reads adapters from their folders as vLLM does."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.errors import InputError
from crowd_sim.models.adapters import AdapterStack, LoraSpec, load_adapter
from crowd_sim.models.engines import LocalEngine, engine_of
from crowd_sim.models.generation import GenerateJob, Sampling, generate
from crowd_sim.models.language_model import load_base
from crowd_sim.models.training import Key
from crowd_sim.models.vllm_engine import SLOTS, AdapterSlots, VllmEngine
from crowd_sim.random import Purpose
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm

SPEC = LoraSpec(rank=3, alpha=6.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    base = load_base(str(make_tiny_llm(tmp_path_factory.mktemp("model"))), "cpu", "float32")
    return base, AdapterStack(base, SPEC)


@dataclass(frozen=True)
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@pytest.fixture
def fake(tiny, monkeypatch):
    """What vLLM was told: how it was made, all requests, and which adapters it was to forget."""
    base, stack = tiny
    told = SimpleNamespace(made=[], requests=[], ways=[], forgotten=[])

    class LLM:
        def __init__(self, **how):
            told.made.append(how)
            self.known = {}
            self.llm_engine = SimpleNamespace(remove_lora=self.forget)

        def forget(self, number):
            told.forgotten.append(number)
            del self.known[number]

        def generate(self, prompts, ways, use_tqdm, lora_request):
            assert use_tqdm is False
            told.requests += lora_request
            told.ways += ways
            for request in lora_request:  # read once, as vLLM does: what is in the folder later it does not see
                if request.lora_int_id not in self.known:
                    self.known[request.lora_int_id] = load_adapter(Path(request.lora_path))
            assert len(self.known) <= SLOTS
            jobs = [
                GenerateJob(
                    self.known[r.lora_int_id], (tuple(p["prompt_token_ids"]),), Key(0, 0, 0, 0), Purpose.REPORT_OUTPUTS
                )
                for p, r in zip(prompts, lora_request, strict=True)
            ]
            sampling = Sampling(ways[0].max_tokens, ways[0].temperature)
            drawn = generate(replace(base, one_by_one=False), stack, jobs, sampling)
            return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=list(o.ids[0]))]) for o in drawn]

    package, lora, request = (ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request"))
    package.LLM, package.SamplingParams = LLM, SimpleNamespace
    package.lora, lora.request, request.LoRARequest = lora, request, LoRARequest
    for module in (package, lora, request):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return told


def job(stack, k, n=3):
    prompts = tuple((1, 40 + i, 2) for i in range(n))
    return GenerateJob(busy_adapter(stack, k), prompts, Key(1, 0, 1, k), Purpose.SELECTION_OUTPUTS)


def test_outputs_are_those_of_the_model_itself_and_adapters_travel_by_folder(tiny, fake):
    base, stack = tiny
    engine = VllmEngine(base, SPEC)
    assert fake.made == []  # a trainer beside generators needs none
    greedy = Sampling(6, 0)
    jobs = [job(stack, 0), job(stack, 1, 2), job(stack, 2)]
    assert engine.generate(jobs, greedy) == LocalEngine(base, stack).generate(jobs, greedy)
    (how,) = fake.made
    assert (how["model"], how["dtype"], how["max_model_len"]) == (str(base.folder), "float32", 128)
    assert (how["enable_lora"], how["max_loras"], how["max_lora_rank"]) == (True, SLOTS, 8)
    assert [request.lora_int_id for request in fake.requests] == [1, 1, 1, 2, 2, 3, 3, 3]
    seeds = [way.seed for way in fake.ways]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 and way.stop_token_ids == [0] for seed, way in zip(seeds, fake.ways, strict=True))
    # the same draws for the same key, and an adapter that is there is not written again
    engine.generate(jobs[1:2], greedy)
    assert [way.seed for way in fake.ways[8:]] == seeds[3:5]
    assert {request.lora_int_id for request in fake.requests[8:]} == {2}


def test_slots_are_taken_over_and_no_number_comes_again(tiny, fake):
    base, stack = tiny
    engine = VllmEngine(base, SPEC)
    jobs = [job(stack, k, 1) for k in range(SLOTS + 3)]
    greedy = Sampling(3, 0)
    assert engine.generate(jobs, greedy) == generate(base, stack, jobs, greedy)
    assert fake.forgotten == [1, 2, 3]
    assert [request.lora_int_id for request in fake.requests] == list(range(1, SLOTS + 4))
    assert sum(Path(request.lora_path).exists() for request in fake.requests) == SLOTS
    engine.generate(jobs[:1], greedy)
    assert fake.requests[-1].lora_int_id == SLOTS + 4
    assert fake.forgotten == [1, 2, 3, 4]


def test_the_slot_not_asked_for_longest_makes_room(tmp_path):
    gone = []
    slots = AdapterSlots(2, lambda folder, _: folder.mkdir(), gone.append)
    a, b, c = ({"m.lora_A": busy_adapter_of(k)} for k in range(3))
    assert [slots.of(own)[0] for own in (a, b, a, c, a, b)] == [1, 2, 1, 3, 1, 4]
    assert gone == [2, 3]


def busy_adapter_of(k):
    import numpy as np

    return np.full((1, 2), float(k), dtype=np.float32)


def test_it_is_refused_where_it_cannot_start(tiny, fake, monkeypatch):
    base, stack = tiny
    assert isinstance(engine_of("local", base, stack), LocalEngine)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "vllm" else name)
    with pytest.raises(InputError, match=r"^task\.engine = 'vllm': needs vllm, which is not installed: pip install"):
        engine_of("vllm", base, stack)
    monkeypatch.undo()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(InputError, match=r"^task\.engine = 'vllm': needs a GPU: task\.device=cuda$"):
        engine_of("vllm", base, stack)
    there = SimpleNamespace(device=SimpleNamespace(type="cuda"))
    assert isinstance(engine_of("vllm", there, stack), VllmEngine)
    with pytest.raises(InputError, match=r"^task\.rank = 600: must be at most 512 with task\.engine=vllm$"):
        engine_of("vllm", there, SimpleNamespace(spec=LoraSpec(rank=600)))
