"""Send gaze as an LSL stream, as Tobii's application does: ``python lsl_outlet.py NAME LABELS``."""

from __future__ import annotations

import math
import sys
import time


def main(name: str, labels: str) -> None:
    import pylsl

    names = labels.split(",") if labels else [""] * 6
    info = pylsl.StreamInfo(name, "Gaze", len(names), 250, pylsl.cf_float32, f"source-{name}")
    channels = info.desc().append_child("channels")
    for label in names:
        if label:
            channel = channels.append_child("channel").append_child_value("label", label)
            channel.append_child_value("unit", "pixels" if "px" in label else "normalized")
    outlet = pylsl.StreamOutlet(info)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    outlet.wait_for_consumers(60.0)
    k = 0
    start = time.perf_counter()
    while True:
        time.sleep(max(start + k * 0.004 - time.perf_counter(), 0.0))
        if not outlet.have_consumers():
            return
        lost = k % 50 in range(40, 45)
        x = math.nan if lost else (k % 1000) / 1000
        # Read one after the other: the sample's moment on both clocks.
        stamp, host = pylsl.local_clock(), time.perf_counter_ns() // 1000
        values = [x, 0.25, x, 0.25, 3.5, 3.5, float(host % 10**7)]
        if k not in range(100, 110):
            outlet.push_sample(values[: len(names)], stamp)
        k += 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
