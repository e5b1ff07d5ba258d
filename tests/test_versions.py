"""The catalogue's version: defined once, raised with the requirements, and shown in reports, page and changelog."""

import json
import re
from dataclasses import replace

import pytest

from conformance.__main__ import requirements_page
from conformance.reporting.report import suite_of
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from reference.catalogue import Catalogue
from tests.test_plugin import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")


def numbers(text):
    assert re.fullmatch(r"\d+\.\d+", text), f"{text!r} is no version of the catalogue: two numbers"
    return tuple(map(int, text.split(".")))


def test_the_requirements_do_not_change_without_a_new_version():
    assert CATALOGUE.fingerprint == CATALOGUE.fingerprints.get(CATALOGUE.version), (
        f"the requirements are not those of catalogue {CATALOGUE.version}: raise `version` at the top of "
        f"reference/requirements.toml (docs/changes.md says which number), add its line "
        f'"<new version>" = "{CATALOGUE.fingerprint}" to [fingerprints], and say in CHANGELOG.md what changed'
    )


@pytest.mark.parametrize(
    "change",
    [
        {"statement": "output is (T, N, D*H)."},
        {"kinds": ("lstm",)},
        {"needs": frozenset({"gradients"})},
        {"unless": "gradients"},
        {"every_dtype": True},
        {"builds_on": ("SHAPE-H-N",)},
        {"ruling": "It is so."},
        {"id": "SHAPE-OUT"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_a_verdict_changes_the_fingerprint(change):
    entries = dict(CATALOGUE)
    changed = entries | {"SHAPE-OUTPUT": replace(entries["SHAPE-OUTPUT"], **change)}
    fewer = {id_: entry for id_, entry in entries.items() if id_ != "SHAPE-OUTPUT"}
    source = entries | {"SHAPE-OUTPUT": replace(entries["SHAPE-OUTPUT"], source="another page")}
    found = {}
    for name, those in {"as it is": entries, "changed": changed, "fewer": fewer, "source": source}.items():
        catalogue = Catalogue(CATALOGUE.path, CATALOGUE.kinds, CATALOGUE.areas)
        catalogue.entries = those
        found[name] = catalogue.fingerprint
    assert found["source"] == found["as it is"], "where it is documented changes no verdict"
    assert len(set(found.values())) == 3


def test_versions_rise_and_the_last_is_the_present_one():
    known = [numbers(name) for name in CATALOGUE.fingerprints]
    assert known == sorted(set(known))
    assert known[-1] == numbers(CATALOGUE.version)
    assert len(set(CATALOGUE.fingerprints.values())) == len(known), "two versions with the same requirements"


def test_reports_and_the_page_name_the_version():
    assert suite_of(CATALOGUE.version, "quick", 12, 0)["catalogue"] == CATALOGUE.version
    assert f"version {CATALOGUE.version}," in next(line for line in requirements_page() if "entries of" in line)
    schema = json.loads((ROOT / "conformance" / "reporting" / "report.schema.json").read_text())
    assert set(suite_of(CATALOGUE.version, "quick", 12, 0, "1/2")) == set(schema["properties"]["suite"]["properties"])


def test_the_changelog_has_every_version_of_the_catalogue_and_the_present_one_of_the_suite():
    from conformance import __version__

    titles = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.MULTILINE)
    assert titles[0] == "Unreleased" or titles[0] == __version__
    assert __version__ in titles
    for name in CATALOGUE.fingerprints:
        assert f"Catalogue {name}" in CHANGELOG
    groups = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
