"""Prints all that system calls tell of a tree: describe.py DIR [--no-links]. Two trees are the same if it prints the same.

Left out is what differs by nature: numbers of inodes and devices, times of access and of change, sizes and link counts of
directories, and how many blocks a file takes.
"""

import hashlib
import os
import stat
import sys


def paths(top):
    yield top
    with os.scandir(top) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from paths(entry.path)
            else:
                yield entry.path


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def attributes(path):
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        try:
            found[name] = os.getxattr(path, name, follow_symlinks=False)
        except OSError as error:
            found[name] = error.strerror
    return sorted(found.items())


os.chdir(os.fsencode(sys.argv[1]))
with_links = "--no-links" not in sys.argv
first_names = {}
for path in paths(b"."):
    info = os.lstat(path)
    line = [path, oct(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns]
    if not stat.S_ISDIR(info.st_mode):
        line += [info.st_size, info.st_rdev]
        if with_links:
            line += [info.st_nlink, first_names.setdefault(info.st_ino, path)]
    if stat.S_ISLNK(info.st_mode):
        line.append(os.readlink(path))
    if stat.S_ISREG(info.st_mode):
        line.append(digest(path) if os.access(path, os.R_OK) else "not readable")
    print(*line, *attributes(path))
