"""Texts become tokens: by the model's own tokenizer, cut at a bound, never padded."""

import os
from pathlib import Path

# A text is short; threads for it would take the cores from what they wait for.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Tokenizer


def tokenizer(path: Path, limit: int) -> Tokenizer:
    """Read `tokenizer.json`. A text keeps its first tokens, and the closing one, at most ``limit``.

    ``overflowing`` of an encoding has what was cut off.
    """
    made = Tokenizer.from_file(str(path))
    made.no_padding()
    made.enable_truncation(limit)
    return made
