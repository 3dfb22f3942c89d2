//! Running other programs: with an environment of their own, their words tidied for error messages.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use super::confined::Confinement;
use crate::environment::Environment;

/// A program to run: nothing of the user's environment reaches it but what is named here.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    pub program: &'a Path,
    pub arguments: Vec<OsString>,
    pub variables: BTreeMap<String, String>,
    pub directory: PathBuf,
    /// What it reads from its standard input.
    pub input: String,
    /// The sandbox in which it runs.
    pub confinement: Option<Confinement>,
}

/// What a program left.
#[derive(Debug)]
pub(super) struct Output {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl<'a> Run<'a> {
    pub fn new(program: &'a Path, directory: &Path) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            directory: directory.to_owned(),
            input: String::new(),
            confinement: None,
        }
    }

    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn variables(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Runs it to its end. A program that fails is not an error here; one that cannot be started is.
    pub fn output(self) -> Result<Output, Error> {
        let fault = |source| Error::Run {
            program: self.program.display().to_string(),
            source,
        };
        let mut command = match &self.confinement {
            Some(sandbox) => {
                let mut command = Command::new(&sandbox.program);
                command.args(&sandbox.arguments).arg("--").arg(self.program);
                command
            }
            None => Command::new(self.program),
        };
        let mut child = command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(fault)?;
        // Small inputs only: they fit the pipe, so that writing first cannot block.
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read it says why on its own.
            let _ = stdin.write_all(self.input.as_bytes());
        }
        let output = child.wait_with_output().map_err(fault)?;
        Ok(Output {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Certificates, proxies, search path, language: what any program needs to run and reach the network.
pub(super) fn network_variables(environment: &Environment) -> BTreeMap<String, String> {
    const NAMES: [&str; 21] = [
        "PATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TMPDIR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "SSL_CLIENT_CERT",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        // Shims on the search path work only with these.
        "PYENV_ROOT",
        "PYENV_VERSION",
        "ASDF_DATA_DIR",
    ];
    pick(environment, |name| NAMES.contains(&name))
}

/// The variables whose name is wanted.
pub(super) fn pick(environment: &Environment, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    environment
        .variables()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Text without terminal escape sequences (ECMA-48: `ESC [ ... final` and `ESC ] ... BEL`).
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            if c == '\n' || c == '\t' || !c.is_control() {
                out.push(c);
            }
            continue;
        }
        match chars.next() {
            Some('[') => {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            Some(']') => {
                chars.by_ref().find(|c| *c == '\u{7}' || *c == '\\');
            }
            _ => {}
        }
    }
    out
}

/// Replaces the password of every URL in a text by `****`.
pub(super) fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c))
            .unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(sign) => {
                let user = after[..sign].split_once(':').map_or("", |(user, _)| user);
                out.push_str(user);
                out.push_str(if user.is_empty() { "****" } else { ":****" });
                rest = &after[sign..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// Takes the user and password out of every `http:` and `https:` URL in a text.
pub(super) fn without_users(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let scheme = before[..at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        let is_web = matches!(scheme, Some("http" | "https"));
        let end = after
            .find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c))
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(sign) if is_web => &after[sign + 1..],
            _ => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_dropped_and_text_is_kept() {
        assert_eq!(plain("\u{1b}[1;31merror\u{1b}[0m: × ü\n"), "error: × ü\n");
        assert_eq!(plain("\u{1b}]8;;http://x\u{7}link\u{1b}"), "link");
    }

    #[test]
    fn passwords_in_urls_are_hidden() {
        let text =
            "Failed to fetch: `https://me:s3cr@t@host/simple/x/` from http://token@h/ and https://h/a@b";
        let safe = "Failed to fetch: `https://me:****@host/simple/x/` from http://****@h/ and https://h/a@b";
        assert_eq!(without_passwords(text), safe);
    }

    #[test]
    fn users_are_taken_out_of_web_urls_only() {
        let text = "url = \"https://me:p@ss@h/x.whl\" ssh://git@h/r https://h/a@b http://t@h";
        let bare = "url = \"https://h/x.whl\" ssh://git@h/r https://h/a@b http://h";
        assert_eq!(without_users(text), bare);
    }

    #[test]
    fn a_program_gets_its_own_environment_and_input() {
        let variables = BTreeMap::from([("ONLY".to_owned(), "this".to_owned())]);
        let mut run = Run::new(Path::new("/bin/sh"), Path::new("/"))
            .arguments(["-c", "cat; env; exit 3"])
            .variables(variables);
        run.input = "in\n".to_owned();
        let output = run.output().unwrap();
        assert!(!output.success);
        assert!(output.stdout.starts_with("in\n") && output.stdout.contains("ONLY=this\n"));
        assert!(!output.stdout.contains("HOME="));
    }
}
