//! Which rows are live: the same cases, and the same answers, as Claude Code 2.1.329 gives.

use super::*;

const ZERO: &str = "00000000-0000-0000-0000-000000000000";

/// A transcript that is written row by row; each row is a second later and hangs on the last one.
#[derive(Default)]
struct Rows {
    lines: Vec<String>,
    clock: u32,
    last: Option<String>,
}

impl Rows {
    fn push(&mut self, id: &str, parent: Option<&str>, rest: &str) {
        self.clock += 1;
        let parent = parent.map_or("null".to_owned(), |parent| format!("{parent:?}"));
        let time = format!("2026-01-02T03:{:02}:{:02}.000Z", self.clock / 60, self.clock % 60);
        self.lines.push(format!(
            "{{\"parentUuid\":{parent},\"isSidechain\":false,{rest},\"uuid\":{id:?},\"timestamp\":{time:?},\"cwd\":\"/p\"}}"
        ));
        self.last = Some(id.to_owned());
    }

    /// A user row whose id is its text.
    fn user(&mut self, text: &str) -> &mut Self {
        let last = self.last.clone();
        self.user_below(text, last.as_deref())
    }

    fn user_below(&mut self, text: &str, parent: Option<&str>) -> &mut Self {
        let rest = format!("\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":{text:?}}}");
        self.push(text, parent, &rest);
        self
    }

    fn assistant(&mut self, text: &str) -> &mut Self {
        let rest = format!(
            "\"type\":\"assistant\",\"message\":{{\"id\":\"m-{text}\",\"content\":[{{\"type\":\"text\",\"text\":{text:?}}}]}}"
        );
        let last = self.last.clone();
        self.push(text, last.as_deref(), &rest);
        self
    }

    fn call(&mut self, id: &str, response: &str) -> &mut Self {
        let rest = format!(
            "\"type\":\"assistant\",\"message\":{{\"id\":{response:?},\"content\":[{{\"type\":\"tool_use\",\"id\":{id:?},\"name\":\"Bash\",\"input\":{{}}}}]}}"
        );
        let last = self.last.clone();
        self.push(id, last.as_deref(), &rest);
        self
    }

    fn result_below(&mut self, id: &str, parent: &str) -> &mut Self {
        let rest = format!(
            "\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":{id:?},\"content\":\"out\"}}]}}"
        );
        self.push(&format!("r-{id}"), Some(parent), &rest);
        self
    }

    /// A compaction and its summary, whose id is `S`.
    fn compact(&mut self, kept: &str) -> &mut Self {
        let last = self.last.clone().unwrap_or_default();
        let rest = format!(
            "\"logicalParentUuid\":{last:?},\"type\":\"system\",\"subtype\":\"compact_boundary\",\"compactMetadata\":{{{kept}}}"
        );
        self.push("B", None, &rest);
        let rest =
            "\"type\":\"user\",\"isCompactSummary\":true,\"message\":{\"role\":\"user\",\"content\":\"S\"}";
        self.push("S", Some("B"), rest);
        self
    }

    fn line(&mut self, line: &str) -> &mut Self {
        self.lines.push(line.to_owned());
        self
    }

    fn checkpoint(&mut self, leaf: &str) -> &mut Self {
        self.line(&format!("{{\"type\":\"last-prompt\",\"leafUuid\":{leaf:?}}}"))
    }

    fn explicit(&mut self, leaf: &str) -> &mut Self {
        self.line(&format!("{{\"type\":\"last-prompt\",\"leafUuid\":{leaf:?},\"explicit\":true}}"))
    }

    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// What the model sees, in short: texts, ids of calls, and `=` before ids of results.
    fn live(&self) -> String {
        told(&Memory::transcript(self.text()), View::Model)
    }

    fn full(&self) -> String {
        told(&Memory::transcript(self.text()), View::Full)
    }
}

fn told(payload: &Memory, view: View) -> String {
    let mut told = Vec::new();
    let mut sink = |event: Event<'_>| {
        let text = match &event.kind {
            EventKind::User { content } | EventKind::Assistant { content, .. } => parts(content),
            EventKind::ToolCall { call_id, .. } => call_id.to_string(),
            EventKind::ToolResult { call_id, .. } => format!("={call_id}"),
            EventKind::Summary { text } => text.to_string(),
            other => panic!("{other:?}"),
        };
        told.push(if event.in_model { text } else { format!("({text})") });
        Ok(())
    };
    Claude.read(payload, 0, view, &mut sink).expect("readable");
    told.join(" ")
}

/// `root A X Xa`, and on request the later branch `root A Y Ya`.
fn base() -> Rows {
    let mut rows = Rows::default();
    rows.user("root").assistant("A").user("X").assistant("Xa");
    rows
}

fn with_branch() -> Rows {
    let mut rows = base();
    rows.user_below("Y", Some("A")).assistant("Ya");
    rows
}

