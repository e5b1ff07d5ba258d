"""The cases of models: a layer with an embedding, with a linear layer, or trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cases.drafts import Draft
from cases.terms import TAUGHT, TUTORIAL

DIGITS = Path(__file__).resolve().parent / "data" / "digits.json"


def tagger() -> Draft:
    draft = Draft(
        "lstm-embedding-tagger",
        "Token ids through an embedding table into LSTM(6, 6), then to tags",
        TUTORIAL,
        "Two sentences of five and four words from a vocabulary of nine, one after the other with a batch of one; the "
        "linear layer scores three tags a word. A log-softmax after it would leave the largest score the largest.",
        ["LSTM-EQUATION", "SHAPE-OUTPUT"],
    )
    draft.input("table", (9, 6))
    draft.layer("lstm", "lstm", 6, 6)
    draft.linear("to_tags", 6, 3)
    for name, ids in (("first", [0, 1, 2, 3, 0]), ("second", [4, 5, 6, 7])):
        draft.take("table", 0, [[i] for i in ids], f"{name}_words")
        draft.call("lstm", f"{name}_words", to=(f"{name}_output",))
        draft.take(f"{name}_output", 1, 0, f"{name}_rows")
        draft.apply("to_tags", f"{name}_rows", f"{name}_scores")
        draft.store(f"{name}_output", f"{name}_scores")
    _classes(draft, "first_scores")
    return draft


def embedded_batch() -> Draft:
    draft = Draft(
        "lstm-embedding-batch-first",
        "A batch of token ids through an embedding table into an LSTM",
        TAUGHT,
        "Ids (4, 7) become vectors (4, 7, 8), batch first; samples and steps differ in number, so that swapping them "
        "shows. The last id of the table is the padding's and is treated as any other.",
        ["LSTM-EQUATION", "SHAPE-BATCH-FIRST", "STATE-LAST-OUTPUT"],
    )
    ids = [[3, 1, 4, 1, 5, 9, 2], [6, 5, 3, 5, 8, 11, 11], [9, 7, 9, 3, 2, 3, 8], [4, 6, 2, 11, 11, 11, 11]]
    draft.input("table", (12, 8))
    draft.layer("lstm", "lstm", 8, 16, batch_first=True)
    draft.take("table", 0, ids, "words")
    draft.call("lstm", "words", to=("output", "h_n", "c_n"))
    draft.take("output", 1, 6, "last_output")
    draft.take("h_n", 0, 0, "last_h_n")
    draft.store("output", "h_n", "c_n")
    draft.relate("equal", "last_output", "last_h_n")
    return draft


def windows(two: bool) -> Draft:
    D = 2 if two else 1
    draft = Draft(
        "lstm-23-256-windows" + ("-bidirectional" if two else ""),
        f"{'Bidirectional ' if two else ''}LSTM(23, 256) forecasts from 100 windows of 6 steps",
        TAUGHT,
        f"Batch first; the last step's output, {D * 256} features, goes through a linear layer to (100, 1, 1). "
        + ("Its reverse half has seen one step only. " if two else "")
        + "Wide enough for the vectorised and blocked paths of an implementation.",
        ["LSTM-EQUATION", "SHAPE-BATCH-FIRST"] + (["BIDIRECTIONAL-EQUATION"] if two else ["STATE-LAST-OUTPUT"]),
    )
    draft.input("x", (100, 6, 23))
    draft.layer("lstm", "lstm", 23, 256, batch_first=True, bidirectional=two)
    draft.linear("to_value", 256 * D, 1)
    # forecasts lie around 3, so the rounding of the long sum does not hide a relative error
    draft.modules["to_value"]["parameters"][1] = {"name": "bias", "shape": [1], "divisor": 1, "data": [3]}
    draft.call("lstm", "x", to=("output", "h_n"))
    draft.take("output", 1, [5], "last_step")
    draft.apply("to_value", "last_step", "forecast")
    draft.take("last_step", 0, 99, "last_window")
    draft.store("forecast", "last_window")
    if not two:
        some = [0, 33, 64, 99]
        draft.take(draft.take("output", 1, 5, "last_output"), 0, some, "some_last_output")
        draft.take(draft.take("h_n", 0, 0, "last_h_n"), 0, some, "some_last_h_n")
        draft.relate("equal", "some_last_output", "some_last_h_n")
    return draft


def digits() -> Draft:
    stored = json.loads(DIGITS.read_text("utf-8"))
    images, labels, hidden = stored["images"], stored["labels"], stored["hidden_size"]
    given = stored["parameters"]
    draft = Draft(
        "digits-lstm",
        "A two-layer LSTM reads handwritten digits row by row",
        "https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
        "",
        ["LSTM-EQUATION", "MULTILAYER-EQUATION", "SHAPE-BATCH-FIRST", "STATE-LAST-OUTPUT"],
    )
    draft.input("images", (len(images), 8, 8), 16, [pixel for image in images for pixel in image])
    of_lstm = {name.removeprefix("lstm."): spec for name, spec in given.items() if name.startswith("lstm.")}
    draft.layer("lstm", "lstm", 8, hidden, of_lstm, num_layers=2, batch_first=True)
    draft.linear("classifier", hidden, 10, {name: given[f"linear.{name}"] for name in ("weight", "bias")})
    draft.call("lstm", "images", to=("output", "h_n"))
    draft.take("output", 1, 7, "last_output")
    draft.take("h_n", 0, 1, "last_h_n")
    draft.apply("classifier", "last_output", "logits")
    draft.store("logits")
    some = list(range(0, len(images), 40))
    draft.relate(
        "equal",
        draft.take("last_output", 0, some, "some_last_output"),
        draft.take("last_h_n", 0, some, "some_last_h_n"),
    )
    classes = _classes(draft, "logits")
    right = sum(got == label for got, label in zip(classes["classes"], labels, strict=True))
    classes |= {"labels": labels, "accuracy": right / len(labels)}
    draft.head["notes"] = (
        f"Trained by train_digits.py on four fifths of the 1797 images; these {len(labels)} are the fifth it has not "
        f"seen. Pixels 0 to 16 over 16, a row a step. {right} of {len(labels)} right, {right / len(labels):.2%}. Every "
        "implementation must give these logits and classes."
    )
    return draft


def _classes(draft: Draft, of: str) -> dict:
    draft.expect["classes"] = {"of": of, "classes": np.argmax(draft.values()[of], axis=-1).tolist()}
    return draft.expect["classes"]
