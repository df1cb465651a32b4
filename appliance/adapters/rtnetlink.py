"""Links, addresses, routes and rules, through rtnetlink(7).

Reads everything, changes only what it is told to; what is ours is decided by the protocol number that our routes and
rules carry (core/state.py). IPv6 routes without a metric get 1024 from the kernel (net/ipv6/route.c, IP6_RT_PRIO_USER),
and IPv6 blackholes sit on lo; both are taken back when reading, so that what was asked for compares equal.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from appliance.adapters import route_batch, route_dump, route_wire
from appliance.adapters.errors import Refused
from appliance.adapters.pyroute2_parts import IPRoute, NetlinkError
from appliance.core.lent import FOR_EVER
from appliance.core.state import (
    MAIN_TABLE,
    NO_TABLE,
    ON_LINK,
    PROTOCOL,
    DefaultRoute,
    ObservedLink,
    Route,
    Rule,
    VirtualAddress,
    VirtualRoute,
)
from appliance.core.steps import route_text, rule_text

IFF_UP = 0x1
IFF_LOWER_UP = 0x10000
IPV6_DEFAULT_METRIC = 1024
MACVLAN = "macvlan"
VLAN = "vlan"
# include/uapi/linux/rtnetlink.h
RTPROT_UNSPEC = 0
RTPROT_RA = 9
RTPROT_DHCP = 16
RTPROT_KEEPALIVED = 18
FRA_INVERT = 0x2
FR_ACT_TO_TBL, FR_ACT_GOTO, FR_ACT_BLACKHOLE = 1, 2, 6
# include/uapi/linux/neighbour.h
NTF_USE = 0x01
NUD_REACHABLE = 0x02
NUD_STALE = 0x04
NUD_DELAY = 0x08
NUD_PROBE = 0x10
NUD_PERMANENT = 0x80


@contextlib.contextmanager
def _refusal(what: str, *harmless: int) -> Iterator[None]:
    """Turns the kernel's errno into a sentence; the errnos in `harmless` mean that it is already as wanted."""
    try:
        yield
    except NetlinkError as error:
        if error.code not in harmless:
            raise Refused(f"the kernel refused to {what}: {_reason(error.code)}") from None


def _reason(code: int) -> str:
    return {
        errno.EPERM: "no permission; this needs CAP_NET_ADMIN",
        errno.EADDRINUSE: "its listen port is taken by another program (see `ss -lunp`)",
        errno.ENODEV: "the device does not exist",
        errno.ENETUNREACH: "its gateway is not reachable through any of the device's addresses",
    }.get(code, errno.errorcode.get(code, str(code)))


