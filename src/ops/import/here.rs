//! What is here before an import: the sessions in the target stores, and what earlier imports made
//! them from.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::Options;
use super::decide::target_harness;
use super::incoming::Incoming;
use crate::env::Env;
use crate::error::Result;
use crate::harness::{Found, Harness};
use crate::model::{FileMeta, Head};
use crate::txn;

/// The sessions that the target stores hold already, and what earlier imports wrote.
pub struct Here {
    stores: HashMap<&'static str, HashMap<String, Found>>,
    state_dir: PathBuf,
    /// By label. Journals are long, and only a conflict between conversions asks for them.
    origins: OnceLock<HashMap<String, Origin>>,
}

impl Here {
    /// Looks into the store of every harness that something goes to.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn look(env: &Env, incoming: &Incoming<'_>, options: &Options) -> Result<Self> {
        let mut stores: HashMap<&'static str, HashMap<String, Found>> = HashMap::new();
        for session in &incoming.sessions {
            let Some(to) = target_harness(session, options) else { continue };
            if stores.contains_key(to.info().id) {
                continue;
            }
            let mut store = HashMap::new();
            to.scan(env, &mut |found| {
                store.insert(found.id.clone(), found);
            })?;
            stores.insert(to.info().id, store);
        }
        Ok(Self { stores, state_dir: env.state_dir(), origins: OnceLock::new() })
    }

    /// What the last import made the session with this label from.
    ///
    /// # Errors
    /// When a journal cannot be read.
    pub fn origin(&self, label: &str) -> Result<Option<&Origin>> {
        if self.origins.get().is_none() {
            let mut origins = HashMap::new();
            let imports = txn::imports(&self.state_dir)?;
            for session in imports
                .into_iter()
                .filter(|import| import.undone_at.is_none())
                .flat_map(|import| import.sessions)
            {
                // Newest first: the first one found is the last one written.
                if let Ok(origin) = serde_json::from_value(session.about) {
                    origins.entry(session.label).or_insert(origin);
                }
            }
            // Another thread may have been faster; it found the same.
            let _ = self.origins.set(origins);
        }
        Ok(self.origins.get().and_then(|origins| origins.get(label)))
    }

    /// The session with this id.
    pub fn find(&self, to: &dyn Harness, id: &str) -> Option<&Found> {
        self.stores.get(to.info().id)?.get(id)
    }
}

/// What an earlier import made a session from; kept in the journal as [`txn::plan::SessionPlan::about`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Origin {
    /// The session as it was then.
    pub source: Head,
    /// The files it had then.
    pub files: Vec<FileMeta>,
}
