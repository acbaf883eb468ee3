//! The rows of a converted transcript: one chain, each row hung on the one before.
//!
//! The fields that a list looks for stand in front of the message. So they are found in the first
//! 64 KiB whatever the message holds, and before anything of the same name inside it. All ids
//! follow from the session's id and the place of the row: the same session gives the same bytes.

use std::io::{self, Write};

use uuid::Uuid;

use super::locate::real_path;
use crate::error::Result;
use crate::harness::Target;
use crate::model::{Agent, Time, ids, time};

/// The program's version that the rows claim. Both it and 2.1.329 read them; a newer one would
/// promise records that are not there.
const VERSION: &str = "2.1.197";

/// Writes rows.
pub struct Rows<'a> {
    out: io::BufWriter<&'a mut dyn Write>,
    /// What all rows share, as JSON fields.
    common: String,
    /// What all ids of this transcript are derived from.
    seed: [String; 2],
    count: u64,
    last: Option<Uuid>,
}

impl<'a> Rows<'a> {
    /// Rows of the session `target`, or of one of its sub-agents.
    ///
    /// # Errors
    /// When the session's directory is not Unicode.
    pub fn new(target: &Target<'_>, agent: Option<&Agent>, out: &'a mut dyn Write) -> Result<Self> {
        let agent = agent.map(|agent| agent_id(target.id, agent));
        let branch = target.source.git.as_ref().and_then(|git| git.branch.as_deref()).unwrap_or("HEAD");
        let side = match &agent {
            Some(id) => format!("\"isSidechain\":true,\"agentId\":{}", quoted(id)),
            None => "\"isSidechain\":false".to_owned(),
        };
        let common = format!(
            "{side},\"userType\":\"external\",\"entrypoint\":\"cli\",\"cwd\":{},\"sessionId\":{},\
             \"version\":\"{VERSION}\",\"gitBranch\":{}",
            quoted(&real_path(target.cwd)?),
            quoted(target.id),
            quoted(branch),
        );
        let out = io::BufWriter::with_capacity(256 << 10, out);
        let seed = [target.id.to_owned(), agent.unwrap_or_default()];
        Ok(Self { out, common, seed, count: 0, last: None })
    }

    /// An id of this transcript.
    fn id(&self, what: &str, number: u64) -> Uuid {
        ids::derived(&[what, &self.seed[0], &self.seed[1], &number.to_string()])
    }

    /// The id that the rows of one model response share.
    pub fn response_id(&self, number: u64) -> String {
        let id = self.id("response", number).simple().to_string();
        format!("msg_{}", &id[..24])
    }

    /// Whether any row was written.
    pub fn any(&self) -> bool {
        self.count > 0
    }

    /// Writes a row that hangs on the last one. `fields` are further fields and `message` is the
    /// message, both as JSON. Returns the row's id.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn write(&mut self, kind: &str, time: Time, fields: &str, message: &[u8]) -> io::Result<Uuid> {
        self.begin(kind, fields)?;
        self.out.write_all(message)?;
        self.end(time)
    }

    fn begin(&mut self, kind: &str, fields: &str) -> io::Result<()> {
        let parent = self.last.map_or("null".to_owned(), |id| format!("\"{id}\""));
        write!(self.out, "{{\"parentUuid\":{parent},{},\"type\":\"{kind}\"{fields},\"message\":", self.common)
    }

    /// As [`Rows::write`], of a message that is a text, as JSON, between two pieces of JSON.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn write_around(
        &mut self,
        kind: &str,
        time: Time,
        before: &[u8],
        text: &str,
        after: &[u8],
    ) -> io::Result<Uuid> {
        self.begin(kind, "")?;
        self.out.write_all(before)?;
        serde_json::to_writer(&mut self.out, text)?;
        self.out.write_all(after)?;
        self.end(time)
    }

    /// Writes the boundary of a compaction: the model does not get to see the rows before it.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn write_boundary(&mut self, time: Time) -> io::Result<()> {
        let before = self.last.map_or("null".to_owned(), |id| format!("\"{id}\""));
        write!(
            self.out,
            "{{\"parentUuid\":null,\"logicalParentUuid\":{before},{},\"type\":\"system\",\
             \"subtype\":\"compact_boundary\",\"content\":\"Conversation compacted\",\"isMeta\":false,\
             \"level\":\"info\",\"compactMetadata\":{{\"trigger\":\"manual\",\"preTokens\":0}}",
            self.common
        )?;
        self.end(time).map(drop)
    }

    fn end(&mut self, time: Time) -> io::Result<Uuid> {
        let id = self.id("row", self.count);
        writeln!(self.out, ",\"uuid\":\"{id}\",\"timestamp\":\"{}\"}}", time::rfc3339(time))?;
        self.count += 1;
        self.last = Some(id);
        Ok(id)
    }

    /// Writes the session's title.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn write_title(&mut self, title: &str) -> io::Result<()> {
        let session = quoted(&self.seed[0]);
        writeln!(
            self.out,
            "{{\"type\":\"custom-title\",\"customTitle\":{},\"sessionId\":{session}}}",
            quoted(title)
        )
    }

    /// Hands everything to the output.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The id of a sub-agent in session `session`: `a` and 16 hexadecimal digits.
pub fn agent_id(session: &str, agent: &Agent) -> String {
    let id = ids::derived(&["agent", session, &agent.id]).simple().to_string();
    format!("a{}", &id[..16])
}

/// A text as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}