class RtNetlink:
    """One rtnetlink socket. `close` it when done."""

    def __init__(self) -> None:
        self.socket = IPRoute()

    def close(self) -> None:
        self.socket.close()

    # -- reading ------------------------------------------------------------------------------------------------------

    def links(self) -> dict[str, ObservedLink]:
        """Every interface but the loopback, with its addresses."""
        with _refusal("tell its interfaces"):
            return self._links()

    def _links(self) -> dict[str, ObservedLink]:
        addresses: dict[int, dict[str, int]] = {}
        provisional: dict[int, set[str]] = {}
        for message in self.socket.get_addr():
            # On a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL is ours (rtnetlink(7)).
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            index, address = message["index"], f"{text}/{message['prefixlen']}"
            ends = message.get_attr("IFA_CACHEINFO")
            addresses.setdefault(index, {})[address] = ends["ifa_valid"] if ends else FOR_EVER
            if message.get_attr("IFA_PROTO") == PROTOCOL:
                provisional.setdefault(index, set()).add(address)
        messages = list(self.socket.get_links())
        names = {message["index"]: message.get_attr("IFLA_IFNAME") for message in messages}
        found: dict[str, ObservedLink] = {}
        for message in messages:
            index, name = message["index"], names[message["index"]]
            if name == "lo":
                continue
            kind = _kind(message)
            here = addresses.get(index, {})
            found[name] = ObservedLink(
                device=name,
                kind=kind,
                up=bool(message["flags"] & IFF_UP),
                carrier=bool(message["flags"] & IFF_LOWER_UP),
                mtu=message.get_attr("IFLA_MTU"),
                alias=message.get_attr("IFLA_IFALIAS") or "",
                addresses=frozenset(here),
                mac=message.get_attr("IFLA_ADDRESS") or "",
                # Of a veth it is the other end, in whatever namespace.
                parent=names.get(message.get_attr("IFLA_LINK"), "") if kind in (MACVLAN, VLAN) else "",
                lifetimes={address: seconds for address, seconds in here.items() if seconds != FOR_EVER},
                provisional=frozenset(provisional.get(index, ())),
            )
        return found

    def kind(self, device: str) -> str:
        """What an interface is, as `ip -details link` names it; "" for a card. Quicker than looking at all.

        Raises Refused where there is no such interface.
        """
        with _refusal(f"tell what {device} is"):
            for message in self.socket.link("get", index=self._index(device)):
                return _kind(message)
        raise Refused(f"the device {device} does not exist")

    def routes(self) -> tuple[frozenset[Route], tuple[DefaultRoute, ...]]:
        """Our routes of all tables, and the default routes of the main table that are not ours."""
        names = dict(socket.if_nameindex())
        ours: set[Route] = set()
        defaults: list[DefaultRoute] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            for found in route_dump.dump(family):
                if found.protocol == PROTOCOL:
                    ours.add(_route(found, names))
                elif found.table == MAIN_TABLE and not found.length and (found.gateway or _two_ended(found)):
                    nowhere = ON_LINK[family == socket.AF_INET6]
                    gateway = socket.inet_ntop(family, found.gateway) if found.gateway else nowhere
                    defaults.append(DefaultRoute(names.get(found.device, ""), gateway, found.metric))
        return frozenset(ours), tuple(defaults)

    def rules(self) -> frozenset[Rule]:
        """Our policy routing rules."""
        return self._rules(PROTOCOL)

    def _rules(self, protocol: int) -> frozenset[Rule]:
        found = set()
        with _refusal("tell its rules"):
            for family, number in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
                for message in self.socket.get_rules(family=family):
                    if (message.get_attr("FRA_PROTOCOL") or RTPROT_UNSPEC) == protocol:
                        found.add(_rule(message, number))
        return frozenset(found)

    def neighbours(self, lately: bool) -> frozenset[tuple[str, str]]:
        """(device, address) of the neighbours that answer: those just asked, or `lately` also those that once did."""
        wanted = NUD_REACHABLE | NUD_PERMANENT | (NUD_STALE | NUD_DELAY | NUD_PROBE if lately else 0)
        names = dict(socket.if_nameindex())
        with _refusal("tell its neighbours"):
            return frozenset(
                (names.get(message["ifindex"], ""), str(message.get_attr("NDA_DST")))
                for message in self.socket.get_neighbours()
                if message["state"] & wanted
            )

    def ask_neighbour(self, device: str, address: str) -> bool:
        """Has the kernel ask a neighbour that it knows whether it is still there. False: it knows none, and will ask
        for it when something is sent there."""
        try:
            self.socket.neigh("change", dst=address, ifindex=self._index(device), state=NUD_PROBE)
        except (NetlinkError, Refused):
            return False
        return True

    def look_for_neighbour(self, device: str, address: str) -> None:
        """The same for an IPv6 neighbour that it does not know, without sending anything there: from the device's
        link-local address, so that no way to it is needed (ip-neighbour(8), `use`)."""
        with contextlib.suppress(NetlinkError, Refused):
            index = self._index(device)
            self.socket.neigh("replace", dst=address, ifindex=index, family=socket.AF_INET6, flags=NTF_USE, state=0)

    def neighbour_answers(self, device: str, address: str) -> bool:
        """Whether a neighbour that was asked has answered since; quicker than reading them all."""
        try:
            found = self.socket.neigh("get", dst=address, ifindex=self._index(device))
        except (NetlinkError, Refused):
            return False
        return any(message["state"] & (NUD_REACHABLE | NUD_PERMANENT) for message in found)

    def way_to(self, address: str) -> str:
        """The device by which packets to the address leave, "" for none."""
        names = dict(socket.if_nameindex())
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            found = self.socket.route("get", dst=address, family=family)
            return names.get(found[0].get_attr("RTA_OIF"), "") if found else ""
        except NetlinkError:
            return ""

    def _indexes(self) -> dict[str, int]:
        return {name: index for index, name in socket.if_nameindex()}

    def _index(self, device: str) -> int:
        try:
            return socket.if_nametoindex(device)
        except OSError:
            raise Refused(f"the device {device} does not exist") from None

    # -- links and addresses ------------------------------------------------------------------------------------------

    def add_wireguard(self, device: str, alias: str) -> None:
        """A WireGuard interface of the kernel's own."""
        with _refusal(f"make the WireGuard interface {device}", errno.EEXIST):
            self.socket.link("add", ifname=device, kind="wireguard")
        self.set_link(device, alias=alias)

    def add_macvlan(self, device: str, parent: str, mac: str, alias: str) -> None:
        """A MAC VLAN on `parent`, down. What is sent to its address reaches it, and it alone."""
        with _refusal(f"make {device} on {parent}", errno.EEXIST):
            index = self._index(parent)
            self.socket.link("add", ifname=device, kind=MACVLAN, link=index, address=mac, macvlan_mode="private")
        self.set_link(device, alias=alias)

    def add_vlan(self, device: str, parent: str, number: int, alias: str) -> None:
        """The VLAN `number` on `parent`, down; and its parent up, without which nobody could have it up."""
        with _refusal(f"make {device} on {parent}", errno.EEXIST):
            self.socket.link("add", ifname=device, kind=VLAN, link=self._index(parent), vlan_id=number)
        self.set_link(device, alias=alias)
        self.set_link(parent, up=True)

    def delete_link(self, device: str) -> None:
        with contextlib.suppress(OSError), _refusal(f"delete {device}", errno.ENODEV):
            self.socket.link("del", index=socket.if_nametoindex(device))

    def set_link(self, device: str, mtu: int | None = None, up: bool | None = None, alias: str | None = None) -> None:
        index = self._index(device)
        with _refusal(f"set up {device}"):
            if alias is not None:
                self.socket.link("set", index=index, ifalias=alias)
            if mtu is not None:
                self.socket.link("set", index=index, mtu=mtu)
            if up is not None:
                self.socket.link("set", index=index, state="up" if up else "down")

    def add_address(self, device: str, address: str) -> None:
        with _refusal(f"add the address {address} to {device}", errno.EEXIST):
            self.socket.addr("add", index=self._index(device), **_new_address(address))

    def lend_address(self, device: str, address: str, seconds: float) -> None:
        """For so long, and with our protocol number, which goes when networkd sets the address itself."""
        valid = min(max(int(seconds), 1), FOR_EVER)
        with _refusal(f"add the address {address} to {device}"):
            self.socket.addr(
                "replace",
                index=self._index(device),
                proto=PROTOCOL,
                # pyroute2 0.7.7 takes valid_lft= and sends nothing of it.
                cacheinfo={"valid": valid, "preferred": valid},
                **_new_address(address),
            )

    def lend_default(self, device: str, gateway: str, source: str, metric: int) -> None:
        """The default route as networkd will set it, so that it replaces this one."""
        v6 = ":" in gateway
        with _refusal(f"add the default route over {device}"):
            self.socket.route(
                "replace",
                family=socket.AF_INET6 if v6 else socket.AF_INET,
                dst="default",
                gateway=gateway,
                oif=self._index(device),
                priority=metric,
                proto=RTPROT_RA if v6 else RTPROT_DHCP,
                **({} if v6 else {"prefsrc": source.partition("/")[0]}),
            )

    def add_virtual_address(self, virtual: VirtualAddress) -> bool:
        """As keepalived does, and in its name; False where it is there already."""
        more = _new_address(virtual.address)
        if virtual.deprecated:
            more["cacheinfo"] = {"valid": FOR_EVER, "preferred": 0}
        added = False
        with _refusal(f"add the address {virtual.address} to {virtual.device}", errno.EEXIST):
            self.socket.addr("add", index=self._index(virtual.device), proto=RTPROT_KEEPALIVED, **more)
            added = True
        return added

    def add_virtual_route(self, route: VirtualRoute) -> None:
        """As keepalived does, and in its name; replaces what stands there."""
        way = {"gateway": route.gateway} if route.gateway else {}
        with _refusal(f"add the route to {route.destination} over {route.device}"):
            self.socket.route(
                "replace",
                family=socket.AF_INET6 if ":" in route.source else socket.AF_INET,
                dst=route.destination,
                oif=self._index(route.device),
                prefsrc=route.source,
                table=route.table,
                proto=RTPROT_KEEPALIVED,
                **way,
                **({"priority": route.metric} if route.metric else {}),
            )

    def virtual_rules(self) -> frozenset[Rule]:
        """Those of nobody in particular, as keepalived's are."""
        return self._rules(RTPROT_UNSPEC)

    def add_virtual_rule(self, rule: Rule) -> None:
        """As keepalived does: 2.3.3 gives its rules no protocol number."""
        self.add_rule(rule, RTPROT_UNSPEC)

    def delete_virtual_rule(self, rule: Rule) -> None:
        self.delete_rule(rule, RTPROT_UNSPEC)

    def delete_address(self, device: str, address: str) -> None:
        host, _, length = address.partition("/")
        with _refusal(f"delete the address {address} of {device}", errno.EADDRNOTAVAIL):
            self.socket.addr("del", index=self._index(device), address=host, prefixlen=int(length))

    # -- routes and rules ---------------------------------------------------------------------------------------------

    def add_routes(self, routes: Sequence[Route]) -> None:
        """Adds them all, replacing what stands at the same place."""
        indexes = self._indexes()
        for route in routes:
            if route.device and route.device not in indexes:
                raise Refused(f"the kernel refused to add {route_text(route)}: the device does not exist")
        for route, code in route_batch.add(routes, indexes):
            if code:
                raise Refused(f"the kernel refused to add {route_text(route)}: {_reason(code)}")

    def delete_routes(self, routes: Sequence[Route]) -> None:
        """Deletes them all; the routes of a device that is gone went with it."""
        indexes = self._indexes()
        present = [route for route in routes if not route.device or route.device in indexes]
        for route, code in route_batch.delete(present, indexes):
            if code not in (0, errno.ESRCH, errno.ENODEV):
                raise Refused(f"the kernel refused to delete {route_text(route)}: {_reason(code)}")

    def add_rule(self, rule: Rule, protocol: int = PROTOCOL) -> None:
        with _refusal(f"add the rule {rule_text(rule)}", errno.EEXIST):
            self.socket.rule("add", **_rule_request(rule, protocol))

    def delete_rule(self, rule: Rule, protocol: int = PROTOCOL) -> None:
        with _refusal(f"delete the rule {rule_text(rule)}", errno.ENOENT):
            self.socket.rule("del", **_rule_request(rule, protocol))


