"""Ask the system which monitors there are: X11, Windows, macOS, each by its own library.

Foreign functions are called through ``ctypes``: no package is needed for three calls.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from qpgaze.errors import SessionError
from qpgaze.recording.validation.monitors import Monitor, place_logically
from qpgaze.viewing import Rect

_WHAT_TO_DO = "Run this at the computer that carries the eye tracker, on its desktop."


def list_monitors(scale: float | None = None) -> tuple[Monitor, ...]:
    """Return the monitors of this desktop, the primary one first, then from left to right.

    Parameters
    ----------
    scale : float, optional
        Physical pixels per logical pixel of all of them, where the system's word is not QuPath's.

    Raises
    ------
    SessionError
        If there is no desktop.
    """
    if sys.platform == "win32":
        found = _windows()
    elif sys.platform == "darwin":
        found = _macos()
    else:
        found = _x11(os.environ)
    if not found:
        raise SessionError("The system names no monitor.", hint=_WHAT_TO_DO)
    if scale is not None:
        found = [replace(m, scale=scale) for m in found]
    found.sort(key=lambda m: (not m.primary, m.bounds_physical_px.x, m.bounds_physical_px.y))
    if sys.platform == "darwin":
        # The system itself counts in logical pixels there.
        return tuple(found)
    return place_logically(found)


def x11_scale(environ: Mapping[str, str]) -> float:
    """Return JavaFX's scale under X11: ``GDK_SCALE`` where it is a whole number above 0, else 1.

    Examples
    --------
    >>> x11_scale({"GDK_SCALE": "2"}), x11_scale({"GDK_SCALE": "1.5"}), x11_scale({})
    (2.0, 1.0, 1.0)
    """
    value = environ.get("GDK_SCALE", "")
    return float(value) if value.isascii() and value.isdigit() and int(value) > 0 else 1.0


class _XMonitor(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_ulong),
        ("primary", ctypes.c_int),
        ("automatic", ctypes.c_int),
        ("noutput", ctypes.c_int),
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("mwidth", ctypes.c_int),
        ("mheight", ctypes.c_int),
        ("outputs", ctypes.c_void_p),
    )


def _x11(environ: Mapping[str, str]) -> list[Monitor]:
    if not environ.get("DISPLAY"):
        raise SessionError("There is no desktop here: DISPLAY is not set.", hint=_WHAT_TO_DO)
    try:
        x11, randr = (ctypes.CDLL(name) for name in ("libX11.so.6", "libXrandr.so.2"))
    except OSError as error:
        raise SessionError(
            f"The monitors cannot be listed: {error}.", hint="Install libx11 and libxrandr."
        ) from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    x11.XGetAtomName.restype = ctypes.c_void_p
    x11.XGetAtomName.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
    x11.XFree.argtypes = [ctypes.c_void_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    randr.XRRGetMonitors.restype = ctypes.POINTER(_XMonitor)
    randr.XRRGetMonitors.argtypes = [
        ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
    ]  # fmt: skip
    randr.XRRFreeMonitors.argtypes = [ctypes.POINTER(_XMonitor)]
    display = x11.XOpenDisplay(None)
    if not display:
        raise SessionError(f"The desktop {environ['DISPLAY']!r} does not answer.", hint=_WHAT_TO_DO)
    scale = x11_scale(environ)
    count = ctypes.c_int()
    found: list[Monitor] = []
    try:
        listed = randr.XRRGetMonitors(
            display, x11.XDefaultRootWindow(display), 1, ctypes.byref(count)
        )
        for m in listed[: max(count.value, 0)] if listed else []:
            name = x11.XGetAtomName(display, m.name)
            text = ctypes.string_at(name).decode("utf-8", "replace") if name else ""
            if name:
                x11.XFree(name)
            box = Rect(m.x, m.y, m.width, m.height)
            found.append(Monitor(text, box, scale, m.mwidth, m.mheight, bool(m.primary)))
        if listed:
            randr.XRRFreeMonitors(listed)
    finally:
        x11.XCloseDisplay(display)
    return found


def _windows() -> list[Monitor]:  # pragma: no cover - needs Windows
    windll = getattr(ctypes, "windll")  # noqa: B009 - a type checker elsewhere knows none
    prepare_windows()
    from ctypes import wintypes

    class Info(ctypes.Structure):
        _fields_ = (
            ("size", wintypes.DWORD),
            ("monitor", wintypes.RECT),
            ("work", wintypes.RECT),
            ("flags", wintypes.DWORD),
            ("device", wintypes.WCHAR * 32),
        )

    found: list[Monitor] = []
    user, gdi = windll.user32, windll.gdi32
    user.GetMonitorInfoW.argtypes = [wintypes.HMONITOR, ctypes.POINTER(Info)]
    gdi.CreateDCW.restype = wintypes.HDC
    gdi.GetDeviceCaps.argtypes = [wintypes.HDC, ctypes.c_int]
    gdi.DeleteDC.argtypes = [wintypes.HDC]

    def one(handle: Any, _context: Any, _rect: Any, _data: Any) -> int:
        info = Info()
        info.size = ctypes.sizeof(Info)
        if not user.GetMonitorInfoW(handle, ctypes.byref(info)):
            return 1
        box = info.monitor
        dpi_x, dpi_y = wintypes.UINT(96), wintypes.UINT(96)
        with suppress(OSError, AttributeError):  # Windows before 8.1: one scale for all, 100 %
            windll.shcore.GetDpiForMonitor(
                wintypes.HMONITOR(handle), 0, ctypes.byref(dpi_x), ctypes.byref(dpi_y)
            )
        context = gdi.CreateDCW(info.device, None, None, None)
        wide, high = (gdi.GetDeviceCaps(context, what) if context else 0 for what in (4, 6))
        if context:
            gdi.DeleteDC(context)
        bounds = Rect(box.left, box.top, box.right - box.left, box.bottom - box.top)
        name = str(info.device).removeprefix("\\\\.\\")
        found.append(Monitor(name, bounds, dpi_x.value / 96, wide, high, bool(info.flags & 1)))
        return 1

    kind = getattr(ctypes, "WINFUNCTYPE")(  # noqa: B009
        ctypes.c_int,
        wintypes.HMONITOR,
        wintypes.HDC,
        ctypes.POINTER(wintypes.RECT),
        wintypes.LPARAM,
    )
    user.EnumDisplayMonitors(None, None, kind(one), 0)
    return found


def prepare_windows() -> None:
    """Have Windows give this process physical pixels; elsewhere it does nothing.

    Without it Windows stretches windows and lies about monitors whose scale is not 100 %.
    Must come before the first window.
    """
    windll = getattr(ctypes, "windll", None)
    if windll is None:
        return
    with suppress(OSError, AttributeError):  # Windows before 8.1 has one scale for all
        windll.shcore.SetProcessDpiAwareness(2)


def _macos() -> list[Monitor]:  # pragma: no cover - needs macOS
    path = ctypes.util.find_library("CoreGraphics")
    if path is None:
        raise SessionError("CoreGraphics was not found; the monitors cannot be listed.")
    core = ctypes.CDLL(path)

    class Box(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_double) for name in ("x", "y", "width", "height"))

    class Size(ctypes.Structure):
        _fields_ = (("width", ctypes.c_double), ("height", ctypes.c_double))

    core.CGDisplayBounds.restype = Box
    core.CGDisplayScreenSize.restype = Size
    core.CGDisplayCopyDisplayMode.restype = ctypes.c_void_p
    for name in ("CGDisplayModeGetPixelWidth", "CGDisplayModeGetPixelHeight"):
        getattr(core, name).restype = ctypes.c_size_t
        getattr(core, name).argtypes = [ctypes.c_void_p]
    core.CGDisplayModeRelease.argtypes = [ctypes.c_void_p]
    ids, count = (ctypes.c_uint32 * 16)(), ctypes.c_uint32()
    core.CGGetActiveDisplayList(16, ids, ctypes.byref(count))
    found = []
    for number in ids[: count.value]:
        box, size = core.CGDisplayBounds(number), core.CGDisplayScreenSize(number)
        mode = core.CGDisplayCopyDisplayMode(number)
        wide = core.CGDisplayModeGetPixelWidth(mode) if mode else box.width
        if mode:
            core.CGDisplayModeRelease(mode)
        scale = wide / box.width
        logical = Rect(box.x, box.y, box.width, box.height)
        physical = Rect(*(v * scale for v in (box.x, box.y, box.width, box.height)))
        primary = bool(core.CGDisplayIsMain(number))
        name = f"display {number}"
        found.append(Monitor(name, physical, scale, size.width, size.height, primary, logical))
    return found
