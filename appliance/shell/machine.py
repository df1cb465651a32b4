"""The machine: reads it whole into an Observed, and runs single steps. It knows every adapter."""

from __future__ import annotations

import contextlib
import errno
import logging
import pwd
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from appliance.adapters import conntrack, keepalived, systemd
from appliance.adapters.engine import Engine, KeyedChange
from appliance.adapters.errors import Refused
from appliance.adapters.files import RuntimeFiles
from appliance.adapters.kernel_engine import KernelEngine, kernel_wireguard_present
from appliance.adapters.keys import Keys
from appliance.adapters.networkd_state import lent_gateways
from appliance.adapters.nft import Nft
from appliance.adapters.pppd import Sessions
from appliance.adapters.pppoe import open_sessions
from appliance.adapters.rtnetlink import MACVLAN, VLAN, RtNetlink
from appliance.adapters.userspace_engine import UserspaceEngine, remove_stale_socket
from appliance.core import steps
from appliance.core.pair.names import CONNTRACKD_FILE, KEEPALIVED_FILE
from appliance.core.plan import running_engine
from appliance.core.state import (
    ALIAS,
    KERNEL,
    LEASE_DEVICE,
    NETWORK_FOLDER,
    RESOLVED_FILE,
    TUNNEL_DEVICES,
    VLAN_ALIAS,
    Observed,
    ObservedDevice,
    ObservedLink,
)
from appliance.core.steps import PeerChange, Step
from appliance.shell.paths import Paths

log = logging.getLogger("appliance.machine")

SYSCTLS = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
LINK_SYSCTLS = (
    ("ipv4", "ignore_routes_with_linkdown"),
    ("ipv6", "ignore_routes_with_linkdown"),
    ("ipv6", "disable_ipv6"),
    ("ipv4", "arp_announce"),
    ("ipv4", "arp_ignore"),
)
NETWORKD, RESOLVED, KEEPALIVED, CONNTRACKD = "networkd", "resolved", "keepalived", "conntrackd"
READERS = {
    f"{NETWORK_FOLDER}/": NETWORKD,
    RESOLVED_FILE: RESOLVED,
    KEEPALIVED_FILE: KEEPALIVED,
    CONNTRACKD_FILE: CONNTRACKD,
}
"""Who has to be told that a file of ours has changed, by what its path begins with."""
DEVICE_SECONDS = 3.0
TIME_USER, RESOLVER_USER = "_chrony", "systemd-resolve"
"""As whom time servers and name servers are asked."""


