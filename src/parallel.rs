//! Work on several items at once, with results in the order of the items.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// The system gives no thread.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no thread to work with: {0}")]
pub struct NoThread(io::Error);

impl NoThread {
    /// An error that holds it.
    pub fn error(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self(error))
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        let hint = "end other programs, or raise the limit: `ulimit -u`, or the number of processes that the container may have";
        Some(hint.to_owned())
    }
}

/// Starts threads that share the same work. Where the system gives fewer than are asked for, those do all of it; where it
/// gives none, the error holds [`NoThread`].
pub fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    work: impl FnOnce() -> T + Clone + Send + 'scope,
) -> io::Result<Vec<ScopedJoinHandle<'scope, T>>> {
    let mut started = Vec::new();
    for _ in 0..threads {
        match Builder::new().spawn_scoped(scope, work.clone()) {
            Ok(thread) => started.push(thread),
            Err(error) if started.is_empty() => return Err(NoThread::error(error)),
            Err(_) => break,
        }
    }
    Ok(started)
}

/// Does the work of every item, on the calling thread and on up to `threads - 1` others.
///
/// Items are begun in their order and after a failure no more are begun; so of several that fail, the error is always that
/// of the first.
pub fn map<T: Sync, R: Send, E: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let run = || {
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(number)
        {
            let result = work(item);
            if result.is_err() {
                next.store(items.len(), Ordering::Relaxed);
            }
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.insert(number, result);
        }
    };
    std::thread::scope(|scope| {
        // Without any others this one does all of it.
        let _ = start(scope, threads.min(items.len()).saturating_sub(1), run);
        run();
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items_for_any_number_of_threads() {
        let items: Vec<u64> = (0..100).collect();
        for threads in [0, 1, 2, 7, 1000] {
            let doubled = map(&items, threads, |n| {
                // The later, the sooner done.
                std::thread::sleep(std::time::Duration::from_micros(100 - n));
                Ok::<_, ()>(2 * n)
            });
            assert!(doubled.unwrap().into_iter().eq(items.iter().map(|n| 2 * n)));
        }
        assert_eq!(map(&[], 4, |n: &u64| Err::<u64, _>(*n)), Ok(vec![]));
    }

    #[test]
    fn the_first_failure_in_order_is_reported_even_if_a_later_one_comes_sooner() {
        let items: Vec<u64> = (0..50).collect();
        for _ in 0..20 {
            let result = map(&items, 4, |n| {
                if *n == 3 {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                if [3, 4, 5].contains(n) { Err(*n) } else { Ok(()) }
            });
            assert_eq!(result, Err(3));
        }
    }

    #[test]
    fn a_panic_of_one_thread_ends_all() {
        let items: Vec<u64> = (0..50).collect();
        let work = |n: &u64| {
            assert_ne!(*n, 10);
            Ok::<_, ()>(())
        };
        assert!(std::panic::catch_unwind(|| map(&items, 4, work)).is_err());
    }
}
