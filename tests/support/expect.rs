//! Compares what two programs tell their models.
//!
//! The oracle is the source program itself: what it sends when it resumes its own session is what
//! was said. A conversion is right when the target sends the same.

use std::collections::HashMap;

use serde_json::Value;

use super::dialogue::{Item, between};
use super::model::scenario::SUMMARY;

/// The same program on another machine: nothing may differ but paths.
///
/// # Errors
/// Names the first difference.
pub fn same(source: &[Item], target: &[Item]) -> Result<(), String> {
    let (source, target) = (source.iter().map(without_store_paths), target.iter().map(without_store_paths));
    let (source, target): (Vec<Item>, Vec<Item>) = (source.collect(), target.collect());
    let differs = (0..source.len().max(target.len())).find(|&i| source.get(i) != target.get(i));
    differs.map_or(Ok(()), |i| Err(difference(source.get(i), target.get(i))))
}

/// What a later resume sends must begin with everything that an earlier one sent.
///
/// # Errors
/// Names the first difference.
pub fn continues(earlier: &[Item], later: &[Item]) -> Result<(), String> {
    let differs = (0..earlier.len()).find(|&i| earlier.get(i) != later.get(i));
    differs.map_or(Ok(()), |i| Err(difference(earlier.get(i), later.get(i))))
}

fn difference(expected: Option<&Item>, found: Option<&Item>) -> String {
    let show = |item: Option<&Item>| item.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    format!("expected {}, found {}", show(expected), show(found))
}

/// A large result names the file that holds all of it, which is somewhere else on each machine.
fn without_store_paths(item: &Item) -> Item {
    let Item::Result { id, text, failed } = item else { return item.clone() };
    let stores = ["/tool-results/", "/tool-outputs/", "/tool-output/"];
    let name = |word| stores.iter().find_map(|store| str::rsplit_once(word, *store)).map(|(_, name)| name);
    let words = text.split(' ').map(|word| name(word).unwrap_or(word));
    Item::Result { id: id.clone(), text: words.collect::<Vec<_>>().join(" "), failed: *failed }
}

