"""Archives whose tar and gzip are right, and whose manifest is not."""

import json

from forge import BACKUP, Entry, good, members, tar

NOT = "manifest.json: not a manifest"
HEX = "64 lower-case hexadecimal digits"
COMMIT = "not 40 or 64 lower-case hexadecimal digits"
MISSING = object()


def build(cases):
    fields(cases)
    names(cases)
    texts(cases)
    bundles(cases)
    backups(cases)
    large(cases)


def put(archive, pointer, value):
    """Sets what stands at `a/0/b` of the manifest, or takes it out."""
    *path, last = pointer.split("/")
    place = archive.manifest
    for step in path:
        place = place[int(step) if isinstance(place, list) else step]
    last = int(last) if isinstance(place, list) else last
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return archive


def fields(cases):
    session, file, repo = "sessions/0/", "sessions/0/files/0/", "repos/0/"
    unknown = "which this holdall does not know"
    identity, is_not = "is not a session id", "is not the id of a harness"
    size = len(good().contents["s/0001/0001-transcript.jsonl"])
    runs = "would run a command"
    for name, pointer, value, reason in [
        ("major-next", "version/major", 2, unknown), ("major-huge", "version/major", 2 ** 32 - 1, unknown),
        ("major-beyond", "version/major", 2 ** 64, NOT), ("major-zero", "version/major", 0, "its schema is"),
        ("major-negative", "version/major", -1, NOT), ("minor-negative", "version/minor", -1, NOT), ("version-text", "version", "1.1", NOT),
        ("version-missing", "version", MISSING, NOT), ("schema-other", "schema", "holdall.manifest/9", "its schema is"),
        ("schema-escape", "schema", "\x1b[31m\u202e", "its schema is"), ("schema-number", "schema", 1, NOT),
        ("tool-text", "tool", "holdall", NOT), ("created-text", "created", "yesterday", NOT), ("created-1e300", "created", 1e300, NOT),
        ("source-null", "source", None, NOT), ("home-list", "source/home", [], NOT), ("sessions-object", "sessions", {}, NOT),
        ("sessions-empty", "sessions", [], "it declares no session"), ("sessions-missing", "sessions", MISSING, NOT),
        ("session-null", "sessions/0", None, NOT),
        ("harness-null", session + "harness", None, NOT), ("harness-path", session + "harness", "../claude", is_not),
        ("harness-empty", session + "harness", "", is_not), ("harness-long", session + "harness", "x" * 65, is_not),
        ("harness-escape", session + "harness", "\x1b[31m", is_not),
        ("id-empty", session + "id", "", identity), ("id-nul", session + "id", "a\0b", identity), ("id-newline", session + "id", "a\nb", identity),
        ("id-escape", session + "id", "a\x1b]0;evil\x07", identity), ("id-c1", session + "id", "a\x9b31m", identity),
        ("id-4-kilobytes", session + "id", "i" * 4096, identity), ("id-number", session + "id", 7, NOT),
        ("parent-newline", session + "parent", "a\nb", identity), ("parent-4-kilobytes", session + "parent", "p" * 4096, identity),
        ("title-number", session + "title", 5, NOT), ("cwd-object", session + "cwd", {}, NOT), ("git-text", session + "git", "main", NOT),
        ("updated-year-nothing", session + "updated", "", NOT), ("updated-month-13", session + "updated", "2026-13-01T00:00:00Z", NOT),
        ("updated-negative", session + "updated", -1, NOT), ("updated-year-99999", session + "updated", "99999-01-01T00:00:00Z", NOT),
        ("updated-null-byte", session + "updated", "2026-11-20T10:00:00\0Z", NOT),
        ("repo-beyond", session + "repo", 1, "there are only 1"), ("repo-negative", session + "repo", -1, NOT),
        ("repo-2-63", session + "repo", 2 ** 63, "there are only 1"), ("repo-half", session + "repo", 0.5, NOT),
        ("files-empty", session + "files", [], "exactly one transcript"), ("files-null", session + "files", None, NOT),
        ("role-none", file + "role", "attachment", "exactly one transcript"),
        ("role-two", "sessions/0/files/1/role", "transcript", "exactly one transcript"), ("role-unknown", file + "role", "program", NOT),
        ("sha-upper", file + "sha256", "A" * 64, HEX), ("sha-short", file + "sha256", "a" * 63, HEX), ("sha-long", file + "sha256", "a" * 65, HEX),
        ("sha-empty", file + "sha256", "", HEX), ("sha-letters", file + "sha256", "g" * 64, HEX), ("sha-other", file + "sha256", "a" * 64, "its SHA-256 is"),
        ("size-larger", file + "size", size + 1, f"{size} bytes in the tar and {size + 1} in the manifest"),
        ("size-smaller", file + "size", size - 1, f"{size} bytes in the tar and {size - 1} in the manifest"),
        ("size-zero", file + "size", 0, f"{size} bytes in the tar and 0 in the manifest"), ("size-negative", file + "size", -1, NOT),
        ("size-half", file + "size", 0.5, NOT), ("size-2-63", file + "size", 2 ** 63, "the limit is"), ("size-2-64", file + "size", 2 ** 64 - 1, "the limit is"),
        ("size-beyond", file + "size", 2 ** 64, NOT),
        ("path-nul", file + "path", "a\0b", "its native path"), ("path-5-kilobytes", file + "path", "p" * 5000, "its native path"),
        ("modified-text", file + "modified", "now", NOT), ("agent-text", file + "agent", "x", NOT), ("agent-without-id", file + "agent", {}, NOT),
        ("remote-ext", repo + "remotes/0/url", "ext::sh -c 'touch evil'", runs), ("remote-fd", repo + "remotes/0/url", "fd::7", runs),
        ("remote-option", repo + "remotes/0/url", "--upload-pack=touch evil", runs), ("remote-dash", repo + "remotes/0/url", "-oProxyCommand=evil", runs),
        ("remote-nested", repo + "remotes/0/url", "foo::ext::sh -c id", runs), ("remote-space", repo + "remotes/0/url", " ext::sh -c id", runs),
        ("remote-upper", repo + "remotes/0/url", "EXT::sh -c id", runs), ("remote-number", repo + "remotes/0/url", 1, NOT),
        ("remote-of-session", session + "git", {"branch": None, "commit": None, "remote": "ext::sh -c id"}, runs),
        ("remotes-object", repo + "remotes", {}, NOT), ("root-missing", repo + "root", MISSING, NOT), ("ahead-text", repo + "ahead", "many", NOT),
        ("modified-files-negative", repo + "modified", -1, NOT), ("root-commit-option", repo + "root_commit", "--all", COMMIT),
    ]:
        cases.add("manifest", name, f"{pointer} is {'not there' if value is MISSING else json.dumps(value)[:80]}",
                  good_members(put(good(), pointer, value)), reason, form="members")
    twice = good()
    twice.manifest["sessions"][1].update(id=twice.manifest["sessions"][0]["id"], harness="claude")
    cases.add("manifest", "id-twice", "two sessions of one harness have the same id", good_members(twice), "another session has the same id",
              form="members")


