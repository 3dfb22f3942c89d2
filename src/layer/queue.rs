//! The order of a layer: jobs are done by any thread in any order, their results are taken in the order of the jobs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many bytes of results may wait, over all jobs. Enough to go on while one thread inflates a large file.
const WAITING: usize = 16 * 1024 * 1024;

/// A result that a job gives: the job's last one ends it.
pub(super) trait Item {
    /// The bytes it keeps in memory.
    fn size(&self) -> usize;
    /// Whether the job gives no more.
    fn is_last(&self) -> bool;
}

/// Jobs on their way to the workers, and results from them to the writer.
pub(super) struct Queue<T, J> {
    jobs: Mutex<J>,
    state: Mutex<State<T>>,
    /// The writer waits here for results of the job whose turn it is.
    filled: Condvar,
    /// Workers wait here for room.
    emptied: Condvar,
}

struct State<T> {
    /// The job whose results are taken.
    turn: usize,
    /// The job that is handed out next.
    next: usize,
    /// Whether there are no more.
    all: bool,
    results: BTreeMap<usize, VecDeque<T>>,
    waiting: usize,
    stopped: bool,
    /// Whether the writer waits for results, and how many workers wait for room: waking nobody costs a system call.
    hungry: bool,
    full: usize,
}

impl<T: Item, J: Iterator> Queue<T, J> {
    /// A queue for jobs, numbered from 0.
    pub fn new(jobs: J) -> Self {
        let state = State {
            turn: 0,
            next: 0,
            all: false,
            results: BTreeMap::new(),
            waiting: 0,
            stopped: false,
            hungry: false,
            full: 0,
        };
        Self {
            jobs: Mutex::new(jobs),
            state: Mutex::new(state),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        }
    }

    /// The next job for a worker and its number; `None` when there are no more or nobody wants the results.
    pub fn next_job(&self) -> Option<(usize, J::Item)> {
        // Held until the number is given: jobs are numbered in their order.
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock().stopped {
            return None;
        }
        let job = jobs.next();
        let mut state = self.lock();
        let number = state.next;
        if job.is_some() {
            state.next += 1;
        } else {
            state.all = true;
            self.filled.notify_one();
        }
        drop(state);
        job.map(|job| (number, job))
    }

    /// Hands in a result of a job; waits while too much is waiting. `false` when nobody wants it any more.
    ///
    /// Jobs are handed out in order, so the job whose turn it is has a worker; that worker waits only for the
    /// writer, which waits only for this job: they cannot block each other for ever.
    pub fn put(&self, job: usize, item: T) -> bool {
        let mut state = self.lock();
        while !state.stopped && !state.has_room(job) {
            state.full += 1;
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.full -= 1;
        }
        if state.stopped {
            return false;
        }
        state.waiting += item.size();
        state.results.entry(job).or_default().push_back(item);
        if job == state.turn && state.hungry {
            self.filled.notify_one();
        }
        true
    }

    /// The next result in order; `None` when all jobs have ended, or a worker has died.
    pub fn take(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.stopped || (state.all && state.turn == state.next) {
                return None;
            }
            let turn = state.turn;
            if let Some(item) = state.results.get_mut(&turn).and_then(VecDeque::pop_front) {
                state.waiting -= item.size();
                if item.is_last() {
                    state.results.remove(&turn);
                    state.turn += 1;
                }
                if state.full > 0 {
                    self.emptied.notify_all();
                }
                return Some(item);
            }
            state.hungry = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.hungry = false;
        }
    }

    /// Ends everything: no more jobs, no more results.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn has_room(&self, job: usize) -> bool {
        let own = self.results.get(&job).map_or(0, VecDeque::len);
        self.waiting < WAITING || (job == self.turn && own == 0)
    }
}

/// Stops the queue if its thread panics, so that nobody is left waiting.
pub(super) struct StopOnPanic<'q, T: Item, J: Iterator>(pub &'q Queue<T, J>);

impl<T: Item, J: Iterator> Drop for StopOnPanic<'_, T, J> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    /// A result of a size; the job's last one if it says so.
    #[derive(Debug, PartialEq)]
    struct Bytes(usize, bool);

    impl Item for Bytes {
        fn size(&self) -> usize {
            self.0
        }

        fn is_last(&self) -> bool {
            self.1
        }
    }

    fn do_jobs(queue: &Queue<Bytes, Range<usize>>, size: usize) {
        while let Some((job, _)) = queue.next_job() {
            if !queue.put(job, Bytes(size + job, false)) || !queue.put(job, Bytes(job, true)) {
                return;
            }
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs_however_large() {
        // Each result alone fills the queue: workers wait for room at every step.
        let queue = Queue::new(0..40);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| do_jobs(&queue, WAITING));
            }
            for job in 0..40 {
                assert_eq!(queue.take(), Some(Bytes(WAITING + job, false)));
                assert_eq!(queue.take(), Some(Bytes(job, true)));
            }
            assert_eq!(queue.take(), None);
        });
    }

    #[test]
    fn a_worker_that_panics_leaves_nobody_waiting() {
        let queue = Queue::new(0..100);
        std::thread::scope(|scope| {
            let dying = scope.spawn(|| {
                let _guard = StopOnPanic(&queue);
                let job = queue.next_job().map(|(number, _)| number);
                panic!("job {job:?}");
            });
            let other = scope.spawn(|| do_jobs(&queue, WAITING));
            while queue.take().is_some() {}
            assert!(dying.join().is_err());
            other.join().unwrap();
        });
    }

    #[test]
    fn a_writer_that_gives_up_leaves_nobody_waiting() {
        let queue = Queue::new(0..100);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| do_jobs(&queue, WAITING));
            }
            assert_eq!(queue.take(), Some(Bytes(WAITING, false)));
            queue.stop();
        });
        assert_eq!((queue.next_job(), queue.take()), (None, None));
        assert!(!queue.put(0, Bytes(1, false)));
    }
}
