//! What was said and done in a session, made up; and what of it a harness would send to its model.

use std::fmt;

use holdall::error::Result;
use holdall::harness::Harness;
use holdall::model::event::ToolInput;
use holdall::model::{Event, EventKind, Origin, Part, Payload, Sink, ToolKind, ToolStatus, View, time};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// One exchange: the user says something, the model answers in steps.
#[derive(Clone)]
pub struct Turn {
    pub user: String,
    pub steps: Vec<Step>,
    pub answer: String,
}

/// One response of the model, and what its calls gave.
#[derive(Clone)]
pub struct Step {
    pub reasoning: Option<String>,
    pub text: Option<String>,
    pub calls: Vec<Call>,
}

/// A call of a tool.
#[derive(Clone)]
pub struct Call {
    pub name: String,
    pub input: String,
    pub output: String,
    pub status: ToolStatus,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {:?} {:?} answer {:?}", self.user, self.steps, self.answer)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step(reasoning {:?}, text {:?}, {:?})", self.reasoning, self.text, self.calls)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) = {:?} {:?}", self.name, self.input, self.status, self.output)
    }
}

/// Text with something to see in it: words, what JSON and XML escape, other scripts, control characters.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z ]{0,20}[a-z]",
        1 => "[ -~]{0,30}[!-~]",
        1 => "[\\PC\n\t]{0,20}[a-z\u{e9}\u{4e16}\u{1f680}]",
        1 => Just("{\"type\":\"user\",\"cwd\":\"/home/dev/src/app\"}".to_owned()),
        1 => Just("a\u{0}b\u{1b}[31m\u{feff}\u{2028}\u{202e}\r\nc".to_owned()),
    ]
}

/// The same, or what a program puts into the user's mouth, which it knows by its beginning alone: said
/// by the user it would be taken for that, said by anybody else it is text (but for a reminder at the
/// very end of what a tool printed, where earlier versions of Claude Code put theirs).
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => words(),
        1 => Just("<system-reminder>no</system-reminder> it said".to_owned()),
        1 => Just("<environment_context>\n<cwd>/x</cwd>\n</environment_context>".to_owned()),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let status = prop_oneof![3 => Just(ToolStatus::Ok), 1 => Just(ToolStatus::Error)];
    let input = proptest::collection::btree_map("[a-z_]{1,8}", value(), 0..3)
        .prop_map(|members| serde_json::to_string(&members).expect("plain JSON"));
    ("[a-z][a-zA-Z0-9_]{0,12}", input, text(), status).prop_map(|(name, input, output, status)| Call {
        name,
        input,
        output,
        status,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        text().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| vec(inner, 0..3).prop_map(Value::from))
}

fn step() -> impl Strategy<Value = Step> {
    let option = proptest::option::of::<_>;
    (option(text()), option(text()), vec(call(), 1..4)).prop_map(|(reasoning, text, calls)| Step {
        reasoning,
        text,
        calls,
    })
}

fn turn() -> impl Strategy<Value = Turn> {
    (words(), vec(step(), 0..3), text()).prop_map(|(user, steps, answer)| Turn { user, steps, answer })
}

/// A conversation.
pub fn turns(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Turn>> {
    vec(turn(), count)
}

/// Says it all, with a second between any two events.
pub fn say(turns: &[Turn], sink: &mut dyn Sink) -> Result<()> {
    let (mut clock, mut step, mut number) = (1_795_000_000_000, 0, 0);
    let mut event = |kind: EventKind<'_>| {
        clock += 1000;
        let time = time::from_millis(clock);
        sink.event(Event { time, origin: Origin::default(), in_model: true, kind })
    };
    let text = |text: &str| vec![Part::Text(text.to_owned().into())];
    for turn in turns {
        event(EventKind::User { content: text(&turn.user) })?;
        for Step { reasoning, text: said, calls } in &turn.steps {
            step += 1;
            if let Some(reasoning) = reasoning {
                event(EventKind::Reasoning { text: reasoning.into(), opaque: None, step })?;
            }
            if let Some(said) = said {
                event(EventKind::Assistant { content: text(said), model: None, step })?;
            }
            let first = number;
            for call in calls {
                number += 1;
                event(EventKind::ToolCall {
                    call_id: format!("call_{number}").into(),
                    tool: ToolKind::Other,
                    row: None,
                    name: call.name.as_str().into(),
                    input: ToolInput::Json(call.input.as_str().into()),
                    step,
                })?;
            }
            for (place, call) in calls.iter().enumerate() {
                event(EventKind::ToolResult {
                    call_id: format!("call_{}", first + place + 1).into(),
                    content: text(&call.output),
                    status: call.status,
                    exit_code: None,
                })?;
            }
        }
        step += 1;
        event(EventKind::Assistant { content: text(&turn.answer), model: None, step })?;
    }
    Ok(())
}

/// Something that the model sees, in words that do not depend on who wrote it down.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    User(String),
    Assistant(String),
    Call { number: usize, name: String, input: Value },
    Result { number: usize, output: String, failed: bool },
}

/// What the model should see of a conversation.
pub fn expected(turns: &[Turn]) -> Vec<Seen> {
    let mut seen = Seer::default();
    say(turns, &mut seen).expect("it only looks");
    seen.0
}

/// What the model would see of a transcript, and whether the reader stumbled.
pub fn seen(harness: &dyn Harness, payload: &dyn Payload) -> (Vec<Seen>, Vec<String>) {
    let mut seen = Seer::default();
    let notes = harness.read(payload, 0, View::Model, &mut seen).expect("memory can be read");
    let notes = notes.iter().map(|(code, count, detail)| format!("{code} {count}: {detail}")).collect();
    (seen.0, notes)
}

#[derive(Default)]
struct Seer(Vec<Seen>, Vec<String>);

impl Seer {
    /// The same call has the same number, whatever its id.
    fn number(&mut self, id: &str) -> usize {
        self.1.iter().position(|known| known == id).unwrap_or_else(|| {
            self.1.push(id.to_owned());
            self.1.len() - 1
        })
    }
}

impl Sink for Seer {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        let seen = match event.kind {
            EventKind::User { content } => Seen::User(plain(&content)),
            EventKind::Assistant { content, .. } => Seen::Assistant(plain(&content)),
            EventKind::ToolCall { call_id, name, input, .. } => {
                let (ToolInput::Json(input) | ToolInput::Text(input)) = input;
                let input = serde_json::from_str(&input).unwrap_or_else(|_| Value::from(&*input));
                Seen::Call { number: self.number(&call_id), name: name.into_owned(), input }
            }
            EventKind::ToolResult { call_id, content, status, .. } => Seen::Result {
                number: self.number(&call_id),
                output: output(&plain(&content), status),
                failed: status != ToolStatus::Ok,
            },
            EventKind::Summary { text } => panic!("nobody summed up {text:?}"),
            EventKind::Note { text, .. } => panic!("nobody noted {text:?}"),
            // Reasoning of one model is nothing to another.
            EventKind::Reasoning { .. } => return Ok(()),
        };
        self.0.push(seen);
        Ok(())
    }
}

/// What a tool printed, without the word that tells a model that it failed where the format has no
/// field for that.
fn output(text: &str, status: ToolStatus) -> String {
    text.strip_prefix("Error: ").filter(|_| status != ToolStatus::Ok).unwrap_or(text).to_owned()
}

fn plain(content: &[Part<'_>]) -> String {
    let texts = content.iter().map(|part| match part {
        Part::Text(text) => text.as_ref(),
        Part::Image(_) | Part::File(_) => "<media>",
    });
    texts.collect::<Vec<_>>().join("\n")
}
