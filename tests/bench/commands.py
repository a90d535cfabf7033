"""Running programs and comparing files, for tools/bench."""

import hashlib
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND_TIMEOUT_S = 1800


class Failed(Exception):
    """A command failed, or left what it should not have."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def environment():
    """No agent of the person who runs this, and messages that scripts can read."""
    words = {key: value for key, value in os.environ.items() if key != "SSH_AUTH_SOCK"}
    return words | {"LC_ALL": "C"}


def text_of(errors):
    errors.seek(0)
    return errors.read(1000).decode(errors="replace").strip()


def start(argv, errors, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
    return subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=errors, env=environment())


def wait_for(child):
    """Its exit status. Not with wait(timeout), which looks only every 50 ms."""
    try:
        with open(os.pidfd_open(child.pid), "rb") as ended:
            if not select.select([ended], [], [], COMMAND_TIMEOUT_S)[0]:
                raise Failed(f"{child.args[0]}: has not ended after {COMMAND_TIMEOUT_S} s")
    except BaseException:
        child.kill()
        raise
    return child.wait()


def run(argv, **streams):
    """Runs a command to its end; its error output is the exception's text.

    A file takes the errors: the ssh of an sshfs that went into the background would keep a pipe.
    """
    with tempfile.TemporaryFile() as errors:
        status = wait_for(start(argv, errors, **streams))
        if status != 0:
            words = " ".join(map(str, argv))
            raise Failed(f"{words}: exit status {status}\n{text_of(errors)}")


def run_at_once(commands):
    """Runs commands at the same time, and waits for all."""
    with tempfile.TemporaryFile() as errors:
        running = [start(argv, errors) for argv in commands]
        if any([wait_for(child) for child in running]):
            raise Failed(f"{len(commands)} times {commands[0][0]}: {text_of(errors)}")


def wait_until(condition, timeout_s=10):
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digests(top):
    """The digest of each file, by its name relative to `top`."""
    return {str(path.relative_to(top)): sha256(path)
            for path in sorted(Path(top).rglob("*")) if path.is_file()}
