"""What tools/bench copies."""

import functools
import random
import shutil
from pathlib import Path

from commands import run, sha256

MIB = 1 << 20


class Samples:
    """Files to copy, each made when it is first wanted, and always the same."""

    def __init__(self, work, size, quick):
        self.dir = work / "samples"
        self.dir.mkdir()
        self.size = size
        self.quick = quick
        self.random = random.Random(20)
        self.digests = {}

    def digest(self, path):
        if path not in self.digests:
            self.digests[path] = sha256(path)
        return self.digests[path]

    def noise(self, name, size):
        path = self.dir / name
        with open(path, "wb") as file:
            for at in range(0, size, MIB):
                file.write(self.random.randbytes(min(MIB, size - at)))
        return path

    @functools.cached_property
    def data(self):
        return self.noise("data", self.size)

    @functools.cached_property
    def edited(self):
        content = bytearray(self.data.read_bytes())
        for _ in range(64):
            at = self.random.randrange(len(content) - 1024)
            content[at:at + 1024] = self.random.randbytes(1024)
        third = len(content) // 3
        content[third:third] = self.random.randbytes(777)
        del content[2 * third:2 * third + 5555]
        path = self.dir / "edited"
        path.write_bytes(content)
        return path

    @functools.cached_property
    def appended(self):
        path = self.dir / "appended"
        shutil.copy(self.edited, path)
        with open(path, "ab") as file:
            file.write(self.random.randbytes(MIB))
        return path

    @functools.cached_property
    def log(self):
        """Lines as a web server writes them."""
        path = self.dir / "log"
        pages = [f"/{self.random.choice(['img', 'api/v1', 'docs', 'static'])}/"
                 f"{self.random.randbytes(6).hex()}" for _ in range(5000)]
        second = 1_700_000_000
        with open(path, "w", encoding="ascii") as file:
            while file.tell() < self.size:
                lines = []
                for _ in range(10_000):
                    bits = self.random.getrandbits(64)
                    second += bits & 1
                    lines.append(f"10.{bits >> 8 & 31}.{bits >> 16 & 255}.{bits >> 24 & 255} - - "
                                 f"[{second}] \"GET {pages[(bits >> 32) % 5000]} HTTP/1.1\" 200 "
                                 f"{bits >> 44} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"\n")
                file.writelines(lines)
            file.truncate(self.size)
        return path

    @functools.cached_property
    def small(self):
        """A directory of small files, as a tree and as TREE.tar."""
        tree = self.dir / "small"
        count = 60 if self.quick else 300
        files = [path for path in sorted(Path("/usr/include").rglob("*.h"))
                 if path.is_file() and not path.is_symlink() and path.stat().st_size < 64 * 1024]
        for path in files[:count]:
            target = tree / path.relative_to("/usr/include")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        run(["tar", "-cf", f"{tree}.tar", "-C", tree, "."])
        return tree

    @functools.cached_property
    def versions(self):
        """Tar files of a tree of sources, and of what became of it."""
        tree = self.dir / "tree"
        shutil.copytree("/usr/include/linux" if self.quick else "/usr/include", tree,
                        symlinks=True, ignore_dangling_symlinks=True)
        paths = []
        for version in range(3):
            if version > 0:
                self._work_on(tree, version)
            path = self.dir / f"tree-1.{version}.tar"
            run(["tar", "--sort=name", "-cf", path, "-C", self.dir, "tree"])
            paths.append(path)
        shutil.rmtree(tree)
        return paths

    def _work_on(self, tree, version):
        files = [path for path in sorted(tree.rglob("*.h")) if not path.is_symlink()]
        for path in self.random.sample(files, len(files) // 20):
            lines = path.read_bytes().splitlines(keepends=True)
            lines.insert(self.random.randrange(len(lines) + 1), b"/* changed */\n")
            path.write_bytes(b"".join(lines))
        for path in self.random.sample(files, len(files) // 100):
            path.unlink()
        (tree / f"new_in_{version}.h").write_bytes(self.random.randbytes(20_000).hex().encode())

    @functools.cached_property
    def many(self):
        count = 8 if self.quick else 32
        return [self.noise(f"many{i}", self.size // count) for i in range(count)]

    @functools.cached_property
    def big(self):
        return self.noise("big", (128 if self.quick else 1024) * MIB)
