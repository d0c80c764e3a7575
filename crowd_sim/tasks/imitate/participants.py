"""From a configuration to everyone's examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours.texts import TEXT_BEHAVIOURS, Pool, TextBehaviour, spoiled
from crowd_sim.crowd.sources.feedback import example_feedback, read_feedback, read_target_texts
from crowd_sim.crowd.sources.goemotions import draw_neighbours, read_neighbours
from crowd_sim.crowd.sources.layouts import Demonstration, read_table
from crowd_sim.crowd.texts import Example, TextCrowd, hold_out
from crowd_sim.errors import InputError
from crowd_sim.participants import roles
from crowd_sim.random import Purpose, generator


def load_texts(config: RunConfig) -> TextCrowd:
    """The texts of the workers that take part.

    Raises:
        InputError: the source cannot be read, has too few workers, or too few examples for a baseline.
    """
    crowd = config.crowd
    target, path = str(crowd.target), Path(crowd.path) if crowd.path else None
    if crowd.source == "records":
        return _prepared(read_demonstrations(config), config)
    if crowd.source == "goemotions" and crowd.examples_per_worker is not None:
        draws = generator(config.seed, 0, Purpose.PEOPLE)
        texts = draw_neighbours(path, target, crowd.n_workers, crowd.examples_per_worker, crowd.max_words, draws)
    elif crowd.source == "goemotions":
        texts = read_neighbours(path, target, crowd.n_workers)
    elif crowd.source == "feedback":
        if path is None:
            raise InputError("crowd.path", None, "must be given: a JSONL or Parquet file of worker, prompt, response")
        texts = read_feedback(path, Path(target))
    else:
        texts = example_feedback(target)
    return _prepared(texts, config)


def _prepared(texts: TextCrowd, config: RunConfig) -> TextCrowd:
    """The workers that take part, with what they contribute."""
    crowd = config.crowd
    texts = texts.of(range(taking_part(texts, config)))
    n_examples = len(texts.in_turn())
    for size in config.task.single_sizes:
        if size > n_examples:
            raise InputError("task.single_sizes", size, f"must be at most {n_examples}, all examples of the crowd")
    if crowd.held_out:
        texts = hold_out(texts, crowd.held_out)
    return with_bad(texts, config)


def taking_part(texts: TextCrowd, config: RunConfig) -> int:
    """How many of a source's workers take part.

    Raises:
        InputError: there are too few, or which is not said.
    """
    crowd, there = config.crowd, texts.n_workers
    if crowd.n_workers > there:
        raise InputError("crowd.n_workers", crowd.n_workers, f"must be at most {there}, the workers of the source")
    if crowd.n_workers < there and crowd.selection != "first":
        allowed = f"must be {there}, all workers of the source, or fewer with crowd.selection=first"
        raise InputError("crowd.n_workers", crowd.n_workers, allowed)
    return crowd.n_workers


def read_demonstrations(config: RunConfig) -> TextCrowd:
    """Everyone's demonstrations from a file of records; the target is a file's texts, or the crowd's own.

    Raises:
        InputError: what is wrong with a file, or rows that say something else.
    """
    crowd = config.crowd
    named = crowd.records
    table = read_table(Path(str(crowd.path)), named.columns, named.worker, named.others, crowd.separator)
    of_worker: dict[str, list[Example]] = {}
    for row in table.rows:
        said = row.said
        if not isinstance(said, Demonstration):
            allowed = f"must hold prompts and responses with task.kind={config.task.kind}, not {table.kind}"
            raise InputError("crowd.path", crowd.path, allowed)
        own = of_worker.setdefault(row.worker, [])
        own.append(Example(said.prompt.text, said.response, said.prompt.before))
    if crowd.target is None:
        target = tuple(dict.fromkeys(example.response for own in of_worker.values() for example in own))
    else:
        target = read_target_texts(Path(crowd.target))
    return TextCrowd(tuple(of_worker), tuple(map(tuple, of_worker.values())), target)


def with_bad(texts: TextCrowd, config: RunConfig, known: Mapping[str, TextBehaviour] = TEXT_BEHAVIOURS) -> TextCrowd:
    """The crowd with what its bad workers make of their examples; outputs are asked for by the prompts that were.

    Raises:
        InputError, StrategyError: see `crowd_sim.crowd.behaviours.texts.spoiled`.
    """
    found = roles([config])
    if found is None:
        return texts
    groups = found.groups[0].tolist()
    honest = [own for own, group in zip(texts.examples, groups, strict=True) if group < 0]
    pool, examples = Pool(honest, texts.elsewhere), list(texts.examples)
    for place, number in enumerate(groups):
        if number >= 0:
            group = config.crowd.bad_groups[number]
            draws = generator(config.seed, 0, Purpose.BEHAVIOUR, 0, place)
            examples[place] = spoiled(group.behaviour, examples[place], pool, group.scale, draws, known)
    return replace(texts, examples=tuple(examples), asked=texts.prompts)
