"""Modified UTF-8, the way Java writes strings into object streams.

NUL is two bytes, and a character beyond the basic plane is two surrogates of three bytes each
(Java SE specification, ``java.io.DataInput``). A lone surrogate, which Java permits and Unicode
does not, survives the round trip.
"""

from __future__ import annotations

from array import array

from qpgaze.errors import UnsupportedDataError


def decode_modified_utf8(raw: bytes) -> str:
    r"""Turn the bytes of a Java string into text.

    Raises
    ------
    UnsupportedDataError
        If the bytes are not modified UTF-8.

    Examples
    --------
    >>> decode_modified_utf8(b"\xed\xa0\xbd\xed\xb8\x80") == "\U0001f600"
    True
    """
    if raw.isascii():
        return raw.decode("ascii")
    if max(raw) >= 0xF0:
        raise UnsupportedDataError(
            "A text in the image's data holds a byte that Java never writes."
        )
    try:
        text = raw.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError as error:
        raise UnsupportedDataError(
            "A text in the image's data is not written the way Java writes text."
        ) from error


def encode_modified_utf8(text: str) -> bytes:
    r"""Turn text into the bytes of a Java string.

    Examples
    --------
    >>> encode_modified_utf8("a\0")
    b'a\xc0\x80'
    """
    if text.isascii():
        raw = text.encode("ascii")
    elif max(text) <= "\uffff":
        raw = text.encode("utf-8", "surrogatepass")
    else:
        units = array("H", text.encode("utf-16", "surrogatepass")[2:])
        raw = "".join(map(chr, units)).encode("utf-8", "surrogatepass")
    return raw.replace(b"\0", b"\xc0\x80") if b"\0" in raw else raw
