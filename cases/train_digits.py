"""Train the digits model and write its weights and its test images to cases/data/digits.json.

    python cases/train_digits.py

This needs torch and scikit-learn, whose bundled handwritten digits (1797 images of 8 x 8 pixels, 0 to 16) are the
data: nothing is downloaded. A fifth of the images, drawn class by class with a fixed seed, is kept for the test. After
training, every array is rounded to integers k, |k| <= 255, over a power of two. Another version of torch may give other
weights: run cases/generate.py afterwards.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

DATA = Path(__file__).parent / "data" / "digits.json"
HIDDEN, EPOCHS, BATCH, SEED = 24, 60, 64, 20
SECONDS_BETWEEN_REPORTS = 5


class RowReader(nn.Module):
    """A two-layer LSTM over the rows of images (N, 8, 8), with a linear map of the last output to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, HIDDEN, 2, batch_first=True)
        self.linear = nn.Linear(HIDDEN, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        output, _ = self.lstm(images)
        return self.linear(output[:, -1])


def split() -> list[np.ndarray]:
    """Return training images, test images, training labels and test labels; pixels are 0 to 16."""
    digits = load_digits()
    return train_test_split(
        digits.images.astype(int), digits.target, test_size=0.2, stratify=digits.target, random_state=SEED
    )


def train(images: torch.Tensor, labels: torch.Tensor) -> RowReader:
    """Train with Adam and a learning rate that falls to zero; weight decay keeps the numbers small."""
    model = RowReader()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.01)
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps)
    reported = time.monotonic()
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss.item():.3f}", flush=True)
    return model


@torch.no_grad()
def rounded(model: RowReader) -> dict[str, dict]:
    """Round every parameter to integers over the largest power of two that keeps them within 255.

    The model gets the rounded parameters; the return value has them by name, as shape, divisor and data.
    """
    arrays = {}
    for name, parameter in model.named_parameters():
        divisor = 2 ** int(np.floor(np.log2(255 / parameter.abs().max().item())))
        integers = (parameter * divisor).round().to(torch.int64)
        parameter.copy_(integers / divisor)
        arrays[name] = {"shape": list(parameter.shape), "divisor": divisor, "data": integers.flatten().tolist()}
    return arrays


@torch.no_grad()
def accuracy(model: RowReader, images: torch.Tensor, labels: torch.Tensor) -> float:
    return (model(images).argmax(-1) == labels).float().mean().item()


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    began = time.monotonic()
    train_images, test_images, train_labels, test_labels = split()
    as_input = [torch.tensor(images / 16, dtype=torch.float32) for images in (train_images, test_images)]
    model = train(as_input[0], torch.tensor(train_labels))
    before = accuracy(model, as_input[1], torch.tensor(test_labels))
    arrays = rounded(model)
    after = accuracy(model, as_input[1], torch.tensor(test_labels))
    seconds = time.monotonic() - began
    print(f"{seconds:.0f} s; accuracy on {len(test_labels)} test images {before:.4f}, rounded {after:.4f}")
    if after < 0.95:
        raise SystemExit("the accuracy is below 0.95; nothing written")
    document = {
        "hidden_size": HIDDEN,
        "parameters": arrays,
        "images": test_images.reshape(len(test_images), -1).tolist(),
        "labels": test_labels.tolist(),
    }
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
