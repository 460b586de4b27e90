"""How many bytes a video file lacks, by the lengths that its container states.

Containers are chains of elements, each with its length. A file that was cut ends inside one of them.
"""

import os
from pathlib import Path
from typing import IO

# Elements that an MP4 or MOV file can start with; files from before 2001 have no ftyp.
FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"}
# Others that can follow. Some cameras append data of their own behind them.
BOXES = FIRST_BOXES | {
    b"meta",
    b"mfra",
    b"moof",
    b"pdin",
    b"prft",
    b"PICT",
    b"sidx",
    b"ssix",
    b"udta",
    b"uuid",
}
SEGMENT = b"\x18\x53\x80\x67"  # Matroska's (and WebM's) element that holds all others
# Elements in a segment and in a cluster, by their codes.
ELEMENTS = {
    bytes.fromhex(code)
    for code in (
        *("1A45DFA3", "18538067", "114D9B74", "1549A966", "1654AE6B", "1F43B675", "1C53BB6B", "1941A469"),
        *("1043A770", "1254C367", "EC", "BF", "E7", "5854", "A7", "AB", "A3", "A0", "AF"),
    )
}
ASF = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")  # the header of WMV
ASF_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
PACKETS = {188: 0, 192: 4}  # length of a transport stream's packet: offset of its sync byte 0x47


def missing_bytes(video: str | Path | IO[bytes]) -> int:
    """Return how many bytes a file lacks of those that its container states; 0 where that is unknown.

    It knows AVI (also larger than 2 GB), MP4, MOV, Matroska, WebM, FLV, WMV, Ogg and MPEG transport streams.
    """
    if isinstance(video, str | Path):
        with open(video, "rb") as file:
            return missing_bytes(file)
    size = video.seek(0, os.SEEK_END)
    video.seek(0)
    head = video.read(600)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        end = _end_of_avi(video, size)
    elif head[4:8] in FIRST_BOXES:
        end = _end_of_boxes(video, size)
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        end = _end_of_matroska(video, size)
    elif head[:3] == b"FLV":
        end = _end_of_flv(video, size)
    elif head[:4] == b"OggS":
        end = _end_of_ogg(video, size)
    elif head[:16] == ASF:
        end = _end_of_asf(video)
    else:
        end = _end_of_packets(head, size)
    return max(0, end - size)


def _read(file: IO[bytes], place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _end_of_avi(file: IO[bytes], size: int) -> int:
    """Return where the last RIFF chunk ends; large files have several, which an index lists (OpenDML)."""
    place = end = 0
    while len(head := _read(file, place, 12)) == 12 and head[:4] == b"RIFF":
        length = int.from_bytes(head[4:8], "little")
        if length in (0, 0xFFFFFFFF):  # the recording was not closed, or written to a pipe
            return size
        end = place + 8 + length
        place = end + length % 2
    return max(end, _end_of_index(file))


def _end_of_index(file: IO[bytes]) -> int:
    """Return where the last part ends that the index of a large AVI file lists; 0 without one."""
    head = _read(file, 0, 2**16)
    place = head.find(b"indx")
    if place < 0 or head[place + 11] != 0:  # 0: an index of indices
        return 0
    count = int.from_bytes(head[place + 12 : place + 16], "little")
    end = 0
    for entry in range(place + 32, min(place + 32 + 16 * count, len(head) - 15), 16):
        start, length = head[entry : entry + 8], head[entry + 8 : entry + 12]
        end = max(end, int.from_bytes(start, "little") + int.from_bytes(length, "little"))
    return end


def _end_of_boxes(file: IO[bytes], size: int) -> int:
    """Return where the last known box of an MP4 or MOV file ends."""
    place = 0
    while place + 8 <= size:
        head = _read(file, place, 16)
        length = int.from_bytes(head[:4], "big")
        if head[4:8] not in BOXES:
            break
        if length == 1:  # the length follows
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return size
        place += length
    return place


def _end_of_matroska(file: IO[bytes], size: int) -> int:
    """Return where the last known element ends; those of unknown length (live recordings) are looked into."""
    place = 0
    while place < size:
        head = _read(file, place, 12)
        start = 9 - head[0].bit_length()  # of the length
        if head[:start] not in ELEMENTS:
            break
        digits = 9 - head[start].bit_length() if start < len(head) else 1
        length = int.from_bytes(head[start : start + digits], "big") - (1 << 7 * digits)
        place += start + digits
        if length != (1 << 7 * digits) - 1:
            place += max(0, length)
            if head[:4] == SEGMENT:
                break
    return place


def _end_of_flv(file: IO[bytes], size: int) -> int:
    """Return where the last tag ends."""
    place = int.from_bytes(_read(file, 5, 4), "big") + 4
    while place + 11 <= size:
        head = _read(file, place, 4)
        if head[0] & 31 not in (8, 9, 18):  # sound, pictures, text
            break
        place += 11 + int.from_bytes(head[1:4], "big") + 4
    return place


def _end_of_asf(file: IO[bytes]) -> int:
    """Return where a WMV file ends; 0 for a live recording."""
    head = _read(file, 0, 2**16)
    place = head.find(ASF_PROPERTIES)
    live = place < 0 or int.from_bytes(head[place + 88 : place + 92], "little") & 1
    return 0 if live else int.from_bytes(head[place + 40 : place + 48], "little")


def _end_of_ogg(file: IO[bytes], size: int) -> int:
    """Return where the last page ends."""
    start = max(0, size - 2**17)  # two pages at most
    tail = _read(file, start, 2**17)
    place = tail.rfind(b"OggS")
    if place < 0:
        return 0
    lengths = tail[place + 27 : place + 27 + tail[place + 26]] if len(tail) > place + 26 else b""
    return start + place + 27 + len(lengths) + sum(lengths)


def _end_of_packets(head: bytes, size: int) -> int:
    """Return where the last packet of an MPEG transport stream ends; 0 for other files."""
    for length, mark in PACKETS.items():
        marks = [head[at : at + 1] for at in (mark, length + mark, 2 * length + mark)]
        # Two may be a coincidence, as a GIF begins with such a byte; short streams have no third.
        if marks[0] == marks[1] == b"\x47" and marks[2] in (b"\x47", b""):
            return -(-size // length) * length
    return 0
