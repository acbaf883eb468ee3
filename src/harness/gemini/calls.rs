//! The calls of one transcript and their results: each is delivered once, however often it is
//! written down.

use std::collections::{HashMap, HashSet};

use crate::model::ToolStatus;

/// The calls so far.
#[derive(Debug, Default)]
pub struct Calls {
    /// Calls without a result, by the id they have in the file.
    open: HashMap<String, Vec<Open>>,
    used: HashSet<String>,
    count: u64,
}

/// A call without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The id to deliver its result with.
    pub id: String,
    /// The tool.
    pub name: String,
    /// How it went, where the record of the call tells.
    pub status: Option<ToolStatus>,
}

impl Calls {
    /// A call begins; the id to deliver it with.
    pub fn begin(&mut self, native: &str, name: &str, status: Option<ToolStatus>) -> String {
        self.count += 1;
        let base = if native.is_empty() { format!("{name}-{}", self.count) } else { native.to_owned() };
        let mut id = base.clone();
        let mut number = 1;
        while !self.used.insert(id.clone()) {
            number += 1;
            id = format!("{base}-{number}");
        }
        let open = Open { id: id.clone(), name: name.to_owned(), status };
        self.open.entry(native.to_owned()).or_default().push(open);
        id
    }

    /// A call has its result. Without an id it is the first one of that tool.
    pub fn end(&mut self, native: &str, name: &str) -> Option<Open> {
        let calls = self.open.get_mut(native)?;
        let place = calls.iter().position(|open| !native.is_empty() || open.name == name)?;
        let open = calls.remove(place);
        if calls.is_empty() {
            self.open.remove(native);
        }
        Some(open)
    }

    /// All calls so far are out of the model's sight.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// Whether a call with this id was met: its result, if it comes again, is not another one.
    pub fn knows(&self, native: &str) -> bool {
        self.used.contains(native)
    }
}
