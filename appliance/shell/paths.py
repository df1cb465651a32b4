"""Where things lie on a box, and below another root when a laptop or a test looks at one from outside."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


# Not a dataclass: to a command, importing those costs more than all that it does before it asks the supervisor.
class Paths(NamedTuple):
    """`root` is / on a running box."""

    root: Path = Path("/")

    @property
    def state(self) -> Path:
        """What survives a reboot."""
        return self.root / "data/appliance"

    @property
    def configuration(self) -> Path:
        """The file that the administrator edits; the verbs' default FILE."""
        return self.state / "appliance.yaml"

    @property
    def setup(self) -> Path:
        """What the wizard was answered so far; gone when it has ended."""
        return self.state / "setup.yaml"

    @property
    def console(self) -> Path:
        """USER:HASH of the console's login, where one was set."""
        return self.state / "console"

    @property
    def factory_reset(self) -> Path:
        """While it is there, the next boot erases /data (first-mounts of the image)."""
        return self.state / "factory-reset"

    @property
    def generations(self) -> Path:
        """The configurations that were confirmed, the trial, and the history (adapters/generation_store.py)."""
        return self.state / "generations"

    @property
    def trial(self) -> Path:
        """What the supervisor knows of the running trial; a boot empties the folder, and so ends the trial."""
        return self.root / "run/appliance/trial.json"

    @property
    def compiled(self) -> Path:
        """What the confirmed file compiled to; may be missing, then it is compiled again."""
        return self.state / "compiled.json"

    @property
    def box(self) -> Path:
        """One word: which of the file's boxes this is."""
        return self.state / "box"

    @property
    def endpoints(self) -> Path:
        """The last good answer for every endpoint name."""
        return self.state / "endpoints.json"

    @property
    def whereabouts(self) -> Path:
        """Where each peer was seen last."""
        return self.state / "whereabouts.json"

    @property
    def last_seen(self) -> Path:
        """When each peer was seen last."""
        return self.state / "last-seen.json"

    @property
    def floor(self) -> Path:
        """Seconds since 1970 below which no handshake of this box may be dated."""
        return self.state / "floor"

    @property
    def trusted(self) -> Path:
        """Whose bundles count, and the highest serial that was seen (core/bundle/trusted.py)."""
        return self.state / "trusted"

    @property
    def receipt(self) -> Path:
        """What became of the last bundle, signed by this box."""
        return self.state / "receipt.yaml"

    @property
    def age_identity(self) -> Path:
        """What opens secrets that were sealed to this box; its recipient lies beside it."""
        return self.state / "age/identity.key"

    @property
    def signing_key(self) -> Path:
        """What this box signs its receipts with."""
        return self.state / "age/receipts.pem"

    @property
    def update(self) -> Path:
        """What is known of the last system update (core/updates.py)."""
        return self.state / "update.json"

    @property
    def update_lock(self) -> Path:
        """Held while an update is installed."""
        return self.root / "run/appliance/update.lock"

    @property
    def turn(self) -> Path:
        """This box's side of an update of both boxes of a pair (core/turns.py)."""
        return self.state / "update-turn.json"

    @property
    def turn_bundle(self) -> Path:
        """The update itself, until both have it."""
        return self.state / "update-turn.raucb"

    @property
    def boot_choice(self) -> Path:
        """GRUB's environment block, in which it counts its tries."""
        return self.root / "efi/EFI/debian/grubenv"

    @property
    def no_data(self) -> Path:
        """Why nothing is kept, where /data is memory (first-mounts of the image)."""
        return self.root / "run/appliance-image/no-data"

    @property
    def control(self) -> Path:
        return self.root / "run/appliance/control.sock"

    def box_name(self) -> str | None:
        """This box's name, None where nobody has given it one."""
        try:
            return self.box.read_text().strip() or None
        except OSError:
            return None
