"""Train a small convolutional net on the digits and export it to ONNX."""

from pathlib import Path

import torch
from torch import nn

from services.models.digits.parameters import Training
from services.models.protocol import INPUT, PROBABILITIES, Data, Progress


def network() -> nn.Sequential:
    """Build the net: raw pixels (N, 8, 8) in, one logit per digit out."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.BatchNorm2d(1),  # takes the pixels' scale in, so that callers send what they have
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def train(data: Data, parameters: Training, graph: Path, progress: Progress) -> None:
    """Train, and write the float32 graph; the same seed gives the same weights, bit for bit."""
    torch.manual_seed(parameters.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the order of additions, and so the last bits, depend on the threads
    net = network()
    items = torch.from_numpy(data.train.items)
    labels = torch.from_numpy(data.train.labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=parameters.learning_rate)
    steps = parameters.epochs * -(-len(items) // parameters.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    for epoch in range(parameters.epochs):
        progress("training", epoch, parameters.epochs)
        for batch in torch.randperm(len(items)).split(parameters.batch):
            optimizer.zero_grad()
            loss_of(net(items[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    progress("exporting to ONNX", parameters.epochs, parameters.epochs)
    export(net, items[:2], graph)


def export(net: nn.Sequential, sample: torch.Tensor, graph: Path) -> None:
    """Write the net, with a softmax at its end, as an ONNX graph whose first dimension is free."""
    whole = nn.Sequential(net, nn.Softmax(dim=1)).eval()
    torch.onnx.export(
        whole,
        (sample,),
        graph,
        input_names=[INPUT],
        output_names=[PROBABILITIES],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
