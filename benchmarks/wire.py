"""The wire: how long a view is on its way, what a stuck client costs the others, objects a second.

    python benchmarks/wire.py [SECONDS]

Both ends run in this process, so each figure holds the work of both.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from qpgaze.viewing import ImageIdentity, Rect, ViewerState
from qpgaze.wire import HookFile, StandIn, connect
from qpgaze.wire.channel import now_us
from qpgaze.wire.schema import VERSION, encode

SLIDE = ImageIdentity("slide", 40_000, 30_000, "1", ("file:/slides/slide.svs",))


def view(t_us: int) -> ViewerState:
    """Return a view as QuPath would send it."""
    corners = ((100.5, 200.25), (5700.5, 200.25), (100.5, 3300.25))
    box = Rect(0.0, 40.0, 1400.0, 775.0)
    return ViewerState(t_us, "1", SLIDE, corners, 4.0, bounds_screen_px=box, read_us=t_us)


def stuck_client(hook: HookFile) -> socket.socket:
    """Connect a client that never reads."""
    sock = socket.create_connection(("127.0.0.1", hook.port))
    said = {"type": "hello", "version": VERSION, "token": hook.token, "client": "stuck"}
    sock.sendall(encode(said, "client"))
    sock.sendall(encode({"type": "subscribe", "id": 1, "viewer": True}, "client"))
    return sock


def latency(folder: Path, seconds: float, *, stuck: bool) -> dict[str, float]:
    """Return how long views at 60 Hz were on their way, milliseconds."""
    with StandIn(folder) as qupath, connect(name="recorder", folders=(folder,)) as client:
        assert qupath.server.hook is not None
        other = stuck_client(qupath.server.hook) if stuck else None
        client.subscribe(viewer=True)
        if stuck:  # fill whatever lies between the two
            for _ in range(20_000):
                qupath.show(view(0))
            time.sleep(1.0)
        client.take()
        cpu_s, start_s = time.process_time(), time.perf_counter()
        ways: list[int] = []
        for number in range(int(seconds * 60)):
            time.sleep(max(start_s + number / 60 - time.perf_counter(), 0.0))
            qupath.show(view(now_us()))
            ways += [x.arrived_us - x.message["state"]["t_us"] for x in client.take()]
        time.sleep(0.1)
        ways += [x.arrived_us - x.message["state"]["t_us"] for x in client.take()]
        share = (time.process_time() - cpu_s) / (time.perf_counter() - start_s)
        dropped = sum(qupath.server.clients.values())
        if other is not None:
            other.close()
    p50, p99, most = (float(v) / 1000 for v in np.percentile(ways, [50, 99, 100]))
    found = {"p50_ms": p50, "p99_ms": p99, "max_ms": most, "share_of_a_core": share}
    return {k: round(v, 3) for k, v in found.items()} | {"views": len(ways), "dropped": dropped}


def objects(folder: Path, count: int = 10_000, corners: int = 60) -> dict[str, float]:
    """Return how long it takes to put objects into an open image and to read them back."""
    ring = [[1000.5 + i, 2000.25] for i in range(corners)]
    features = [
        {
            "type": "Feature",
            "id": f"{number:08d}-0000-4000-8000-000000000000",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", "measurements": {"Gaze: dwell ms": 312.0}},
        }
        for number in range(count)
    ]
    with StandIn(folder) as qupath, connect(name="store", folders=(folder,)) as client:
        image = qupath.open_image(SLIDE)
        times = [time.perf_counter()]
        client.change_objects(image.key, put=features, wait_s=120.0)
        times.append(time.perf_counter())
        client.objects(image.key)
        times.append(time.perf_counter())
    return {"objects": count, "put_s": times[1] - times[0], "read_s": times[2] - times[1]}


def main(seconds: float) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "views at 60 Hz": latency(Path(folder) / "1", seconds, stuck=False),
            "with a stuck client": latency(Path(folder) / "2", seconds, stuck=True),
            "objects": objects(Path(folder) / "3"),
        }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
