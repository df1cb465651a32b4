"""The prompt after the show: the first word is a node, the rest runs there, with the person's own terminal."""

from __future__ import annotations

import os
import pty
import signal
import time
from types import FrameType

from tests.demo.screen import Screen
from tests.lab import Node
from tests.labs.office import Office

EXAMPLES = (
    ("zurich appliance status", "what the box says of itself"),
    ("zurich nft list table inet appliance", "the firewall, every rule with its line in the file"),
    ("zurich nft flush ruleset", "break it, then look at its journal:"),
    ("zurich journalctl -u appliance -n 5", ""),
    ("zurich ip link del wg-office", "break something else"),
    ("laptop ping -c3 192.168.10.20", "from somebody's home into the office"),
    ("laptop curl http://192.168.10.20", "the office host says who called: the laptop's tunnel address"),
    ("host curl http://www.example.net", "the internet says who called: zurich"),
    ("zurich vi /data/appliance/appliance.yaml", "change the file, and then:"),
    ("zurich appliance apply", "on trial; without the next line the file before returns in 90 s"),
    ("zurich appliance confirm", ""),
    ("zurich", "a shell there"),
)


class _TimeIsUp(Exception):
    pass


class Prompt:
    def __init__(self, screen: Screen, office: Office) -> None:
        self.screen = screen
        self.nodes: dict[str, Node] = {
            "zurich": office.zurich,
            "geneva": office.geneva,
            "host": office.host,
            "branch": office.branch_host,
            "laptop": office.laptop,
            "home": office.home,
            "internet": office.internet,
        }

    def run(self, seconds: float) -> None:
        """Until `quit`, Ctrl-D, Ctrl-C at the prompt, or `seconds` have passed (0: no limit)."""
        try:
            import readline  # input() then knows history and the arrow keys

            readline.set_completer(self._complete)
            readline.parse_and_bind("tab: complete")
        except ImportError:
            pass
        self._help()
        signal.signal(signal.SIGALRM, self._time_is_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            while self._command(input("demo> ")):
                pass
        except (EOFError, KeyboardInterrupt):
            print()
        except _TimeIsUp:
            print(f"\n{seconds:g} seconds are over.")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @staticmethod
    def _time_is_up(number: int, frame: FrameType | None) -> None:
        raise _TimeIsUp

    def _complete(self, text: str, state: int) -> str | None:
        found = [f"{name} " for name in (*self.nodes, "help", "quit") if name.startswith(text)]
        return found[state] if state < len(found) else None

    def _help(self) -> None:
        print(f"NODE COMMAND runs the command there. Nodes: {', '.join(self.nodes)}. Also: help, quit.\n")
        for words, why in EXAMPLES:
            self.screen.console.print(f"  {words:42} [dim]{why}[/]")
        print()

    def _command(self, line: str) -> bool:
        """Runs one line; False ends the prompt."""
        name, _, rest = line.strip().partition(" ")
        if name in ("quit", "exit"):
            return False
        if name in ("help", "?"):
            self._help()
        elif name in self.nodes:
            self._inside(self.nodes[name], name, rest.strip())
        elif name:
            print(f"{name} is no node; write one of {', '.join(self.nodes)}, then a command. Or: help, quit.")
        return True

    def _inside(self, node: Node, name: str, command: str) -> None:
        if not getattr(node, "leader", 1):
            print(f"{name} is off.")
            return
        # A terminal of its own, handed through: Ctrl-C, editors and shells behave as if they sat in front of it.
        size = os.get_terminal_size()
        prepare = f'stty rows {size.lines} cols {size.columns}; exec "$@"'
        shell = ["bash", "-c", command] if command else ["bash", "--norc", "-i"]
        words = [*node.entry(), "env", f"TERM={os.environ.get('TERM', 'dumb')}", f"PS1={name}# "]
        words += ["setsid", "--ctty", "--wait", "sh", "-c", prepare, "sh", *shell]
        started = time.monotonic()
        code = os.waitstatus_to_exitcode(pty.spawn(words))
        if code and command:
            print(f"(exit {code} after {time.monotonic() - started:.1f} s)")
