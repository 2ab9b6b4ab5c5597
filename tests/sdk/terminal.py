"""A program on a terminal of its own, driven as a person would drive it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

PATIENCE_SECONDS = 60


class Terminal:
    """A program whose standard streams are a pseudo-terminal."""

    def __init__(self, command, env, columns=80, rows=24):
        self.master, self.slave = pty.openpty()
        self.seen = b""
        self.resize(columns, rows, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env,
            preexec_fn=self._own_terminal,
        )

    def _own_terminal(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, columns, rows, tell=True):
        """Makes the window another size; the kernel tells the program."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        assert tell is False or self.process.poll() is None

    def type(self, text):
        os.write(self.master, text.encode())

    def _read(self, limit):
        ready, _, _ = select.select([self.master], [], [], max(0, limit - time.monotonic()))
        if not ready:
            raise TimeoutError(f"waited too long; seen so far: {self.seen!r}")
        try:
            self.seen += os.read(self.master, 65536)
        except OSError:
            return False
        return True

    def expect(self, text):
        """Waits until the text was written, and forgets everything up to it."""
        wanted, limit = text.encode(), time.monotonic() + PATIENCE_SECONDS
        while wanted not in self.seen:
            self._read(limit)
        before, self.seen = self.seen.split(wanted, 1)
        return before.decode(errors="replace")

    def wait(self):
        """Waits for the end of the program, reading on, and returns its code."""
        limit = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            if time.monotonic() > limit:
                raise TimeoutError(f"it does not end; seen so far: {self.seen!r}")
            if select.select([self.master], [], [], 0.05)[0]:
                self._read(limit)
        return self.process.returncode

    def kill(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def is_as_before(self):
        """Whether the terminal was put back as it was."""
        return termios.tcgetattr(self.slave) == self.before

    def hang_up(self):
        """Closes the window."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for end in (self.master, self.slave):
            if end is not None:
                os.close(end)
