"""Whether a network device is up and has its link, by one system call and no message to parse."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct

SIOCGIFFLAGS = 0x8913
"""netdevice(7); include/uapi/linux/sockios.h"""
_RUNNING = 0x1 | 0x40
"""IFF_UP and IFF_RUNNING, as keepalived judges (keepalived/include/vrrp_if.h)."""
_IFREQ = struct.Struct("16sH22x")


class Running:
    """Asks the kernel through a socket of its own, which is kept."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def __call__(self, device: str) -> bool:
        """False where there is no such device, too."""
        with contextlib.suppress(OSError):
            answer = fcntl.ioctl(self._socket, SIOCGIFFLAGS, _IFREQ.pack(device.encode(), 0))
            return bool(_IFREQ.unpack(answer)[1] & _RUNNING == _RUNNING)
        return False

    def close(self) -> None:
        self._socket.close()
