"""The cases of ``cases/``, from real use and generated: each replayed on the backend, one requirement a case."""

from functools import cached_property, partial

from conformance.backwards import COTANGENTS, base_name, gives
from conformance.cases import Case, CaseError, CaseHeader, check, check_read_back, load_case, load_headers, replay
from conformance.engine.cause import NO_EXCUSE
from conformance.engine.compare import Failed
from conformance.engine.verdict import Verdict
from conformance.specifications.torch_nn.case_calls import calls_of
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from reference.catalogue import Requirement


class CaseCheck:
    """A case as a check: decided by one replay, for the kinds and features that it needs."""

    def __init__(self, case: CaseHeader) -> None:
        self.header = case
        combined = () if case.refuses_only else CATALOGUE.ids(["combined"])
        self.entry = Requirement(
            id=f"CASE-{case.id.upper()}",
            area="cases",
            builds_on=tuple(dict.fromkeys([*combined, *case.requirements])),
            statement=f"{case.description}.",
            source=case.source,
            kinds=tuple(sorted(case.kinds)),
            needs=case.features | ({"layers", "output.all"} if case.layers else set()) | needed_parts(case),
            every_dtype=not case.refuses_only,
            steps=case.steps,
            sizes=case.sizes,
        )
        self.requirement = self.entry.id
        self.names = case.requirements
        """The requirements that it is an example of: where one of them is a known failure, so is the case."""

    @cached_property
    def case(self) -> Case:
        """The case with its arrays. Raises CaseError if its file is broken."""
        return load_case(self.header.path, fits=True)

    def run(self, streams, profile, example=None, excuse=NO_EXCUSE) -> tuple[Verdict, None]:
        """Replay the case and compare; return the verdict, and None: there is no call to explain."""
        verdict, subject = Verdict(examples=1), streams.subject
        failure = self.failure(subject, verdict)
        if failure is not None:
            cause = excuse.of_replay(
                failure, lambda other: self.failure(other, Verdict()), partial(self.calls, subject)
            )
            if cause is not None:
                verdict.excuse(cause, failure)
            else:
                verdict.margin = failure.margin
                verdict.fail(failure, "")
                verdict.example = f"case {self.case.id}: {path_of(self.header)}"
        return verdict, None

    def calls(self, subject) -> list:
        """Return the calls of the case in the subject's dtype."""
        return calls_of(self.case.within(subject.dtype), subject.dtype)

    def failure(self, subject, verdict) -> Failed | None:
        """Replay the case on a subject; return its failure or None, and write the margin to the verdict."""
        backend, claims, case = subject.backend, subject.features, self.case.within(subject.dtype)
        try:
            with subject.calling(f"case {case.id}"):
                given = partial(gives, claims, "gradients")
                results = replay(case, subject.dtype, backend.layer, backend.cell, given)
            with subject.clock("tolerance"):
                verdict.margin = check(case, results, subject.arithmetic, claims.deterministic)
            if claims.claims("parameters"):
                with subject.calling(f"case {case.id}"):
                    check_read_back(case, subject.dtype, backend.layer)
        except Failed as failed:
            return failed
        return None


def needed_parts(case: CaseHeader) -> set[str]:
    """Return the gradients and cotangents that a case needs, as parts of these claims."""
    steps = [step for step in case.program if step["op"] == "gradients"]
    given = {name for step in steps for name in step["from"] if name in COTANGENTS}
    return {f"cotangents.{name}" for name in given} | {
        f"gradients.{base_name(name)}" for step in steps for name in step["to"]
    }


def path_of(case: CaseHeader) -> str:
    """Return where the file of a case is, from the folder that holds the cases."""
    folder = "generated/" if case.path.parent.name == "generated" else ""
    return f"cases/{folder}{case.path.name}"


def test_case(trial):
    """Stand for the cases in pytest's collection; the plugin runs CaseCheck.run instead."""
    raise AssertionError("the suite's plugin runs this")


broken: CaseError | None = None
_checks: list[CaseCheck] = []
try:
    _checks = [CaseCheck(header) for header in load_headers()]
except CaseError as error:
    broken = error
test_case.checks = _checks  # type: ignore[attr-defined]  # the suite's mark of a law
