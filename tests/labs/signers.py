"""Two administrators on their laptops, who must both sign: keygen, create and sign need no box, no root, no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def appliance(folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command, as it runs on a laptop."""
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *words], cwd=folder, capture_output=True, text=True, check=check
    )


class Signers:
    """Anna has a key of `bundle keygen`, Ben his OpenSSH key; `trust` is what a site writes to believe both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.serial = 0
        (folder / "words").write_text("correct horse battery staple\n")
        appliance(folder, "bundle", "keygen", "anna", "--passphrase-file", "words")
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "ben", "-C", "ben@laptop"], cwd=folder, check=True
        )
        lines = {name: (folder / f"{name}.pub").read_text().strip() for name in ("anna", "ben")}
        self.trust = "trust:\n  threshold: 2\n  keys:\n" + "".join(f"    {n}: {k}\n" for n, k in lines.items())

    def bundle(self, text: str, *more: str, signers: tuple[str, ...] = ("anna", "ben"), serial: int = 0) -> bytes:
        """The next bundle of the site, or one with that serial; `more` goes to `bundle create`."""
        self.serial += 1
        (self.folder / "appliance.yaml").write_text(text)
        words = ("create", "appliance.yaml", "-o", "it.bundle", "--serial", str(serial or self.serial), *more)
        appliance(self.folder, "bundle", *words)
        for name in signers:
            key = f"{name}.key" if name == "anna" else name
            appliance(self.folder, "bundle", "sign", "it.bundle", "--key", key, "--passphrase-file", "words")
        return (self.folder / "it.bundle").read_bytes()
