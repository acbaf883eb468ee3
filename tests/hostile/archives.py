"""Archives that are wrong in their tar or their gzip, and benign ones that look as odd."""

import gzip
import struct
import zlib

from forge import END, Archive, Entry, MEMBER, good, long_name, member, members, pax, plain, sha256, tar

#: Names of entries, and what is said against each.
NAMES = [
    ("up", b"../evil", "leaves its directory"),
    ("up-twice", b"../../evil", "leaves its directory"),
    ("up-in-the-middle", b"s/../../evil", "leaves its directory"),
    ("up-after-dot", b"./../evil", "leaves its directory"),
    ("up-out-of-deep", b"a/b/../../../evil", "leaves its directory"),
    ("only-up", b"..", "leaves its directory"),
    ("only-dot", b".", "leaves its directory"),
    ("dot-inside", b"a/./b", "leaves its directory"),
    ("absolute", b"/tmp/evil", "is an absolute path"),
    ("absolute-twice", b"//tmp/evil", "is an absolute path"),
    ("empty", b"", "is empty"),
    ("empty-component", b"a//b", "has an empty component"),
    ("slash-at-the-end", b"a/", "has an empty component"),
    ("drive", b"C:\\evil", "has a character other than"),
    ("drive-relative", b"C:evil", "has a character other than"),
    ("drive-slash", b"C:/evil", "has a character other than"),
    ("unc", b"\\\\server\\share\\evil", "has a character other than"),
    ("backslash-up", b"..\\evil", "has a character other than"),
    ("backslash-up-deep", b"a\\..\\..\\evil", "has a character other than"),
    ("stream-of-a-file", b"a:stream", "has a character other than"),
    ("device-con", b"CON", "keeps for a device"),
    ("device-nul", b"s/nul.txt", "keeps for a device"),
    ("device-com", b"com1", "keeps for a device"),
    ("device-lpt", b"s/LPT9.tar.gz", "keeps for a device"),
    ("dot-at-the-end", b"a.", "ends with a dot"),
    ("space-at-the-end", b"a ", "has a character other than"),
    ("control", b"a\x01b", "has a character other than"),
    ("newline", b"a\nb", "has a character other than"),
    ("escape", b"a\x1b]0;evil\x07b", "has a character other than"),
    ("not-utf8", b"\xff\xfe", "has a character other than"),
    ("c1", "a\u009b31mb".encode(), "has a character other than"),
    ("decomposed", "e\u0301".encode(), "has a character other than"),
    ("bidi", "\u202egpj.exe".encode(), "has a character other than"),
    ("git-config", b".git/config", "begins with a dot or dash"),
    ("ssh", b"~/.ssh/authorized_keys", "has a character other than"),
    ("variable", b"$HOME/x", "has a character other than"),
    ("command", b"$(touch evil)", "has a character other than"),
    ("option", b"-rf", "begins with a dot or dash"),
    ("deep", b"a/a/a/a/a/a/a", "more than 6 components"),
    ("hundred-bytes", b"n" * 100, "stands where this one belongs"),
    ("upper-case", b"S/0001/0001-TRANSCRIPT.JSONL", "stands where this one belongs"),
]

#: Types of entries, and what each is called.
TYPES = [
    ("symlink-out", b"2", b"../..", "a symbolic link"), ("symlink-absolute", b"2", b"/etc", "a symbolic link"),
    ("symlink-to-itself", b"2", b"s/0001/0001-transcript.jsonl", "a symbolic link"),
    ("hardlink-out", b"1", b"../../etc/passwd", "a hard link"), ("hardlink-absolute", b"1", b"/etc/passwd", "a hard link"),
    ("hardlink-inside", b"1", b"manifest.json", "a hard link"), ("character-device", b"3", b"", "a character device"),
    ("block-device", b"4", b"", "a block device"), ("directory", b"5", b"", "a directory"), ("fifo", b"6", b"", "a named pipe"),
    ("contiguous", b"7", b"", "a contiguous file"), ("sparse", b"S", b"", "a sparse file"),
    ("dumpdir", b"D", b"", "a GNU directory list"), ("multivolume", b"M", b"", "from another volume"),
    ("unknown", b"Z", b"", "of an unknown type"), ("old", b"\0", b"", "a file of an old tar"),
    ("solaris-acl", b"A", b"", "of an unknown type"), ("solaris-pax", b"X", b"", "of an unknown type"),
    ("volume-label", b"V", b"", "of an unknown type"),
]