/// Another program: the same user texts, assistant texts, calls and results, each once, in order;
/// results linked to their calls; failures recognisable; images the same bytes; parallel calls
/// still parallel. Notes and summaries may be worded otherwise, reasoning may be missing or be
/// text. Nothing else may be there.
///
/// # Errors
/// Names every difference.
pub fn converted(source: &[Item], target: &[Item]) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let (said, asides) = part(source, |_| false);
    let (got, extras) = part(target, |item| is_retold(item, &said, &asides));
    for aside in &asides {
        let needles = aside.needles();
        // A program may tell one thing in several messages, such as a command and its output.
        let here: String = extras
            .iter()
            .filter(|extra| extra.position == aside.position)
            .map(|extra| extra.text.as_str())
            .collect();
        let told = needles.iter().all(|needle| here.contains(needle));
        if aside.is_required() && !told {
            problems.push(format!("missing: {}", aside.item));
        }
    }
    let (said, got) = (steps(&said), steps(&got));
    let mut ids = HashMap::new();
    for i in 0..said.len().max(got.len()) {
        let before = problems.len();
        match (said.get(i), got.get(i)) {
            (Some(said), Some(got)) => said.compare(got, &asides, &mut ids, &mut problems),
            (said, got) => {
                let show =
                    |step: Option<&Step>| step.map_or_else(|| "nothing".into(), |step| format!("{step:?}"));
                problems.push(format!("expected {}, found {}", show(said), show(got)));
            }
        }
        // One step too many or too few makes all that follows differ.
        if problems.len() > before {
            break;
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Something beside the dialogue: reasoning, a summary, a note.
struct Aside {
    item: Item,
    text: String,
    /// How many steps of the dialogue are before it.
    position: usize,
}

impl Aside {
    /// Must the target's model be told?
    fn is_required(&self) -> bool {
        match &self.item {
            Item::Summary(text) => text.contains(SUMMARY),
            Item::Note(text) => {
                let shells = ["<bash-", "<user_shell_command>", "I ran the following shell command:"];
                let by_user = shells.iter().any(|shell| text.contains(shell));
                by_user && self.lines().next().is_some()
            }
            _ => false,
        }
    }

    /// What must be found in the target's words.
    fn needles(&self) -> Vec<&str> {
        match &self.item {
            Item::Summary(_) => vec![SUMMARY],
            _ => self.lines().collect(),
        }
    }

    /// What stands between its outermost marks, when that is a line of JSON.
    fn inside(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once('>')?;
        let (inside, _) = rest.rsplit_once('<')?;
        Some(inside.trim()).filter(|inside| inside.starts_with('{'))
    }

    /// Its lines without the marks of its program.
    fn lines(&self) -> impl Iterator<Item = &str> {
        let marks = |c| c == '\n' || c == '<' || c == '>';
        let lines = self.text.split(marks).map(str::trim);
        lines.filter(|line| line.len() >= 8 && !NOTE_MARKS.contains(line) && !line.contains(": "))
    }
}

/// Tags that programs put around notes.
const NOTE_MARKS: &[&str] = &[
    "bash-input",
    "/bash-input",
    "bash-stdout",
    "/bash-stdout",
    "bash-stderr",
    "/bash-stderr",
    "user_shell_command",
    "/user_shell_command",
    "/command",
    "command-name",
    "/command-name",
    "command-message",
    "/command-message",
    "command-args",
    "/command-args",
    "local-command-stdout",
    "/local-command-stdout",
    "turn_aborted",
    "/turn_aborted",
    "subagent_notification",
    "/subagent_notification",
    "I ran the following shell command:",
    "This produced the following result:",
];

/// Splits a dialogue from what stands beside it. `retold` says which texts are an aside in another form.
fn part(items: &[Item], retold: impl Fn(&Item) -> bool) -> (Vec<Item>, Vec<Aside>) {
    let (mut said, mut asides): (Vec<Item>, Vec<Aside>) = Default::default();
    for item in items {
        let text = match item {
            Item::Reasoning(text) | Item::Summary(text) | Item::Note(text) => text,
            Item::User(text) | Item::Assistant(text) if retold(item) => text,
            _ => {
                said.push(item.clone());
                continue;
            }
        };
        let text = text.clone();
        asides.push(Aside { item: item.clone(), text, position: steps(&said).len() });
    }
    (said, asides)
}

/// Whether a text of the target is one of the source's asides, and not part of its dialogue.
fn is_retold(item: &Item, said: &[Item], asides: &[Aside]) -> bool {
    let text = match item {
        Item::User(text) | Item::Assistant(text) => text,
        _ => return false,
    };
    // The marks of one program mean nothing to another.
    let raw = text.trim_start().starts_with('<');
    !raw && !said.contains(item)
        && asides.iter().any(|aside| match &aside.item {
            // A program may put a thought before the answer, in one text: then the text is an answer.
            Item::Reasoning(thought) => {
                let is_answer =
                    |item: &Item| matches!(item, Item::Assistant(answer) if text.contains(answer));
                !thought.is_empty() && text.contains(thought.as_str()) && !said.iter().any(is_answer)
            }
            Item::Summary(_) => text.contains(SUMMARY),
            Item::Note(note) if note.contains("<result>") => {
                between(note, "<result>", "</result>").iter().all(|result| text.contains(result.trim()))
            }
            Item::Note(note) if is_interruption(note) && is_interruption(text) => true,
            _ => {
                aside.lines().any(|line| text.contains(line))
                    || aside.inside().is_some_and(|all| text.contains(all))
            }
        })
}

/// Whether a note says that the user stopped the model. Each program has words of its own for that.
fn is_interruption(note: &str) -> bool {
    ["[Request interrupted by user", "<turn_aborted>"].iter().any(|mark| note.trim_start().starts_with(mark))
}

/// Neighbours of one kind.
#[derive(Debug)]
enum Step {
    User { texts: Vec<String>, images: Vec<String> },
    Assistant(Vec<String>),
    Calls(Vec<(String, String, Value)>),
    Results(Vec<Outcome>),
}

#[derive(Debug)]
struct Outcome {
    id: String,
    text: String,
    /// `None`: the program does not say.
    failed: Option<bool>,
    images: Vec<String>,
}

fn steps(items: &[Item]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for item in items {
        match (item, steps.last_mut()) {
            (Item::User(text), Some(Step::User { texts, .. })) => texts.push(text.clone()),
            (Item::User(text), _) => {
                steps.push(Step::User { texts: vec![text.clone()], images: Vec::new() });
            }
            (Item::Image(hash), Some(Step::Results(results))) => {
                if let Some(result) = results.last_mut() {
                    result.images.push(hash.clone());
                }
            }
            (Item::Image(hash), Some(Step::User { images, .. })) => images.push(hash.clone()),
            (Item::Image(hash), _) => {
                steps.push(Step::User { texts: Vec::new(), images: vec![hash.clone()] });
            }
            (Item::Assistant(text), Some(Step::Assistant(texts))) => texts.push(text.clone()),
            (Item::Assistant(text), _) => steps.push(Step::Assistant(vec![text.clone()])),
            (Item::Call { id, name, args }, last) => {
                let call = (id.clone(), name.clone(), args.clone());
                match last {
                    Some(Step::Calls(calls)) => calls.push(call),
                    _ => steps.push(Step::Calls(vec![call])),
                }
            }
            (Item::Result { id, text, failed }, last) => {
                let (id, text) = (id.clone(), text.clone());
                let result = Outcome { id, text, failed: *failed, images: Vec::new() };
                match last {
                    Some(Step::Results(results)) => results.push(result),
                    _ => steps.push(Step::Results(vec![result])),
                }
            }
            (Item::Reasoning(_) | Item::Summary(_) | Item::Note(_), _) => {}
        }
    }
    steps
}

impl Step {
    fn compare(
        &self,
        other: &Self,
        asides: &[Aside],
        ids: &mut HashMap<String, String>,
        problems: &mut Vec<String>,
    ) {
        match (self, other) {
            (Self::User { texts, images }, Self::User { texts: got, images: got_images }) => {
                compare_texts(texts, got, asides, problems);
                if images != got_images {
                    problems.push(format!("images of the user: expected {images:?}, found {got_images:?}"));
                }
            }
            (Self::Assistant(texts), Self::Assistant(got)) => compare_texts(texts, got, asides, problems),
            (Self::Calls(calls), Self::Calls(got)) if calls.len() == got.len() => {
                for ((id, name, args), (got_id, got_name, got_args)) in calls.iter().zip(got) {
                    if ids.values().any(|known| known == got_id) {
                        problems.push(format!("two calls have the id {got_id}"));
                    }
                    ids.insert(id.clone(), got_id.clone());
                    if !is_same_tool(name, got_name) {
                        problems.push(format!("call of {name} became {got_name}"));
                    }
                    for leaf in leaves(args) {
                        if !holds(got_args, leaf) {
                            problems.push(format!("call of {name}: {leaf} is missing in {got_args}"));
                        }
                    }
                }
            }
            (Self::Results(results), Self::Results(got)) if results.len() == got.len() => {
                for result in results {
                    let linked = ids.get(&result.id);
                    match got.iter().find(|other| Some(&other.id) == linked) {
                        Some(other) => result.compare(other, problems),
                        None => problems.push(format!("no result is linked to the call {}", result.id)),
                    }
                }
            }
            _ => problems.push(format!("expected {self:?}, found {other:?}")),
        }
    }
}

/// Each text once, in order, with nothing but white space or reasoning between them.
fn compare_texts(texts: &[String], got: &[String], asides: &[Aside], problems: &mut Vec<String>) {
    let all = got.join("\n");
    let mut rest = all.as_str();
    let mut extra = String::new();
    for text in texts {
        let Some((before, after)) = rest.split_once(text.as_str()) else {
            problems.push(format!("text {text:?} is missing in {got:?}"));
            return;
        };
        extra.push_str(before);
        rest = after;
    }
    extra.push_str(rest);
    let explained = asides.iter().any(|aside| {
        matches!(&aside.item, Item::Reasoning(thought) if !thought.is_empty() && extra.contains(thought.as_str()))
    });
    if !extra.trim().is_empty() && !explained {
        problems.push(format!("nobody said {:?}", extra.trim()));
    }
}

/// Tools that are the same in both programs.
fn is_same_tool(name: &str, got: &str) -> bool {
    const SHELLS: &[&str] = &["Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash"];
    name == got || got.ends_with(name) || (SHELLS.contains(&name) && SHELLS.contains(&got))
}

fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        Value::Object(fields) => fields.values().flat_map(leaves).collect(),
        Value::Null => Vec::new(),
        leaf => vec![leaf],
    }
}

