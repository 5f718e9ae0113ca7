"""The talk with the hook inside QuPath: one schema, a token, both ends."""

from qpgaze.wire.answers import RoundTrip, Streamed
from qpgaze.wire.client import WireClient, connect
from qpgaze.wire.discovery import FoundHooks, HookFile, discovery_folders, find_hooks
from qpgaze.wire.schema import MAX_LINE_BYTES, VERSION
from qpgaze.wire.server import WireServer
from qpgaze.wire.standin import StandIn

__all__ = [
    "MAX_LINE_BYTES",
    "VERSION",
    "FoundHooks",
    "HookFile",
    "RoundTrip",
    "StandIn",
    "Streamed",
    "WireClient",
    "WireServer",
    "connect",
    "discovery_folders",
    "find_hooks",
]