FIRST = 2  # the place of the first file, behind the manifest and the sums


def build(cases):
    names(cases)
    types(cases)
    records(cases)
    headers(cases)
    order(cases)
    compressed(cases)
    bombs(cases)
    benign(cases)


def changed(place, **fields):
    """The good tar with other fields in one header."""
    entries = good().entries()
    entries[place] = entries[place].but(**fields)
    return tar(entries)


def inserted(place, *more):
    entries = good().entries()
    entries[place:place] = more
    return tar(entries)


def names(cases):
    for name, text, reason in NAMES:
        cases.both("name", name, f"the first file is called {text!r} in the tar",
                   changed(FIRST, name=text), reason)
    hidden = b"s/0001/0001-transcript.jsonl\0" + b"/../../evil"
    cases.both("name", "behind-nul", "a second name behind the end of the first",
               changed(FIRST, name=hidden), "goes on after its end")
    cases.both("name", "prefix-up", "the prefix field leads out", changed(FIRST, prefix=b"../.."),
               "splits its name in two")
    cases.both("name", "prefix-long", "name and prefix fields are full",
               changed(FIRST, name=b"n" * 100, prefix=b"p" * 155), "splits its name in two")
    cases.both("name", "long-component", "300 bytes in a PAX path",
               inserted(FIRST, pax([(b"path", b"n" * 300)])), "a pax record")
    cases.both("name", "2000-components", "a path of 2,000 components",
               inserted(FIRST, pax([(b"path", b"/".join([b"d"] * 2000))])), "a pax record")


def types(cases):
    for name, kind, link, reason in TYPES:
        cases.both("type", name, f"the first file has the type {kind!r}, linked to {link!r}",
                   changed(FIRST, kind=kind, link=link), reason)
    link = Entry("l", kind=b"2", link=b"../..")
    cases.both("type", "symlink-then-through", "a link that leads out, then a file through it",
               inserted(FIRST, link, Entry("l/evil", b"x")), "a symbolic link")
    cases.both("type", "symlink-then-directory", "a link, then a directory of the same name with other rights",
               inserted(FIRST, link, Entry("l/", kind=b"5", mode=b"0000777\0")), "a symbolic link")
    chain = [Entry("a", kind=b"2", link=b"b"), Entry("b", kind=b"2", link=b"..")]
    cases.both("type", "symlink-chain", "links that lead to links",
               inserted(FIRST, *chain), "a symbolic link")
    cases.both("type", "directory-with-size", "a directory that has content",
               inserted(FIRST, Entry("d/", b"x" * 512, kind=b"5")), "a directory")
    cases.both("type", "regular-with-link", "a regular file that names a link",
               changed(FIRST, link=b"/etc/passwd"), "names a link")


