"""Drives `tfm playground` on a terminal of its own: python3 tests/playground_live.py TFM FOLDER

Keys change what the screen says, and every way out gives the terminal back: q, Ctrl-C, SIGTERM, SIGHUP."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

TFM, FOLDER = os.path.abspath(sys.argv[1]), sys.argv[2]
WIDTH, HEIGHT = 100, 30


class Live:
    def __init__(self, *arguments):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.child = os.fork()
        if self.child == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for number in (0, 1, 2):
                os.dup2(slave, number)
            os.chdir(FOLDER)
            os.execvp(TFM, [TFM, "playground", *arguments])
        self.sent = b""
        self.rows = [[" "] * WIDTH for _ in range(HEIGHT)]
        self.at = [0, 0]

    def read(self):
        """What has come until nothing does for a moment; a running network paints without end, so not for long."""
        end = time.time() + 0.2
        while time.time() < end and select.select([self.master], [], [], 0.05)[0]:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return
            if not got:
                return
            self.sent += got

    def screen(self):
        """Replays what was sent: cursor places and characters."""
        self.read()
        text = self.sent.decode("utf-8", "ignore")
        x = y = 0
        rows = [[" "] * WIDTH for _ in range(HEIGHT)]
        for place, sequence, character in re.findall(r"\x1b\[(\d+;\d+)H|(\x1b\[[?0-9;]*[a-zA-Z])|([^\x1b])", text):
            if place:
                y, x = (int(part) - 1 for part in place.split(";"))
            elif character and character not in "\r\n" and y < HEIGHT and x < WIDTH:
                rows[y][x] = character
                x += 1
        return "\n".join("".join(row) for row in rows)

    def shows(self, pattern, seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            if re.search(pattern, self.screen()):
                return
        raise AssertionError(f"the screen does not show {pattern}:\n{self.screen()}")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def ended(self, expected):
        end = time.time() + 20
        while time.time() < end:
            self.read()
            pid, status = os.waitpid(self.child, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)
        else:
            os.kill(self.child, signal.SIGKILL)
            raise AssertionError("it does not end")
        self.read()
        code = os.waitstatus_to_exitcode(status)
        assert code == expected, f"exit status {code}, not {expected}"
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as it was"
        assert self.sent.rstrip().endswith(b"\x1b[?1049l") and b"\x1b[?25h" in self.sent, self.sent[-80:]
        os.close(self.master)
        os.close(self.slave)


def epoch(live):
    return int(re.search(r"epoch (\d+)", live.screen())[1])


live = Live("--data", "circle", "--hidden", "3,2")
live.shows(r"epoch 0  paused .*test loss [\d.]+")
live.shows(r"data circle  noise 0%  training 50%  batch 10  seed 0")
live.shows(r"output: bias 0\.1 n1")
live.press("s")
live.shows("epoch 1  paused")
live.press("ss")
live.shows("epoch 3  paused")
live.press(" ")
live.shows("running")
live.shows(r"epoch \d{2,}")
live.press(" ")
live.shows("paused")
assert epoch(live) > 3
for key, pattern in (
    ("t", "test shown"), ("c", "discretised"), ("L", "rate 0.1 "), ("l", "rate 0.03 "), ("k", "regularisation l1 0"),
    ("E", "l1 0.001"), ("B", "batch 11"), ("b", "batch 10"), ("a", "epoch 0 .*\n.*\n.* relu"), ("N", "noise 5%"),
    ("P", "training 60%"), ("g", "seed 1"), ("z", "normalised"), ("d", "data xor"), ("3", "x1²"), ("7", "sin x2"),
    ("\t", "layer 1 neuron 1: bias"), ("\t", "layer 1 neuron 2: bias"), ("\x1b[Z", "layer 1 neuron 1"), (">", "epoch 0"),
    ("w", "wrote playground-0.svg"), ("+", "epoch 0"), ("---", "epoch 0"), ("dddd", "data multi-gaussian"), ("sr", "epoch 0"),
):  # fmt: skip
    live.press(key)
    live.shows(pattern)
assert os.path.getsize(os.path.join(FOLDER, "playground-0.svg")) > 1000
fcntl.ioctl(live.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
live.shows("too small")
fcntl.ioctl(live.slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
live.shows("epoch 0")
live.press("q")
live.ended(0)

live = Live("--data", "plane", "--hidden", "none", "--learning-rate", "3")
live.shows("epoch 0")
live.press(" ")
live.shows("not finite any more")
live.shows("paused")
live.press("r")
live.shows("epoch 0")
live.press("\x03")
live.ended(0)

for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    live = Live()
    live.shows("epoch 0")
    live.press(" ")
    live.shows("running")
    os.kill(live.child, number)
    live.ended(128 + number)
print("live: done")
