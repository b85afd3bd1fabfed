"""How good embeddings are at retrieval, and how much int8's are like float32's."""

import numpy
from scipy.stats import spearmanr
from sklearn.metrics import label_ranking_average_precision_score

from services.models.protocol import Floats, Items, Labels


def evaluate(answers: Floats, labels: Labels) -> dict[str, float]:
    """Ask with each text for the others.

    `nearest_right`: share of texts whose nearest one is of the same topic. `average_precision`: 1
    when all texts of the topic come before all others.
    """
    scores, related = similarities(answers), labels[:, None] == labels[None, :]
    others = ~numpy.eye(len(labels), dtype=bool)
    precision = label_ranking_average_precision_score(_rows(related, others), _rows(scores, others))
    return {
        "nearest_right": float((labels[nearest(answers)] == labels).mean()),
        "average_precision": float(precision),
    }


def compare(float32: Floats, served: Floats) -> dict[str, float]:
    """Cosine between both embeddings of a text, and whether retrieval finds the same in order.

    `nearest_kept`: share of texts whose nearest one is still the same. `order_kept`: mean rank
    correlation between the orders in which all other texts are found.
    """
    cosines = (float32 * served).sum(axis=1)
    orders = [
        spearmanr(before, after).statistic
        for before, after in zip(similarities(float32), similarities(served), strict=True)
    ]
    return {
        "cosine_median": float(numpy.median(cosines)),
        "cosine_least": float(cosines.min()),
        "nearest_kept": float((nearest(float32) == nearest(served)).mean()),
        "order_kept": float(numpy.mean(orders)),
    }


def similarities(answers: Floats) -> Floats:
    """Cosine of each text with each: their lengths are 1."""
    return answers @ answers.T


def nearest(answers: Floats) -> Labels:
    """Place of the nearest other text of each."""
    scores = similarities(answers)
    numpy.fill_diagonal(scores, -1)
    found: Labels = scores.argmax(axis=1)
    return found


def _rows(values: Items, others: Items) -> Items:
    """Each row without the text itself."""
    found: Items = values[others].reshape(len(values), -1)
    return found