def records(cases):
    inner = Entry("smuggled", b"evil").bytes()
    pairs = [
        ("size-larger", [(b"size", b"1536")]), ("size-smaller", [(b"size", b"1")]), ("size-zero", [(b"size", b"0")]),
        ("size-negative", [(b"size", b"-1")]), ("size-huge", [(b"size", b"18446744073709551615")]),
        ("path-up", [(b"path", b"../evil")]), ("path-absolute", [(b"path", b"/evil")]),
        ("path-nul", [(b"path", b"ok\0/../evil")]), ("path-twice", [(b"path", b"ok"), (b"path", b"../evil")]),
        ("linkpath", [(b"linkpath", b"/etc/passwd")]), ("charset", [(b"hdrcharset", b"BINARY")]),
        ("sparse", [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"../evil"),
                    (b"GNU.sparse.realsize", b"99999999999")]),
        ("length-that-lies", b"999 path=x\n"), ("no-content", b""),
    ]
    for name, fields in pairs:
        cases.both("pax", name, f"a PAX record before the first file: {fields!r}"[:200],
                   inserted(FIRST, pax(fields)), "a pax record")
    for name, fields in [("global-path", [(b"path", b"../evil")]), ("global-size", [(b"size", b"1024")])]:
        cases.both("pax", name, f"a global PAX record at the beginning: {fields!r}",
                   inserted(0, pax(fields, b"g")), "a global pax record")
    smuggler = pax([(b"size", b"%d" % len(inner))])
    cases.both("pax", "smuggled-entry", "a tar inside what one reader takes for content, and another does not",
               inserted(FIRST, smuggler, Entry("a", inner, size=0, pad=False)), "a pax record")
    cases.both("pax", "8-megabytes", "a record of 8 MB", inserted(FIRST, pax([(b"comment", b"A" * 8_000_000)])),
               "a pax record")
    cases.both("pax", "without-entry", "a record that no entry follows", tar(good().entries() + [pax([(b"path", b"x")])]),
               "a pax record")
    cases.both("pax", "twice", "two records before one file",
               inserted(FIRST, pax([(b"path", b"x")]), pax([(b"path", b"../y")])), "a pax record")
    for name, entries in [("up", [long_name(b"../" * 60 + b"evil")]), ("twice", [long_name(b"x"), long_name(b"../y")]),
                          ("link", [long_name(b"/etc/passwd", b"K")]), ("64-megabytes", [long_name(b"A" * 64_000_000)])]:
        cases.both("gnu", f"long-name-{name}", "a GNU long name before the first file", inserted(FIRST, *entries),
                   "a GNU long name")
    start = good().entries()[:FIRST]
    cut = tar(start, Entry("././@LongLink", kind=b"L", magic=b"ustar  \0", size=600).header() + b"A" * 100)
    cases.both("gnu", "long-name-cut", "a GNU long name that ends with the stream", cut, "a GNU long name")


