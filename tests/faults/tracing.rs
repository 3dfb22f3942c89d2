//! `strace`: which calls a command makes, and faults in the place of some of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use super::scene::Scene;
use crate::support::{Run, run};

/// A command under `strace`, with all its threads and children; the calls go to a file.
pub struct Traced {
    command: Command,
    log: PathBuf,
}

impl Traced {
    /// `calls` as `-e trace=` takes them; `inject` as `-e inject=`, if there is one.
    pub fn new(scene: &Scene, arguments: &[&str], calls: &str, inject: Option<&str>) -> Self {
        let pyoci = scene.pyoci(arguments);
        let log = scene.sandbox.path("calls");
        let mut command = Command::new("strace");
        command
            .args(["-f", "-y", "-qq", "-s", "0", "-e", &format!("trace={calls}")])
            .args(inject.iter().flat_map(|inject| ["-e", inject]))
            .arg("-o")
            .arg(&log)
            .arg(pyoci.get_program())
            .args(pyoci.get_args())
            .env_clear()
            .envs(pyoci.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(scene.sandbox.path(""));
        Self { command, log }
    }

    /// Runs it; what it said, and its calls, line by line.
    pub fn run(mut self) -> (Run, Vec<String>) {
        let done = run(&mut self.command);
        let log = fs_err::read_to_string(&self.log).unwrap();
        (done, log.lines().map(str::to_owned).collect())
    }
}

/// The name of the call in a line of the log: `PID NAME(…`; none where another call is gone on with.
fn name_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(char::is_whitespace)?;
    let (name, _) = rest.trim_start().split_once('(')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(plain).then_some(name)
}

/// Each call of a log: its name, and which of its thread's calls of that name it is. `strace` counts in the same way.
pub fn calls(lines: &[String]) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<(&str, &str), usize>::new();
    let mut calls = Vec::new();
    for line in lines {
        if let (Some((thread, _)), Some(name)) = (line.split_once(' '), name_of(line)) {
            let count = counts.entry((thread, name)).or_default();
            *count += 1;
            calls.push((name.to_owned(), *count));
        }
    }
    calls
}

/// How often the thread that makes a call most often makes it.
pub fn most_by_call(lines: &[String]) -> BTreeMap<String, usize> {
    let mut most = BTreeMap::new();
    for (name, count) in calls(lines) {
        let known: &mut usize = most.entry(name).or_default();
        *known = count.max(*known);
    }
    most
}

/// The calls in whose place a fault was put.
pub fn injected(lines: &[String]) -> Vec<&String> {
    lines.iter().filter(|line| line.contains("(INJECTED)")).collect()
}
