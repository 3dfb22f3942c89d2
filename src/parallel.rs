//! Work on several items at once, with results in the order of the items.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
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
}
