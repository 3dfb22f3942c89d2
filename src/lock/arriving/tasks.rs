//! What the connections do next: files are begun first, then their parts are fetched in the order in which they are wanted.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Something for a connection to do. Files have numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Find out how a file can be had, and fetch what is wanted of it first.
    Begin(usize),
    /// Fetch a range of a file.
    Part(usize, Range<u64>),
}

/// The tasks of all connections.
pub(super) struct Tasks {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Files that nobody has begun.
    waiting: VecDeque<usize>,
    /// How many are being begun: parts may still come of them.
    beginning: usize,
    /// Parts by file and start: where each ends, and how soon it is wanted.
    parts: BTreeMap<(usize, u64), (u64, usize)>,
    stopped: bool,
}

impl Tasks {
    /// Files `0..count`, to be begun in the given order.
    pub fn new(order: impl IntoIterator<Item = usize>) -> Self {
        let state = State {
            waiting: order.into_iter().collect(),
            beginning: 0,
            parts: BTreeMap::new(),
            stopped: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// The next task; waits while there is none but may be one soon. `None` when all is done or has been stopped.
    pub fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(file) = state.waiting.pop_front() {
                state.beginning += 1;
                return Some(Task::Begin(file));
            }
            let soonest = state
                .parts
                .iter()
                .min_by_key(|(place, (_, rank))| (*rank, **place));
            if let Some((&(file, start), &(end, _))) = soonest {
                state.parts.remove(&(file, start));
                return Some(Task::Part(file, start..end));
            }
            if state.beginning == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A file was begun: [`Tasks::add`] is not called for it any more.
    pub fn begun(&self) {
        self.lock().beginning -= 1;
        self.changed.notify_all();
    }

    /// A file of `size` bytes is to be fetched in parts of up to `part` bytes.
    pub fn add(&self, file: usize, size: u64, part: u64) {
        let mut state = self.lock();
        let mut start = 0;
        while start < size {
            let end = size.min(start + part);
            state.parts.insert((file, start), (end, usize::MAX));
            start = end;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The order in which ranges of files are wanted; what is not named comes last.
    pub fn prefer(&self, order: impl Iterator<Item = (usize, Range<u64>)>) {
        let mut state = self.lock();
        for (rank, (file, range)) in order.enumerate() {
            let first = state.parts.range(..=(file, range.start)).next_back();
            let first = first.map_or((file, range.start), |(place, _)| *place);
            for (place, (end, wanted)) in state
                .parts
                .range_mut(first..(file, range.end.max(range.start + 1)))
            {
                if place.0 == file && *end > range.start {
                    *wanted = rank.min(*wanted);
                }
            }
        }
    }

    /// Ends everything: there are no more tasks.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_begun_first_and_parts_come_as_they_are_wanted() {
        let tasks = Tasks::new([1, 0]);
        assert_eq!(tasks.next(), Some(Task::Begin(1)));
        tasks.add(1, 25, 10);
        assert_eq!(tasks.next(), Some(Task::Begin(0)));
        tasks.add(0, 8, 10);
        tasks.begun();
        tasks.begun();
        tasks.prefer([(1, 22..23), (0, 0..0), (1, 5..12)].into_iter());
        let rest: Vec<_> = std::iter::from_fn(|| tasks.next()).collect();
        let part = |file, range| Task::Part(file, range);
        assert_eq!(
            rest,
            [part(1, 20..25), part(0, 0..8), part(1, 0..10), part(1, 10..20)]
        );
    }

    #[test]
    fn a_connection_waits_for_the_parts_of_a_file_that_another_begins() {
        let tasks = Tasks::new([0]);
        assert_eq!(tasks.next(), Some(Task::Begin(0)));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| tasks.next());
            tasks.add(0, 5, 5);
            tasks.begun();
            assert_eq!(other.join().unwrap(), Some(Task::Part(0, 0..5)));
        });
        assert_eq!(tasks.next(), None);
        let tasks = Tasks::new([0, 1]);
        tasks.stop();
        assert_eq!(tasks.next(), None);
    }
}
