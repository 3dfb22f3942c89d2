//! The verdict on what looks like a credential among the project's files: a warning for each, or an error.

use super::Build;
use crate::commands::Error;
use crate::tree::Tree;

/// Files that are named one by one; where there are more, something is wrong that more lines do not explain.
const NAMED: usize = 10;

impl Build<'_> {
    /// Tells the user; fails if that is not wanted.
    pub(super) fn check_exposed(&self, app: &Tree) -> anyhow::Result<()> {
        let files = self.project.exposed(app)?;
        for found in files.iter().take(NAMED) {
            let (path, line, what) = (&found.path, found.line, found.what);
            self.progress.warn(format!(
                "{path}:{line} holds what looks like {what}: leave the file out with `ignore = [\"/{path}\"]` in [tool.pyoci], \
                 or keep it with `include = [\"/{path}\"]`"
            ));
        }
        let more = files.len().saturating_sub(NAMED);
        if more > 0 {
            self.progress
                .warn(format!("{more} more files hold what looks like a credential"));
        }
        let variables = self.project.exposed_variables();
        for (name, what) in &variables {
            self.progress.warn(format!(
                "the variable {name} holds what looks like {what}, which everybody can read who has the image: set it where \
                 the image runs"
            ));
        }
        match files.len() + variables.len() {
            0 => Ok(()),
            places if self.project.settings.strict == Some(true) => Err(Error::Exposed(places).into()),
            _ => Ok(()),
        }
    }
}
