//! Files reach the disk while they are still written.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};

/// How many bytes are written before the disk is asked to take them.
const STEP: usize = 8 << 20;

/// Has a file synced while it grows, by a thread of its own: who must wait for the whole of it at its end waits for little.
pub(super) struct Writeback {
    file: File,
    thread: Option<SyncSender<()>>,
    unsent: usize,
}

impl Writeback {
    /// Of a file that somebody else writes. Nothing is done before it is large.
    pub fn of(file: File) -> Self {
        Self {
            file,
            thread: None,
            unsent: 0,
        }
    }

    /// So many bytes more were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.unsent += bytes;
        if self.unsent < STEP {
            return;
        }
        self.unsent = 0;
        if self.thread.is_none() {
            self.thread = self.file.try_clone().and_then(syncing).ok();
        }
        if let Some(thread) = &self.thread {
            // If it is at work, it will be told the next time.
            let _ = thread.try_send(());
        }
    }
}

/// A thread that syncs a file whenever it is told. Nobody waits for it and nobody relies on it: what must be on the disk is
/// synced again, by whoever needs it.
fn syncing(file: File) -> io::Result<SyncSender<()>> {
    let (told, tellings) = sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        while tellings.recv().is_ok() {
            let _ = file.sync_data();
        }
    })?;
    Ok(told)
}
