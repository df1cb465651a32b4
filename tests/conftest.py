"""What all tests share: the lab, the guard that keeps unit tests off the machine, and skips that count in CI."""

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import configuration

from tests.guard import Guard
from tests.lab import Lab

HERE = Path(__file__).parent
UNIT = HERE / "unit"

# Hypothesis's examples belong to the build, not among the sources.
configuration.set_hypothesis_home_dir(HERE.parent / "build" / "hypothesis")

GUARD = Guard()
FAILED = pytest.StashKey[str]()


@pytest.fixture
def guard() -> Guard:
    return GUARD


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab named after the test. Its log opens with the drawing in the test's docstring, or its module's."""
    drawing = request.function.__doc__ or request.module.__doc__ or ""
    with Lab(re.sub(r"[^\w.-]+", "-", request.node.name), drawing) as made:
        yield made
        if failed := request.node.stash.get(FAILED, ""):
            made.log.section("failed", failed)
            made.dump()


@pytest.fixture(scope="module")
def shared_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab for all tests of a module, named after it: where tests do not disturb each other, booting it once is
    enough. Its log opens with the drawing in the module's docstring."""
    before = request.session.testsfailed
    with Lab(Path(request.node.name).stem.removeprefix("test_"), request.module.__doc__ or "") as made:
        yield made
        if request.session.testsfailed > before:
            made.dump()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    GUARD.active = item.path.is_relative_to(UNIT)
    GUARD.violations.clear()
    try:
        return (yield)
    finally:
        GUARD.active = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    if GUARD.violations:
        pytest.fail("touched the machine, and hid it: " + "; ".join(GUARD.violations), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.when != "teardown":
        item.stash[FAILED] = report.longreprtext
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        # On a laptop a test may lack something. In CI a test that did not run proves nothing.
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as failed where CI=true: {report.longrepr}"
    return report
