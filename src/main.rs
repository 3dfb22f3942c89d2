//! The `pyoci` command.

fn main() -> std::process::ExitCode {
    pyoci::cli::main()
}