def good_members(archive, text=None):
    return members(archive.tar(text))


def names(cases):
    """Names that the manifest declares just as the tar has them."""
    ours = "is not s/0001/0002-"
    for name, text in [("up", "../evil"), ("up-behind-prefix", "s/0001/0002-x/../../../evil"), ("absolute", "/tmp/evil"), ("bare", "s/0001/0002-"),
                       ("of-another", "s/0001/0003-attachment.txt"), ("folder", "s/0001/0002-x/y"), ("escape", "s/0001/0002-\x1b[31m"),
                       ("bidi", "s/0001/0002-\u202egpj.exe"), ("device", "s/0001/0002-x/nul"), ("dot", "s/0001/0002-x."), ("dash", "-rf"),
                       ("backslash", "s\\0001\\0002-x"), ("empty", ""), ("long", "s/0001/0002-" + "n" * 89)]:
        archive = good()
        file = archive.manifest["sessions"][0]["files"][1]
        archive.contents = {text if known == file["name"] else known: content for known, content in archive.contents.items()}
        file["name"] = text
        cases.add("declared", name, f"manifest and tar agree on the name {text!r}", good_members(archive), ours, form="members")


def texts(cases):
    """Manifests that are no JSON, or no JSON that anybody should read."""
    text = json.dumps(good().manifest)
    deep = "[" * 10_000 + "]" * 10_000
    objects = "{\"x\":" * 10_000 + "1" + "}" * 10_000
    for name, about, json_text in [
        ("empty", "nothing", ""), ("null", "null", "null"), ("list", "a list", "[]"), ("cut", "half of it", text[:len(text) // 2]),
        ("two", "two documents", text * 2), ("garbage-after", "something behind it", text + "x"), ("bom", "a byte order mark before it", "\ufeff" + text),
        ("deep", "10,000 lists in each other", text.replace('"harness":', f'"x": {deep}, "harness":', 1)),
        ("deep-objects", "10,000 objects in each other", text.replace('"harness":', f'"x": {objects}, "harness":', 1)),
        ("deep-title", "a title of 10,000 lists", text.replace('"title": "Hello"', f'"title": {deep}', 1)),
        ("deep-unclosed", "100,000 lists that do not end", "[" * 100_000),
        ("key-twice", "one key two times", text.replace('"schema":', '"schema": "x", "schema":', 1)),
        ("key-of-a-session-twice", "one key of a session two times", text.replace('"harness":', '"harness": "x", "harness":', 1)),
        ("sha-twice", "one checksum two times", text.replace('"sha256":', f'"sha256": "{"a" * 64}", "sha256":', 1)),
        ("nan", "a size that is no number", with_size(text, "NaN")), ("infinite", "a size beyond all numbers", with_size(text, "1e400")),
        ("octal", "a size with a zero before it", with_size(text, "01")), ("single-quotes", "other quotes", text.replace('"', "'")),
        ("comment", "a comment", "/* */" + text), ("control", "a control character in a text", text.replace("Hello", "He\x01llo", 1)),
        ("half-a-character", "half a surrogate pair in an id", text.replace('"id": "', '"id": "\\ud800', 1)),
    ]:
        cases.add("json", name, f"the manifest is {about}", good_members(good(), json_text.encode()), NOT, form="members")
    for name, content in [("not-utf8", text.encode().replace(b"Hello", b"He\xffllo", 1)), ("utf16", text.encode("utf-16")), ("nul", text.encode() + b"\0")]:
        cases.add("json", name, "the manifest is no UTF-8 text", good_members(good(), content), NOT, form="members")


def with_size(text, number):
    size = good().manifest["sessions"][0]["files"][0]["size"]
    return text.replace(f'"size": {size}', f'"size": {number}', 1)


def bundles(cases):
    agree = "and its bundle do not agree"
    for name, pointer, value, reason in [
        ("repo-beyond", "bundles/0/repo", 1, "there are only 1 repositories"), ("repo-2-64", "bundles/0/repo", 2 ** 64 - 1, "there are only 1 repositories"),
        ("repo-negative", "bundles/0/repo", -1, NOT), ("name-up", "bundles/0/name", "r/../../evil", "is not r/0001/repository.bundle"),
        ("name-of-a-session", "bundles/0/name", "s/0001/0001-transcript.jsonl", "is not r/0001/repository.bundle"),
        ("name-escape", "bundles/0/name", "\x1b[31m", "is not r/0001/repository.bundle"), ("sha-upper", "bundles/0/sha256", "A" * 64, HEX),
        ("sha-other", "bundles/0/sha256", "a" * 64, "its SHA-256 is"), ("size-larger", "bundles/0/size", 617, "it has 616 bytes in the tar and 617"),
        ("size-2-64", "bundles/0/size", 2 ** 64 - 1, "the limit is"), ("undeclared", "bundles", [], agree), ("missing", "bundles", MISSING, agree),
        ("object", "bundles", {}, NOT), ("nothing-carried", "repos/0/carried", None, agree), ("no-commits", "repos/0/carried/commits", 0, agree),
        ("commits-text", "repos/0/carried/commits", "all", NOT), ("needs-option", "repos/0/carried/needs", ["--all"], COMMIT),
        ("needs-reference", "repos/0/carried/needs", ["refs/heads/main"], COMMIT), ("needs-upper", "repos/0/carried/needs", ["B" * 40], COMMIT),
        ("work-reference", "repos/0/carried/work", "HEAD", COMMIT), ("work-option", "repos/0/carried/work", "--output=evil", COMMIT),
    ]:
        archive = put(good(bundle=True), pointer, value)
        if name == "work-option":
            archive.manifest["repos"][0]["carried"]["needs"] = []
        cases.add("bundle", name, f"{pointer} is {'not there' if value is MISSING else json.dumps(value)[:80]}", good_members(archive), reason, form="members")
    twice = good(bundle=True)
    twice.manifest["bundles"] *= 2
    cases.add("bundle", "twice", "two bundles for one repository", good_members(twice), "it is there twice", form="members")
    entries = good(bundle=True).entries()
    for name, about, raw, reason in [
        ("content", "one byte of it is another", tar([*entries[:-1], Entry(entries[-1].name, b"!" + entries[-1].content[1:])]), "its SHA-256 is"),
        ("not-there", "the tar does not have it", tar(entries[:-1]), "the tar ends where this entry belongs"),
        ("before-the-sessions", "it comes before the sessions", tar([*entries[:2], entries[-1], *entries[2:-1]]), "stands where this one belongs"),
        ("symlink", "it is a link", tar([*entries[:-1], entries[-1].but(kind=b"2", link=b"/etc/passwd")]), "a symbolic link"),
        ("undeclared-second", "a second one that nobody declares", tar([*entries, Entry("r/0002/repository.bundle", b"x")]), "does not declare it"),
    ]:
        cases.both("bundle", name, f"a git bundle: {about}", raw, reason)


def backups(cases):
    """What an archive of a backup directory says of the one before it."""
    name_reason, order = "is not the name of a backup", "not in the order of its files"
    grown = {"file": 0, "after": 10, "sha256": "a" * 64}
    for name, continues, reason in [
        ("up", {"archive": "../" + BACKUP}, name_reason), ("absolute", {"archive": "/tmp/" + BACKUP}, name_reason),
        ("below", {"archive": "x/" + BACKUP}, name_reason), ("windows", {"archive": "..\\" + BACKUP}, name_reason),
        ("nul", {"archive": BACKUP + "\0"}, name_reason), ("escape", {"archive": "\x1b[31m\u202e"}, name_reason), ("empty", {"archive": ""}, name_reason),
        ("stdin", {"archive": "-"}, name_reason), ("option", {"archive": "--output=evil"}, name_reason), ("4-kilobytes", {"archive": "h" * 4096}, name_reason),
        ("other-spelling", {"archive": "holdall-20261121T160000Z-01.tar.gz"}, name_reason), ("no-date", {"archive": "holdall-20261399T160000Z.tar.gz"}, name_reason),
        ("number", {"archive": 7}, NOT), ("list", ["x", []], name_reason), ("text", BACKUP, NOT), ("nothing", {}, NOT),
        ("grown-beyond", {"archive": BACKUP, "grown": [{**grown, "file": 2}]}, order), ("grown-twice", {"archive": BACKUP, "grown": [grown, grown]}, order),
        ("grown-backwards", {"archive": BACKUP, "grown": [{**grown, "file": 1}, grown]}, order), ("grown-negative", {"archive": BACKUP, "grown": [{**grown, "after": -1}]}, NOT),
        ("grown-place-negative", {"archive": BACKUP, "grown": [{**grown, "file": -1}]}, NOT), ("grown-2-64", {"archive": BACKUP, "grown": [{**grown, "after": 2 ** 64}]}, NOT),
        ("grown-sha-upper", {"archive": BACKUP, "grown": [{**grown, "sha256": "A" * 64}]}, HEX), ("grown-sha-short", {"archive": BACKUP, "grown": [{**grown, "sha256": ""}]}, HEX),
        ("grown-half-of-2-64", {"archive": BACKUP, "grown": [{**grown, "after": 2 ** 63}, {**grown, "file": 1, "after": 2 ** 63}]}, "the limit is"),
        ("kept-sha", {"archive": BACKUP, "kept": {"sha256": "x" * 64}}, HEX), ("kept-text", {"archive": BACKUP, "kept": "all"}, NOT),
        ("gone-object", {"archive": BACKUP, "kept": {"sha256": "a" * 64, "gone": {}}}, NOT),
    ]:
        archive = put(good(), "sessions/0/continues", continues)
        cases.add("continues", name, f"the first session continues {json.dumps(continues)[:120]}", good_members(archive), reason, form="members")


def large(cases):
    """Manifests that are small on disk and large in memory."""
    text = json.dumps(good().manifest)
    length, weight = "have use for", "it declares more than an archive of"
    for name, about, json_text, reason in [
        ("spaces", "17 MB of spaces", text[:-1] + " " * 17_000_000 + "}", length),
        ("title", "a title of 17 MB", text.replace("Hello", "x" * 17_000_000, 1), length),
        ("texts", "2 million empty texts in a list",
         text.replace('"remotes":', '"carried": {"needs": [' + '"",' * 2_000_000 + '""], "commits": 0, "work": null}, "remotes":', 1), weight),
        ("unknown", "3 million numbers in a field that nobody knows", text[:-1] + ', "x": [' + "0," * 3_000_000 + "0]}", weight),
        ("objects", "2 million objects in a field that nobody knows", text[:-1] + ', "x": [' + "{}," * 2_000_000 + "{}]}", weight),
        ("sessions", "200,000 sessions that are next to nothing",
         text.replace('"sessions": [', '"sessions": [' + '{"harness":"a","id":"b","files":[]},' * 200_000, 1), weight),
        ("deep", "a million lists in each other", text[:-1] + ', "x": ' + "[" * 1_000_000 + "]" * 1_000_000 + "}", NOT),
    ]:
        cases.both("large", name, f"a manifest with {about}", good().tar(json_text.encode()), reason)
    # The most that is let through.
    most = text.replace('"remotes":', '"carried": {"needs": [], "commits": 0, "work": null, "left_out": [' + '"",' * 450_000 + '""]}, "remotes":', 1)
    cases.both("large", "most", "a manifest that takes about the most memory that one may take", good().tar(most.encode()))
