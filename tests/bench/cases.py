"""The cases of tools/bench, and what measures them."""

import functools
import os
import time

from commands import Failed, run, say, sha256, tree_digests
from programs import Cpaway, Rsync, SshCat, Sshfs


class WrongContent(Exception):
    """What is on the remote side is not what was copied there."""


class Bench:
    """Runs cases, compares what they left, and keeps what they took."""

    def __init__(self, work, link, remote, samples, show):
        self.work = work
        self.link = link
        self.remote = remote
        self.samples = samples
        self.show = show  # is given each row as soon as it is there
        self.programs = []
        self.holds = {}  # by program and name: what was put there last
        self.results = []

    def start(self, kinds, place):
        """The programs that could be set up."""
        started = []
        for kind in kinds:
            with Attempt(self, "start", kind.name):
                started.append(kind(self.remote, place))
        self.programs += started
        return started

    def close(self):
        for program in self.programs:
            program.close()

    def run_case(self, name):
        """Runs a case with each program, one after the other."""
        if name == "loopback":
            measure_loopback(self)
            return
        for program in [one for one in self.programs if one.place is self.remote.near]:
            with Attempt(self, name, program.name):
                CASES[name](self, program)

    def add(self, row):
        self.results.append(row)
        self.show(row)

    def measure(self, case, program, action, check):
        """One row of the table."""
        os.sync()  # what earlier cases wrote is not to be paid for in this one
        self.link.ask("reset")
        start = time.monotonic()
        action()
        seconds = time.monotonic() - start
        carried = self.link.ask("stats")
        if not check():
            raise WrongContent(f"{case}: {program.name} left WRONG CONTENT")
        row = {"case": case, "program": program.name, "seconds": round(seconds, 3)}
        if program.place is self.remote.near:
            row |= {"bytes_up": carried["up"]["bytes"], "bytes_down": carried["down"]["bytes"]}
        self.add(row)

    def put(self, case, program, source, name, action=None):
        """Measures one file's way to the remote side."""
        self.holds.pop((program, name), None)
        self.measure(case, program, action or (lambda: program.put(source, name)),
                     lambda: self.is_there(program, source, name))
        self.holds[program, name] = source

    def is_there(self, program, source, name):
        path = program.directory / name
        return path.exists() and sha256(path) == self.samples.digest(source)

    def ensure(self, program, source, name):
        """Puts it there without measuring, unless it is there."""
        if self.holds.get((program, name)) != source:
            program.put(source, name)
            self.holds[program, name] = source
        if not self.is_there(program, source, name):
            raise WrongContent(f"{program.name} left WRONG CONTENT in {name}")

    def ensure_tree(self, program):
        if not (program.directory / "small").exists():
            program.put_tree(self.samples.small, "small")


class Attempt:
    """A part that may fail: says so, and the others go on."""

    def __init__(self, bench, case, name):
        self.bench = bench
        self.row = {"case": case, "program": name}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if not isinstance(error, Failed):
            return False
        say(f"bench: {self.row['case']}: {self.row['program']} FAILED: {error}")
        self.bench.add(self.row | {"failed": str(error)})
        return True


def case_new(bench, program):
    """a file of noise that is not there yet"""
    bench.put("new", program, bench.samples.data, "data")


def case_same(bench, program):
    """the same file again, with another time"""
    bench.ensure(program, bench.samples.data, "data")
    os.utime(bench.samples.data)  # else rsync would not look into it
    bench.put("same", program, bench.samples.data, "data")


def case_edited(bench, program):
    """64 scattered edits of 1 KiB, 777 bytes inserted, 5555 removed"""
    samples = bench.samples
    bench.ensure(program, samples.data, "data")
    bench.put("edited", program, samples.edited, "data")
    if isinstance(program, Cpaway):
        target = program.directory / "data"
        program.forget(lambda: bench.remote.put_directly(samples.data, target))
        bench.put("edited, cold", program, samples.edited, "data")


def case_appended(bench, program):
    """1 MiB more at the end"""
    bench.ensure(program, bench.samples.edited, "data")
    bench.put("appended", program, bench.samples.appended, "data")


def case_versions(bench, program):
    """three versions of a tar file, each under its own name; rsync with --fuzzy"""
    for version, path in enumerate(bench.samples.versions):
        action = None
        if isinstance(program, Rsync):
            action = functools.partial(program.put_version, path, path.name)
        bench.put(f"version {version}", program, path, path.name, action)


def case_log(bench, program):
    """a file of log lines that is not there yet"""
    bench.put("log", program, bench.samples.log, "log")


def case_small(bench, program):
    """a tree of small files: untar on a mount, a recursive copy with the others"""
    tree = bench.samples.small
    bench.measure("small", program, lambda: program.put_tree(tree, "small"),
                  lambda: tree_digests(program.directory / "small") == tree_digests(tree))


def case_readall(bench, program):
    """the tree of small files back, nothing of it in memory"""
    bench.ensure_tree(program)
    program.fresh()
    into = bench.work / f"readall-{program.name}"
    bench.measure("readall", program, lambda: program.get_tree("small", into),
                  lambda: tree_digests(into) == tree_digests(bench.samples.small))


def case_list(bench, program):
    """names and sizes of that tree, nothing of it in memory; and again"""
    if not program.lists:
        return
    tree = bench.samples.small
    names = sorted(f"{path.relative_to(tree)} {path.stat().st_size}"
                   for path in tree.rglob("*") if path.is_file())
    bench.ensure_tree(program)
    program.fresh()
    into = bench.work / f"list-{program.name}"
    for case in ("list", "list again"):
        bench.measure(case, program, lambda: program.list("small", into),
                      lambda: sorted(into.read_text().splitlines()) == names)


def case_seqread(bench, program):
    """the big file back, nothing of it in memory"""
    source = bench.holds.get((program, "data"), bench.samples.data)
    bench.ensure(program, source, "data")
    program.fresh()
    into = bench.work / "seqread"
    bench.measure("seqread", program, lambda: program.get("data", into),
                  lambda: sha256(into) == bench.samples.digest(source))
    into.unlink()


def case_many(bench, program):
    """many files of one size at once, a process for each"""
    files = bench.samples.many
    bench.measure("many", program, lambda: program.put_many(files),
                  lambda: all(bench.is_there(program, path, path.name) for path in files))


def measure_loopback(bench):
    """without the link: a big new file; and again, against the time of its SHA-256 alone"""
    big = bench.samples.big
    for program in bench.start([Cpaway, Sshfs, SshCat], bench.remote.loopback):
        with Attempt(bench, "loopback new", program.name):
            bench.put("loopback new", program, big, "big")
            if isinstance(program, Cpaway):
                os.utime(big)
                bench.put("loopback same", program, big, "big")
    start = time.monotonic()
    run(["openssl", "dgst", "-sha256", big])
    bench.add({"case": "loopback same", "program": "sha256",
               "seconds": round(time.monotonic() - start, 3)})


# In the order in which they run.
CASES = {"new": case_new, "same": case_same, "edited": case_edited, "appended": case_appended,
         "versions": case_versions, "log": case_log, "small": case_small,
         "readall": case_readall, "list": case_list, "seqread": case_seqread,
         "many": case_many, "loopback": measure_loopback}
