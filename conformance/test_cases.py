"""Cases from real use, ``cases/``: each replayed on the backend, one requirement a case."""

from conformance.cases import Case, CaseError, check, check_read_back, load_cases, replay
from conformance.checks import Verdict
from conformance.compare import Failed
from reference.catalogue import Requirement, ids


class CaseCheck:
    """A case as a check: decided by one replay, for the kinds and features that it needs."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.entry = Requirement(
            id=f"CASE-{case.id.upper()}",
            area="cases",
            builds_on=ids(["combined"]),
            statement=f"{case.description}.",
            source=case.source,
            kinds=tuple(sorted(case.kinds)),
            needs=case.features,
            every_dtype=True,
        )
        self.requirement = self.entry.id

    def run(self, subject, plans, streams, profile) -> Verdict:
        """Replay the case and compare."""
        verdict = Verdict(examples=1)
        backend, case = subject.backend, self.case
        try:
            with subject.calling(f"case {case.id}"):
                results = replay(case, subject.dtype, backend.layer, backend.cell)
            with subject.clock("tolerance"):
                verdict.margin = check(case, results, subject.arithmetic)
            if backend.features.claims("parameters"):
                with subject.calling(f"case {case.id}"):
                    check_read_back(case, subject.dtype, backend.layer)
        except Failed as failure:
            verdict.failure, verdict.margin = str(failure), failure.margin
            verdict.example = f"case {case.id}: cases/{case.id}.json"
        return verdict


def test_case(trial):
    """Replayed by CaseCheck.run."""
    raise AssertionError("the suite's plugin runs this")


broken: CaseError | None = None
try:
    test_case.checks = [CaseCheck(case) for case in load_cases()]
except CaseError as error:
    test_case.checks, broken = [], error
