"""Scikit-learn's bundled digits: 1797 pictures of 8 x 8 pixels, each from 0 to 16."""

import numpy
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from services.models.protocol import Data, Split

HELD_OUT = 450
SPLIT_SEED = 0  # of the split only: a new training seed must not move pictures between the splits


def load() -> Data:
    """Load 1347 pictures to train on and 450 held out, the same share of each digit in both."""
    digits = load_digits()
    train_items, held_items, train_labels, held_labels = train_test_split(
        digits.images.astype(numpy.float32),
        digits.target.astype(numpy.int64),
        test_size=HELD_OUT,
        random_state=SPLIT_SEED,
        stratify=digits.target,
    )
    return Data(
        train=Split(items=train_items, labels=train_labels),
        held_out=Split(items=held_items, labels=held_labels),
    )
