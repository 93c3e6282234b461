"""Members of zip and tar archives: where each lies in its archive, and how its bytes are had."""

from __future__ import annotations

import bz2
import calendar
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from indexer.sources.place import is_plain_name
from indexer.sources.source import INODE_BITS, Stat

Fetch = Callable[[int, int], bytes]
"""Returns the bytes of a part of an archive, from a place up to another."""

MEMBER_BYTES = 1 << 30  # of a packed member at most: what a picture takes is a small part of that
ENCRYPTED = 1  # a flag of a member of a zip
LOCAL_HEADER = struct.Struct("<4s22xHH")  # up to the lengths of the name and of what follows it
LOCAL_MARK = b"PK\x03\x04"
BLOCK = 512  # of a tar
UNPACKED: dict[int, Callable[[bytes, int], bytes]] = {
    zipfile.ZIP_STORED: lambda data, _: data,
    zipfile.ZIP_DEFLATED: lambda data, most: zlib.decompressobj(-15).decompress(data, most),
    zipfile.ZIP_BZIP2: lambda data, most: bz2.BZ2Decompressor().decompress(data, most),
}


class DamagedMemberError(Exception):
    """A member that cannot be had, whatever is tried: why, and what to do."""


@dataclass(frozen=True)
class Member:
    """A file in an archive: `fault` says why it cannot be had, if it cannot.

    Its bytes, packed by `method`, lie from `start` on in a tar; in a zip its header lies there.
    """

    facts: Stat
    start: int
    packed_bytes: int
    method: int | None = None
    crc: int = 0
    fault: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether its bytes are in the archive unchanged."""
        return self.method in (None, zipfile.ZIP_STORED)


@dataclass
class Members:
    """The files of an archive by name, and (name, reason) of what is left out.

    `damage` says why there may be more of them than are known.
    """

    files: dict[str, Member] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    damage: str = ""

    def add(self, name: str, member: Member) -> None:
        """Add a file; of several with one name the last one counts, as when they are unpacked."""
        name = name.removeprefix("./")
        if not is_plain_name(name):
            self.problems.append((name, "has a name that leads out of the archive; left out"))
            return
        if name in self.files:
            self.problems.append((name, "is in the archive twice; the last one counts"))
        self.files[name] = member


def read_members(file: IO[bytes], name: str, mark: int) -> Members:
    """List the archive in a file of this name; raises `DamagedMemberError`, and `OSError`.

    `mark` is a number that stands for the content of the archive as a whole.
    """
    try:
        return _tar_members(file, mark) if name.lower().endswith(".tar") else _zip_members(file)
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, EOFError) as error:
        raise DamagedMemberError(f"is not a readable archive ({error})") from error
    except (ValueError, struct.error, IndexError) as error:
        raise DamagedMemberError(f"is a damaged archive ({error})") from error


def _zip_members(file: IO[bytes]) -> Members:
    found = Members()
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                found.problems.append((info.filename, "is a link, which is not followed"))
                continue
            # The checksum of a member tells more of its content than the archive's date.
            facts = Stat(info.file_size, _date_of(info), 0, (info.CRC + 1) & INODE_BITS)
            member = Member(
                facts,
                info.header_offset,
                info.compress_size,
                info.compress_type,
                info.CRC,
                _zip_fault(info),
            )
            found.add(info.filename, member)
    return found


def _zip_fault(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & ENCRYPTED:
        return "is encrypted; unpack the archive with its password, and index the folder"
    if info.compress_type not in UNPACKED:
        return f"is packed by method {info.compress_type}, which is not supported; unpack it"
    if info.compress_type != zipfile.ZIP_STORED and info.file_size > MEMBER_BYTES:
        return f"unpacks to {info.file_size:,} bytes, over the limit of {MEMBER_BYTES:,}"
    return ""


def _date_of(info: zipfile.ZipInfo) -> int:
    try:
        return calendar.timegm((*info.date_time, 0, 0, 0)) * 10**9
    except (ValueError, OverflowError):
        return 0


def _tar_members(file: IO[bytes], mark: int) -> Members:
    found = Members()
    with tarfile.open(fileobj=file, mode="r:") as archive:
        try:
            for info in archive:
                _add_tar_member(found, info, mark)
        except tarfile.TarError as error:
            found.damage = f"its end is missing or damaged ({error}); what comes before is read"
        else:
            file.seek(archive.offset)
            if file.read(BLOCK).strip(b"\0"):
                found.damage = "it is damaged in its middle; what comes before that is read"
    return found


def _add_tar_member(found: Members, info: tarfile.TarInfo, mark: int) -> None:
    if info.issym() or info.islnk():
        found.problems.append((info.name, "is a link, which is not followed"))
    elif info.isreg():
        facts = Stat(info.size, max(0, round(info.mtime)) * 10**9, 0, mark)
        fault = "is a sparse file, which is not supported; unpack it" if info.issparse() else ""
        found.add(info.name, Member(facts, info.offset_data, info.size, fault=fault))


def unpack(member: Member, fetch: Fetch, most: int | None = None) -> bytes:
    """Return the bytes of a member, or `most` of them; raises `DamagedMemberError`, `OSError`."""
    start = data_start(member, fetch)
    if member.is_plain:
        size = member.packed_bytes if most is None else min(most, member.packed_bytes)
        data = fetch(start, start + size)
        if len(data) < size:
            raise DamagedMemberError("is cut off: the archive ends before it")
    else:
        packed = fetch(start, start + member.packed_bytes)
        size = member.facts.st_size if most is None else min(most, member.facts.st_size)
        data = _unpacked(member, packed, size)
    if member.method is not None and most is None and zlib.crc32(data) != member.crc:
        raise DamagedMemberError("is damaged: its checksum in the archive does not fit")
    return data


def _unpacked(member: Member, packed: bytes, size: int) -> bytes:
    try:
        data = UNPACKED[member.method or 0](packed, size) if size else b""
    except (zlib.error, OSError, EOFError) as error:
        raise DamagedMemberError(f"is damaged in its archive ({error})") from error
    if len(data) < size:
        raise DamagedMemberError("is damaged: it unpacks to fewer bytes than the archive says")
    return data


def data_start(member: Member, fetch: Fetch) -> int:
    """Return where the bytes of a member begin; raises `DamagedMemberError` where they do not."""
    if member.fault:
        raise DamagedMemberError(member.fault)
    if member.method is None:
        return member.start
    header = fetch(member.start, member.start + LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(LOCAL_MARK):
        raise DamagedMemberError("is damaged: the archive has no header where it should begin")
    _, name, extra = LOCAL_HEADER.unpack(header)
    return member.start + LOCAL_HEADER.size + int(name) + int(extra)
