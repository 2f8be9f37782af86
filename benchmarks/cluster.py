"""A Redis Cluster of masters alone, each a process."""

from __future__ import annotations

from typing import Any

from redis import Redis

from benchmarks.setting import Process, Site, free_port

SLOTS = 16_384


def start_cluster(site: Site, masters: int) -> list[Process]:
    """So many masters, which share all slots evenly and know each other."""
    buses = [free_port() for _ in range(masters)]
    nodes = [site.start_redis("--cluster-enabled", "yes", "--cluster-port", str(bus)) for bus in buses]
    for number, node in enumerate(nodes):
        first, last = number * SLOTS // masters, (number + 1) * SLOTS // masters - 1
        _ask(node, "CLUSTER", "ADDSLOTSRANGE", first, last)
        _ask(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for node, bus in zip(nodes[1:], buses[1:], strict=True):
        _ask(nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus)
    for node in nodes:
        node.until(lambda node=node: _is_whole(node, masters))
    return nodes


def _is_whole(node: Process, masters: int) -> bool:
    """It knows the others and who has which slots."""
    lines = str(_ask(node, "CLUSTER", "INFO")).split()
    return "cluster_state:ok" in lines and f"cluster_size:{masters}" in lines


def _ask(node: Process, *command: str | int) -> Any:
    with Redis(port=node.port, decode_responses=True, socket_timeout=5) as client:
        return client.execute_command(*command)
