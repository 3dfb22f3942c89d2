//! `md5sums` (`deb-md5sums(5)`): by it `dpkg --verify` finds files that were changed. It proves nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use crate::paths::TreePath;

/// The sums of the files of a package.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<TreePath, String>);

/// The sum of one file, on its way.
#[derive(Default)]
pub(super) struct Summer(Md5);

impl Summer {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl Sums {
    pub fn add(&mut self, path: &TreePath, summer: Summer) {
        let hex = summer.0.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        self.0.insert(path.clone(), hex);
    }

    /// The text of the file. Configuration files are left out: dpkg keeps their sums itself, as they may be changed.
    pub fn text(&self, conffiles: &[TreePath]) -> String {
        let mut text = String::new();
        for (path, sum) in &self.0 {
            if !conffiles.contains(path) {
                let _ = writeln!(text, "{sum}  {path}");
            }
        }
        text
    }
}
