"""Collect a small text corpus of eight kinds from Debian packages.

Downloads the packages listed in SOURCES with apt-get, unpacks them below the
output folder (nothing is installed), reads their texts and writes

    documents.jsonl   one document per line: kind, source, split, text
    manifest.json     per package: version, sha256, documents and bytes taken

Splits: per kind the first 2 * HELD_OUT documents (in order of a hash of their
name) are held out, half for the validation curve and half for the recorded
trace. The rest is training text, up to TRAIN_BYTES per kind.
"""
from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import json
import re
import subprocess
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

HELD_OUT = 8             # documents per kind in each of the two held-out splits
MIN_HELD_OUT = 4_000     # bytes; shorter documents are training text only
TRAIN_BYTES = 3_000_000  # per kind
MAX_DOCUMENT = 64_000    # characters; the tail of a longer file is dropped
BOOK_PART = 12_000       # characters per document when a whole book is one file


class Source(NamedTuple):
    kind: str
    package: str
    glob: str
    reader: str  # "plain", "html" or "book"


SOURCES = [
    Source("prose", "debian-handbook", "usr/share/doc/debian-handbook/html/en-US/*.html", "html"),
    Source("prose", "debian-reference-en", "usr/share/debian-reference/*.en.txt.gz", "book"),
    Source("prose", "jargon-text", "usr/share/doc/jargon-text/jargon.txt.gz", "book"),
    Source("prose", "dict-devil", "usr/share/dictd/devil.dict.dz", "book"),
    Source("c", "libstb-dev", "**/*.h", "plain"),
    Source("c", "uthash-dev", "**/*.[ch]", "plain"),
    Source("c", "libglib2.0-dev", "**/*.h", "plain"),
    Source("c", "linux-libc-dev", "**/*.h", "plain"),
    Source("python", "libpython3.11-stdlib", "**/*.py", "plain"),
    Source("perl", "perl-modules-5.36", "**/*.pm", "plain"),
    Source("manual", "manpages", "usr/share/man/man*/*.gz", "plain"),
    Source("manual", "manpages-dev", "usr/share/man/man*/*.gz", "plain"),
    Source("german", "debian-handbook", "usr/share/doc/debian-handbook/html/de-DE/*.html", "html"),
    Source("german", "debian-reference-de", "usr/share/debian-reference/*.de.txt.gz", "book"),
    Source("german", "debian-faq-de", "usr/share/doc/debian/FAQ/*.de.txt.gz", "book"),
    Source("french", "debian-handbook", "usr/share/doc/debian-handbook/html/fr-FR/*.html", "html"),
    Source("french", "debian-reference-fr", "usr/share/debian-reference/*.fr.txt.gz", "book"),
    Source("french", "debian-faq-fr", "usr/share/doc/debian/FAQ/*.fr.txt.gz", "book"),
    Source("russian", "debian-handbook", "usr/share/doc/debian-handbook/html/ru-RU/*.html", "html"),
    Source("russian", "debian-faq-ru", "usr/share/doc/debian/FAQ/*.ru.txt.gz", "book"),
    Source("russian", "manpages-ru", "usr/share/man/ru/man*/*.gz", "plain"),
]


def fetch(package: str, folder: Path) -> dict[str, str]:
    """Download and unpack one package; return its name, version and checksum."""
    debs, tree = folder / "debs", folder / "unpacked" / package
    debs.mkdir(parents=True, exist_ok=True)
    if not list(debs.glob(f"{package}_*.deb")):
        subprocess.run(["apt-get", "download", package], cwd=debs, check=True)
    deb = next(debs.glob(f"{package}_*.deb"))
    if not tree.exists():
        tree.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)
    version = subprocess.run(["dpkg-deb", "-f", deb, "Version"], check=True,
                             capture_output=True, text=True).stdout.strip()
    return {"package": package, "version": version,
            "sha256": hashlib.sha256(deb.read_bytes()).hexdigest()}


def strip_html(page: str) -> str:
    page = re.sub(r'(?s)<(head|script|style)\b.*?</\1>', "", page)
    page = re.sub(r'(?s)<ul class="docnav">.*?</ul>|<p id="title">.*?</p>', "", page)
    lines = html.unescape(re.sub(r"<[^>]*>", "", page)).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())


def read_text(path: Path) -> str:
    """Decoded text of a file; empty when it is not UTF-8."""
    data = path.read_bytes()
    if path.suffix in (".gz", ".dz"):
        data = gzip.decompress(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return re.sub(r"\n{3,}", "\n\n", text.replace("\r", ""))


def book_parts(text: str) -> list[str]:
    """Cut a book into parts of about BOOK_PART characters, at line ends."""
    parts, part, size = [], [], 0
    for line in text.splitlines(keepends=True):
        part.append(line)
        size += len(line)
        if size >= BOOK_PART:
            parts.append("".join(part))
            part, size = [], 0
    return parts + ["".join(part)]


def cyrillic_share(text: str) -> float:
    letters = [c for c in text if c.isalpha()]
    return sum("\u0400" <= c <= "\u04ff" for c in letters) / max(1, len(letters))


READERS: dict[str, Callable[[str], list[str]]] = {
    "plain": lambda text: [text[:MAX_DOCUMENT]],
    "html": lambda text: [strip_html(text)],
    "book": book_parts,
}


def documents(source: Source, tree: Path) -> Iterator[dict[str, str]]:
    for path in sorted(p for p in tree.glob(source.glob) if p.is_file() and not p.is_symlink()):
        name = f"{source.package}:{path.relative_to(tree)}"
        for number, text in enumerate(READERS[source.reader](read_text(path))):
            translated = source.kind != "russian" or cyrillic_share(text) > 0.5
            if len(text) > 500 and translated:
                part = f"#{number}" if source.reader == "book" else ""
                yield {"kind": source.kind, "source": name + part, "text": text}


def assign_splits(found: list[dict[str, str]]) -> list[dict[str, str]]:
    """Order the documents of one kind by a hash of their names and label splits."""
    found = sorted(found, key=lambda d: hashlib.sha256(d["source"].encode()).digest())
    long = [d for d in found if len(d["text"].encode()) >= MIN_HELD_OUT]
    held_out = {d["source"]: ("validation", "record")[i % 2]
                for i, d in enumerate(long[:2 * HELD_OUT])}
    kept, taken, seen = [], 0, set()
    for document in found:
        digest = hashlib.sha256(document["text"].encode()).digest()
        split = held_out.get(document["source"], "train")
        if digest in seen or (split == "train" and taken >= TRAIN_BYTES):
            continue
        seen.add(digest)
        taken += len(document["text"].encode()) if split == "train" else 0
        kept.append({**document, "split": split})
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for downloads and results")
    work = parser.parse_args().work
    packages = {s.package: fetch(s.package, work) for s in SOURCES}
    kept: list[dict[str, str]] = []
    for kind in dict.fromkeys(s.kind for s in SOURCES):
        found = [d for s in SOURCES if s.kind == kind
                 for d in documents(s, work / "unpacked" / s.package)]
        kept += assign_splits(found)
    with open(work / "documents.jsonl", "w", encoding="utf-8") as out:
        out.writelines(json.dumps(d, ensure_ascii=False) + "\n" for d in kept)
    rows = []
    for name, facts in packages.items():
        mine = [d for d in kept if d["source"].startswith(name + ":")]
        rows.append({**facts, "documents": len(mine),
                     "bytes": sum(len(d["text"].encode()) for d in mine)})
    (work / "manifest.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
