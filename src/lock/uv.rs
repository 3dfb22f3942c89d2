//! The uv program: the user's own if it is new enough, else one that pyoci fetches and verifies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pep440_rs::Version;
use url::Url;

use super::fetch::Download;
use super::index::Question;
use super::indexes::Indexes;
use super::process::{Run, network_variables, pick};
use super::{Artifact, Error, Listed, Location, Request, Tools};
use crate::digest::{Algorithm, Digest};
use crate::environment::Environment;
use crate::store::Kind;
use crate::wheel::Wheel;

/// The first version whose `pip compile` writes `pylock.toml`.
const OLDEST: [u64; 3] = [0, 6, 15];
/// The version that is fetched.
const VERSION: &str = "0.13.9";

/// A published build of uv; both are linked statically and run on any Linux.
struct Build {
    wheel: &'static str,
    /// Where PyPI keeps it.
    url: &'static str,
    size: u64,
    wheel_sha256: &'static str,
    program_sha256: &'static str,
}

#[cfg(target_arch = "x86_64")]
const BUILD: Option<Build> = Some(Build {
    wheel: "uv-0.13.9-py3-none-musllinux_1_1_x86_64.whl",
    url: "https://files.pythonhosted.org/packages/fe/fe/794884de0efd3ac77a427cab21aa72c0483e100c55a42cd5cbb02c141b84/uv-0.13.9-py3-none-musllinux_1_1_x86_64.whl",
    size: 19_295_638,
    wheel_sha256: "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    program_sha256: "edbfb9a3d00dc84148e6691cd8740781fdc32db6505d7ef88ba6c3e569d5bec9",
});
#[cfg(target_arch = "aarch64")]
const BUILD: Option<Build> = Some(Build {
    wheel: "uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
    url: "https://files.pythonhosted.org/packages/57/15/94b6cd62ac3ff6550288328e8035288875197cbc183f51554b266a69877b/uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
    size: 18_026_789,
    wheel_sha256: "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    program_sha256: "bbecb5ac518030bb5e84f1999c577228460192832ac24a92bd772735682979f4",
});
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const BUILD: Option<Build> = None;

/// The uv to run.
#[derive(Debug)]
pub(super) struct Uv {
    pub program: PathBuf,
    pub version: String,
    /// Where it keeps its cache, if it is not the user's own.
    cache: Option<PathBuf>,
}

impl Uv {
    /// uv on the search path if it is new enough, else one from the store, else one from the package index.
    pub fn find(request: &Request, tools: &Tools<'_>) -> Result<Self, Error> {
        if let Some(program) = tools.environment.find_program("uv")
            && let Some(version) = version_of(&program, tools.environment)
        {
            if version >= Version::new(OLDEST) {
                let version = version.to_string();
                return Ok(Self {
                    program,
                    version,
                    cache: None,
                });
            }
            let why = format!(
                "{} is uv {version}, too old: uv {VERSION} is used",
                program.display()
            );
            tools.progress.detail(why);
        }
        let build = BUILD.ok_or(Error::NoUv)?;
        let program = build.fetch(request, tools).map_err(|source| Error::FetchUv {
            version: VERSION,
            source: Box::new(source),
        })?;
        Ok(Self {
            program,
            version: VERSION.to_owned(),
            cache: Some(tools.store.root().join(crate::store::UV_CACHE)),
        })
    }

    /// A run of it in a directory, with `variables` besides the network's and its own settings.
    pub fn run(&self, directory: &Path, tools: &Tools<'_>, variables: BTreeMap<String, String>) -> Run<'_> {
        let environment = tools.environment;
        let mut all = network_variables(environment);
        all.extend(pick(environment, |name| {
            name.starts_with("UV_") || name == "NETRC"
        }));
        all.entry("UV_PYTHON_DOWNLOADS".to_owned())
            .or_insert_with(|| "never".to_owned());
        all.entry("UV_NO_PROGRESS".to_owned())
            .or_insert_with(|| "1".to_owned());
        if let Some(cache) = self
            .cache
            .as_ref()
            .filter(|_| environment.get("UV_CACHE_DIR").is_none())
        {
            all.insert("UV_CACHE_DIR".to_owned(), cache.display().to_string());
        }
        all.extend(variables);
        trust_system_certificates(&mut all);
        Run::new(&self.program, directory)
            .arguments(["--color", "never"])
            .variables(all)
    }

    /// A Python of this machine: the wanted version if there is one, else any.
    pub fn find_python(&self, minor: &str, tools: &Tools<'_>) -> Result<PathBuf, Error> {
        let home = pick(tools.environment, |n| matches!(n, "HOME" | "XDG_DATA_HOME"));
        for wanted in [Some(minor), None] {
            let run = self
                .run(Path::new("/"), tools, home.clone())
                .arguments(["python", "find", "--no-project"])
                .arguments(wanted);
            let output = run.output()?;
            if output.success {
                return Ok(output.stdout.trim().into());
            }
            if let Some(python) = wanted.and_then(|minor| of_pyenv(minor, tools.environment)) {
                return Ok(python);
            }
        }
        Err(Error::NoPython)
    }
}

/// A Python that pyenv has installed, the newest patch release of a minor version: on PATH there are only its shims, and
/// they refuse every version but the one that is switched on.
fn of_pyenv(minor: &str, environment: &Environment) -> Option<PathBuf> {
    let root = match environment.get("PYENV_ROOT") {
        Some(root) => PathBuf::from(root),
        None => Path::new(environment.get("HOME")?).join(".pyenv"),
    };
    let mut found = Vec::new();
    for entry in crate::files::read_dir(root.join("versions")).ok()? {
        let path = entry.ok()?.path();
        let version: Option<Version> = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        let python = path.join(format!("bin/python{minor}"));
        if let Some(version) = version
            && python.is_file()
        {
            found.push((version, python));
        }
    }
    found.sort();
    found.pop().map(|(_, python)| python)
}

/// pip and pyoci trust what the system trusts; uv does so only when told, by a name that changed.
fn trust_system_certificates(variables: &mut BTreeMap<String, String>) {
    const BUNDLES: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
    ];
    let bundle = variables
        .get("REQUESTS_CA_BUNDLE")
        .or(variables.get("CURL_CA_BUNDLE"))
        .cloned();
    if let Some(bundle) = bundle {
        variables.entry("SSL_CERT_FILE".to_owned()).or_insert(bundle);
    }
    if BUNDLES.iter().any(|b| Path::new(b).exists()) {
        for name in ["UV_SYSTEM_CERTS", "UV_NATIVE_TLS"] {
            variables.entry(name.to_owned()).or_insert_with(|| "1".to_owned());
        }
    }
}

