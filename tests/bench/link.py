"""The emulated link of tools/bench, and the remote host at its far end."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from commands import Failed, run, say, wait_until


class Link:
    """cpaway-link, which ends with its standard input and so with this program."""

    def __init__(self, program, rate, rtt_ms):
        # A session of its own: Ctrl-C is for this program, which needs the link to unmount.
        self.process = subprocess.Popen(
            [program, "--rate", rate, "--delay", str(rtt_ms / 2)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        ends = self._read()
        self.near, self.far = ends["near"], ends["far"]
        self.far_address = ends["far_address"]
        self.namespaces = {os.readlink(self.near), os.readlink(self.far)}

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed("cpaway-link does not start")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._read()

    def members(self):
        """Processes at either end, but the link's own."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                inside = os.readlink(entry / "ns/net") in self.namespaces
            except OSError:
                continue
            if inside and int(entry.name) != self.process.pid:
                found.append(int(entry.name))
        return found

    def close(self):
        """Ends whatever still runs at its ends, and the link."""
        wait_until(lambda: not self.members(), 5)
        for pid in self.members():
            say(f"bench: ending process {pid}, which is left at the link")
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended by itself just now
        wait_until(lambda: not self.members(), 5)
        self.process.stdin.close()
        self.process.wait(10)


class Place:
    """Where programs run, and where they find the remote host from there."""

    def __init__(self, namespace, host):
        self.namespace = namespace
        self.host = host

    def inside(self, argv):
        return ["nsenter", f"--net={self.namespace}", "--", *map(str, argv)]


class Remote:
    """A private sshd at the far end, with a user, keys and known_hosts of its own."""

    def __init__(self, work, link):
        self.work = work
        self.top = work / "remote"
        self.near = Place(link.near, link.far_address)
        self.loopback = Place(link.far, "127.0.0.1")
        self.user = f"cpaway-bench-{os.getpid()}"
        self.sshd = None
        self.has_user = False

    def start(self):
        for name in ("remote", "home", "cache"):
            (self.work / name).mkdir()
        run(["useradd", "-M", "-d", self.work / "home", "-s", "/bin/sh", self.user])
        self.has_user = True
        run(["usermod", "-p", "*", self.user])  # no password fits, and it is not locked
        for name in ("remote", "home", "cache"):
            shutil.chown(self.work / name, self.user, self.user)
        for key in ("host_key", "user_key"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.work / key])
        shutil.copy(self.work / "user_key.pub", self.work / "authorized_keys")
        self._write_config()
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it
        self.sshd = subprocess.Popen(
            self.loopback.inside(["/usr/sbin/sshd", "-D", "-f", self.work / "sshd_config", "-E",
                                  self.work / "sshd.log"]), start_new_session=True)
        if not wait_until(self._answers):
            raise Failed(f"sshd does not answer: {(self.work / 'sshd.log').read_text()}")

    def _write_config(self):
        (self.work / "sshd_config").write_text(f"""\
ListenAddress 0.0.0.0
HostKey {self.work}/host_key
AuthorizedKeysFile {self.work}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
Subsystem sftp /usr/lib/openssh/sftp-server
SetEnv XDG_CACHE_HOME={self.work}/cache
""")
        key = (self.work / "host_key.pub").read_text()
        (self.work / "known_hosts").write_text(
            "".join(f"{place.host} {key}" for place in (self.near, self.loopback)))

    def _answers(self):
        try:
            run(self.near.inside(["ssh", *self.ssh_options(), self.login(self.near), "true"]))
            return True
        except Failed:
            return False

    def ssh_options(self):
        return ["-F", "none", "-i", f"{self.work}/user_key", "-o", "BatchMode=yes",
                "-o", f"UserKnownHostsFile={self.work}/known_hosts",
                "-o", "StrictHostKeyChecking=yes"]

    def mount_options(self):
        return (f"IdentityFile={self.work}/user_key,UserKnownHostsFile={self.work}/known_hosts,"
                "StrictHostKeyChecking=yes")

    def login(self, place):
        return f"{self.user}@{place.host}"

    def make_dir(self, name):
        path = self.top / name
        path.mkdir()
        shutil.chown(path, self.user, self.user)
        return path

    def put_directly(self, source, target):
        """A file that comes to the remote host by another way."""
        shutil.copy2(source, target)
        shutil.chown(target, self.user, self.user)

    def stop(self):
        if self.sshd:
            self.sshd.terminate()
            self.sshd.wait(10)

    def remove_user(self):
        """Once none of its processes is left."""
        if self.has_user:
            run(["userdel", self.user])
