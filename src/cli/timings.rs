//! `--timings`: how long the steps of a command took, as a table or as a trace.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::environment::Environment;
use crate::progress::Progress;
use crate::sink::file::replace_file;

/// The flag of commands that have steps.
#[derive(Clone, Debug, Args)]
pub struct TimingsArgs {
    /// Print on stderr how long each step took, or write it to FILE, for Perfetto and `chrome://tracing`
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub timings: Option<String>,
}

impl TimingsArgs {
    /// The file of the trace, if one was asked for; absolute.
    pub fn file(&self, working_directory: &Path) -> Option<PathBuf> {
        let named = self.timings.as_ref().filter(|file| !file.is_empty());
        named.map(|file| working_directory.join(file))
    }

    /// Does the work of a command, and tells how long its steps took, also if it failed.
    pub fn tell<T>(
        &self,
        environment: &Environment,
        progress: &Progress,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let result = work();
        let told = self.write(environment, progress);
        // What went wrong first is what the user must know.
        let result = result?;
        told?;
        Ok(result)
    }

    fn write(&self, environment: &Environment, progress: &Progress) -> anyhow::Result<()> {
        let secrets = &environment.secrets;
        if let Some(file) = self.file(&environment.working_directory) {
            let trace = format!("{:#}\n", progress.timings().trace());
            replace_file(&file, secrets.redacted(&trace).as_bytes())
                .with_context(|| format!("cannot write {}", file.display()))?;
            progress.done("Timings", file.display().to_string());
        } else if self.timings.is_some() {
            let table = progress.timings().table();
            // A stderr that is gone is no reason to fail a build.
            let _ = std::io::stderr()
                .lock()
                .write_all(secrets.redacted(&table).as_bytes());
        }
        Ok(())
    }
}
