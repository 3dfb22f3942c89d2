//! uv asked for a resolution so that no foreign code runs where the user's home is: it may not build; where it must, to
//! learn what a package requires, it is asked again in a sandbox.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::confined::{Confinement, Needs};
use super::process::{Output, Run};
use super::uv::Uv;
use super::{Error, Request, Tools, inputs};
use crate::environment::Environment;
use crate::python::Target;

/// Where uv makes the environments that it builds in, below its cache: what cannot be made there is not built.
const BUILDS: [&str; 2] = ["builds-v0", "builds-v1"];
/// Python 3 of an older minor version may be too old for uv.
const OLDEST_MINOR: u32 = 9;
/// What of a project's directory a package that is built to tell what it requires has no business with.
const PRIVATE: [&str; 9] = [
    ".env",
    ".env.local",
    ".env.production",
    ".envrc",
    ".git/config",
    ".git-credentials",
    ".netrc",
    ".npmrc",
    ".pypirc",
];

/// Runs uv. Without bubblewrap, and where credentials are needed that only uv itself can use, it is run as it is.
pub(super) fn output(
    run: Run<'_>,
    uv: &Uv,
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
) -> Result<Output, Error> {
    let trap = if may_be_guarded(&run, request, tools)? {
        trap(&run, tools)?
    } else {
        None
    };
    let Some(trap) = trap else {
        return run.output();
    };
    let mut first = run.clone();
    first.confinement = Some(trap);
    // Nothing is built: any Python will do, and uv need not ask each of this machine for its version.
    if let Some(python) = nearest_python(tools.environment) {
        first = first.arguments([OsString::from("--python"), python.into()]);
    }
    let output = match first.output() {
        Ok(output) if output.success => return Ok(output),
        // Kernels and containers may forbid what bubblewrap does: then it has run nothing.
        Ok(output) if output.stderr.starts_with("bwrap: ") => return run.output(),
        Err(_) => return run.output(),
        Ok(output) => output,
    };
    if !wanted_to_build(&output.stderr) {
        return Ok(output);
    }
    tools
        .progress
        .detail("a package must be built to tell what it requires: in a sandbox, uv is asked again");
    confined(run, uv, request, target, tools)
}

/// A sandbox gives uv neither the user's credentials nor the repositories that they open.
fn may_be_guarded(run: &Run<'_>, request: &Request, tools: &Tools<'_>) -> Result<bool, Error> {
    let texts = inputs::texts(request)?;
    let fetches = ["git+", "ssh://", "git ="];
    let wants_repositories = texts
        .iter()
        .any(|text| fetches.iter().any(|word| text.contains(word)));
    let has_cache = !run.variables.contains_key("UV_NO_CACHE");
    Ok(tools.environment.secrets.is_empty() && !wants_repositories && has_cache && !request.no_build)
}

/// All as it is, but that nothing can be built.
fn trap(run: &Run<'_>, tools: &Tools<'_>) -> Result<Option<Confinement>, Error> {
    let Some(program) = tools.environment.find_program("bwrap") else {
        return Ok(None);
    };
    let mut asked = Run::new(run.program, &run.directory).arguments(["cache", "dir"]);
    asked.variables.clone_from(&run.variables);
    let answer = asked.output()?;
    let cache = PathBuf::from(answer.stdout.trim());
    if !answer.success || !cache.is_absolute() {
        return Ok(None);
    }
    let mut arguments = vec![
        "--die-with-parent".into(),
        "--dev-bind".into(),
        "/".into(),
        "/".into(),
    ];
    for builds in BUILDS.map(|name| cache.join(name)) {
        if fs_err::create_dir_all(&builds).is_err() {
            return Ok(None);
        }
        arguments.extend([
            "--tmpfs".into(),
            builds.clone().into(),
            "--remount-ro".into(),
            builds.into(),
        ]);
    }
    Ok(Some(Confinement { program, arguments }))
}

/// The first Python of the search path that uv can use and whose version its name tells: shims and wrappers are passed over.
fn nearest_python(environment: &Environment) -> Option<PathBuf> {
    let is_usable = |file: &Path| {
        let name = file.file_name().and_then(|name| name.to_str());
        let minor = name.and_then(|name| name.strip_prefix("python3.")?.parse::<u32>().ok());
        minor.is_some_and(|minor| minor >= OLDEST_MINOR)
    };
    let programs = environment.find_programs("python3");
    let mut real = programs.filter_map(|program| fs_err::canonicalize(program).ok());
    real.find(|file| is_usable(file))
}

/// > error: Failed to download and build `demo==1.0`
/// > Read-only file system (os error 30) at path "…/builds-v0/.tmp…"
fn wanted_to_build(said: &str) -> bool {
    said.contains("Read-only file system") && BUILDS.iter().any(|name| said.contains(&format!("/{name}/")))
}

