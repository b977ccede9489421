"""Keeps a replica's own gRPC server, by which Ray Serve's processes call each other, on the loopback interface."""

from __future__ import annotations

from typing import Any


def keep_to_loopback() -> None:
    """Call in the constructor of a deployment, before Serve starts the replica's server.

    Serve 2.60 has no setting for the interface: it always asks for all. Where Ray's node is on the loopback interface,
    as one that `python -m serve.run` started is, the server listens there; in a cluster nothing changes.
    """
    import ray
    from ray._common.network_utils import is_localhost
    from ray.serve._private import replica

    node = ray.util.get_node_ip_address()
    start = replica.add_port_to_grpc_server
    if not is_localhost(node):
        return

    def start_on_loopback(server: Any, address: str) -> Any:
        return start(server, address.replace("[::]", node))

    replica.add_port_to_grpc_server = start_on_loopback
