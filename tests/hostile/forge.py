"""Makes archives in holdall's form, byte by byte, right or wrong in any way.

The form is described in src/archive/layout.rs (the tar), src/archive/manifest.rs (the manifest) and
src/archive/gzip.rs (how the stream is cut). Nothing here asks holdall: whoever forges an archive
does not either.
"""

import copy
import gzip
import hashlib
import json
import struct
import zlib

BLOCK = 512
MEMBER = 1 << 20
END = bytes(2 * BLOCK)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Entry:
    """An entry of the tar: a header with the fields that a case changes, and its content.

    `size` is what the header says, in whatever form; `checksum` is right unless it is given.
    """

    def __init__(self, name, content=b"", *, kind=b"0", size=None, link=b"", magic=b"ustar\x0000",
                 prefix=b"", checksum=None, mode=b"0000600\0", uid=b"0000000\0", mtime=b"00000000000\0",
                 owner=b"", pad=True):
        self.name = name if isinstance(name, bytes) else name.encode()
        self.content = content
        self.kind, self.link, self.magic, self.prefix = kind, link, magic, prefix
        self.size, self.checksum = size, checksum
        self.mode, self.uid, self.mtime, self.owner, self.pad = mode, uid, mtime, owner, pad

    def but(self, **fields):
        """The same entry with other fields."""
        other = copy.copy(self)
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    def header(self):
        size = self.size
        if size is None:
            size = len(self.content)
        if isinstance(size, int):
            size = b"%011o\0" % size
        header = bytearray(BLOCK)

        def put(offset, field, length):
            field = field[:length]
            header[offset:offset + len(field)] = field

        put(0, self.name, 100)
        put(100, self.mode, 8)
        put(108, self.uid, 8)
        put(116, b"0000000\0", 8)
        put(124, size, 12)
        put(136, self.mtime, 12)
        put(148, b" " * 8, 8)
        put(156, self.kind, 1)
        put(157, self.link, 100)
        put(257, self.magic, 8)
        put(265, self.owner, 32)
        put(329, b"0000000\0", 8)
        put(337, b"0000000\0", 8)
        put(345, self.prefix, 155)
        put(148, b"%06o\0 " % sum(header) if self.checksum is None else self.checksum, 8)
        return bytes(header)

    def bytes(self):
        padding = bytes(-len(self.content) % BLOCK) if self.pad else b""
        return self.header() + self.content + padding


def pax(records, kind=b"x"):
    """The entry of a PAX record: pairs of key and value, or bytes as they are."""
    if not isinstance(records, bytes):
        lines = []
        for key, value in records:
            body = b" " + key + b"=" + value + b"\n"
            length = len(body) + 1
            while len(b"%d" % length) + len(body) != length:
                length += 1
            lines.append(b"%d" % length + body)
        records = b"".join(lines)
    return Entry("PaxHeaders/x", records, kind=kind)


def long_name(name, kind=b"L"):
    """The entry of a GNU long name, for the entry after it."""
    return Entry("././@LongLink", name + b"\0", kind=kind, magic=b"ustar  \0")


def tar(entries, tail=END):
    return b"".join(entry.bytes() for entry in entries) + tail


def member(raw, level=6, deflated=None, **numbers):
    """A gzip member in holdall's form. `numbers` are what its header says instead of the truth."""
    if deflated is None:
        deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
        deflated = deflate.compress(raw) + deflate.flush()
    body = deflated + struct.pack("<II", zlib.crc32(raw), len(raw))
    whole = numbers.get("whole", 28 + len(body))
    length = numbers.get("length", len(raw))
    checksum = numbers.get("checksum", zlib.crc32(body))
    start = bytes([0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 16, 0]) + b"HO" + bytes([12, 0])
    return start + struct.pack("<III", whole, length, checksum) + body


def members(raw):
    """The bytes of a tar as holdall compresses them."""
    pieces = [raw[at:at + MEMBER] for at in range(0, len(raw), MEMBER)]
    return b"".join(member(piece) for piece in pieces)


def plain(raw):
    """The bytes of a tar as somebody else compresses them."""
    return gzip.compress(raw, 6, mtime=0)


