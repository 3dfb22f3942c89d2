//! What a signal interrupts is done again.

use std::io;

/// Does something again for as long as a signal interrupts it.
pub fn uninterrupted<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_interrupted_is_done_again_and_other_errors_are_not() {
        let mut left = 3;
        let done = uninterrupted(|| {
            left -= 1;
            if left > 0 {
                Err(io::ErrorKind::Interrupted.into())
            } else {
                Ok("done")
            }
        });
        assert_eq!(done.unwrap(), "done");
        let mut times = 0;
        let failed = uninterrupted(|| {
            times += 1;
            Err::<(), _>(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(
            (failed.unwrap_err().kind(), times),
            (io::ErrorKind::StorageFull, 1)
        );
    }
}
