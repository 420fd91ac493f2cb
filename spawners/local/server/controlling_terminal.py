"""Run as a program: makes standard input the controlling terminal and becomes the shell.

    python -I -S controlling_terminal.py keep|unset SHELL ARGV0 [ARGUMENT...]

It stands between because `preexec_fn` and `pty.fork` are unsafe beside threads. The caller has put
it in a session of its own (setsid(2)). `unset` takes LC_CTYPE out of the environment again, which
Python sets by itself in the C locale (PEP 538) and which nobody asked for.
"""

import fcntl
import os
import signal
import sys
import termios

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Python ignores these two for itself, and what is ignored stays ignored over an exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if sys.argv[1] == "unset":
        os.environ.pop("LC_CTYPE", None)
    os.execv(sys.argv[2], [os.fsencode(argument) for argument in sys.argv[3:]])  # noqa: S606  no shell is wanted in between
