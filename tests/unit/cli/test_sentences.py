"""What no verb foresaw is one sentence all the same."""

from __future__ import annotations

import errno

import pytest

from appliance.cli import main


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EOFError(), "appliance: the question was not answered; nothing was changed\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/data"), "appliance: /data: Permission denied\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "appliance: No space left on device\n"),
    ],
    ids=["no answer", "a closed folder", "a full disk"],
)
def test_an_error_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    def fails(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("appliance.cli.schema.run", fails)
    assert main(["schema"]) == 1
    assert capsys.readouterr().err == said
