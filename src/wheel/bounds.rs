//! What a zip archive may unpack to: sizes and names are in its directory, so that nothing is unpacked to find out.

use std::collections::BTreeMap;

use super::zip::File;
use crate::layer::is_bomb;
use crate::paths::TreePath;

/// The most bytes that the names of all files and of the directories above them may have.
const NAMES_LIMIT: u64 = 64 << 20;

/// Checks the files of an archive of so many bytes; says what is wrong.
pub fn check(files: &BTreeMap<TreePath, File>, packed: u64) -> Result<(), String> {
    let sizes = files.values().map(|file| file.member.size);
    let unpacked = sizes.fold(0, u64::saturating_add);
    if is_bomb(packed, unpacked) {
        return Err(format!(
            "its {packed} bytes unpack to {unpacked}: it is made to fill memory and disks"
        ));
    }
    let names = name_bytes(files.keys());
    if names > NAMES_LIMIT {
        return Err(format!(
            "the names of its files and directories take {names} bytes; at most {NAMES_LIMIT} are taken"
        ));
    }
    Ok(())
}

/// The bytes of sorted paths and of all directories above them, each counted once.
fn name_bytes<'a>(paths: impl Iterator<Item = &'a TreePath>) -> u64 {
    let mut total = 0;
    let mut last = "";
    for path in paths {
        let path = path.as_str();
        let same = path.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
        let new = path.match_indices('/').map(|(at, _)| at).filter(|at| *at >= same);
        total += new.chain([path.len()]).map(|length| length as u64).sum::<u64>();
        last = path;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_is_counted_once() {
        let count = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|p| TreePath::new(p).unwrap()).collect();
            name_bytes(paths.iter())
        };
        assert_eq!(count(&["a"]), 1);
        // `a`, `a/b`, `a/b/c`; then `a/b/d` alone; then `ab`, `ab/c`.
        assert_eq!(count(&["a/b/c"]), 1 + 3 + 5);
        assert_eq!(count(&["a/b/c", "a/b/d"]), 9 + 5);
        assert_eq!(count(&["a/b/c", "a/b/d", "ab/c"]), 14 + 2 + 4);
        // Where one path ends and the next goes on deeper: `a/b` was a file of another directory.
        assert_eq!(count(&["a/bb", "a/bb-/c"]), 1 + 4 + 5 + 7);
    }
}
