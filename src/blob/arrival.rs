//! A file that is read while it still arrives: whoever wants bytes that are not there yet waits for them.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Which bytes of a file are there. Shared by who brings them and who reads them.
#[derive(Debug)]
pub struct Arrival {
    size: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// All bytes are there: nobody needs the lock any more.
    whole: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Where each range begins and ends; no two touch.
    there: BTreeMap<u64, u64>,
    /// No more will come.
    given_up: bool,
}

impl Arrival {
    /// Of a file of `size` bytes, none of which is there.
    pub fn of(size: u64) -> Self {
        Self {
            size,
            state: Mutex::default(),
            changed: Condvar::new(),
            whole: AtomicBool::new(size == 0),
        }
    }

    /// The size of the whole file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes have come; some of them may have been there before.
    pub fn add(&self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let mut state = self.lock();
        let (mut start, mut end) = (range.start, range.end);
        while let Some((from, to)) = state.there.range(..=end).next_back().map(|(f, t)| (*f, *t))
            && to >= start
        {
            state.there.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        state.there.insert(start, end);
        let whole = start == 0 && end >= self.size;
        self.whole.store(whole, Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing more will come: whoever waits for what is missing is told so.
    pub fn give_up(&self) {
        self.lock().given_up = true;
        self.changed.notify_all();
    }

    /// Whether all bytes are there.
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// Where the bytes end that follow the file's first without a gap.
    pub fn prefix(&self) -> u64 {
        self.lock().there.get(&0).copied().unwrap_or(0)
    }

    /// The parts of a range that are not there, in order.
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let state = self.lock();
        let mut missing = Vec::new();
        let mut at = range.start;
        let before = state.there.range(..range.start).next_back();
        for (from, to) in before.into_iter().chain(state.there.range(range.clone())) {
            if *from > at {
                missing.push(at..*from);
            }
            at = at.max(*to);
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }

    /// Waits until all bytes of a range are there. Fails if they will not come.
    pub fn wait(&self, range: Range<u64>) -> io::Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        let mut state = self.lock();
        while !state.has(&range) {
            if state.given_up {
                return Err(io::Error::other("the rest of the file did not arrive"));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has(&self, range: &Range<u64>) -> bool {
        let around = self.there.range(..=range.start).next_back();
        range.is_empty() || around.is_some_and(|(_, to)| *to >= range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_together() {
        let arrival = Arrival::of(100);
        arrival.add(10..20);
        arrival.add(30..40);
        assert_eq!(arrival.prefix(), 0);
        assert_eq!(arrival.missing(0..100), [0..10, 20..30, 40..100]);
        assert_eq!(arrival.missing(15..35), vec![20..30]);
        assert_eq!(arrival.missing(12..18), []);
        arrival.add(20..30);
        assert_eq!(arrival.missing(0..50), [0..10, 40..50]);
        arrival.add(0..15);
        assert_eq!(arrival.prefix(), 40);
        assert!(!arrival.is_whole());
        arrival.add(35..100);
        assert!(arrival.is_whole());
        assert_eq!(arrival.prefix(), 100);
    }

    #[test]
    fn whoever_waits_goes_on_when_all_is_there_or_nothing_more_comes() {
        let arrival = Arrival::of(100);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| arrival.wait(5..50));
            let second = scope.spawn(|| arrival.wait(60..61));
            arrival.add(40..60);
            arrival.add(0..45);
            first.join().unwrap().unwrap();
            arrival.give_up();
            assert!(second.join().unwrap().is_err());
        });
        assert!(arrival.wait(0..60).is_ok());
    }
}
