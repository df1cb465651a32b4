"""The case folders: before.yaml and a command; after.yaml and what it said, as they come out.

`python3 -m tests.unit.peering.cases`, run from the top of the checkout, writes every after.yaml and said.txt anew; the
diff is for a person to read. It is a command and not a test, since unit tests may not write into the checkout.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from unittest import mock

from appliance.cli import main
from appliance.shell.peering import KeyPair
from tests.unit.config.examples import key

CASES = sorted(folder for folder in (Path(__file__).parent / "cases").iterdir() if folder.is_dir())
NOW = 1795500000.0
"""2026-11-24."""


def carried_out(folder: Path, desk: Path) -> tuple[str, str]:
    """The file after the command, and what was said; `desk` is an empty folder to work in."""
    file = desk / "appliance.yaml"
    file.write_bytes((folder / "before.yaml").read_bytes())
    words = (folder / "command").read_text().split()
    if words[0] != "remove" and not {"--finish", "--own"} & set(words):
        words += ["--box-key", key(0)]
    said = io.StringIO()
    with _laptop(desk), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(
            [
                "peer",
                "--root",
                str(desk),
                *words,
                "--file",
                "appliance.yaml",
                *(["--no-apply"] if words[0] != "show" else []),
            ]
        )
    return file.read_text(), f"{said.getvalue()}exit {code}\n"


@contextlib.contextmanager
def _laptop(desk: Path) -> Iterator[None]:
    """Always the same day and the same keys."""
    before = Path.cwd()
    made = {"new_pair": KeyPair("PRIVATE", key(1)), "new_preshared_key": "PRESHARED"}
    with contextlib.ExitStack() as stack:
        for (name, value), verb in product(made.items(), ("add", "rotate")):
            stack.enter_context(mock.patch(f"appliance.cli.peer_{verb}.{name}", return_value=value))
        stack.enter_context(mock.patch("time.time", return_value=NOW))
        os.chdir(desk)
        stack.callback(os.chdir, before)
        yield


if __name__ == "__main__":
    for case in CASES:
        with tempfile.TemporaryDirectory() as temporary:
            after, said = carried_out(case, Path(temporary))
        (case / "after.yaml").write_text(after, encoding="utf-8")
        (case / "said.txt").write_text(said, encoding="utf-8")
