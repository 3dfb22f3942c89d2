//! Bubblewrap round a build: it sees the system and what it needs, nothing of the user's, and writes nowhere else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Error;
use super::process::{Run, network_variables};
use crate::environment::Environment;
use crate::tools::Tools;

/// Directories in which users, services and programs keep what is theirs.
const HIDDEN: [&str; 14] = [
    "/home",
    "/root",
    "/tmp",
    "/var/tmp",
    // Sockets of daemons, and what orchestrators mount as secrets.
    "/run",
    "/mnt",
    "/media",
    "/etc/docker",
    "/etc/kubernetes",
    "/etc/letsencrypt",
    "/etc/rancher",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/uv",
];
/// Files with credentials among those of the system.
const HIDDEN_FILES: [&str; 4] = ["/etc/gshadow", "/etc/krb5.keytab", "/etc/pip.conf", "/etc/shadow"];
/// What name look-ups read below `/run`, where `/etc/resolv.conf` leads there.
const RESOLVERS: [&str; 4] = [
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    "/run/nscd",
];
/// Directories at the top that hold the system: they are never hidden, wherever a project lies.
const SYSTEM: [&str; 13] = [
    "bin", "boot", "dev", "etc", "gnu", "lib", "lib64", "nix", "opt", "proc", "sbin", "sys", "usr",
];

/// What a build needs beside the system.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// What else is the user's: hidden too.
    pub hidden: Vec<PathBuf>,
    /// What it reads although it is hidden.
    pub readable: Vec<PathBuf>,
    /// Contents that it sees at other places: from, at.
    pub replaced: Vec<(PathBuf, PathBuf)>,
    /// What it writes: from, at.
    pub writable: Vec<(PathBuf, PathBuf)>,
    /// Whether it gets the network.
    pub network: bool,
}

/// A sandbox that works on this machine.
#[derive(Clone, Debug)]
pub(super) struct Confinement {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Confinement {
    /// The sandbox for a build with these needs, if there is bubblewrap and it works: `probe` is run in it. Where it does
    /// not (kernels and containers may forbid user namespaces), builds run without it; the user is told with `-v`.
    pub fn of(needs: &Needs, probe: &Path, tools: &Tools<'_>) -> Option<Self> {
        let without = |why: &str| {
            tools
                .progress
                .detail(format!("builds run without a sandbox: {why}"));
        };
        let Some(program) = tools.environment.find_program("bwrap") else {
            without("there is no bwrap on PATH");
            return None;
        };
        let arguments = arguments(needs, tools.environment);
        let confinement = Self { program, arguments };
        let mut run = Run::new(probe, Path::new("/")).arguments(["--version"]);
        run.confinement = Some(confinement.clone());
        match run.output() {
            Ok(output) if output.success => {
                tools.progress.detail("builds run in a sandbox (bwrap)");
                Some(confinement)
            }
            Ok(output) => {
                without(output.stderr.lines().next().unwrap_or("bwrap failed"));
                None
            }
            Err(error) => {
                without(&error.to_string());
                None
            }
        }
    }
}

fn arguments(needs: &Needs, environment: &Environment) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "--unshare-user-try",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--die-with-parent",
        "--new-session",
    ]
    .map(OsString::from)
    .to_vec();
    if !needs.network {
        arguments.push("--unshare-net".into());
    }
    let mut mount = |how: &str, from: Option<&Path>, at: &Path| {
        arguments.push(how.into());
        arguments.extend(from.map(OsString::from));
        arguments.push(at.into());
    };
    let root = Path::new("/");
    mount("--ro-bind", Some(root), root);
    mount("--dev", None, Path::new("/dev"));
    mount("--proc", None, Path::new("/proc"));
    let hidden = hidden(needs, environment);
    for directory in &hidden {
        mount("--tmpfs", None, directory);
    }
    for file in HIDDEN_FILES
        .map(Path::new)
        .into_iter()
        .filter(|file| file.is_file())
    {
        mount("--ro-bind", Some(Path::new("/dev/null")), file);
    }
    let is_hidden = |path: &Path| hidden.iter().any(|directory| path.starts_with(directory));
    let resolvers = RESOLVERS.map(PathBuf::from);
    let programs = programs(environment);
    let all = resolvers.iter().chain(&programs).chain(&needs.readable);
    // Outermost first: what is bound later lies over what was bound before.
    let mut readable: Vec<&PathBuf> = all.filter(|path| is_hidden(path) && path.exists()).collect();
    readable.sort();
    readable.dedup();
    for path in readable {
        mount("--ro-bind", Some(path), path);
    }
    for (from, at) in &needs.writable {
        mount("--bind", Some(from), at);
    }
    for (from, at) in &needs.replaced {
        mount("--ro-bind", Some(from), at);
    }
    arguments
}

