"""The two requirements of the operator."""

from toy_scale.catalogue import decides


@decides("SCALE-SHAPE")
def test_shape(trial):
    trial.got  # noqa: B018  which has the documented shape


@decides("SCALE-EQUATION")
def test_equation(trial):
    trial.agrees()