fn holds(value: &Value, leaf: &Value) -> bool {
    leaves(value).into_iter().any(|other| match (leaf, other) {
        (Value::String(leaf), Value::String(other)) => other.contains(leaf.as_str()),
        (leaf, Value::String(other)) => other.contains(&leaf.to_string()),
        (leaf, other) => leaf == other,
    })
}

impl Outcome {
    fn compare(&self, got: &Self, problems: &mut Vec<String>) {
        let id = &self.id;
        if self.images != got.images {
            problems.push(format!(
                "images of the result {id}: expected {:?}, found {:?}",
                self.images, got.images
            ));
        }
        // opencode calls a command that ended with an error code completed, and tells its model nothing
        // of the code: a target that does says nothing wrong.
        if self.failed.is_some() && self.failed != got.failed {
            let state = |failed| match failed {
                Some(true) => "failed",
                Some(false) => "went well",
                None => "did not say",
            };
            problems.push(format!(
                "the call {id} {}, the target says it {}",
                state(self.failed),
                state(got.failed)
            ));
        }
        let missing = self.lines().into_iter().find(|line| !got.text.contains(line));
        if let Some(line) = missing {
            problems.push(format!("result {id}: {line:?} is missing in {:?}", got.text));
        }
    }

    /// What the target must show: all of it in one piece, but for the wrapper that the source
    /// program puts around outputs, and for the place where it keeps a large one.
    fn lines(&self) -> Vec<&str> {
        if self.text.starts_with("<persisted-output>") {
            let lines = self.text.lines();
            return lines.filter(|line| !line.contains("tool-results/") && !line.starts_with('<')).collect();
        }
        if let Some((_, output)) = self.text.split_once("<untrusted_context>\nOutput: ") {
            return output.lines().filter(|line| !is_by_gemini(line)).collect();
        }
        // opencode keeps the end of a long output, and says where the rest is: a target may have it all.
        if let Some(rest) = self.text.strip_prefix("...output truncated...\n\nFull output saved to: ") {
            return vec![rest.split_once('\n').map_or("", |(_, output)| output).trim()];
        }
        let wrapped = self.text.starts_with("Chunk ID: ") || self.text.starts_with("Exit code: ");
        let output = if wrapped { self.text.split_once("Output:\n") } else { None };
        let text = output.map_or(self.text.as_str(), |(_, output)| output);
        let inner =
            text.strip_prefix("<tool_use_error>").and_then(|text| text.strip_suffix("</tool_use_error>"));
        vec![inner.unwrap_or(text).trim()]
    }
}

