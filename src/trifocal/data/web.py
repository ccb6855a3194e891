"""A picture from the web, which is fetched only where a caller asks for it."""

from __future__ import annotations

import urllib.error
import urllib.request

from trifocal.data.images import MAX_BYTES, BadImage
from trifocal.version import __version__

_SECONDS = 30
_PIECE = 1 << 20


def fetch(address: str, *, most: int = MAX_BYTES, seconds: float = _SECONDS) -> bytes:
    """Return the content of a file on the web.

    Args:
        address: It begins with http:// or https://.
        most: Bytes that it may have.
        seconds: How long an answer may take.

    Raises:
        BadImage: there is no such file, it is too large, or nobody answers.
    """
    try:
        asked = urllib.request.Request(address, headers={"User-Agent": f"trifocal/{__version__}"})
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            content = bytearray()
            while piece := answer.read(_PIECE):
                content += piece
                if len(content) > most:
                    raise BadImage(address, f"more than {most >> 20} MB")
    except BadImage:
        raise
    except (OSError, ValueError) as error:  # of urllib, of sockets, and of odd addresses
        reason = getattr(error, "reason", None) or error
        raise BadImage(address, str(reason)) from error
    return bytes(content)
