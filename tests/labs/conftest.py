"""Labs that share one network: where tests do not disturb each other, booting it once is enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab


@pytest.fixture(scope="module")
def shared_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab for all tests of a module, named after it. Its log opens with the drawing in the module's docstring."""
    before = request.session.testsfailed
    with Lab(Path(request.node.name).stem.removeprefix("test_"), request.module.__doc__ or "") as made:
        yield made
        if request.session.testsfailed > before:
            made.dump()
