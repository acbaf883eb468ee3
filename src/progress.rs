//! How far a long piece of work has come. The library reports; only the command line shows it.

/// Takes reports of progress, from any thread.
pub trait Progress: Sync {
    /// A piece of work begins: `task` in a few words, and its size in bytes (0: not known).
    fn begin(&self, task: &str, total: u64);

    /// Another program is at work, which may have something to ask on the terminal: `task` is told,
    /// and nothing is drawn over its question.
    fn tell(&self, task: &str) {
        let _ = task;
    }

    /// So many bytes more are done.
    fn advance(&self, bytes: u64);

    /// The piece of work is over.
    fn end(&self);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _task: &str, _total: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}
