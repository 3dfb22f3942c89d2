//! Programs that keep credentials: `docker-credential-NAME` and its protocol (docker/docker-credential-helpers).

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Error;
use super::credentials::Credential;
use crate::environment::Environment;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credentials that a program keeps for a registry.
pub(super) fn get(environment: &Environment, name: &str, server: &str) -> Result<Option<Credential>, Error> {
    let output = run(environment, name, "get", server)?;
    if output.status.success() {
        // What it says is secret.
        let answer: Answer =
            serde_json::from_slice(&output.stdout).map_err(|_| fault(name, "its answer is not JSON"))?;
        let nothing = answer.username.is_empty() && answer.secret.is_empty();
        return Ok((!nothing).then(|| Credential::pair(answer.username, answer.secret)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // > credentials not found in native keychain: the one message that all of them share.
    if text.contains("credentials not found") {
        return Ok(None);
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().chain(errors.lines()).find(|l| !l.trim().is_empty());
    Err(fault(name, line.unwrap_or("it gave no reason").trim()))
}

/// Runs the program with an input. The user's environment is what such programs are set up with.
fn run(
    environment: &Environment,
    name: &str,
    action: &str,
    input: &str,
) -> Result<std::process::Output, Error> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !name.bytes().all(is_name) {
        return Err(fault(name, "that is not the name of a program"));
    }
    let program = environment
        .find_program(&format!("docker-credential-{name}"))
        .ok_or_else(|| fault(name, "it is not on PATH"))?;
    let run = || -> std::io::Result<std::process::Output> {
        let mut child = Command::new(&program)
            .arg(action)
            .env_clear()
            .envs(environment.variables())
            .current_dir(&environment.working_directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read may still answer.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    };
    run().map_err(|e| fault(name, &e.to_string()))
}

fn fault(name: &str, what: &str) -> Error {
    Error::Helper {
        name: name.to_owned(),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn with_helper(script: &str, act: impl FnOnce(&Environment)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker-credential-test");
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", directory.path().display());
        let variables = [("PATH".to_owned(), path), ("WHO".to_owned(), "me".to_owned())];
        act(&Environment::new(
            variables,
            "/".into(),
            std::time::SystemTime::UNIX_EPOCH,
        ));
    }

    #[test]
    fn a_program_is_asked_with_the_registry_on_its_input() {
        let script = r#"[ "$1" = get ] && read -r host; echo "{\"ServerURL\":\"$host\",\"Username\":\"$WHO\",\"Secret\":\"$host-s\"}""#;
        with_helper(script, |environment| {
            let expected = Credential::pair("me".to_owned(), "r.example-s".to_owned());
            assert_eq!(get(environment, "test", "r.example").unwrap(), Some(expected));
        });
    }

    #[test]
    fn not_found_is_none_and_other_faults_are_told() {
        with_helper(
            "echo credentials not found in native keychain; exit 1",
            |environment| {
                assert_eq!(get(environment, "test", "r.example").unwrap(), None);
            },
        );
        with_helper("echo locked >&2; exit 1", |environment| {
            let error = get(environment, "test", "r.example").unwrap_err();
            assert_eq!(error.to_string(), "docker-credential-test failed: locked");
            assert!(get(environment, "missing", "r.example").is_err());
            assert!(get(environment, "../test", "r.example").is_err());
        });
        with_helper("echo s3cret", |environment| {
            let error = get(environment, "test", "r.example").unwrap_err();
            assert!(!error.to_string().contains("s3cret"));
        });
    }
}
