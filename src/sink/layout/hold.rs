//! Having a layout's directory for oneself while it is written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{self, Lock, sync_directory};
use crate::progress::Progress;

/// A directory that no other pyoci writes to until this is dropped.
pub(super) struct Held<'d> {
    pub directory: &'d Path,
    /// Whether there was no layout in it.
    pub is_new: bool,
    /// Directories that were made, the innermost first: this one and those above it.
    pub made: Vec<PathBuf>,
    /// The lock.
    _handle: File,
}

impl<'d> Held<'d> {
    /// Makes the directory where it is missing and waits until nobody else holds it.
    pub fn take(directory: &'d Path, progress: &Progress) -> io::Result<Self> {
        loop {
            let missing = directory.ancestors().take_while(|above| !above.exists());
            let named = missing.filter(|above| !above.as_os_str().is_empty());
            let made: Vec<PathBuf> = named.map(Path::to_owned).collect();
            fs_err::create_dir_all(directory)?;
            let handle = match fs_err::File::open(directory) {
                // One that failed has removed what it had made.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                handle => handle?.into_parts().0,
            };
            files::lock(&handle, Lock::Alone, || {
                let detail = format!("for another pyoci that writes to {}", directory.display());
                progress.done("Waiting", detail);
            })?;
            if let Ok(directory_itself) = fs_err::canonicalize(directory)
                && files::is_at(&handle, &directory_itself)
            {
                return Ok(Self {
                    directory,
                    is_new: !directory.join("oci-layout").exists(),
                    made,
                    _handle: handle,
                });
            }
        }
    }

    /// Makes the names of the directories durable that were made.
    pub fn sync_above(&self) -> io::Result<()> {
        let parents = self.made.iter().filter_map(|made| made.parent());
        parents
            .filter(|parent| !parent.as_os_str().is_empty())
            .try_for_each(sync_directory)
    }
}
