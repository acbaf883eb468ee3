//! One response of the model, with the results of its calls, until all of it is known.
//!
//! Gemini CLI 0.61 sends a result that stands in the record of its call (`toolCalls[].result`) and one
//! that stands in the next record of the user, both of them, and the API refuses two results of one
//! call. So what the model gets stands in the contents only: the calls in the content of the response,
//! all results in one record of the user straight after it. `toolCalls` is for the screen: without
//! results, and under other ids, because the program writes results into calls of the same id.

use super::emit::{self, Parts, quote, quoted};
use super::write::SHOWN;
use crate::model::{Time, ToolStatus, time};

/// Of a long output the screen gets so many characters.
const SHOWN_OUTPUT: usize = 4000;
/// Of the arguments of a call the screen gets so many characters.
const SHOWN_ARGUMENTS: usize = 200;
/// Longer arguments are not written for the screen again.
const LONG_ARGUMENTS: usize = 4000;

/// A response.
#[derive(Debug)]
pub struct Turn {
    /// The number that the reader gave it.
    pub step: u64,
    /// When it began.
    pub time: Time,
    /// The model.
    pub model: Option<String>,
    parts: Parts,
    words: String,
    thoughts: Vec<u8>,
    calls: Vec<Call>,
    waiting: usize,
}

/// A call.
#[derive(Debug)]
pub struct Call {
    /// Its id in the source.
    pub theirs: String,
    /// Its id here.
    pub ours: String,
    /// The tool.
    pub name: String,
    /// The arguments, a JSON object.
    pub arguments: String,
    /// The sub-agent that it starts.
    pub agent: Option<String>,
    /// Its result.
    pub answer: Option<Answer>,
}

/// A result.
#[derive(Debug)]
pub struct Answer {
    /// When.
    pub time: Time,
    /// What the tool said.
    pub text: String,
    /// Images and documents.
    pub media: Parts,
    /// How it went.
    pub status: ToolStatus,
}