/// What Gemini CLI says around the output of a command: what became of it, and what is left out.
fn is_by_gemini(line: &str) -> bool {
    const BEGINS: &[&str] =
        &["</untrusted_context>", "Exit Code: ", "Signal: ", "Background PIDs: ", "Process Group PGID: "];
    BEGINS.iter().any(|begin| line.starts_with(begin))
        || (line.starts_with("... [") && line.ends_with(" characters omitted] ..."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: &str, command: &str) -> Item {
        Item::Call { id: id.into(), name: "Bash".into(), args: json!({"command": command}) }
    }

    fn result(id: &str, text: &str, failed: bool) -> Item {
        Item::Result { id: id.into(), text: text.into(), failed: Some(failed) }
    }

    fn source() -> Vec<Item> {
        vec![
            Item::User("do it".into()),
            Item::Reasoning("hm".into()),
            Item::Assistant("ok".into()),
            call("a", "echo one"),
            call("b", "echo two"),
            result("a", "one", false),
            result("b", "Exit code 2\ntwo", true),
            Item::Note("<bash-input>ls -la /tmp</bash-input>".into()),
            Item::Assistant("done".into()),
        ]
    }

    /// `source()` after a change.
    fn changed(change: impl FnOnce(&mut Vec<Item>)) -> Result<(), Vec<String>> {
        let mut target = source();
        change(&mut target);
        converted(&source(), &target)
    }

    #[test]
    fn what_may_differ_passes() {
        assert_eq!(changed(|_| {}), Ok(()));
        assert_eq!(changed(|items| drop(items.remove(1))), Ok(()), "reasoning may be missing");
        assert_eq!(changed(|items| items[1] = Item::Assistant("[thought] hm".into())), Ok(()));
        let both = |items: &mut Vec<Item>| {
            items[1] = Item::Assistant("hmok".into());
            items.remove(2);
        };
        assert_eq!(changed(both), Ok(()), "reasoning may stand before the answer, in one text");
        assert_eq!(changed(|items| items.swap(5, 6)), Ok(()), "results of parallel calls have no order");
        assert_eq!(changed(|items| items[7] = Item::User("[the user ran: ls -la /tmp]".into())), Ok(()));
    }

    #[test]
    fn an_interruption_may_be_worded_otherwise() {
        let said = |item| [Item::User("do it".into()), item, Item::User("go on".into())];
        let source = said(Item::Note("<turn_aborted>on purpose</turn_aborted>".into()));
        assert_eq!(converted(&source, &said(Item::User("[Request interrupted by user]".into()))), Ok(()));
        assert!(converted(&source, &said(Item::User("[Tool failed]".into()))).is_err());
        let never = [Item::User("do it".into()), Item::User("go on".into())];
        assert!(converted(&never, &said(Item::User("[Request interrupted by user]".into()))).is_err());
    }

    #[test]
    fn a_source_that_does_not_say_what_failed_leaves_it_open() {
        let said = |failed| {
            let result = Item::Result { id: "a".into(), text: "one".into(), failed };
            [Item::User("do it".into()), call("a", "echo one"), result]
        };
        for failed in [Some(true), Some(false), None] {
            assert_eq!(converted(&said(None), &said(failed)), Ok(()));
        }
        assert!(converted(&said(Some(true)), &said(Some(false))).is_err());
    }

    #[test]
    fn the_end_of_a_long_output_must_be_there() {
        let said = |text: &str| [call("a", "ls"), result("a", text, false)];
        let source =
            said("...output truncated...\n\nFull output saved to: /x/tool-output/tool_1\n\nlast\nlines");
        assert_eq!(converted(&source, &said("first\nlast\nlines\n")), Ok(()));
        assert!(converted(&source, &said("first\nlast\n")).is_err());
    }

    #[test]
    fn what_may_not_differ_fails() {
        for (what, change) in [
            ("lost user text", (|items| drop(items.remove(0))) as fn(&mut Vec<Item>)),
            ("lost answer", |items| drop(items.pop())),
            ("lost call and result", |items| drop(items.drain(3..7))),
            ("lost result", |items| drop(items.remove(5))),
            ("lost note", |items| drop(items.remove(7))),
            ("said twice", |items| items.insert(1, Item::User("do it".into()))),
            ("raw note", |items| items[7] = Item::User("<bash-input>ls -la /tmp</bash-input>".into())),
            ("leaked context", |items| items.insert(0, Item::User("<environment_context>".into()))),
            ("another command", |items| items[3] = call("a", "echo three")),
            ("lost error", |items| items[6] = result("b", "Exit code 2\ntwo", false)),
            ("invented error", |items| items[5] = result("a", "one", true)),
            ("error left open", |items| {
                items[6] = Item::Result { id: "b".into(), text: "Exit code 2\ntwo".into(), failed: None };
            }),
            ("cut result", |items| items[6] = result("b", "Exit code 2", true)),
            ("swapped results", |items| {
                items[5] = result("b", "one", false);
                items[6] = result("a", "Exit code 2\ntwo", true);
            }),
            ("no longer parallel", |items| items.swap(4, 5)),
            ("a picture too many", |items| items.push(Item::Image("00000000".into()))),
        ] {
            assert!(changed(change).is_err(), "{what} was not noticed");
        }
    }
}
