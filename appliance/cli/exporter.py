"""Metrics over HTTP: asks the supervisor at each request, and remembers nothing."""

from __future__ import annotations

import argparse
import socket
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any, NoReturn

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import MetricsHandler
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from appliance.cli.client import ask
from appliance.cli.failure import Failure
from appliance.core.metrics import COUNTER, SUMMARY, Family, families
from appliance.core.state import METRICS_PORT

SECONDS = 8.0
"""For the supervisor's answer and for whoever asks; Prometheus waits for 10."""
IP_FREEBIND = 15
IPV6_FREEBIND = 78
"""linux/in.h and in6.h; Python names neither."""


class Status(Collector):
    """What the supervisor says when it is asked."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def collect(self) -> Iterator[Metric]:
        try:
            found: dict[str, Any] | None = ask(self.options, {"verb": "status"}, SECONDS)["status"]
        except Failure:
            found = None
        return map(_metric, families(found))


class _Given(Collector):
    def __init__(self, status: dict[str, Any]) -> None:
        self.status = status

    def collect(self) -> Iterator[Metric]:
        return map(_metric, families(self.status))


def text(status: dict[str, Any]) -> str:
    """The same for a status that was asked for already."""
    registry = CollectorRegistry()
    registry.register(_Given(status))
    return generate_latest(registry).decode()


def _metric(family: Family) -> Metric:
    labels = family.labels or None
    if family.kind == SUMMARY:
        ((_, (count, total)),) = family.samples
        return SummaryMetricFamily(family.name, family.help, count_value=int(count), sum_value=total)
    kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=labels or ())
    for values, (value,) in family.samples:
        metric.add_metric(values, value)
    return metric


class _Server(ThreadingHTTPServer):
    """One address. It may come later (a virtual address, a tunnel's): IP_FREEBIND, ip(7)."""

    daemon_threads = True

    def __init__(self, address: str, handler: type[MetricsHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, METRICS_PORT), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Not HTTPServer's, which asks for the name of the address.
        self.socket.bind(self.server_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Somebody who went away is no news."""


def serve(options: argparse.Namespace) -> NoReturn:
    """Answers at every address of the file until it is killed."""
    registry = CollectorRegistry()
    registry.register(Status(options))
    handler = type("Handler", (MetricsHandler,), {"registry": registry, "timeout": SECONDS})
    try:
        lines = options.listen.read_text().splitlines()
    except OSError as error:
        raise Failure(
            f"{options.listen} cannot be read: {error.strerror}; it is there while appliance.yaml has monitoring:"
        ) from None
    addresses = [line for line in lines if line and not line.startswith("#")]
    try:
        servers = [_Server(address, handler) for address in addresses]
    except OSError as error:
        raise Failure(f"port {METRICS_PORT} cannot be used: {error.strerror}") from None
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()
    raise AssertionError("nobody sets it")
