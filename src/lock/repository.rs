//! Commits of git repositories, checked out on this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use url::Url;

use super::process::{Run, network_variables, pick};
use super::{Error, Location, Said, Tools, Vcs, messages};

/// Clones a repository and checks the commit out, submodules too, as pip does. Gives the project's directory in it.
pub(super) fn checkout(vcs: &Vcs, scratch: &Path, title: &str, tools: &Tools<'_>) -> Result<PathBuf, Error> {
    let fail = |said: String| Error::Build {
        package: title.to_owned(),
        said: Said(said),
    };
    if vcs.kind != "git" {
        let said = format!("only git repositories can be built, not {}", vcs.kind);
        return Err(fail(said));
    }
    let git = tools.environment.find_program("git");
    let git = git.ok_or_else(|| fail("git, which fetches it, is not installed".to_owned()))?;
    let from = match &vcs.location {
        Location::Url(url) => url.to_string(),
        Location::Path(path) => path.display().to_string(),
        Location::Index(_) => return Err(fail("a repository has a URL or a path".to_owned())),
    };
    let to = scratch.join("repository");
    let git = Git {
        program: &git,
        scratch,
        variables: variables(tools),
    };
    let inside = |rest: &[&str]| -> Vec<OsString> {
        let start: [OsString; 2] = ["-C".into(), to.clone().into()];
        start.into_iter().chain(rest.iter().map(Into::into)).collect()
    };
    let commit = vcs.commit.as_str();
    let clone: [OsString; 5] = [
        "clone".into(),
        "--quiet".into(),
        "--".into(),
        from.into(),
        to.clone().into(),
    ];
    git.run(clone)?.map_err(fail)?;
    let checkout = inside(&["checkout", "--quiet", "--detach", commit]);
    if let Err(said) = git.run(checkout.clone())? {
        // No branch or tag leads to the commit: it may be had by its own name.
        let fetched = git.run(inside(&["fetch", "--quiet", "origin", commit]))?;
        fetched.map_err(|_| fail(said))?;
        git.run(checkout)?.map_err(fail)?;
    }
    git.run(inside(&[
        "submodule",
        "update",
        "--init",
        "--recursive",
        "--quiet",
    ]))?
    .map_err(fail)?;
    if let Location::Url(url) = &vcs.location
        && let Some(bare) = without_credentials(url)
    {
        // What is built here reads the repository's settings; the way it was fetched is not its business.
        git.run(inside(&["remote", "set-url", "origin", bare.as_str()]))?
            .map_err(fail)?;
    }
    let project = match &vcs.subdirectory {
        Some(subdirectory) => to.join(subdirectory),
        None => to,
    };
    if !project.is_dir() {
        let subdirectory = vcs.subdirectory.as_deref().unwrap_or(".");
        return Err(fail(format!("commit {commit} has no directory {subdirectory}")));
    }
    Ok(project)
}

/// The URL without user and password, if it has some.
fn without_credentials(url: &Url) -> Option<Url> {
    let mut bare = url.clone();
    let _ = bare.set_password(None);
    if url.scheme() != "ssh" {
        let _ = bare.set_username("");
    }
    (bare != *url).then_some(bare)
}

struct Git<'a> {
    program: &'a Path,
    scratch: &'a Path,
    variables: BTreeMap<String, String>,
}

impl Git<'_> {
    /// Runs git; what it said where it failed.
    fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<Result<(), String>, Error> {
        let run = Run::new(self.program, self.scratch)
            .arguments(arguments)
            .variables(self.variables.clone());
        let output = run.output()?;
        Ok(if output.success {
            Ok(())
        } else {
            Err(messages::tail(&output.stderr))
        })
    }
}

fn variables(tools: &Tools<'_>) -> BTreeMap<String, String> {
    let mut variables = network_variables(tools.environment);
    // Git asks for its own credentials; it may use what the user gave it, but never a terminal.
    variables.extend(pick(tools.environment, |name| {
        matches!(name, "HOME" | "USER" | "SSH_AUTH_SOCK")
            || name.starts_with("GIT_")
            || name.starts_with("XDG_")
    }));
    variables.insert("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_off_and_the_user_of_ssh_stays() {
        let bare = |url: &str| without_credentials(&url.parse().unwrap()).map(String::from);
        assert_eq!(bare("https://me:token@host/r.git").unwrap(), "https://host/r.git");
        assert_eq!(bare("https://token@host/r.git").unwrap(), "https://host/r.git");
        assert_eq!(bare("ssh://git@host/r.git"), None);
        assert_eq!(bare("https://host/r.git"), None);
    }
}
