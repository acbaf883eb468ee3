"""Hostile sessions in archives that are valid: each made from a session that a real program recorded.

What an archive may say without being refused is still somebody else's word: ids, paths, texts, times,
addresses. Each case here changes one thing of that kind, in the manifest and in the session's own files alike.
"""

import copy
import gzip
import io
import json
import os
import re
import tarfile

from forge import Archive, members, sha256

RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fixtures", "recorded")
CWD, PROMPT, TASK = "/home/dev/src/app", "Please ask a helper [[scenario:agent]]", "Count the files, please. [[scenario:child]]"
TOOLS = {"claude": "Agent", "codex": "spawn_agent", "gemini": "invoke_agent", "opencode": "task", "kilo": "task"}
#: What must not reach a terminal, a JSON document or a disk.
SECRET = "s3cr3t-t0ken"
#: What a terminal must not get: colours, a title, C1, bidi, a line that overwrites itself, invisible letters.
NASTY = "evil \x1b[31m\x1b]0;evil\x07\x9b31m\x9d0;evil\x9c \u202egpj.exe\u2066 \u200b\ufeff\r\b\x7f\x00 $(touch evil) `touch evil`"


class Session:
    """One session: what the manifest says of it, the contents of its files, and its repository."""

    def __init__(self, head, contents, number, victim):
        self.head, self.contents = copy.deepcopy(head), list(contents)
        self.victim = victim
        self.repo = None
        self.harness = head["harness"]
        ids = [head["id"], *{file["agent"]["id"] for file in head["files"] if file.get("agent")}]
        for identity in ids:
            self.rename(identity, f"{identity[:-4]}{number:04x}")
        tail = f"{number:04x}".encode()
        pattern = re.compile(rb"\b((?:msg|prt)_[0-9A-Za-z]{22})[0-9A-Za-z]{4}\b")
        self.contents = [pattern.sub(lambda found: found[1] + tail, content) for content in self.contents]

    @property
    def id(self):
        return self.head["id"]

    @property
    def agent(self):
        return next(file["agent"] for file in self.head["files"] if file.get("agent"))

    def rename(self, old, new):
        """Another word for `old`, wherever it stands."""
        self.say(old, new)
        text = json.dumps(self.head).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
        self.head = json.loads(text)

    def say(self, old, new):
        """Another word for `old` in the files alone."""
        self.raw(json.dumps(old)[1:-1], json.dumps(new)[1:-1])

    def raw(self, old, new):
        """Other JSON for `old` in the files."""
        def bytes_of(text):
            return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        self.contents = [content.replace(bytes_of(old), bytes_of(new)) for content in self.contents]

    def sub(self, pattern, replacement):
        self.contents = [re.sub(pattern, lambda _: replacement, content) for content in self.contents]

    def line(self, content):
        """One more line, in the middle of the transcript."""
        lines = self.contents[0].splitlines(keepends=True)
        lines.insert(len(lines) // 2, content + b"\n")
        self.contents[0] = b"".join(lines)

    def file(self, role):
        return next(file for file in self.head["files"] if file["role"] == role)

    def attach(self, path, content=b"evil\n", role="attachment", agent=None):
        """One more file."""
        file = {"name": "x/1-attachment", "role": role, "path": path}
        if agent:
            file["agent"] = agent
        self.head["files"].append(file)
        self.contents.append(content)


def build(cases, exported):
    for path in exported:
        head, contents = unpack(path)
        variants = []
        for number, (name, about, change) in enumerate(changes(head["harness"]), 1):
            session = Session(head, contents, number, victim(head["harness"]))
            change(session)
            variants.append(session)
            cases.add(head["harness"], name, about, pack([session]), harness=head["harness"], secret=SECRET)
        # Those of one id are refused together, which is tried elsewhere.
        seen = set()
        several = [session for session in variants if session.id not in seen and not seen.add(session.id)]
        some = several[::9]
        for name, about, chosen in [("all", "all of them", several), ("some", "one of nine of them", some)]:
            cases.add(head["harness"], name, about, pack(chosen), harness=head["harness"], secret=SECRET, sessions=len(chosen))


def unpack(path):
    """The first session of an archive, and the contents of its files."""
    with gzip.open(path) as stream:
        archive = tarfile.open(fileobj=io.BytesIO(stream.read()))
    manifest = json.load(archive.extractfile("manifest.json"))
    head = manifest["sessions"][0]
    head.pop("repo", None)
    return head, [archive.extractfile(file["name"]).read() for file in head["files"]]


def pack(sessions):
    repos, heads, contents = [], [], {}
    for number, session in enumerate(sessions, 1):
        head = copy.deepcopy(session.head)
        if session.repo:
            head["repo"] = len(repos)
            repos.append(session.repo)
        for place, (file, content) in enumerate(zip(head["files"], session.contents), 1):
            name = f"s/{number:04}/{place:04}-{file['role']}"
            file.update(name=name, size=len(content), sha256=sha256(content))
            contents[name] = content
        heads.append(head)
    manifest = {"schema": "holdall.manifest/1", "version": {"major": 1, "minor": 1}, "tool": {"name": "holdall", "version": "0.1.0"},
                "source": {"os": "linux", "home": "/home/dev"}, "sessions": heads, "repos": repos}
    return members(Archive(manifest, contents).tar())


def victim(harness):
    """A session that is at the target: its id, and where the program keeps it."""
    case = os.path.join(RECORDED, harness, "chat")
    with open(os.path.join(case, "case.json"), encoding="utf-8") as file:
        identity = json.load(file)["id"]
    for folder, _, files in os.walk(os.path.join(case, "home")):
        for file in files:
            if file.endswith(".jsonl") and identity[:8] in file:
                relative = os.path.relpath(os.path.join(folder, file), os.path.join(case, "home"))
                return identity, relative.split(os.sep, 1)[1].replace(os.sep, "/")
    return identity, f"session/{identity}/messages.jsonl"


def repo(url, name="origin", **more):
    return {"root": CWD, "worktree": False, "remotes": [{"name": name, "url": url}], "branch": "main", "commit": "c" * 40,
            "subject": "First", "upstream": None, "ahead": None, "behind": None, "modified": 0, "untracked": 0, **more}


def changes(harness):
    """Name, description and change of each case."""
    for name, identity in [
        ("up", "../../../evil"), ("slash", "a/b"), ("only-up", ".."), ("dot", "."), ("absolute", "/tmp/holdall-evil"), ("dash", "-rf"),
        ("option", "--output=evil"), ("device-con", "CON"), ("device-nul", "nul.txt"), ("drive", "C:\\evil"), ("unc", "\\\\server\\share\\evil"),
        ("backslash-up", "..\\..\\evil"), ("command", "$(touch evil)"), ("backticks", "`touch evil`"), ("semicolon", "x; touch evil #"),
        ("quote", "x' ; touch evil '"), ("newline-escape", "x\\ntouch evil"), ("bidi", "\u202egpj.exe"), ("space", " "), ("star", "*"),
        ("hidden", ".evil"), ("stream", "x:evil"), ("256-bytes", "i" * 256), ("sql", "x'; DROP TABLE session; --"), ("percent", "%2e%2e%2fevil"),
        ("ses-up", "ses_/../../evil"), ("uuid-up", "01a1f97a-ff91-7d01-9a8b-b3c4642b6f00/../../evil"), ("glob", "[a-z]*"), ("upper-case", "SES_EVIL"),
    ]:
        yield f"id-{name}", f"the session's id is {identity!r}", lambda s, new=identity: s.rename(s.id, new)
        yield f"agent-{name}", f"the sub-agent's id is {identity!r}", lambda s, new=identity: s.rename(s.agent["id"], new)
        yield f"parent-{name}", f"the parent is {identity!r}", lambda s, new=identity: s.head.update(parent=new)
    for name, cwd in [
        ("newline", "/home/dev/evil\ntouch evil"), ("home", "~/evil"), ("home-of", "~root"), ("command", "/home/dev/$(touch evil)"),
        ("backticks", "/home/dev/`touch evil`"), ("unc", "\\\\server\\share\\evil"), ("drive", "C:\\evil"), ("up", "/home/dev/../../../../tmp/holdall-evil"),
        ("only-up", "../../evil"), ("nul", "/home/dev/a\0/evil"), ("4-kilobytes", "/home/dev/" + "d/" * 2048), ("long-component", "/home/dev/" + "d" * 4096),
        ("relative", "evil"), ("dash", "-rf"), ("empty", ""), ("root", "/"), ("quote", "/home/dev/it's'; touch evil; '"), ("escape", "/home/dev/" + NASTY.replace("\0", "")),
        ("device", "/dev/null/evil"), ("proc", "/proc/self/root/evil"), ("variable", "/home/dev/$HOME"), ("semicolon", "/home/dev/x; touch evil"),
        ("carriage-return", "/home/dev/x\rtouch evil"), ("space", "/home/dev/ -rf "), ("dots", "/home/dev/.git/hooks"),
    ]:
        yield f"cwd-{name}", f"the directory is {cwd[:60]!r}", lambda s, new=cwd: s.rename(CWD, new)
    for name, change in [("title", lambda s: s.head.update(title=NASTY)), ("model", lambda s: s.head.update(model=NASTY)),
                         ("version", lambda s: s.head.update(harness_version=NASTY)),
                         ("branch", lambda s: s.head.update(git={"branch": NASTY, "commit": NASTY, "remote": NASTY})),
                         ("prompt", lambda s: s.rename(PROMPT, NASTY)), ("task", lambda s: s.rename(TASK, NASTY)),
                         ("tool", lambda s: s.say(TOOLS[s.harness], NASTY)), ("call-id", lambda s: s.rename(s.agent["call_id"], NASTY)),
                         ("agent", lambda s: s.agent.update(kind=NASTY, title=NASTY))]:
        yield f"terminal-{name}", f"its {name} is full of control characters", change
    for name, value in [("up", "../../../../evil"), ("100-kilobytes", "c" * 100_000), ("empty", ""), ("nul", "a\0b")]:
        yield f"call-{name}", f"the id of its call is {value[:20]!r}", lambda s, new=value: s.rename(s.agent["call_id"], new)
        yield f"tool-{name}", f"the name of its tool is {value[:20]!r}", lambda s, new=value: s.say(TOOLS[s.harness], new)
    yield from times()
    yield from deep()
    yield from paths(harness)
    yield from remotes()
    yield from victims(harness)
    if harness in ("opencode", "kilo"):
        yield from rows()


def times():
    for name, value in [("year-0", '"0000-01-01T00:00:00Z"'), ("year-9999", '"9999-12-31T23:59:59Z"'), ("year-minus", '"-9999-01-01T00:00:00Z"'),
                        ("negative", "-1"), ("nan", "NaN"), ("1e400", "1e400"), ("2-63", str(2 ** 63)), ("escape", '"\\u001b[31m\\u202e"'), ("object", "{}")]:
        def change(s, value=value):
            s.sub(rb'"(timestamp|startTime|lastUpdated)":"[^"]*"', b'"timestamp":' + value.encode())
            number = {"year-0": "-62167219200000", "year-9999": "253402300799000"}.get(name, value)
            s.sub(rb'"created":\d+', b'"created":' + number.encode())
        yield f"time-{name}", f"all its times are {value}", change
    ends = {"created": "0000-01-01T00:00:00Z", "updated": "9999-12-31T23:59:59Z"}
    yield "time-head", "the manifest says that it went on for 10,000 years", lambda s: s.head.update(ends)
    for name, value in [("year-0", "0000-01-01T00:00:00Z"), ("year-9999", "9999-12-31T23:59:59Z")]:
        yield f"time-file-{name}", f"its files were changed at {value}", lambda s, value=value: [file.update(modified=value) for file in s.head["files"]]


def deep():
    lists, objects = b"[" * 10_000 + b"]" * 10_000, b'{"x":' * 10_000 + b"1" + b"}" * 10_000
    yield "deep-line", "a line of 10,000 lists", lambda s: s.line(lists)
    yield "deep-objects", "a line of 10,000 objects", lambda s: s.line(objects)
    yield "deep-open", "a line of 100,000 lists that do not end", lambda s: s.line(b"[" * 100_000)
    yield "deep-input", "an input of a tool of 10,000 lists", lambda s: s.raw(json.dumps(TASK), lists)
    yield "deep-input-in-text", "an input of a tool of 10,000 lists, in a text", lambda s: s.raw(json.dumps(json.dumps(TASK))[1:-1], lists)
    yield "deep-prompt", "a prompt of 10,000 objects", lambda s: s.raw(json.dumps(PROMPT), objects)
    yield "deep-everywhere", "an unknown field of 10,000 lists in every record", lambda s: s.raw(b"\n{", b'\n{"evil":' + lists + b",")
    yield "not-json", "lines that are no JSON", lambda s: s.line(b"\x00\xff\xfe\x1b[31m evil")
    yield "not-utf8", "a prompt that is no text", lambda s: s.raw(json.dumps(PROMPT).encode(), b'"\xff\xfe \xed\xa0\x80"')
    yield "nothing", "all its files are empty", lambda s: s.contents.__setitem__(slice(None), [b""] * len(s.contents))
    yield "null", "all its records are null", lambda s: s.contents.__setitem__(0, b"null\n" * 100)


def paths(harness):
    for name, path in [
        ("up", "../../../evil"), ("up-inside", "projects/../../evil.jsonl"), ("absolute", "/tmp/holdall-evil"), ("home", "~/.ssh/authorized_keys"),
        ("backslash", "projects\\..\\..\\evil"), ("drive", "C:\\evil"), ("config", ".git/config"), ("hooks", "settings.json"), ("toml", "config.toml"),
        ("empty", ""), ("dot", "."), ("newline", "projects/a\nb/evil.jsonl"), ("device", "projects/nul/con.jsonl"), ("4-kilobytes", "projects/" + "x" * 4000),
        ("memory", "CLAUDE.md"), ("database", "opencode.db"), ("tool-output-up", "tool-output/../../evil"), ("auth", "auth.json"), ("log", "history.jsonl"),
    ]:
        for role in ["transcript", "subagent", "attachment"]:
            def change(s, role=role, path=path):
                if role == "attachment":
                    s.attach(path)
                else:
                    s.file(role)["path"] = path
            yield f"path-{role}-{name}", f"the path of its {role} is {path[:40]!r}", change
    own = {
        "claude": [("tool-results", "projects/-x/{id}/tool-results/{}"), ("subagents", "projects/-x/{id}/subagents/{}.jsonl"), ("tasks", "tasks/{id}/{}"),
                   ("file-history", "file-history/{id}/{}"), ("project", "projects/{}/{id}/custom-title.json")],
        "codex": [("sessions", "sessions/{}/rollout-2026-11-20T10-00-00-{id}.jsonl"), ("stamp", "sessions/2026/11/20/rollout-{}-{id}.jsonl"), ("archived", "archived_sessions/{}")],
        "gemini": [("output", "tmp/app/tool-outputs/session-{id}/{}"), ("plans", "tmp/app/{id}/plans/{}"), ("project", "tmp/{}/chats/{id}.jsonl"), ("checkpoint", "tmp/app/checkpoint-{}.json")],
        "opencode": [("tool-output", "tool-output/{}"), ("session", "session/{id}/{}")], "kilo": [("tool-output", "tool-output/{}"), ("session", "session/{id}/{}")],
    }[harness]
    for place, pattern in own:
        for name, part in [("up", "../../../../evil"), ("dots", ".."), ("hidden", ".evil"), ("device", "nul"), ("escape", "evil\x1b[31m\u202e"), ("long", "e" * 300),
                           ("command", "$(touch evil)"), ("dash", "-rf"), ("stream", "evil:x"), ("space", "evil ")]:
            yield (f"name-{place}-{name}", f"a file of its own is called {part[:30]!r} in {pattern}",
                   lambda s, pattern=pattern, part=part: s.attach(pattern.format(part, id=s.id)))


def remotes():
    for name, url in [
        ("password", f"https://evil:{SECRET}@127.0.0.1:9/a/b.git"), ("token", f"https://{SECRET}@127.0.0.1:9/a/b.git"), ("query", f"https://127.0.0.1:9/a/b.git?private_token={SECRET}"),
        ("ssh-password", f"ssh://git:{SECRET}@127.0.0.1:9/a/b.git"), ("scp-password", f"git:{SECRET}@127.0.0.1:a/b.git"), ("file", "file:///tmp/holdall-evil.git"),
        ("path", "/tmp/holdall-evil.git"), ("relative", "../../evil.git"), ("escape", "https://127.0.0.1:9/" + NASTY), ("newline", "https://127.0.0.1:9/a\n--upload-pack=evil"),
        ("host-dash", "ssh://-oProxyCommand=evil/x"), ("scp-dash", "-oProxyCommand=evil:x"[1:]), ("helper", "foo::evil"), ("name-up", "https://127.0.0.1:9/a/..git"),
        ("name-dots", "https://127.0.0.1:9/.."), ("name-git", "https://127.0.0.1:9/.git"), ("name-backslash", "https://127.0.0.1:9/..\\..\\evil"), ("empty", ""),
    ]:
        def change(s, url=url):
            s.repo = repo(url)
            s.head["git"] = {"branch": "main", "commit": "c" * 40, "remote": url}
        yield f"remote-{name}", f"its remote is {url[:60]!r}", change
    for name, more in [
        ("branch-dash", {"branch": "--upload-pack=evil"}), ("branch-up", {"branch": "../../evil"}), ("branch-lock", {"branch": "x.lock"}), ("branch-escape", {"branch": NASTY}),
        ("branch-head", {"branch": "HEAD"}), ("branch-refs", {"branch": "refs/heads/main"}), ("commit-dash", {"commit": "--all"}), ("commit-head", {"commit": "HEAD~1"}),
        ("commit-up", {"commit": "../" * 13 + "x"}), ("upstream", {"upstream": "--exec=evil"}), ("subject", {"subject": NASTY}), ("root-up", {"root": "/home/dev/../../tmp/holdall-evil"}),
        ("root-relative", {"root": "evil"}), ("root-dash", {"root": "-rf"}), ("root-escape", {"root": "/home/dev/" + NASTY}), ("root-all", {"root": "/"}),
        ("remote-name-dash", {"remotes": [{"name": "--upload-pack=evil", "url": "https://127.0.0.1:9/a/b"}]}),
        ("remote-name-up", {"remotes": [{"name": "../../evil", "url": "https://127.0.0.1:9/a/b"}]}),
        ("many", {"remotes": [{"name": f"r{n}", "url": f"https://127.0.0.1:9/{n}"} for n in range(1000)]}),
        ("numbers", {"modified": 2 ** 64 - 1, "untracked": 2 ** 63, "ahead": 2 ** 63, "behind": 2 ** 63}),
    ]:
        def change(s, more=more):
            s.repo = repo("https://127.0.0.1:9/ada/app.git", **more)
        yield f"repo-{name}", f"its repository has {str(more)[:60]}", change


def victims(harness):
    def subagent(s):
        s.rename(s.agent["id"], s.victim[0])

    def transcript(s):
        s.file("transcript")["path"] = s.victim[1]

    def inside(s):
        s.say(s.id, s.victim[0])

    def attachment(s):
        s.attach(s.victim[1], s.contents[0])

    def second(s):
        s.attach(s.victim[1], s.contents[1], "subagent", {"id": s.victim[0]})

    yield "victim-subagent", "its sub-agent has the id of a session that is here", subagent
    yield "victim-path", "its transcript has the path of a session that is here", transcript
    yield "victim-inside", "its records say that they are of a session that is here", inside
    yield "victim-attachment", "one of its files has the path of a session that is here", attachment
    yield "victim-second", "it has a second sub-agent, which is a session that is here", second
    yield "victim-parent", "its parent is a session that is here", lambda s: s.head.update(parent=s.victim[0])
    if harness == "gemini":
        for name, path in [("output", "tmp/app/tool-outputs/session-{}/evil"), ("plans", "tmp/app/{}/plans/evil"), ("agent", "tmp/app/chats/{}/evil.jsonl")]:
            yield f"victim-{name}", f"a file in {path}", lambda s, path=path: s.attach(path.format(s.victim[0]))
        yield "victim-checkpoint", "its transcript is a chat that the user has saved under the same name", checkpoint
    if harness == "claude":
        for name, path in [("output", "projects/-home-dev-src-app/{}/tool-results/evil"), ("tasks", "tasks/{}/1.json"), ("history", "file-history/{}/evil@v1")]:
            yield f"victim-{name}", f"a file in {path}", lambda s, path=path: s.attach(path.format(s.victim[0]))
    if harness in ("opencode", "kilo"):
        yield "victim-output", "a tool output that is here under the same name", lambda s: s.attach("tool-output/tool_victim")
        yield "victim-message", "its first message has the id of a message that is here", lambda s: s.sub(rb"msg_[0-9A-Za-z]{26}", b"msg_victim")
        yield "victim-part", "all its parts have one id", lambda s: s.sub(rb"prt_[0-9A-Za-z]{26}", b"prt_victim")


def checkpoint(s):
    s.file("transcript")["path"] = "tmp/app/checkpoint-victim.json"
    s.contents[0] = json.dumps({"history": [{"role": "user", "parts": [{"text": "evil"}]}], "authType": "x"}).encode()


def rows():
    def info(**members):
        def change(s):
            for place, file in enumerate(s.head["files"]):
                if file["path"].endswith("session.json"):
                    document = json.loads(s.contents[place])
                    document["info"].update(members)
                    s.contents[place] = json.dumps(document).encode()
        return change

    for name, members_ in [
        ("sql", {"slug": "'; DROP TABLE session; --", "title": "'); DELETE FROM message; --", "projectID": "x' OR '1'='1"}),
        ("project", {"projectID": "../../evil"}), ("project-global", {"projectID": "global"}), ("workspace", {"workspaceID": "../../evil"}),
        ("directory", {"directory": "/tmp/holdall-evil"}), ("path", {"path": "../../../evil"}), ("slug", {"slug": "../../evil"}),
        ("types", {"title": 7, "slug": [], "version": {}, "agent": False, "projectID": "x"}), ("project-type", {"projectID": 7}), ("directory-type", {"directory": None}),
        ("negative", {"time": {"created": -1, "updated": -2 ** 63}}), ("huge", {"time": {"created": 2 ** 64, "updated": 1e300}}), ("text-times", {"time": {"created": "now", "updated": []}}),
        ("cost", {"cost": -1e308, "tokens": {"input": -1, "output": 2 ** 64}}), ("share", {"share": {"url": "javascript:evil", "secret": "x"}}),
        ("permission", {"permission": [{"permission": "*", "pattern": "*", "action": "allow"}]}), ("revert", {"revert": {"messageID": "../../evil", "snapshot": "--evil"}}),
        ("parent", {"parentID": "ses_/../../evil"}), ("unknown", {"evil": {"deep": [1]}, "DROP TABLE": 1}), ("metadata", {"metadata": {"x" * 1000: NASTY}}),
        ("model", {"model": {"id": "../../evil", "providerID": "--evil", "variant": NASTY}}),
    ]:
        yield f"row-{name}", f"session.json has {str(members_)[:60]}", info(**members_)
    yield "row-todos", "todos of any kind", lambda s: s.raw(b'"todos":[]', b'"todos":[{"content":7},{"position":-1,"status":"\\u001b[31m"},{"time_created":1e300}]')
    yield "row-role", "messages of a role that nobody knows", lambda s: s.raw(b'"role":"user"', b'"role":"\\u001b[31mroot"')
    yield "row-part-type", "parts of a type that nobody knows", lambda s: s.raw(b'"type":"text"', b'"type":"../../evil"')
    yield "row-part-id", "parts whose ids are paths", lambda s: s.sub(rb"prt_[0-9A-Za-z]{26}", b"prt_/../../evil")
    yield "row-message-id", "messages whose ids are paths", lambda s: s.sub(rb"msg_[0-9A-Za-z]{26}", b"msg_/../../evil")
    yield "row-no-ids", "messages without ids", lambda s: s.sub(rb'"id":"msg_[0-9A-Za-z]{26}",?', b"")
