"""The published weights in torch's own encoder, for comparison; runs in the training environment.

Standard input: a JSON list of texts. Standard output: the embedding of each, one JSON list a line.
"""

import json
import sys

import torch
from safetensors.torch import load_file

from services.models.embed.data import published
from services.models.embed.parameters import DIMENSIONS, TOKENS
from services.serving.tokens import tokenizer

LAYERS, HEADS, WIDE, EPSILON = 6, 12, 1536, 1e-12
NAMES = {
    "self_attn.out_proj": "attention.output.dense",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm1": "attention.output.LayerNorm",
    "norm2": "output.LayerNorm",
}
PARTS = ("weight", "bias")

weights = load_file(published("model.safetensors"))


def encoder() -> torch.nn.TransformerEncoder:
    """Torch's encoder with the published weights under its own names."""
    layer = torch.nn.TransformerEncoderLayer(
        DIMENSIONS, HEADS, WIDE, activation="gelu", layer_norm_eps=EPSILON, batch_first=True
    )
    made = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()
    state = {}
    for number in range(LAYERS):
        ours, theirs = f"layers.{number}", f"encoder.layer.{number}"
        for part in PARTS:
            for one, other in NAMES.items():
                state[f"{ours}.{one}.{part}"] = weights[f"{theirs}.{other}.{part}"]
            mixed = [
                weights[f"{theirs}.attention.self.{each}.{part}"]
                for each in ("query", "key", "value")
            ]
            state[f"{ours}.self_attn.in_proj_{part}"] = torch.cat(mixed)
    made.load_state_dict(state)
    return made


def embedded(ids: torch.Tensor) -> torch.Tensor:
    """What the first layer gets: word + position + type, normalized."""
    words, places, kinds = (
        weights[f"embeddings.{name}_embeddings.weight"]
        for name in ("word", "position", "token_type")
    )
    scale, shift = (weights[f"embeddings.LayerNorm.{part}"] for part in PARTS)
    x = words[ids] + places[: len(ids)] + kinds[0]
    return torch.nn.functional.layer_norm(x, (DIMENSIONS,), scale, shift, EPSILON)


def main() -> None:
    """Embed the texts."""
    net, encode = encoder(), tokenizer(published("tokenizer.json"), TOKENS).encode
    for text in json.load(sys.stdin):
        with torch.no_grad():
            mean = net(embedded(torch.tensor(encode(text).ids))[None])[0].mean(0)
        print(json.dumps((mean / mean.norm()).tolist()))


main()