/// The directories that are hidden, none of them in another.
fn hidden(needs: &Needs, environment: &Environment) -> Vec<PathBuf> {
    let home = environment.home().map(Path::to_owned);
    let usual = HIDDEN.map(PathBuf::from);
    let all = usual.into_iter().chain(home).chain(needs.hidden.iter().cloned());
    let real = all.filter_map(|path| fs_err::canonicalize(path).ok());
    let mut all: Vec<PathBuf> = real.filter(|path| path.is_dir() && !is_system(path)).collect();
    all.sort();
    let mut outermost: Vec<PathBuf> = Vec::new();
    for path in all {
        if !outermost.iter().any(|other| path.starts_with(other)) {
            outermost.push(path);
        }
    }
    outermost
}

/// Whether hiding a directory would hide the system.
fn is_system(path: &Path) -> bool {
    let Ok(below) = path.strip_prefix("/") else {
        return true;
    };
    let mut parts = below.iter();
    match (parts.next().and_then(|part| part.to_str()), parts.next()) {
        (None, _) => true,
        (Some(top), None) => SYSTEM.contains(&top) || top == "var" || top.starts_with("lib"),
        (Some(_), Some(_)) => false,
    }
}

/// Where the user's programs are: those on `PATH`, and what their shims start. A home is none of it.
fn programs(environment: &Environment) -> Vec<PathBuf> {
    let home = environment.home();
    let below = |name: &str| home.map(|home| home.join(name));
    let named = |variable: &str, name: &str| {
        environment
            .get(variable)
            .map(PathBuf::from)
            .or_else(|| below(name))
    };
    let path = environment
        .get("PATH")
        .unwrap_or_default()
        .split(':')
        .map(PathBuf::from);
    let shims = [
        named("PYENV_ROOT", ".pyenv"),
        named("RUSTUP_HOME", ".rustup"),
        below(".asdf"),
    ];
    let all = path.chain(shims.into_iter().flatten());
    let all = all.filter(|path| path.is_absolute() && !home.is_some_and(|home| home.starts_with(path)));
    all.flat_map(|path| {
        let real = fs_err::canonicalize(&path).ok();
        [Some(path), real].into_iter().flatten()
    })
    .collect()
}

/// Puts a build into a sandbox, where there is one. Foreign code gets a cache of uv's for itself: what it leaves there
/// reaches no other build.
pub(super) fn confine(
    run: &mut Run<'_>,
    mut needs: Needs,
    is_own: bool,
    python: &Path,
    tools: &Tools<'_>,
) -> Result<(), Error> {
    let directory = run.directory.clone();
    needs.readable.push(run.program.to_owned());
    needs.readable.extend(prefixes(python, tools)?);
    for name in [
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ] {
        needs.readable.extend(run.variables.get(name).map(PathBuf::from));
    }
    let shared = run.variables.get("UV_CACHE_DIR").map(PathBuf::from);
    let cache = match shared {
        Some(shared) if is_own => shared,
        shared => {
            let own = directory.join("uv");
            // Without the network there is nothing but what earlier builds have fetched.
            match shared.filter(|shared| !needs.network && shared.is_dir()) {
                Some(shared) => copy_tree(&shared, &own).map_err(|source| Error::read(&shared, source))?,
                None => fs_err::create_dir_all(&own).map_err(|source| Error::read(&own, source))?,
            }
            own
        }
    };
    if is_own {
        fs_err::create_dir_all(&cache).map_err(|source| Error::read(&cache, source))?;
        needs.writable.push((cache.clone(), cache.clone()));
    }
    if let Some(cargo) = run.variables.get("CARGO_HOME").map(PathBuf::from) {
        // Its registries' tokens are in it; what is fetched goes into one that is thrown away.
        let own = directory.join("cargo");
        fs_err::create_dir_all(&own).map_err(|source| Error::read(&own, source))?;
        needs.writable.push((own, cargo.clone()));
        let parts = ["bin", "env", "config", "config.toml"].map(|name| cargo.join(name));
        let there = parts.into_iter().filter(|part| part.exists());
        needs.replaced.extend(there.map(|part| (part.clone(), part)));
    }
    run.confinement = Confinement::of(&needs, run.program, tools);
    if run.confinement.is_some() {
        run.variables
            .insert("UV_CACHE_DIR".to_owned(), cache.display().to_string());
    }
    Ok(())
}