class Machine:
    """A running box. Facts that cannot change while it runs (what the kernel has) are read by `read_facts`."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.netlink = RtNetlink()
        self.nft = Nft()
        self.keys = Keys(paths.state)
        self.files = RuntimeFiles(paths.root)
        self.sessions = Sessions(paths.root)
        self.engines: dict[str, Engine] = {
            "kernel": KernelEngine(),
            "userspace": UserspaceEngine(self.public_key_of),
        }
        self.kernel_wireguard = False
        self.flow_offload = False
        self._modules: str | None = None

    def read_facts(self) -> None:
        """Asks again what the kernel has, if a module came or went since."""
        modules = _modules()
        if modules != self._modules:
            self.kernel_wireguard = kernel_wireguard_present()
            self.flow_offload = self.nft.flow_offload()
            # Asking may have loaded one.
            self._modules = _modules()

    def public_key_of(self, private: bytes) -> str:
        """The public key of a private key that is one of this box's own; "unknown" for any other."""
        for name, public in self.keys.public_keys().items():
            with contextlib.suppress(Refused, OSError):
                if self.keys.private_key(name) == private:
                    return public
        return "unknown"

    def observe(
        self, resolved: Mapping[str, tuple[str, ...]] | None = None, outside: bool = False, at_least: float = 0.0
    ) -> Observed:
        """Everything that the machine says at this moment. `resolved` is what the names are known to say, `outside`
        that one must be looked up outside of a full tunnel, `at_least` what the time is known to be at least."""
        links = self.netlink.links()
        routes, defaults = self.netlink.routes()
        secrets = self.keys.digests()
        return Observed(
            links=links,
            devices=self.devices(links),
            routes=routes,
            rules=self.netlink.rules(),
            defaults=defaults,
            files=self.files.read(),
            sysctls=self._sysctls(links),
            ruleset=self.nft.read(),
            keys=self.keys.public_keys(),
            keys_made=self.keys.made(),
            secrets=secrets.preshared,
            passwords=secrets.texts,
            sessions=self.sessions.read(),
            open_sessions=open_sessions(),
            lent_gateways=lent_gateways(each for each in links if each.startswith(LEASE_DEVICE)),
            resolved=dict(resolved or {}),
            outside=_users(TIME_USER, RESOLVER_USER) if outside else _users(TIME_USER),
            kernel_wireguard=self.kernel_wireguard,
            flow_offload=self.flow_offload,
            at_least=at_least,
        )

    def devices(self, links: Mapping[str, ObservedLink]) -> dict[str, ObservedDevice]:
        """Our tunnels as their engines have them. A link that just came and carries no alias yet counts as well."""
        found = {}
        for device, link in links.items():
            ours = link.alias.startswith(ALIAS) or device.startswith(TUNNEL_DEVICES)
            if ours and link.kind not in (MACVLAN, VLAN):
                try:
                    state = self.engines[running_engine(link.kind)].read(device)
                except Refused as error:
                    # The rest of the box is looked after all the same; systemd starts a new engine.
                    log.error("%s; it is started again", error)
                    systemd.restart_engine(device)
                    continue
                if state is not None:
                    found[device] = state
        return found

    def unread(self) -> frozenset[str]:
        """The daemons that have yet to read what was written for them: a reload failed, or never came."""
        return self.files.unread()

    def tell(self, daemon: str, devices: tuple[str, ...] = ()) -> None:
        """Has one of READERS read its files again, where it runs; networkd sets up `devices` anew. Raises Refused."""
        if daemon == NETWORKD:
            systemd.reload_networkd(devices)
        elif daemon == RESOLVED:
            systemd.reload_resolved()
        elif daemon == KEEPALIVED:
            systemd.reload_if_running(systemd.VRRP_UNIT)
        elif daemon == CONNTRACKD:
            systemd.restart_if_running(systemd.CONNTRACKD_UNIT)
        self.files.was_read(daemon)

    def run(self, step: Step) -> None:
        """Carries out one step. Raises Refused, with nothing of this step left half done that matters to the next."""
        match step:
            case steps.LoadRuleset(text):
                self.nft.load(text)
            case steps.ForgetConnections(grants):
                conntrack.forget(grants)
            case steps.WriteFile(path, content):
                if path == KEEPALIVED_FILE and content is not None:
                    keepalived.check(Path(path), content)
                if daemon := next((daemon for start, daemon in READERS.items() if path.startswith(start)), ""):
                    self.files.write_for(daemon, path, content)
                else:
                    self.files.write(path, content)
            case steps.ReloadNetworkd(devices):
                self.tell(NETWORKD, devices)
            case steps.ReloadResolved():
                self.tell(RESOLVED)
            case steps.ReloadPair():
                # A conntrackd that is started anew has forgotten what the other box told it.
                unread = self.files.unread()
                for daemon in (KEEPALIVED, CONNTRACKD):
                    if daemon in unread:
                        self.tell(daemon)
            case steps.AddLeaseLink(device, parent, mac, alias):
                self.netlink.add_macvlan(device, parent, mac, alias)
            case steps.AddLentDefault(device, gateway, source, metric):
                self.netlink.lend_default(device, gateway, source, metric)
            case steps.AddVlan(device, parent, number):
                self.netlink.add_vlan(device, parent, number, VLAN_ALIAS)
            case steps.StartSession(device, secret, begun_with):
                self.sessions.start(device, self.keys.password(secret), begun_with)
            case steps.StopSession(device):
                self.sessions.stop(device)
            case steps.DeleteLink(device):
                self.netlink.delete_link(device)
            case steps.SetSsh(run, end_sessions):
                if end_sessions or not run:
                    systemd.stop(systemd.SSH_UNIT)
                if run:
                    systemd.start(systemd.SSH_UNIT)
            case steps.SetMonitoring(run):
                (systemd.restart if run else systemd.stop)(systemd.MONITORING_UNIT)
            case steps.AddTunnel(device, engine, alias):
                self._add_tunnel(device, engine, alias)
            case steps.DeleteTunnel(device, engine):
                if engine != KERNEL:
                    systemd.stop(systemd.engine_unit(device))
                    remove_stale_socket(device)
                self.netlink.delete_link(device)
            case steps.SetDevice(device, engine, key, port, mark):
                private = self.keys.private_key(key) if key else None
                self.engines[engine].set_device(device, private, port, mark)
            case steps.SetPeers(device, engine, changes, removed):
                keyed = [KeyedChange(change, self._preshared_key(change)) for change in changes]
                self.engines[engine].set_peers(device, keyed, removed)
            case steps.SetLink(device, mtu, up, alias):
                self.netlink.set_link(device, mtu, up, alias)
            case steps.AddAddress(device, address):
                self.netlink.add_address(device, address)
            case steps.DeleteAddress(device, address):
                self.netlink.delete_address(device, address)
            case steps.AddRoutes(routes):
                self.netlink.add_routes(routes)
            case steps.DeleteRoutes(routes):
                self.netlink.delete_routes(routes)
            case steps.AddRule(rule):
                self.netlink.add_rule(rule)
            case steps.DeleteRule(rule):
                self.netlink.delete_rule(rule)
            case steps.SetSysctl(key, value):
                self._set_sysctl(key, value)

    def _add_tunnel(self, device: str, engine: str, alias: str) -> None:
        if engine == KERNEL:
            self.netlink.add_wireguard(device, alias)
            return
        systemd.start(systemd.engine_unit(device))
        # The unit counts as started when the process runs; its device follows within milliseconds.
        end = time.monotonic() + DEVICE_SECONDS
        while True:
            try:
                self.netlink.set_link(device, alias=alias)
                return
            except Refused:
                if time.monotonic() > end:
                    unit = systemd.engine_unit(device)
                    raise Refused(f"the engine did not make {device}; see `journalctl -u {unit}`") from None
                time.sleep(0.005)

    def _preshared_key(self, change: PeerChange) -> bytes | None:
        if change.preshared_key is None:
            return None
        return self.keys.preshared_key(change.preshared_key) if change.preshared_key else bytes(32)

    def _sysctl_path(self, key: str) -> Path:
        return Path("/proc/sys") / (key if "/" in key else key.replace(".", "/"))

    def _sysctls(self, links: Mapping[str, ObservedLink]) -> dict[str, str]:
        keys = list(SYSCTLS)
        keys += [f"net/{family}/conf/{link}/{name}" for family, name in LINK_SYSCTLS for link in links]
        return {key: value for key in keys if (value := self._sysctl(key)) is not None}

    def _sysctl(self, key: str) -> str | None:
        try:
            return self._sysctl_path(key).read_text().strip()
        except OSError:
            return None

    def _set_sysctl(self, key: str, value: str) -> None:
        try:
            self._sysctl_path(key).write_text(value)
        except OSError as error:
            raise Refused(f"sysctl {key} cannot be set: {error.strerror}") from None

    def port_taken(self, port: int) -> bool:
        """Whether a program holds the UDP port; tried by binding it for an instant."""
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        return True
        return False


def _modules() -> str:
    """The kernel's modules, by name; "" where it has none."""
    try:
        lines = Path("/proc/modules").read_text().splitlines()
    except OSError:
        return ""
    return " ".join(sorted(line.partition(" ")[0] for line in lines))


def _users(*names: str) -> tuple[int, ...]:
    """Their numbers; a machine may lack one of them."""
    found = []
    for name in names:
        with contextlib.suppress(KeyError):
            found.append(pwd.getpwnam(name).pw_uid)
    return tuple(found)