#[test]
fn the_last_checkpoint_decides() {
    assert_eq!(with_branch().live(), "root A Y Ya");
    assert_eq!(with_branch().checkpoint("Xa").live(), "root A X Xa");
    assert_eq!(base().checkpoint("Xa").user_below("Y", Some("A")).assistant("Ya").live(), "root A X Xa");
    assert_eq!(with_branch().checkpoint("A").live(), "root A Y Ya");
    assert_eq!(with_branch().checkpoint("unknown").live(), "root A Y Ya");
    assert_eq!(with_branch().checkpoint("Xa").explicit(ZERO).live(), "root A Y Ya");
    assert_eq!(base().line(r#"{"type":"last-prompt","lastPrompt":"X"}"#).live(), "root A X Xa");
}

#[test]
fn an_explicit_checkpoint_cuts() {
    assert_eq!(base().checkpoint("A").live(), "root A X Xa");
    assert_eq!(base().explicit("A").live(), "root A");
    assert_eq!(base().explicit(ZERO).live(), "root A X Xa");
    assert_eq!(base().line(r#"{"type":"last-prompt","leafUuid":null,"explicit":true}"#).live(), "");
}

#[test]
fn rows_in_any_order_and_with_broken_links() {
    let mut reversed = base();
    reversed.lines.reverse();
    assert_eq!(reversed.live(), "root A X Xa");
    let mut swapped = base();
    swapped.lines.swap(2, 3);
    assert_eq!(swapped.live(), "root A X Xa");
    assert_eq!(
        Rows::default().user("root1").assistant("A1").user_below("root2", None).assistant("A2").live(),
        "root2 A2"
    );
    assert_eq!(base().user_below("lost", Some("nowhere")).assistant("end").live(), "root A X Xa lost end");
    assert_eq!(Rows::default().user_below("self", Some("self")).assistant("end").live(), "self end");
    assert_eq!(Rows::default().user_below("u", Some("a")).assistant("a").live(), "u a");
}

#[test]
fn results_of_parallel_calls_hang_beside_the_chain() {
    let mut rows = Rows::default();
    rows.user("root").call("c1", "m").call("c2", "m").call("c3", "m");
    rows.result_below("c2", "c2").result_below("c1", "c1").result_below("c3", "c3").assistant("done");
    assert_eq!(rows.live(), "root c1 c2 c3 =c2 =c1 =c3 done");
    // The checkpoint on a result beside the chain is no rewind.
    let mut rows = Rows::default();
    rows.user("root").call("c1", "m").call("c2", "m").result_below("c1", "c1").checkpoint("r-c1");
    rows.result_below("c2", "c2").assistant("done");
    assert_eq!(rows.live(), "root c1 c2 =c1 =c2 done");
    // Nor is one on a call, when the conversation goes on from the result of another.
    let mut rows = Rows::default();
    rows.user("root").call("c1", "m").call("c2", "m").checkpoint("c2");
    rows.result_below("c2", "c2").result_below("c1", "c1").assistant("done");
    assert_eq!(rows.live(), "root c1 c2 =c2 =c1 done");
}

#[test]
fn a_compaction_hides_what_came_before() {
    let mut rows = base();
    rows.compact(r#""trigger":"manual""#).user("N").assistant("Na");
    assert_eq!(rows.live(), "S N Na");
    assert_eq!(rows.full(), "(root) (A) (X) (Xa) S N Na");
    let mut twice = base();
    twice.compact(r#""trigger":"manual""#).user("N");
    twice.lines =
        twice.lines.iter().map(|line| line.replace("\"B\"", "\"B1\"").replace("\"S\"", "\"S1\"")).collect();
    twice.compact(r#""trigger":"manual""#).assistant("end");
    assert_eq!(twice.full(), "(root) (A) (X) (Xa) (S1) (N) S end");
}

#[test]
fn a_compaction_keeps_what_it_says() {
    let segment = r#""preservedSegment":{"headUuid":"X","anchorUuid":"S","tailUuid":"Xa"}"#;
    let list = r#""preservedMessages":{"anchorUuid":"S","uuids":["X","Xa"]}"#;
    for kept in [segment, list] {
        let mut rows = base();
        rows.compact(kept).user("N").assistant("Na");
        assert_eq!(rows.live(), "S X Xa N Na");
        assert_eq!(rows.full(), "(root) (A) S X Xa N Na");
    }
    let mut missing = base();
    missing.compact(r#""preservedMessages":{"anchorUuid":"S","uuids":["X","gone"]}"#).user("N");
    assert_eq!(missing.live(), "S N");
}

#[test]
fn a_rewind_to_before_a_compaction() {
    let mut plain = base();
    plain.compact(r#""trigger":"manual""#).user("N").user_below("back", Some("A")).assistant("end");
    assert_eq!(plain.live(), "root A back end");
    // After one that kept rows the program does not find the way back.
    let mut kept = base();
    kept.compact(r#""preservedMessages":{"anchorUuid":"S","uuids":["Xa"]}"#);
    kept.user("N").user_below("back", Some("A")).assistant("end");
    assert_eq!(kept.live(), "S Xa back end");
}

#[test]
fn hostile_links_end() {
    let mut rows = Rows::default();
    for number in 0..3000 {
        rows.user_below(&format!("u{number}"), Some(&format!("u{}", (number + 1) % 3000)));
    }
    rows.compact(r#""preservedSegment":{"headUuid":"no","anchorUuid":"u1","tailUuid":"u2"}"#);
    for number in 0..3000 {
        rows.user_below(&format!("v{number}"), Some("nowhere"));
    }
    rows.live();
    rows.full();
}
