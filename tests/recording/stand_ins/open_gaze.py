"""A TCP server that speaks the Open Gaze API, with the quirks of its versions."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

TICKS_HZ = 3_330_093.0
TICKS_AS_PRINTED = "4704405731611246592"
"""The bits of that double, printed as a whole number: so one version does."""
TICKS_AHEAD_US = 77_000_000


class OpenGaze:
    """One Gazepoint Control program with a tracker of 250 Hz."""

    def __init__(
        self, *, mute: bool = False, best_only: bool = False, ticks: str = TICKS_AS_PRINTED
    ) -> None:
        self._mute, self._best_only, self._ticks = mute, best_only, ticks
        self._stop = threading.Event()
        self._silent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.enabled: set[str] = set()
        self._sock: socket.socket | None = None
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._stop.set()
        self.hang_up()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def hang_up(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def be_silent(self) -> None:
        self._silent.set()

    def _serve(self) -> None:
        while not self._stop.is_set():
            sock, _ = self._listener.accept()
            if self._stop.is_set():
                sock.close()
                return
            self._sock = sock
            done = threading.Event()
            sender = threading.Thread(target=self._send, args=(sock, done), daemon=True)
            with sock:
                try:
                    for line in sock.makefile("r", encoding="ascii", newline="\n"):
                        answer = self._answer(line)
                        if answer and not self._mute:
                            sock.sendall(answer.encode("ascii"))
                        if "DATA" in self.enabled and not sender.ident:
                            sender.start()
                except OSError:
                    pass
                done.set()
                if sender.ident:
                    sender.join()

    def _answer(self, line: str) -> str:
        name = line.split('ID="')[1].split('"')[0]
        said: dict[str, Any] = {
            "PRODUCT_ID": 'VALUE="GP3HD" BUS="USB3" RATE="250"',
            "API_ID": 'VALUE="2.4"',
            "SCREEN_SIZE": 'X="0" Y="0" WIDTH="1920" HEIGHT="1080"',
            "TIME_TICK_FREQUENCY": f'FREQ="{self._ticks}"',
        }
        if line.startswith("<SET"):
            on = 'STATE="1"' in line
            what = name.replace("ENABLE_SEND_", "")
            (self.enabled.add if on else self.enabled.discard)(what)
            return f'<ACK ID="{name}" STATE="{int(on)}" />\r\n'
        if name not in said:  # this version knows no serial number
            return f'<NACK ID="{name}" />\r\n'
        return f'<ACK ID="{name}" {said[name]} />\r\n'

    def _send(self, sock: socket.socket, done: threading.Event) -> None:
        k, start = 0, time.perf_counter_ns() // 1000
        while not done.is_set() and "DATA" in self.enabled:
            due = start + k * 4000
            wait_s = due / 1e6 - time.perf_counter_ns() / 1e9
            if wait_s > 0:
                time.sleep(wait_s)
            # A busy computer is late with the camera, not with what it saw.
            due = max(due, time.perf_counter_ns() // 1000)
            if k not in range(100, 110) and not self._silent.is_set():
                try:
                    sock.sendall(self._record(k, due, start).encode("ascii"))
                except OSError:
                    return
            k += 1

    def _record(self, k: int, taken_us: int, start_us: int) -> str:
        seen = k
        while seen % 50 in range(40, 45):  # positions persist while the eye is lost
            seen -= 1
        flag = int(seen == k)
        ticks = round((taken_us + TICKS_AHEAD_US) * TICKS_HZ / 1e6)
        x = (seen % 1000) / 1000
        words = [f'CNT="{k}"', f'TIME="{(taken_us - start_us) / 1e6:.5f}"', f'TIME_TICK="{ticks}"']
        points = ["BPOG"] if self._best_only else ["LPOG", "RPOG", "BPOG"]
        words += [f'{p}X="{x:.5f}" {p}Y="0.25000" {p}V="{flag}"' for p in points]
        z = (taken_us % 10**7) / 1000
        for eye in "LR":
            words.append(f'{eye}EYEX="-0.03000" {eye}EYEY="0.01000" {eye}EYEZ="{z:.5f}"')
            words.append(f'{eye}PUPILD="0.00350" {eye}PUPILV="{flag}"')
            if not self._best_only:
                words.append(f'{eye}PMM="3.50000" {eye}PMMV="{flag}"')
        return f"<REC {' '.join(words)} />{'>' if k % 7 == 0 else ''}\r\n"