impl Turn {
    /// A response begins.
    pub fn new(step: u64, time: Time) -> Self {
        Self {
            step,
            time,
            model: None,
            parts: Parts::default(),
            words: String::new(),
            thoughts: Vec::new(),
            calls: Vec::new(),
            waiting: 0,
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.thoughts.is_empty()
    }

    /// Whether a result is in it.
    pub fn is_answered(&self) -> bool {
        self.calls.iter().any(|call| call.answer.is_some())
    }

    /// Whether a call has no result yet.
    pub fn is_open(&self) -> bool {
        self.calls.iter().any(|call| call.answer.is_none())
    }

    /// How much memory its results take, in bytes.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The model says something.
    pub fn say(&mut self, text: &str) {
        self.parts.text(text);
        self.words.push_str(text);
    }

    /// The model thinks something: shown, never sent.
    pub fn think(&mut self, text: &str, at: Time) {
        self.thoughts.extend_from_slice(if self.thoughts.is_empty() { b"" } else { b"," });
        self.thoughts.extend_from_slice(br#"{"subject":"","description":"#);
        quote(&mut self.thoughts, text);
        self.thoughts.extend_from_slice(format!(",\"timestamp\":\"{}\"}}", time::rfc3339(at)).as_bytes());
    }

    /// The model calls a tool.
    pub fn call(&mut self, call: Call) {
        let json = format!(
            "{{\"functionCall\":{{\"id\":{},\"name\":{},\"args\":{}}}}}",
            quoted(&call.ours),
            quoted(&call.name),
            call.arguments
        );
        self.parts.raw(json.as_bytes());
        self.calls.push(call);
    }

    /// A tool answers. `Err`: none of these calls waits for it.
    pub fn answer(&mut self, theirs: &str, answer: Answer) -> Result<(), Answer> {
        match self.calls.iter_mut().find(|call| call.theirs == theirs && call.answer.is_none()) {
            Some(call) => {
                self.waiting += answer.text.len() + answer.media.len();
                call.answer = Some(answer);
                Ok(())
            }
            None => Err(answer),
        }
    }

    /// Gives every call a result that has none; returns how many.
    pub fn complete(&mut self, time: Time) -> u64 {
        let mut count = 0;
        for call in self.calls.iter_mut().filter(|call| call.answer.is_none()) {
            let text = "[The result of this call was not recorded.]".to_owned();
            call.answer = Some(Answer { time, text, media: Parts::default(), status: ToolStatus::Error });
            count += 1;
        }
        count
    }

    /// The record of the response, after its id and time.
    pub fn record(&self) -> Vec<u8> {
        let mut json = br#","type":"gemini","content":"#.to_vec();
        json.extend(self.parts.of_model());
        if !self.thoughts.is_empty() {
            json.extend_from_slice(br#","thoughts":["#);
            json.extend_from_slice(&self.thoughts);
            json.push(b']');
        }
        if let Some(model) = &self.model {
            json.extend_from_slice(format!(",\"model\":{}", quoted(model)).as_bytes());
        }
        if !self.calls.is_empty() {
            json.extend_from_slice(format!(",\"displayContent\":{}", emit::shown(&self.words)).as_bytes());
            let calls: Vec<String> = self.calls.iter().map(Call::shown).collect();
            json.extend_from_slice(format!(",\"toolCalls\":[{}]", calls.join(",")).as_bytes());
        }
        json.push(b'}');
        json
    }

    /// The record of the results, after its id and time, and when the last of them came.
    pub fn results(&self) -> Option<(Time, Vec<u8>)> {
        let mut parts = Parts::default();
        let mut at = None;
        for (call, answer) in self.calls.iter().filter_map(|call| Some((call, call.answer.as_ref()?))) {
            let key = if answer.status == ToolStatus::Ok { "output" } else { "error" };
            let mut json = br#"{"functionResponse":{"id":"#.to_vec();
            quote(&mut json, &call.ours);
            json.extend_from_slice(br#","name":"#);
            quote(&mut json, &call.name);
            json.extend_from_slice(format!(",\"response\":{{\"{key}\":").as_bytes());
            quote(&mut json, &answer.text);
            json.extend_from_slice(b"}}}");
            parts.raw(&json);
            parts.append(&answer.media);
            at = at.max(Some(answer.time));
        }
        let mut json = br#","type":"user","content":"#.to_vec();
        json.extend(parts.of_model());
        json.extend_from_slice(format!(",\"displayContent\":{}}}", emit::shown("")).as_bytes());
        Some((at?, json))
    }
}

impl Call {
    /// What the screen shows of it.
    fn shown(&self) -> String {
        let status = match self.answer.as_ref().map(|answer| answer.status) {
            Some(ToolStatus::Ok) => "success",
            Some(ToolStatus::Interrupted) => "cancelled",
            _ => "error",
        };
        let output = self.answer.as_ref().map_or("", |answer| emit::begin(&answer.text, SHOWN_OUTPUT));
        let at = self.answer.as_ref().map(|answer| time::rfc3339(answer.time)).unwrap_or_default();
        let arguments = if self.arguments.len() > LONG_ARGUMENTS { "{}" } else { self.arguments.as_str() };
        let agent = self.agent.as_ref().map(|id| format!(",\"agentId\":\"{id}\"")).unwrap_or_default();
        format!(
            "{{\"id\":{},\"name\":{name},\"args\":{arguments},\"status\":\"{status}\",\"timestamp\":\"{at}\"{agent},\
             \"resultDisplay\":{},\"displayName\":{name},\"description\":{}}}",
            quoted(&format!("{SHOWN}{}", self.ours)),
            quoted(output),
            quoted(&self.described()),
            name = quoted(&self.name),
        )
    }

    /// The command of a shell, else the arguments.
    fn described(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Command {
            command: String,
        }
        match serde_json::from_str::<Command>(&self.arguments) {
            Ok(Command { command }) => emit::begin(&command, SHOWN_ARGUMENTS).to_owned(),
            Err(_) => emit::begin(&self.arguments, SHOWN_ARGUMENTS).to_owned(),
        }
    }
}
