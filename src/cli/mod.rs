//! The command line: the only reader of clock, environment and terminal.

/// Runs pyoci and gives its exit code.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
