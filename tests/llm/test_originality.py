"""Distinct and copied outputs."""

from crowd_sim.models.diversity import copied, distinct

EXAMPLES = ("I love this", "the wall is painted green on both sides", "no")


def test_texts_that_differ_in_white_space_alone_are_one():
    assert distinct(["a b", " a\n b ", "a c", "A b"]) == 0.75
    assert distinct(["same"] * 4) == 0.25


def test_a_copy_is_an_example_or_five_words_of_its_beginning():
    assert copied(["I love  this", "no\n"], EXAMPLES) == 1
    assert copied(["the wall is painted green", "the wall is painted green on both si"], EXAMPLES) == 1
    # four words, words from the middle, more than the example, and another case
    assert copied(["the wall is painted", "wall is painted green on", "no no", "i love this"], EXAMPLES) == 0
    assert copied(["no", "yes"], EXAMPLES) == 0.5