class Archive:
    """What an archive declares and holds. What is declared of files and bundles is taken from
    `contents` when it is written, unless `declared` says otherwise."""

    def __init__(self, manifest, contents):
        self.manifest = copy.deepcopy(manifest)
        #: Content of each file, in the order of the tar.
        self.contents = dict(contents)

    def copy(self):
        return Archive(self.manifest, self.contents)

    def entries(self, json_text=None):
        """The entries, with sums that agree with the manifest: first it, the sums, the files."""
        text = json_text if json_text is not None else json.dumps(self.manifest).encode()
        declared = [file for session in objects(self.manifest.get("sessions")) for file in objects(session.get("files"))]
        declared += objects(self.manifest.get("bundles"))
        sums = f"{sha256(text)}  manifest.json\n"
        sums += "".join(f"{file.get('sha256')}  {file.get('name')}\n" for file in declared)
        first = [Entry("manifest.json", text), Entry("SHA256SUMS", sums.encode("utf-8", "surrogatepass"))]
        return first + [Entry(name, content) for name, content in self.contents.items()]

    def tar(self, json_text=None):
        return tar(self.entries(json_text))

    def settle(self):
        """Declares names, sizes and sums of all files as they are."""
        names, contents = [], {}
        for number, session in enumerate(self.manifest["sessions"], 1):
            for place, file in enumerate(session["files"], 1):
                content = self.contents[file["name"]]
                stem, dot, extension = file["name"].rsplit("/", 1)[-1].split("-", 1)[-1].partition(".")
                name = f"s/{number:04}/{place:04}-{stem}{dot}{extension}"
                names.append(name)
                contents[name] = content
                file.update(name=name, size=len(content), sha256=sha256(content))
        for bundle in self.manifest.get("bundles", []):
            contents[bundle["name"]] = self.contents[bundle["name"]]
        self.contents = contents
        return self


def objects(value):
    """The objects of a list, if it is one: cases put anything anywhere."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# A good archive: two sessions of a repository, three files, one git bundle.

HOME = "/home/ada"
CWD = "/home/ada/src/app"
CLAUDE = "6a1f0c1e-4b5d-4c3e-9a55-0123456789ab"
CODEX = "0199a7c2-6f10-7d42-8a11-0123456789ab"
BACKUP = "holdall-20261121T160000Z.tar.gz"
TIME = "2026-11-20T10:00:00.000Z"


def lines(*records):
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records).encode()


def claude_lines(session=CLAUDE, cwd=CWD):
    one, two = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"
    row = {"isSidechain": False, "userType": "external", "cwd": cwd, "sessionId": session,
           "version": "2.1.329", "gitBranch": "main", "timestamp": TIME}
    answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
              "content": [{"type": "text", "text": "Good day."}], "stop_reason": "end_turn",
              "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    return lines(
        {"parentUuid": None, **row, "type": "user", "message": {"role": "user", "content": "Hello"}, "uuid": one},
        {"parentUuid": one, **row, "type": "assistant", "message": answer, "uuid": two},
    )


def codex_lines(session=CODEX, cwd=CWD):
    def item(kind, payload):
        return {"timestamp": TIME, "type": kind, "payload": payload}

    def message(role, kind, text):
        return item("response_item", {"type": "message", "role": role, "content": [{"type": kind, "text": text}]})

    return lines(
        item("session_meta", {"id": session, "timestamp": TIME, "cwd": cwd, "originator": "codex_cli_rs",
                              "cli_version": "0.169.0", "instructions": None, "source": "cli",
                              "model_provider": "openai"}),
        message("user", "input_text", "Hello"),
        item("event_msg", {"type": "user_message", "message": "Hello", "kind": "plain"}),
        message("assistant", "output_text", "Good day."),
    )


def head(harness, identity, path, name, content, **more):
    file = {"name": name, "sha256": sha256(content), "role": "transcript", "path": path, "size": len(content)}
    return {"harness": harness, "id": identity, "title": "Hello", "cwd": CWD, "created": TIME, "updated": TIME,
            "model": None, "git": None, "parent": None, "repo": 0, "files": [file], **more}


def good(bundle=False):
    first, second = claude_lines(), codex_lines()
    output = b"some output\n" * 3
    names = ["s/0001/0001-transcript.jsonl", "s/0001/0002-attachment.txt", "s/0002/0001-transcript.jsonl"]
    claude = head("claude", CLAUDE, f"projects/-home-ada-src-app/{CLAUDE}.jsonl", names[0], first)
    claude["files"].append({"name": names[1], "sha256": sha256(output), "role": "attachment",
                            "path": f"projects/-home-ada-src-app/{CLAUDE}/tool-results/out.txt",
                            "size": len(output)})
    codex = head("codex", CODEX, f"sessions/2026/11/20/rollout-2026-11-20T10-00-00-{CODEX}.jsonl", names[2], second)
    repo = {"root": CWD, "worktree": False, "remotes": [{"name": "origin", "url": "git@host.invalid:ada/app.git"}],
            "branch": "main", "commit": "c" * 40, "subject": "First", "upstream": None, "ahead": None,
            "behind": None, "modified": 0, "untracked": 0}
    manifest = {"schema": "holdall.manifest/1", "version": {"major": 1, "minor": 1},
                "tool": {"name": "holdall", "version": "0.1.0"}, "source": {"os": "linux", "home": HOME},
                "sessions": [claude, codex], "repos": [repo]}
    contents = dict(zip(names, [first, output, second]))
    if bundle:
        name, content = "r/0001/repository.bundle", b"# v2 git bundle\n" + b"p" * 600
        repo["carried"] = {"needs": ["b" * 40], "commits": 1, "work": None}
        manifest["bundles"] = [{"repo": 0, "name": name, "size": len(content), "sha256": sha256(content)}]
        contents[name] = content
    return Archive(manifest, contents)
