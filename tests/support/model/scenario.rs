//! What the model says, step by step, in words of no provider.

use std::path::Path;

use serde_json::{Value, json};

/// A prompt that plays the scenario `name`.
pub fn prompt(text: &str, name: &str) -> String {
    format!("{text} [[scenario:{name}]]")
}

/// The scenario named last in a prompt.
pub fn named(prompt: &str) -> Option<&str> {
    let (_, rest) = prompt.rsplit_once("[[scenario:")?;
    rest.split_once("]]").map(|(name, _)| name)
}

/// One thing that the model says in a step.
#[derive(Debug, Clone)]
pub enum Say {
    /// Visible text.
    Text(&'static str),
    /// Reasoning, sealed by the provider.
    Think(&'static str),
    /// Reasoning that only the provider can read.
    Sealed(&'static str),
    /// A shell command.
    Shell(&'static str),
    /// A new file: path and content.
    Write(&'static str, &'static str),
    /// An edit: path, old line, new line.
    Edit(&'static str, &'static str, &'static str),
    /// Looks at an image.
    View(&'static str),
    /// Starts a sub-agent with this prompt.
    Agent(&'static str),
    /// A list of things to do: content and status of each.
    Todo(&'static [(&'static str, &'static str)]),
    /// Waits for the sub-agents, where the program has a tool for that.
    WaitForAgent,
    /// JavaScript that calls tools, for the programs that run it.
    Code(&'static str),
    /// A tool that does not exist.
    Unknown(&'static str),
}

use Say::{Agent, Code, Edit, Sealed, Shell, Text, Think, Todo, Unknown, View, WaitForAgent, Write};

/// About 130 KB of text with characters of one to four bytes.
const LARGE: &str = "seq -f 'línea %05g 漢字 🎉 the quick brown fox jumps over the lazy dog' 1 2000";

/// The steps of a scenario; no step is left when the model has said everything.
pub fn steps(name: &str) -> Vec<Vec<Say>> {
    match name {
        "fail" => vec![
            vec![Text("I run it now."), Shell("echo 'no such target: déploy' >&2; exit 3")],
            vec![Text("The command failed with exit code 3.")],
        ],
        "edit" => vec![
            vec![Write("notes.txt", "alpha\nbeta 漢字\ngamma\n")],
            vec![Edit("notes.txt", "beta 漢字", "beta \"quoted\" \\ and 🎉")],
            vec![Shell("cat notes.txt")],
            vec![Text("The notes are written and edited.")],
        ],
        "parallel2" => vec![
            vec![Text("Two at once."), Shell("echo first of two"), Shell("echo second of two")],
            vec![Text("Both commands are done.")],
        ],
        "parallel3" => vec![
            vec![
                Text("Three at once."),
                Shell("echo first of three"),
                Shell("echo second of three >&2; exit 7"),
                Shell("sleep 0.2; echo third of three"),
            ],
            vec![Text("One of the three failed.")],
        ],
        "think" => vec![
            vec![
                Think("The user wants a sum. Two and two is four; I check it with the shell."),
                Text("Let me compute."),
                Shell("echo $((2 + 2))"),
            ],
            vec![Think("The shell agrees: 4."), Text("The sum is four.")],
        ],
        "sealed" => vec![vec![Sealed("first sealed thought"), Text("I thought about it in private.")]],
        "image" => {
            vec![vec![Text("I look at the picture."), View("pic.png")], vec![Text("A small red square.")]]
        }
        "agent" => vec![
            vec![Text("I delegate this."), Agent("Count the files, please. [[scenario:child]]")],
            vec![WaitForAgent],
            vec![Text("The sub-agent has reported.")],
        ],
        "child" => {
            vec![vec![Shell("echo from the sub-agent")], vec![Text("Report of the sub-agent: one file.")]]
        }
        "large" => vec![vec![Shell(LARGE)], vec![Text("That was a lot of text.")]],
        "slow" => vec![
            vec![Text("This takes a while."), Shell("echo begun; sleep 4; echo ended")],
            vec![Text("The slow work is done.")],
        ],
        "missing" => vec![vec![View("missing.txt")], vec![Text("That file does not exist.")]],
        "todo" => vec![
            vec![Todo(&[
                ("Look at the café", "completed"),
                ("Describe déploy 漢字", "in_progress"),
                ("Rest", "pending"),
            ])],
            vec![Text("The list is written.")],
        ],
        "unknown" => vec![vec![Unknown("no_such_tool")], vec![Text("That tool does not exist.")]],
        "code" => vec![
            vec![Code(
                "const [a, b] = await Promise.all([tools.exec_command({cmd: 'echo from code'}), \
                 tools.exec_command({cmd: 'echo also from code >&2; exit 4'})]); text(a.output); text(b.output);",
            )],
            vec![Text("The code ran.")],
        ],
        _ => Vec::new(),
    }
}

/// The last thing that the model says in a scenario.
pub fn last_words(name: &str) -> &'static str {
    let said = steps(name).into_iter().flatten().rev();
    let mut texts = said.filter_map(|say| if let Text(text) = say { Some(text) } else { None });
    texts.next().unwrap_or_default()
}

/// What the model answers to a prompt without a scenario.
pub fn plain_answer(prompt: &str) -> String {
    let begin: String = prompt.trim().chars().take(48).collect();
    format!("You said “{begin}”: ünïcödé 漢字 🎉.")
}

/// Whether a prompt asks for a summary of the conversation so far.
pub fn wants_summary(prompt: &str) -> bool {
    const ASKS: &[&str] = &[
        "Respond with TEXT ONLY",
        "CONTEXT CHECKPOINT COMPACTION",
        // Gemini CLI asks for one, and to look at it again.
        "generate the updated <state_snapshot>",
        "Critically evaluate the <state_snapshot>",
        // opencode and Kilo.
        "Create a new anchored summary",
    ];
    ASKS.iter().any(|words| prompt.contains(words))
}

/// The summary that it gets.
pub const SUMMARY: &str =
    "Summary: the user asked for the failing target déploy, the model ran it, exit code 3. 漢字";

/// A call under Claude Code's own tool names. `None`: it has no such tool.
pub fn claude_call(say: &Say, workdir: &Path) -> Option<(&'static str, Value)> {
    let path = |name: &str| workdir.join(name);
    Some(match say {
        Shell(command) => ("Bash", json!({"command": command, "description": "Run a command"})),
        Write(name, content) => ("Write", json!({"file_path": path(name), "content": content})),
        Edit(name, old, new) => {
            ("Edit", json!({"file_path": path(name), "old_string": old, "new_string": new}))
        }
        View(name) => ("Read", json!({"file_path": path(name)})),
        Agent(prompt) => (
            "Agent",
            json!({"description": "Count files", "prompt": prompt, "subagent_type": "general-purpose",
                   "run_in_background": false}),
        ),
        Unknown(name) => (*name, json!({"question": "why?"})),
        _ => return None,
    })
}

/// A call under Codex's own tool names.
pub enum CodexCall {
    /// A function with JSON arguments, and the namespace it stands in.
    Function(&'static str, Value, Option<&'static str>),
    /// A tool that takes free text.
    Custom(&'static str, String),
}

/// A call under Codex's own tool names; `agents` are the ids of the sub-agents so far.
pub fn codex_call(say: &Say, agents: &[String]) -> Option<CodexCall> {
    use CodexCall::{Custom, Function};
    let patch = |body: String| Custom("apply_patch", format!("*** Begin Patch\n{body}*** End Patch\n"));
    Some(match say {
        Shell(cmd) => Function(
            "exec_command",
            json!({"cmd": cmd, "yield_time_ms": 10000, "max_output_tokens": 60000}),
            None,
        ),
        Write(name, content) => {
            let lines: String = content.lines().map(|line| format!("+{line}\n")).collect();
            patch(format!("*** Add File: {name}\n{lines}"))
        }
        Edit(name, old, new) => patch(format!("*** Update File: {name}\n@@\n-{old}\n+{new}\n")),
        View(name) => Function("view_image", json!({"path": name}), None),
        Agent(prompt) => Function(
            "spawn_agent",
            json!({"message": prompt, "agent_type": "default"}),
            Some("multi_agent_v1"),
        ),
        WaitForAgent => {
            Function("wait_agent", json!({"targets": agents, "timeout_ms": 15000}), Some("multi_agent_v1"))
        }
        Code(script) => Custom("exec", (*script).to_owned()),
        Unknown(name) => Function(name, json!({"question": "why?"}), None),
        Text(_) | Think(_) | Sealed(_) | Todo(_) => return None,
    })
}

/// A call under Gemini CLI's own tool names. `None`: it has no such tool.
pub fn gemini_call(say: &Say) -> Option<(&'static str, Value)> {
    Some(match say {
        Shell(command) => ("run_shell_command", json!({"command": command, "description": "Run a command"})),
        Write(name, content) => ("write_file", json!({"file_path": name, "content": content})),
        Edit(name, old, new) => (
            "replace",
            json!({"file_path": name, "old_string": old, "new_string": new, "instruction": "Replace a line"}),
        ),
        View(name) => ("read_file", json!({"file_path": name})),
        Agent(prompt) => ("invoke_agent", json!({"agent_name": "generalist", "prompt": prompt})),
        Unknown(name) => (*name, json!({"question": "why?"})),
        _ => return None,
    })
}

/// A call under the tool names of opencode and Kilo. `None`: they have no such tool.
pub fn opencode_call(say: &Say, workdir: &Path) -> Option<(&'static str, Value)> {
    let path = |name: &str| workdir.join(name);
    Some(match say {
        Shell(command) => ("bash", json!({"command": command, "description": "Run a command"})),
        Write(name, content) => ("write", json!({"filePath": path(name), "content": content})),
        Edit(name, old, new) => ("edit", json!({"filePath": path(name), "oldString": old, "newString": new})),
        View(name) => ("read", json!({"filePath": path(name)})),
        Agent(prompt) => {
            ("task", json!({"description": "Count files", "prompt": prompt, "subagent_type": "general"}))
        }
        Todo(items) => {
            let items = items
                .iter()
                .map(|(content, status)| json!({"content": content, "status": status, "priority": "medium"}));
            ("todowrite", json!({"todos": items.collect::<Vec<_>>()}))
        }
        Unknown(name) => (*name, json!({"question": "why?"})),
        _ => return None,
    })
}
