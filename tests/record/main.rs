//! Records `fixtures/recorded/` from the real programs and the fake model: `scripts/record`.
//!
//! Arguments are `harness` or `harness/case`; without any, all cases are recorded again.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod claude;
mod codex;
mod gemini;
mod opencode;
mod sanitize;
mod stage;
#[path = "../support/mod.rs"]
mod support;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut failed = false;
    let harnesses: [(&str, stage::Turn, &[stage::Recording]); 5] = [
        ("claude", claude::turn, claude::CASES),
        ("codex", codex::turn, codex::CASES),
        ("opencode", opencode::opencode_turn, opencode::OPENCODE_CASES),
        ("kilo", opencode::kilo_turn, opencode::KILO_CASES),
        ("gemini", gemini::turn, gemini::CASES),
    ];
    for (harness, turn, cases) in harnesses {
        for recording in cases {
            let name = format!("{harness}/{}", recording.case);
            if !wanted.is_empty() && !wanted.iter().any(|word| *word == name || word == harness) {
                continue;
            }
            match stage::record(harness, turn, recording) {
                Ok(bytes) => println!("{name}: {} KB", bytes.div_ceil(1024)),
                Err(error) => {
                    println!("{name}: FAILED: {error}");
                    failed = true;
                }
            }
        }
    }
    if failed {
        std::process::exit(1);
    }
}
