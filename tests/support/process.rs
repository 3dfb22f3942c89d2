//! Commands that are run to their end, and what they said.

use std::process::{Command, Output};

/// What a command left behind.
#[derive(Debug)]
pub struct Run {
    /// How it was called, for messages.
    pub command: String,
    /// The exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Run {
    /// The same, after a check that it succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(
            self.status,
            Some(0),
            "{}\n{}{}",
            self.command,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The same, after a check that it failed with a status.
    #[track_caller]
    pub fn failed_with(self, status: i32) -> Self {
        assert_eq!(
            self.status,
            Some(status),
            "{}\n{}{}",
            self.command,
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Run {
    let text = format!("{command:?}");
    let Output {
        status,
        stdout,
        stderr,
    } = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{text}: {error} (tests/setup.sh installs what the tests need)"),
    };
    Run {
        command: text,
        status: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
