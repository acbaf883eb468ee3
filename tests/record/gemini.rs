//! Gemini CLI's cases: by prompts without a terminal where that is enough, typed where it is not.

use crate::stage::Play::{By, Turn};
use crate::stage::{Recording, Stage};
use crate::support::model::scenario::prompt;
use crate::support::programs::{Gemini, Origin};

/// All cases.
pub const CASES: &[Recording] = &[
    Recording::new("chat", "two turns of text, every width of UTF-8", By(chat)),
    Recording::new("fail", "a command that fails", Turn("Please build déploy for me", "fail")),
];

/// One turn in a new session.
pub fn turn(stage: &Stage, _: &Recording, text: &str, scenario: &str) -> Result<String, String> {
    Gemini::new(&stage.home, &stage.project).run(&prompt(text, scenario))
}

fn chat(stage: &Stage) -> Result<String, String> {
    let gemini = Gemini::new(&stage.home, &stage.project);
    let id = gemini.run("Hello from the café: ß 漢字 🎉 \"quoted\" <b>")?;
    gemini.resume(&id, "A second question about the café", Origin::Own)?;
    Ok(id)
}