def _new_address(address: str) -> dict[str, Any]:
    """What a request says of an address that is added."""
    host, _, length = address.partition("/")
    # IFA_F_NODAD: nobody else has what is added here, and a tentative address cannot be bound to.
    return {"address": host, "prefixlen": int(length), **({"flags": 0x02} if ":" in host else {})}


def _kind(message: Any) -> str:
    """Of an interface's message: what made it, "" for a card."""
    info = message.get_attr("IFLA_LINKINFO")
    return (info.get_attr("IFLA_INFO_KIND") if info else None) or ""


def _two_ended(found: route_dump.KernelRoute) -> bool:
    """Whether a default route without a gateway is one all the same: on a device, as a PPPoE session's is."""
    return bool(found.device) and found.kind == route_wire.RTN_UNICAST


def _route(found: route_dump.KernelRoute, names: dict[int, str]) -> Route:
    v6 = found.family == socket.AF_INET6
    destination = found.destination or bytes(16 if v6 else 4)
    return Route(
        destination=f"{socket.inet_ntop(found.family, destination)}/{found.length}",
        device="" if found.kind == route_wire.RTN_BLACKHOLE else names.get(found.device, ""),
        table=found.table,
        gateway=socket.inet_ntop(found.family, found.gateway) if found.gateway else None,
        metric=0 if v6 and found.metric == IPV6_DEFAULT_METRIC else found.metric,
        mtu=found.mtu or None,
    )


