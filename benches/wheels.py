"""Makes synthetic wheels for growth.sh.

  wheels.py copies COUNT TO FROM     copies of the wheels of FROM, each copy under names of its own
  wheels.py small COUNT TO           COUNT files of some hundred bytes, in wheels of 10,000
"""

import base64
import hashlib
import pathlib
import random
import re
import struct
import sys
import zipfile
import zlib

# Two of 29 are two thirds of the bytes: without them a hundred copies stay handy.
LEFT_OUT = ("numpy-", "pandas-")


def deflated(content):
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(content) + compressor.flush()


class Member:
    """A file of a wheel: its DEFLATE stream is made once and written many times, which zipfile has no way to do."""

    def __init__(self, content, stream=None):
        self.stream = deflated(content) if stream is None else stream
        self.size, self.crc = len(content), zlib.crc32(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self.record = f"sha256={digest},{self.size}"


def write(path, name, version, members):
    """A wheel of a project; members by their path. METADATA, WHEEL and RECORD are added."""
    information = f"{name}-{version}.dist-info"
    own = {
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: benches\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members = members | {place: Member(text.encode()) for place, text in own.items()}
    record = "".join(f"{place},{member.record}\n" for place, member in members.items())
    members[f"{information}/RECORD"] = Member(f"{record}{information}/RECORD,,\n".encode())
    central = bytearray()
    with open(path, "wb") as out:
        for place, member in members.items():
            # Version 2.0, UTF-8 names, DEFLATE, 1980-01-01 (APPNOTE 4.3.7).
            common = struct.pack("<HHHHHIIIHH", 20, 0x800, 8, 0, 33, member.crc, len(member.stream), member.size, len(place.encode()), 0)
            central += b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, out.tell()) + place.encode()
            out.write(b"PK\3\4" + common + place.encode() + member.stream)
        end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(central), out.tell(), 0)
        out.write(central + b"PK\5\6" + end)


def content_of(wheel):
    """The files of a wheel but for its metadata and what would be shared by copies (scripts, data)."""
    members = {}
    with zipfile.ZipFile(wheel) as archive, open(wheel, "rb") as raw:
        for info in archive.infolist():
            if info.is_dir() or re.match(r"[^/]*\.(dist-info|data)/", info.filename):
                continue
            stream = None
            if info.compress_type == zipfile.ZIP_DEFLATED:
                raw.seek(info.header_offset + 26)
                raw.seek(sum(struct.unpack("<HH", raw.read(4))), 1)
                stream = raw.read(info.compress_size)
            members[info.filename] = Member(archive.read(info), stream)
    return members


def copies(count, to, source):
    wheels = [wheel for wheel in sorted(pathlib.Path(source).glob("*.whl")) if not wheel.name.startswith(LEFT_OUT)]
    contents = {wheel.name.split("-")[0]: content_of(wheel) for wheel in wheels}
    for number in range(count):
        for name, members in contents.items():
            copy = f"copy{number}_{name}"
            moved = {f"copy{number}_{place}": member for place, member in members.items()}
            write(to / f"{copy}-1.0-py3-none-any.whl", copy, "1.0", moved)


def small(count, to):
    random.seed(1)
    words = [f"name_{number}" for number in range(500)]
    for first in range(0, count, 10_000):
        name = f"small{first // 10_000}"
        members = {}
        for number in range(first, min(first + 10_000, count)):
            text = "".join(f"{random.choice(words)} = {random.choice(words)!r}\n" for _ in range(random.randint(5, 30)))
            members[f"{name}/part_{number // 100}/module_{number}.py"] = Member(text.encode())
        write(to / f"{name}-1.0-py3-none-any.whl", name, "1.0", members)


if __name__ == "__main__":
    kind, count, to, *source = sys.argv[1:]
    pathlib.Path(to).mkdir(parents=True, exist_ok=True)
    {"copies": copies, "small": small}[kind](int(count), pathlib.Path(to), *source)
