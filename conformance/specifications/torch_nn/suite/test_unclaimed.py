"""Unclaimed features, kinds and dtypes: a backend refuses them with Unsupported, or is right."""

from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np

from conformance.backend import Unsupported
from conformance.engine.compare import Failed, require_plain
from conformance.engine.subject import copied
from conformance.engine.text import one_line
from conformance.engine.trial import describe_returned
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.gradient_strategies import calls_of_unclaimed_cotangents, gradient_calls
from conformance.specifications.torch_nn.strategies import asking_for, cells, dropping
from conformance.specifications.torch_nn.suite.test_dropout import expect_trained, read_masks, seed_of
from conformance.specifications.torch_nn.suite.test_initialization import documented_names, expect_within_bounds
from conformance.specifications.torch_nn.trials import as_result
from reference.config import numpy_dtype


def expect_refused(trial, what):
    """Raise Failed unless the backend raises Unsupported or returns right numbers, which the trial's note reports."""
    came = trial.attempt(parameters=dict(trial.call.parameters))
    if isinstance(came, Unsupported):
        return
    if isinstance(came, Exception):
        raise Failed(
            f"{what} is not claimed: got {type(came).__name__} ({one_line(came)}), expected Unsupported: "
            "the call is valid, and the adapter is to say that it does not do it"
        )
    try:
        result = trial.shaped(trial.form.receive(came), trial.call)
        dtype = numpy_dtype(trial.call.config.dtype)
        for name, array in zip(trial.form.results, result, strict=True):
            if array is not None and array.dtype != dtype:
                raise Failed(f"{name}: got dtype {array.dtype}, expected {dtype}")
        trial.agrees(result)
    except Failed as failure:
        raise Failed(
            f"{what} is not claimed and not refused: {describe_returned(came)} came back and is wrong: {failure}"
        ) from None
    trial.note = f"{what} is not claimed, and the numbers are right: it could be"


def uses(feature):
    return lambda call: feature in call.uses


@decides("UNCLAIMED-MULTILAYER", draw=asking_for("multilayer"), when=uses("multilayer"))
@decides("UNCLAIMED-BIDIRECTIONAL", draw=asking_for("bidirectional"), when=uses("bidirectional"))
@decides("UNCLAIMED-NO-BIAS", draw=asking_for("no_bias"), when=uses("no_bias"))
@decides("UNCLAIMED-BATCH-FIRST", draw=asking_for("batch_first"), when=uses("batch_first"))
@decides("UNCLAIMED-UNBATCHED", draw=asking_for("unbatched"), when=uses("unbatched"))
@decides("UNCLAIMED-PROJECTION", draw=asking_for("projection"), when=uses("projection"))
@decides("UNCLAIMED-INITIAL-STATE", draw=asking_for("initial_state"), when=uses("initial_state"))
@decides("UNCLAIMED-LENGTHS", draw=asking_for("lengths"), when=uses("lengths"))
def test_an_unclaimed_feature(trial):
    (feature,) = (f for f in trial.call.uses if not trial.subject.features.claims(f))
    expect_refused(trial, feature)


@decides("UNCLAIMED-CELLS", draw=cells)
def test_unclaimed_cells(trial):
    expect_refused(trial, "cells")


@decides("UNCLAIMED-KIND")
def test_an_unclaimed_kind(trial):
    expect_refused(trial, f"the kind {trial.subject.kind}")


@decides("UNCLAIMED-DTYPE")
def test_an_unclaimed_dtype(trial):
    expect_refused(trial, f"the dtype {trial.subject.dtype}")


def asked_for(trial, what, ask):
    """Ask for an unclaimed feature; return a tuple of the adapter's answer, or None if it raises Unsupported."""
    try:
        with trial.subject.at_work(what):
            return (ask(trial.build()),)
    except Unsupported:
        return None
    except Failed:
        raise
    except Exception as error:
        raise Failed(
            f"{what} is not claimed: got {type(error).__name__} ({one_line(error)}), expected Unsupported"
        ) from error


@contextmanager
def judging(trial, what):
    """Judge the result of an unclaimed feature inside this context: Failed says so, a right result is noted."""
    try:
        yield
    except Failed as failure:
        raise Failed(f"{what} is not claimed and not refused, and what came is wrong: {failure}") from None
    trial.note = f"{what} is not claimed, and what came is right: it could be"


@decides("UNCLAIMED-PARAMETERS")
def test_unclaimed_parameters(trial):
    asked = asked_for(trial, "parameters", lambda layer: layer.parameters())
    if asked is None:
        return
    (came,) = asked
    with judging(trial, "parameters"):
        expected = trial.call.parameters
        if not isinstance(came, Mapping) or list(came) != list(expected):
            raise Failed("what was read back has other names")
        for name, value in expected.items():
            require_plain(name, came[name])
            if not np.array_equal(came[name], value):
                raise Failed(f"{name} was read back with other values")


def refused_or_right(trial, what):
    """Require that the trial's call is refused with Unsupported, or right; ``what`` is not claimed."""
    asked = asked_for(trial, what, lambda built: trial.use(built, copied(trial.call.arguments).values()))
    if asked is not None:
        with judging(trial, what):
            trial.agrees(trial.shaped(trial.form.receive(*asked), trial.call))


def said_cotangents(trial):
    """Return the words for given cotangents that are not all claimed."""
    return f"one of the cotangents {', '.join(trial.call.cotangents)}"


@decides("UNCLAIMED-GRADIENTS", draw=gradient_calls)
def test_unclaimed_gradients(trial):
    refused_or_right(trial, "gradients")


@decides("UNCLAIMED-COTANGENTS", draw=calls_of_unclaimed_cotangents)
def test_unclaimed_cotangents(trial):
    refused_or_right(trial, said_cotangents(trial))


@decides("UNCLAIMED-DROPOUT", draw=dropping(upper="showing"), when=uses("multilayer"))
def test_unclaimed_dropout(trial):
    arguments, seed = copied(trial.call.arguments).values(), seed_of(trial)
    asked = asked_for(trial, "dropout", lambda layer: layer.forward_training(*arguments, seed=seed))
    if asked is not None:
        with judging(trial, "dropout"):
            got = trial.shaped(as_result(*asked), trial.call)
            expect_trained(trial, got, read_masks(trial, got)[0])


@decides("UNCLAIMED-INITIALIZATION")
def test_unclaimed_initialization(trial):
    backend, config = trial.subject.backend, trial.call.config
    asked = asked_for(trial, "initialization", lambda _: backend.initial_parameters(config, seed=0))
    if asked is not None:
        with judging(trial, "initialization"):
            expect_within_bounds(config, documented_names(asked[0], config))