def headers(cases):
    length = len(good().contents["s/0001/0001-transcript.jsonl"])
    lie = f"bytes in the tar and {length} in the manifest"
    never = "is not a number that can be true"
    for name, size, reason in [
        ("larger", b"%011o\0" % (length + 512), lie), ("smaller", b"%011o\0" % (length - 1), lie),
        ("zero", b"%011o\0" % 0, lie), ("eight-gigabytes", b"77777777777\0", lie), ("letters", b"zzzzzzzzzzz\0", never),
        ("negative", b"-0000000001\0", never), ("base-256-huge", b"\x80" + b"\xff" * 11, never),
        ("base-256-negative", b"\xff" * 12, never), ("base-256-all-bits", b"\x80\0\0\0" + b"\xff" * 8, lie),
        ("no-end", b"%012o" % length, never), ("two-numbers", b"0000045\x000001", never),
    ]:
        cases.both("size", name, f"the size field of the first file is {size!r}", changed(FIRST, size=size), reason)
    for name, fields, reason in [
        ("checksum-wrong", {"checksum": b"000000\0 "}, "the checksum of the tar header does not match"),
        ("checksum-empty", {"checksum": b" " * 8}, "the checksum of the tar header does not match"),
        ("magic-gnu", {"magic": b"ustar  \0"}, "not in the ustar form"),
        ("magic-none", {"magic": bytes(8)}, "not in the ustar form"),
        ("magic-version", {"magic": b"ustar\x0001"}, "not in the ustar form"),
    ]:
        cases.both("header", name, f"{fields!r} in the header of the first file", changed(FIRST, **fields), reason)
    raw = good().tar()
    last = len(good().contents["s/0002/0001-transcript.jsonl"])
    cases.both("header", "cut-in-an-entry", "the tar ends inside the last file", raw[:-1024 - last // 2],
               "s/0002/0001-transcript.jsonl")
    cases.both("header", "cut-in-a-header", "the tar ends inside the last header",
               tar(good().entries()[:-1], good().entries()[-1].header()[:200]), "s/0002/0001-transcript.jsonl")
    beyond = good()
    beyond.manifest["sessions"][1]["files"][0]["size"] = 10_000_000_000
    entries = beyond.entries()
    entries[-1] = entries[-1].but(size=b"\x80\0\0\0" + struct.pack(">Q", 10_000_000_000))
    cases.both("header", "ten-gigabytes-declared", "header and manifest agree on 10 GB that are not there",
               tar(entries), "s/0002/0001-transcript.jsonl: ")


def order(cases):
    entries = good().entries()
    extra = Entry("s/0003/0001-transcript.jsonl", b"{}\n")
    belongs, undeclared = "stands where this one belongs", "does not declare it"
    hidden = Entry("hidden", b"evil").bytes()
    swapped = [*entries[:FIRST], entries[FIRST + 2], entries[FIRST + 1], entries[FIRST]]
    other = Archive(good().manifest, good().contents)
    other.manifest["sessions"][0]["title"] = "Another"
    for name, about, raw, reason in [
        ("file-twice", "an entry two times", tar(entries[:3] + entries[2:]), belongs),
        ("file-twice-other-content", "a second entry of the name with other content",
         tar(entries[:3] + [Entry(entries[2].name, b"evil")] + entries[3:]), belongs),
        ("file-twice-at-the-end", "the first file again at the end", tar(entries + [entries[2]]), undeclared),
        ("case", "a second entry that differs in case", tar(entries + [entries[2].but(name=entries[2].name.upper())]), undeclared),
        ("slashes", "a second entry that differs in slashes",
         tar(entries + [entries[2].but(name=entries[2].name.replace(b"/", b"//"))]), "has an empty component"),
        ("file-and-folder", "a file that is also a folder", tar(entries + [Entry("s", b""), Entry("s/0001", b"")]), undeclared),
        ("file-missing", "a declared file is not there", tar(entries[:3] + entries[4:]), belongs),
        ("last-file-missing", "the last file is not there", tar(entries[:-1]), "the tar ends where this entry belongs"),
        ("all-files-missing", "no file is there", tar(entries[:2]), "the tar ends where this entry belongs"),
        ("file-extra", "a file that nobody declares", tar(entries + [extra]), undeclared),
        ("file-extra-first", "a file that nobody declares, before the others", inserted(FIRST, extra), belongs),
        ("wrong-order", "files in another order", tar(swapped), belongs),
        ("sums-missing", "no SHA256SUMS", tar(entries[:1] + entries[2:]), belongs),
        ("sums-first", "SHA256SUMS before the manifest", tar([entries[1], entries[0], *entries[2:]]), "it begins with \"SHA256SUMS\""),
        ("sums-of-something-else", "SHA256SUMS of another manifest", tar([entries[0], other.entries()[1], *entries[2:]]),
         "does not agree with the manifest"),
        ("manifest-missing", "no manifest", tar(entries[1:]), "it begins with \"SHA256SUMS\""),
        ("manifest-not-first", "a file before the manifest", tar([entries[2], *entries[:2], *entries[3:]]),
         "it begins with \"s/0001/0001-transcript.jsonl\""),
        ("manifest-twice", "two manifests, the second says something else", tar([entries[0], other.entries()[0], *entries[1:]]), belongs),
        ("manifest-at-the-end", "a second manifest at the end", tar([*entries, other.entries()[0]]), undeclared),
        ("content", "one byte of a file is another", tar([*entries[:3], Entry(entries[3].name, b"S" + entries[3].content[1:]), *entries[4:]]),
         "its SHA-256 is"),
        ("padding", "something in the padding of a file", tar([*entries[:3], entries[3].but(content=entries[3].content + b"evil", size=36), *entries[4:]]),
         "between its end and the next entry"),
        ("no-end", "no zeros at the end", tar(entries, b""), "the zeros that end the tar are missing"),
        ("half-an-end", "one block of zeros at the end", tar(entries, bytes(512)), "the zeros that end the tar are missing"),
        ("crooked-end", "an end that is no multiple of a block", tar(entries, END + b"\0"), "something follows it that"),
        ("data-after-the-end", "an entry behind the end of the tar", tar(entries, END + hidden + END), undeclared),
        ("data-after-half-an-end", "an entry behind one block of zeros", tar(entries, bytes(512) + hidden + END), undeclared),
        ("garbage-after-the-end", "garbage behind the end of the tar", tar(entries, END + b"\x5a" * 512), "something follows the last entry"),
        ("long-end", "two megabytes of zeros at the end", tar(entries, bytes(2 << 20)), "something follows it that"),
        ("no-entries", "nothing but an end", END, "the tar ends here"),
        ("not-a-tar", "text", b"hello world" * 100, "the checksum of the tar header does not match"),
    ]:
        cases.both("order", name, about, raw, reason)


def compressed(cases):
    raw = good().tar()
    whole = plain(raw)
    cut = "the archive is cut off"
    for name, about, content, reason in [
        ("cut", "the last bytes are missing", whole[:-10], cut),
        ("half", "half of it is missing", whole[:len(whole) // 2], cut),
        ("checksum", "another checksum", whole[:-8] + b"\0\0\0\0" + whole[-4:], "the compressed data is damaged"),
        ("length", "another length", whole[:-4] + b"\1\0\0\0", "the compressed data is damaged"),
        ("bit", "one bit in the middle", flipped(whole, len(whole) // 2), "damaged"),
        ("garbage-after", "garbage behind the stream", whole + b"GARBAGE", "something follows the gzip stream"),
        ("zeros-after", "zeros behind the stream", whole + bytes(512), "something follows the gzip stream"),
        ("archive-after", "a second archive behind it", whole + whole, "the manifest does not declare it"),
        ("method", "another method than deflate", whole[:2] + b"\7" + whole[3:], "the compressed data is damaged"),
        ("zip", "begins as a zip file", b"PK\3\4" + whole, "it is not a gzip file"),
        ("zstd", "begins as a zstd file", b"\x28\xb5\x2f\xfd" + whole, "it is not a gzip file"),
        ("empty", "no bytes at all", b"", "it is empty"),
        ("of-nothing", "a gzip stream of nothing", plain(b""), "ends too early"),
        ("of-five-bytes", "a gzip stream of five bytes", plain(b"hello"), "ends too early"),
        ("tar", "a tar that is not compressed", raw, "it is not a gzip file"),
        ("twice", "compressed two times", plain(whole), "not an archive of holdall"),
    ]:
        cases.add("gzip", name, about, content, reason, form="plain")
    one = member(raw)
    impossible = "impossible lengths"
    deflated = one[28:-8]
    for name, about, content, reason in [
        ("longer", "says that it is longer than it is", member(raw, whole=len(one) + 1), cut),
        ("shorter", "says that it is shorter than it is", member(raw, whole=len(one) - 1), cut),
        ("much-shorter", "says that it is much shorter", member(raw, whole=len(one) - 100), "not a gzip member"),
        ("no-length", "says that it has no length", member(raw, whole=0), impossible),
        ("4-gigabytes", "says that it has 4 GB", member(raw, whole=2 ** 32 - 1), impossible),
        ("content-longer", "says that it holds more than it does", member(raw, length=len(raw) + 512), "does not hold as much"),
        ("content-shorter", "says that it holds less than it does", member(raw, length=len(raw) - 512), "does not end where it says"),
        ("content-huge", "says that it holds more than a member may", member(raw, length=MEMBER + 1), impossible),
        ("checksum", "the checksum of the compressed bytes is another", member(raw, checksum=1), "its checksum does not match"),
        ("crc", "the checksum of the content is another", member_with(deflated, raw, zlib.crc32(raw) ^ 1), "does not match"),
        ("bit", "one bit in the middle", flipped(one, len(one) // 2), "damaged"),
        ("cut", "the last bytes are missing", one[:-10], cut),
        ("cut-in-a-header", "ends inside the header of the next member", one + one[:20], cut),
        ("garbage-after", "garbage behind the last member", one + b"GARBAGE" * 20, "not a gzip member"),
        ("plain-after", "a gzip member of somebody else behind it", one + plain(bytes(range(256)) * 4), "is damaged"),
        ("archive-after", "a second archive behind it", one + one, "another gzip member follows the last one"),
        ("short-members", "members that are shorter than they must be", b"".join(member(raw[at:at + 512]) for at in range(0, len(raw), 512)),
         "another gzip member follows the last one"),
        ("subfield", "another name of the subfield", one[:12] + b"XX" + one[14:], "the header of the gzip member is damaged"),
    ]:
        cases.add("member", name, about, content, reason, form="members")


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1:]


def member_with(deflated, raw, crc):
    """A member whose own checksum is right, and that of its content is not."""
    body = deflated + struct.pack("<II", crc, len(raw))
    return member(raw)[:16] + struct.pack("<III", 28 + len(body), len(raw), zlib.crc32(body)) + body


def bombs(cases):
    zeros = bytes(MEMBER)
    dense, stream = member(zeros, 9), gzip.compress(zeros, 9, mtime=0)
    mebibytes = 160
    grows = "grows more than 200 times"
    # A declared file of zeros: everything about it is right but that nobody has such a session.
    bomb = good()
    file = bomb.manifest["sessions"][1]["files"][0]
    file.update(size=mebibytes * MEMBER, sha256=sha256(bytes(mebibytes * MEMBER)))
    front = tar([entry.but(size=file["size"], content=b"") if entry.name.endswith(b"2/0001-transcript.jsonl") else entry
                 for entry in bomb.entries()], b"")
    # The file begins at the next whole member, so that all that follows is one member again and again.
    fill = bytes(MEMBER - len(front))
    cases.add("bomb", "declared-zeros", "a declared file of 160 MiB of zeros, in a few hundred kilobytes",
              member(front + fill) + dense * mebibytes, grows, form="members")
    cases.add("bomb", "declared-zeros-plain", "the same, compressed by somebody else",
              plain(front + fill) + stream * mebibytes, grows, form="plain")
    raw = good().tar()
    cases.add("bomb", "zeros-after-the-end", "160 MiB of zeros behind the end", plain(raw) + stream * mebibytes, grows, form="plain")
    cases.add("bomb", "zeros", "160 MiB of zeros and nothing else", stream * mebibytes, "the tar ends here", form="plain")
    cases.add("bomb", "zeros-in-members", "160 MiB of zeros and nothing else", dense * mebibytes, grows, form="members")
    many = good().entries() + [Entry(f"d/{number}") for number in range(150_000)]
    cases.add("bomb", "150000-entries", "150,000 empty files that nobody declares", plain(tar(many)), "something follows it that", form="plain")
    end = b"".join([Entry("manifest.json", size=200 << 20).header(), zeros])
    cases.add("bomb", "manifest-of-zeros", "a manifest of 200 MiB of zeros", plain(end) + stream * 200, "manifest.json", form="plain")
    cases.add("bomb", "manifest-of-zeros-in-members", "a manifest of 200 MiB of zeros",
              member((end[:512] + zeros)[:MEMBER]) + dense * 201, "manifest.json", form="members")


def benign(cases):
    raw = good().tar()
    entries = good().entries()
    length = len(entries[FIRST].content)
    cases.both("benign", "good", "nothing is wrong with it", raw)
    cases.both("benign", "bundle", "with a git bundle", good(bundle=True).tar())
    header = b"\x1f\x8b\x08\x08" + bytes(5) + b"\3../../evil\0"
    cases.add("benign", "file-name", "a path in the gzip header, which nobody reads", header + plain(raw)[10:], form="plain")
    cases.add("benign", "several-members", "several gzip members of somebody else", plain(raw[:700]) + plain(raw[700:]), form="plain")
    cases.add("benign", "empty-members", "20,000 empty gzip members before it", plain(b"") * 20_000 + plain(raw), form="plain")
    cases.both("benign", "base-256", "a size in base-256 that is right",
               changed(FIRST, size=b"\x80\0\0\0" + struct.pack(">Q", length)))
    cases.both("benign", "setuid", "mode, owner and time are not looked at",
               changed(FIRST, mode=b"0004777\0", uid=b"0001750\0", mtime=b"77777777777\0", owner=b"root"))
    cases.both("benign", "padded", "padded to 10 KiB, as tar does it", tar(entries, bytes(-len(tar(entries, b"")) % 10_240 + 10_240)))
    hundred = good()
    file = hundred.manifest["sessions"][0]["files"][1]
    name = "s/0001/0002-" + "n" * 84 + ".txt"
    hundred.contents = {name if known == file["name"] else known: content for known, content in hundred.contents.items()}
    file["name"] = name
    assert len(name) == 100
    cases.both("benign", "hundred-bytes", "a name of 100 bytes, which fills its field", hundred.tar())
    newer = good()
    newer.manifest["version"]["minor"] = 9
    for place in [newer.manifest, newer.manifest["source"], newer.manifest["sessions"][0], newer.manifest["repos"][0]]:
        place["future"] = {"deep": [1, {"x": None}]}
    cases.both("benign", "newer-minor", "a newer minor version with fields that nobody knows yet", newer.tar())
