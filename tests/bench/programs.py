"""The programs that tools/bench compares. Each has a directory of its own on the remote side."""

import shutil
from pathlib import Path

from commands import Failed, run, run_at_once, say


class Program:
    """What every one of them can do. Names are relative to its remote directory."""

    name = ""
    lists = False

    def __init__(self, remote, place):
        self.remote = remote
        self.place = place
        label = "loopback-" if place is remote.loopback else ""
        self.directory = remote.make_dir(label + self.name)
        self.source = f"{remote.login(place)}:{self.directory}"

    def fresh(self):
        """Forgets what it has in memory."""

    def close(self):
        """Undoes what it has set up."""

    def put_many(self, sources):
        run_at_once([self.put_command(source, source.name) for source in sources])

    def put(self, source, name):
        run(self.put_command(source, name))


class Mount(Program):
    """A filesystem, on which ordinary programs work."""

    lists = True

    def __init__(self, remote, place):
        super().__init__(remote, place)
        self.mountpoint = remote.work / f"mnt-{self.directory.name}"
        self.mountpoint.mkdir()
        self.mount()

    def put_command(self, source, name):
        return ["cp", source, self.mountpoint / name]

    def put_tree(self, tree, name):
        (self.mountpoint / name).mkdir()
        run(["tar", "--no-same-owner", "-xf", f"{tree}.tar", "-C", self.mountpoint / name])

    def get(self, name, into):
        run(["cp", self.mountpoint / name, into])

    def get_tree(self, name, into):
        run(["cp", "-r", self.mountpoint / name, into])

    def list(self, name, into):
        with open(into, "wb") as out:
            run(["find", self.mountpoint / name, "-type", "f", "-printf", "%P %s\n"], stdout=out)

    def fresh(self):
        self.unmount()
        self.mount()

    def mounted(self):
        return f" {self.mountpoint} " in Path("/proc/mounts").read_text()

    def close(self):
        if self.mounted():
            try:
                self.unmount()
            except Failed as error:
                say(f"bench: {error}")
                run(["umount", "-l", self.mountpoint])


class Cpaway(Mount):
    """What is measured."""

    name = "cpaway"
    bin = Path()
    options = ""

    def mount(self):
        state = self.remote.work / f"state-{self.directory.name}"
        options = f"{self.remote.mount_options()},state_dir={state},log={state}.log"
        if self.options:
            options += f",{self.options}"
        run(self.place.inside([self.bin / "cpaway", "mount", self.source, self.mountpoint,
                               "-F", "none", "-o", options]))

    def unmount(self):
        run([self.bin / "cpaway", "umount", "--state-dir",
             self.remote.work / f"state-{self.directory.name}", self.mountpoint])

    def forget(self, change=lambda: None):
        """Loses its store, and makes a change on the remote side meanwhile."""
        self.unmount()
        for store in (self.remote.work / f"state-{self.directory.name}").glob("*/store"):
            shutil.rmtree(store)
        change()
        self.mount()


class Sshfs(Mount):
    """sshfs with the options that it has by itself."""

    name = "sshfs"

    def mount(self):
        run(self.place.inside(["sshfs", self.source, self.mountpoint, "-F", "none",
                               "-o", self.remote.mount_options()]))

    def unmount(self):
        run(["fusermount3", "-u", self.mountpoint])


class Rsync(Program):
    """rsync over ssh, without compression."""

    name = "rsync"

    def _command(self, *words):
        shell = " ".join(["ssh", *self.remote.ssh_options()])
        return self.place.inside(["rsync", "-e", shell, *words])

    def put_command(self, source, name):
        return self._command("-t", source, f"{self.source}/{name}")

    def put_version(self, source, name):
        run(self._command("-t", "--fuzzy", source, f"{self.source}/{name}"))

    def put_tree(self, tree, name):
        run(self._command("-rlpt", f"{tree}/", f"{self.source}/{name}/"))

    def get(self, name, into):
        run(self._command("-t", f"{self.source}/{name}", into))

    def get_tree(self, name, into):
        run(self._command("-rlpt", f"{self.source}/{name}/", f"{into}/"))


class Scp(Program):
    """scp, which always sends all."""

    name = "scp"

    def _command(self, *words):
        return self.place.inside(["scp", "-q", *self.remote.ssh_options(), *words])

    def put_command(self, source, name):
        return self._command(source, f"{self.source}/{name}")

    def put_tree(self, tree, name):
        run(self._command("-r", tree, f"{self.source}/{name}"))

    def get(self, name, into):
        run(self._command(f"{self.source}/{name}", into))

    def get_tree(self, name, into):
        run(self._command("-r", f"{self.source}/{name}", into))


class SshCat(Program):
    """`ssh HOST 'cat >FILE'`: what SSH itself can do."""

    name = "ssh cat"

    def put(self, source, name):
        with open(source, "rb") as content:
            run(self.place.inside(["ssh", *self.remote.ssh_options(),
                                   self.remote.login(self.place),
                                   f"cat >'{self.directory}/{name}'"]), stdin=content)
