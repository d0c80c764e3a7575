"""Games without a target: how well features cluster rows, what they tell of each other, and a sentence's sentiment."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

import numpy as np

from experiments.bench.held_out_games.made import Coalitions, Made, Utility, Vector, Whole, bundled, sklearn

SENTENCES = (
    "The staff were kind and helpful but our room was cold and dirty",
    "I did not like the ending, although the actors were truly brilliant throughout",
    "What a wonderful little town, sadly ruined by noisy bars and terrible awful traffic",
    "She hardly ever complains, yet this horrible delay made even her really very angry",
)
"""Of 13, 13, 14 and 14 words."""


def _clustered(rows: Vector, cluster: Callable[[Vector], Whole], score: Callable[[Vector, Whole], float]) -> Utility:
    """The score of the clusters that a coalition's features make; nothing is worth 0."""

    def utility(coalitions: Coalitions) -> Vector:
        found = np.zeros(len(coalitions))
        for place, present in enumerate(coalitions):
            if present.any():
                own = rows[:, present]
                found[place] = score(own, cluster(own))
        return found

    return utility


def wine_clusters() -> Iterator[Made]:
    """Three clusters by the first 12 features."""
    rows, classes = bundled("wine", columns=12)
    clusters, scores = sklearn("cluster"), sklearn("metrics")

    def means(own: Vector) -> Whole:
        return clusters.KMeans(3, n_init=1, random_state=0).fit_predict(own)

    def nested(own: Vector) -> Whole:
        return clusters.AgglomerativeClustering(3).fit_predict(own)

    def like_the_classes(_: Vector, found: Whole) -> float:
        return float(scores.adjusted_rand_score(classes, found))

    yield Made("kmeans_calinski_harabasz", 12, _clustered(rows, means, scores.calinski_harabasz_score))
    yield Made("kmeans_rand", 12, _clustered(rows, means, like_the_classes))
    yield Made("agglomerative_silhouette", 12, _clustered(rows, nested, scores.silhouette_score))


def breast_cancer_unsupervised() -> Iterator[Made]:
    """The total correlation of 15 features in two, three or four equally filled bins."""
    rows, _ = bundled("breast_cancer")
    for start, bins in ((0, 2), (8, 3), (15, 4)):
        ranks = rows[:, start : start + 15].argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
        yield Made(f"bins_{bins}", 15, _total_correlation(ranks * bins // len(rows), bins))


def _total_correlation(binned: Whole, bins: int) -> Utility:
    """Σ entropies of the columns, less their joint entropy."""
    n = binned.shape[1]
    alone = np.array([_entropy(column) for column in binned.T])
    digit = bins ** np.arange(n)

    def utility(coalitions: Coalitions) -> Vector:
        joint = [_entropy(binned @ (present * digit)) for present in coalitions]
        return coalitions @ alone - np.array(joint)

    return utility


def _entropy(codes: Whole) -> float:
    share = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(-(share * np.log(share)).sum())


def sentiment() -> Iterator[Made]:
    """What VADER says of the words that are left of a sentence, in their order; players are words."""
    analyzer = importlib.import_module("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()
    for number, sentence in enumerate(SENTENCES):
        yield Made(f"sentence_{number}", len(sentence.split()), _said(analyzer.polarity_scores, sentence.split()))


def _said(scores: Callable[[str], dict[str, float]], words: list[str]) -> Utility:
    def utility(coalitions: Coalitions) -> Vector:
        left = (" ".join(np.array(words)[present]) for present in coalitions)
        return np.array([scores(text)["compound"] for text in left])

    return utility