def _rule(message: Any, family: int) -> Rule:
    source, destination = message.get_attr("FRA_SRC"), message.get_attr("FRA_DST")
    mark = message.get_attr("FRA_FWMARK")
    suppress = message.get_attr("FRA_SUPPRESS_PREFIXLEN")
    users = message.get_attr("FRA_UID_RANGE")
    return Rule(
        family=family,
        priority=message.get_attr("FRA_PRIORITY") or 0,
        table=message.get_attr("FRA_TABLE") or message["table"],
        mark=mark or None,
        mask=message.get_attr("FRA_FWMASK") if mark else None,
        invert=bool(message["flags"] & FRA_INVERT),
        source=f"{ip_address(source)}/{message['src_len']}" if source else None,
        destination=f"{ip_address(destination)}/{message['dst_len']}" if destination else None,
        user=int(users.partition(":")[0]) if users else None,
        suppress_prefix_length=None if suppress in (None, 0xFFFFFFFF, -1) else suppress,
        goto=message.get_attr("FRA_GOTO"),
    )


def _rule_request(rule: Rule, protocol: int) -> dict[str, Any]:
    request: dict[str, Any] = {
        "family": socket.AF_INET6 if rule.family == 6 else socket.AF_INET,
        "priority": rule.priority,
        "table": rule.table,
        "action": FR_ACT_BLACKHOLE if rule.table == NO_TABLE else FR_ACT_TO_TBL,
        "protocol": protocol,
    }
    if rule.mark is not None:
        request["fwmark"] = rule.mark
        request["fwmask"] = rule.mask or 0xFFFFFFFF
    if rule.invert:
        request["flags"] = FRA_INVERT
    for end, text in (("src", rule.source), ("dst", rule.destination)):
        if text:
            network = ip_network(text)
            request[end] = str(network.network_address)
            request[f"{end}_len"] = network.prefixlen
    if rule.user is not None:
        request["uid_range"] = f"{rule.user}:{rule.user}"
    if rule.suppress_prefix_length is not None:
        request["FRA_SUPPRESS_PREFIXLEN"] = rule.suppress_prefix_length
    if rule.goto is not None:
        request |= {"action": FR_ACT_GOTO, "goto": rule.goto}
    return request