fn confined(
    mut run: Run<'_>,
    uv: &Uv,
    request: &Request,
    target: &Target,
    tools: &Tools<'_>,
) -> Result<Output, Error> {
    let python = uv.find_python(&target.python_minor(), tools)?;
    let scratch = tools.store.scratch()?;
    let (home, cache) = (scratch.path().join("home"), scratch.path().join("uv"));
    for directory in [&home, &cache] {
        fs_err::create_dir(directory).map_err(|source| Error::read(directory, source))?;
    }
    run.variables.retain(|name, _| {
        let is_personal = ["GIT_", "XDG_"].iter().any(|start| name.starts_with(start));
        !is_personal && !["SSH_AUTH_SOCK", "NETRC", "USER", "LOGNAME"].contains(&name.as_str())
    });
    for (name, path) in [("HOME", &home), ("TMPDIR", &home), ("UV_CACHE_DIR", &cache)] {
        run.variables.insert(name.to_owned(), path.display().to_string());
    }
    run = run.arguments([OsString::from("--python"), python.clone().into()]);
    let mut needs = Needs {
        hidden: vec![tools.store.root().to_owned()],
        readable: vec![run.program.to_owned(), request.directory.clone()],
        writable: vec![(scratch.path().to_owned(), scratch.path().to_owned())],
        network: true,
        ..Needs::default()
    };
    needs.readable.extend(super::confined::prefixes(&python, tools)?);
    needs.readable.extend(named(&run, request)?);
    // setuptools writes beside the sources that it is asked about: the user's own, wherever they were named.
    let is_source = |path: &&PathBuf| {
        ["setup.py", "pyproject.toml"]
            .iter()
            .any(|file| path.join(file).is_file())
    };
    let sources = needs.readable.iter().filter(is_source);
    needs
        .writable
        .extend(sources.map(|path| (path.clone(), path.clone())));
    let private = PRIVATE.map(|name| request.directory.join(name));
    let private = private.into_iter().filter(|path| path.is_file());
    needs
        .replaced
        .extend(private.map(|path| ("/dev/null".into(), path)));
    run.confinement = Confinement::of(&needs, run.program, tools);
    run.output()
}

/// The paths that requirements, arguments and variables name.
fn named(run: &Run<'_>, request: &Request) -> Result<Vec<PathBuf>, Error> {
    let texts = inputs::texts(request)?;
    let ends = |c: char| c.is_whitespace() || "\"'`,;[](){}<>#".contains(c);
    let words = texts.iter().flat_map(|text| text.split(ends));
    let arguments = run.arguments.iter().filter_map(|argument| argument.to_str());
    let variables = run.variables.values().flat_map(|value| value.split([' ', ',']));
    let all = words.chain(arguments).chain(variables).filter_map(|word| {
        let word = word.rsplit_once('=').map_or(word, |(_, value)| value);
        let path = word.strip_prefix("file://").unwrap_or(word);
        let is_path = path.starts_with('/') || path.starts_with("../") || path.starts_with("./");
        let path = is_path.then(|| request.directory.join(path))?;
        let real = fs_err::canonicalize(path).ok()?;
        (real.iter().count() > 2).then_some(real)
    });
    Ok(all.collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_python_is_found_behind_shims_and_those_that_uv_does_not_take() {
        let machine = tempfile::tempdir().unwrap();
        let place = |name: &str| machine.path().join(name);
        for name in [
            "shims/python3",
            "old/python3.6",
            "usr/python3.11",
            "usr/python3.13t",
        ] {
            fs_err::create_dir_all(place(name).parent().unwrap()).unwrap();
            fs_err::write(place(name), "").unwrap();
            fs_err::set_permissions(place(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let found = |directories: &[&str]| {
            let path: Vec<String> = directories
                .iter()
                .map(|d| place(d).display().to_string())
                .collect();
            let variables = [("PATH".to_owned(), path.join(":"))];
            nearest_python(&Environment::new(variables, "/".into(), SystemTime::UNIX_EPOCH))
        };
        symlink("python3.6", place("old/python3")).unwrap();
        symlink("python3.11", place("usr/python3")).unwrap();
        assert_eq!(found(&["shims", "old", "none"]), None);
        let real = fs_err::canonicalize(place("usr/python3.11")).unwrap();
        assert_eq!(found(&["shims", "old", "usr"]), Some(real));
    }

    #[test]
    fn the_words_of_uv_for_a_build_that_could_not_be_are_known() {
        let said = "error: Failed to download and build `noisy==1.0`\n  cause: Read-only file system (os error 30) at path \
                    \"/c/uv/builds-v0/.tmpQnUdsq\"";
        assert!(wanted_to_build(said));
        assert!(!wanted_to_build(
            "error: Read-only file system (os error 30) at path \"/c/uv/wheels-v8\""
        ));
        assert!(!wanted_to_build("error: No solution found"));
    }
}