fn version_of(program: &Path, environment: &Environment) -> Option<Version> {
    let output = Run::new(program, Path::new("/"))
        .arguments(["--version"])
        .variables(network_variables(environment))
        .output()
        .ok()?;
    // `uv 0.13.9 (x86_64-unknown-linux-musl)`
    output.stdout.split_whitespace().nth(1)?.parse().ok()
}

impl Build {
    fn fetch(&self, request: &Request, tools: &Tools<'_>) -> Result<PathBuf, Error> {
        let digest = |hex| Digest::new(Algorithm::Sha256, hex).map_err(|e| self.fault(e));
        let program = digest(self.program_sha256)?;
        if let Some(path) = tools.store.find(Kind::Program, &program)? {
            return Ok(path);
        }
        let indexes = Indexes::of(request, tools.environment)?;
        let mut fetched = None;
        let mut failure = Error::NoUv;
        for url in self.places(&indexes, tools) {
            let download = Download {
                package: &format!("uv {VERSION}"),
                artifact: &Artifact {
                    name: self.wheel.to_owned(),
                    location: Location::Url(url),
                    size: Some(self.size),
                    upload_time: None,
                    hashes: vec![digest(self.wheel_sha256)?],
                },
                kind: Kind::Wheel,
                indexes: &indexes,
                tools,
            };
            match download.run() {
                Ok(file) => {
                    fetched = Some(file);
                    break;
                }
                Err(error) => failure = error,
            }
        }
        let wheel = fetched.ok_or(failure)?;
        let path = self.extract(&wheel.path, &program, tools)?;
        tools.progress.done("Fetched", format!("uv {VERSION}"));
        Ok(path)
    }

    /// Where to look: the index that stands for PyPI here, then PyPI.
    fn places(&self, indexes: &Indexes, tools: &Tools<'_>) -> Vec<Url> {
        let listed = || {
            let listed = Listed {
                package: "uv".parse().ok()?,
                indexes: vec![indexes.default.clone()],
            };
            Question::new(&listed, indexes, tools).named(self.wheel).ok()?
        };
        let on_index = listed().map(|file| file.url);
        on_index.into_iter().chain(self.url.parse().ok()).collect()
    }

    fn extract(&self, wheel: &Path, program: &Digest, tools: &Tools<'_>) -> Result<PathBuf, Error> {
        let wheel = Wheel::open(wheel, self.wheel).map_err(|e| self.fault(e))?;
        let name = format!("uv-{VERSION}.data/scripts/uv");
        let (_, content) = wheel
            .files()
            .find(|(path, _)| path.as_str() == name)
            .ok_or_else(|| self.fault(std::io::Error::other(format!("{name} is missing"))))?;
        let mut reader = content.open().map_err(|e| self.fault(e))?;
        Ok(tools.store.add(Kind::Program, Some(program), &mut reader)?.path)
    }

    fn fault(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Transfer {
            package: format!("uv {VERSION}"),
            location: self.url.to_owned(),
            source: Box::new(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_pyenvs_versions_the_newest_patch_release_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let versions = home.path().join(".pyenv/versions");
        for name in [
            "3.13.9/bin/python3.13",
            "3.13.10/bin/python3.13",
            "3.13.99/bin/python3",
            "mine/bin/python3.13",
        ] {
            let file = versions.join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, "").unwrap();
        }
        let variables = [("HOME".to_owned(), home.path().display().to_string())];
        let environment = Environment::new(variables, "/".into(), std::time::SystemTime::UNIX_EPOCH);
        let newest = versions.join("3.13.10/bin/python3.13");
        assert_eq!(of_pyenv("3.13", &environment), Some(newest));
        assert_eq!(of_pyenv("3.12", &environment), None);
    }

    #[test]
    fn what_is_fetched_has_whole_digests() {
        let build = BUILD.unwrap();
        for hex in [build.wheel_sha256, build.program_sha256] {
            Digest::new(Algorithm::Sha256, hex).unwrap();
        }
        assert!(build.url.ends_with(build.wheel) && build.wheel.contains(VERSION));
    }
}