/// Copies a directory with its links as they are.
fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in crate::files::read_dir(from)? {
        let entry = entry?;
        let (path, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            copy_tree(&path, &target)?;
        } else if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(fs_err::read_link(&path)?, target)?;
        } else if kind.is_file() {
            fs_err::copy(&path, target)?;
        }
    }
    Ok(())
}

/// Where a Python of this machine is, with its library: a virtual environment lies apart from what it was made from.
pub(super) fn prefixes(python: &Path, tools: &Tools<'_>) -> Result<Vec<PathBuf>, Error> {
    const SCRIPT: &str = "import sys; print(sys.prefix, sys.base_prefix, sys.base_exec_prefix, sep='\\n')";
    let run = Run::new(python, Path::new("/"))
        .arguments(["-I", "-S", "-c", SCRIPT])
        .variables(network_variables(tools.environment));
    let output = run.output()?;
    let named = output.stdout.lines().map(PathBuf::from);
    let parent = |path: &Path| Some(path.parent()?.to_owned());
    let real = fs_err::canonicalize(python).ok().and_then(|path| parent(&path));
    let all = named.chain(parent(python)).chain(real);
    // No prefix but one of its own: `/` or a home would bring all back that is hidden.
    let home = tools.environment.home();
    let is_own = |path: &PathBuf| path.iter().count() > 2 && !home.is_some_and(|home| home.starts_with(path));
    Ok(all.filter(is_own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_hidden_and_the_programs_in_it_are_not() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| fs_err::canonicalize(home.path()).unwrap().join(name);
        for name in [".ssh", ".local/bin", ".rustup"] {
            fs_err::create_dir_all(path(name)).unwrap();
        }
        let variables = [
            ("HOME".to_owned(), home.path().display().to_string()),
            (
                "PATH".to_owned(),
                format!(
                    "{}:{}:/usr/bin",
                    home.path().display(),
                    path(".local/bin").display()
                ),
            ),
        ];
        let environment = Environment::new(variables, "/".into(), std::time::SystemTime::UNIX_EPOCH);
        let needs = Needs {
            hidden: vec!["/".into(), "/usr".into(), "/nowhere".into()],
            ..Needs::default()
        };
        let said: Vec<String> = arguments(&needs, &environment)
            .iter()
            .map(|argument| argument.display().to_string())
            .collect();
        let has = |words: &[&str]| said.windows(words.len()).any(|part| part == words);
        assert!(has(&["--ro-bind", "/", "/"]) && has(&["--unshare-net"]));
        assert!(!has(&["--tmpfs", "/"]) && !has(&["--tmpfs", "/usr"]) && !has(&["--tmpfs", "/nowhere"]));
        assert!(has(&["--tmpfs", "/tmp"]), "{said:?}");
        for name in [".local/bin", ".rustup"] {
            let path = path(name).display().to_string();
            assert!(has(&["--ro-bind", &path, &path]), "{name}: {said:?}");
        }
        let bare = path("").display().to_string();
        let bare = bare.trim_end_matches('/');
        assert!(!has(&["--ro-bind", bare, bare]), "the home itself");
    }
}
