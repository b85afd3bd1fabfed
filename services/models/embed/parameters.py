"""What bentos/embed.yaml may set, and the bounds that evaluation and service share."""

from services.models import protocol

DIMENSIONS = 384
TOKENS = 256
"""Tokens of a text that the model reads; its authors cut there, too."""


class Training(protocol.Parameters):
    """Nothing: the weights come ready-made."""


class Quantization(protocol.Parameters):
    """How weights become int8; the ranges of activations are measured while the graph runs."""

    per_channel: bool = True
    """A scale for each column of a matrix instead of one for all of it."""
    reduce_range: bool = True
    """Use 7 bits: CPUs without VNNI add pairs of products in 16 bits, which overflow with 8."""
