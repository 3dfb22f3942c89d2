//! Settings: what flags, `PYOCI_*` variables and `[tool.pyoci]` say, one above the other.

mod indexes;
mod keys;
mod layers;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::{Document, Node};
use super::error::Error;
use crate::environment::Environment;
use crate::layer::Compression;
use crate::lock::Resolver;
use crate::platform::Platform;
use crate::python::{ExtraName, GroupName};
use crate::reference::{ImageReference, RegistryReference, has_transport};
use crate::tree::Owner;

pub use indexes::IndexSettings;
pub use keys::KEYS;
pub use layers::{Layers, NamedLayer, layers};
pub use value::{
    BaseBlobs, Port, SettingError, base_blobs, cache, compression, directory, owner, python, resolver,
    split_words, variable, workdir,
};

/// All settings of a build. `None` and empty mean "not said": the next source below decides.
///
/// Flags go over `PYOCI_*` variables, these over `[tool.pyoci]` ([`Settings::over`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The base reference, e.g. `python:3.12-slim` or `recipe:trixie`.
    pub base: Option<String>,
    /// The Python version asked for, major and minor.
    pub python: Option<(u32, u32)>,
    /// Platforms to build for.
    pub platforms: Vec<Platform>,
    /// Requirements files (`-r`).
    pub requirements: Vec<PathBuf>,
    /// Extras of `[project.optional-dependencies]`.
    pub extras: Vec<ExtraName>,
    /// Groups of `[dependency-groups]` (PEP 735).
    pub groups: Vec<GroupName>,
    /// The lock file.
    pub lock: Option<PathBuf>,
    /// What resolves where there is no lock.
    pub resolver: Option<Resolver>,
    /// Whether building sdists is forbidden.
    pub no_build: Option<bool>,
    /// Whether the project itself is made importable as a distribution (metadata, console scripts); `None` decides
    /// by its build files.
    pub package: Option<bool>,
    /// The start command, in words.
    pub entrypoint: Option<Vec<String>>,
    /// The line of the Procfile that the image starts with.
    pub process: Option<String>,
    /// Directories of the project (empty: its own) that modules are imported from, beside those that are found.
    pub pythonpath: Vec<String>,
    /// Environment variables of the image.
    pub env: BTreeMap<String, String>,
    /// Labels of the image config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Ports that the app listens on.
    pub ports: Vec<Port>,
    /// The user that the app runs as.
    pub user: Option<Owner>,
    /// The working directory, absolute; else `/app`.
    pub workdir: Option<String>,
    /// How layers are compressed.
    pub compression: Option<Compression>,
    /// Whether byte-code is added.
    pub compile: Option<bool>,
    /// How the dependencies are divided into layers.
    pub layers: Option<Layers>,
    /// Debian packages that are added to the base.
    pub packages: Vec<String>,
    /// Whether native libraries that nobody provides, and files that look like credentials, are an error.
    pub strict: Option<bool>,
    /// Patterns of files of the dependencies that are left out.
    pub exclude: Vec<String>,
    /// Patterns (gitignore syntax) of files of the project that are left out, beside the ignore file's.
    pub ignore: Vec<String>,
    /// Patterns (gitignore syntax) of files of the project that are taken although something ignores them.
    pub include: Vec<String>,
    /// Paths of the project that the app may write.
    pub writable: Vec<String>,
    /// Tags of the image.
    pub tags: Vec<String>,
    /// Where the image goes: directories, layouts, archives, registries.
    pub outputs: Vec<String>,
    /// Registries that it is pushed to.
    pub push: Vec<String>,
    /// What becomes of the base's blobs in layouts.
    pub base_blobs: Option<BaseBlobs>,
    /// Repositories in which finished layers and resolutions are looked for.
    pub cache_from: Vec<RegistryReference>,
    /// The repository to which they are written.
    pub cache_to: Option<RegistryReference>,
    /// Whether resolving is forbidden: there must be a lock.
    pub locked: Option<bool>,
    /// Whether the network is forbidden.
    pub offline: Option<bool>,
    /// The Debian mirror for recipe bases.
    pub debian_mirror: Option<String>,
    /// Where packages are looked for.
    pub indexes: IndexSettings,
    /// Where packages come from that the mirror no longer has.
    pub debian_snapshot: Option<String>,
}

impl Settings {
    /// Settings from the `PYOCI_*` variables: `PYOCI_BASE`, `PYOCI_PLATFORM`, ... named like the flags.
    ///
    /// Lists are separated by commas, `K=V` pairs by line ends.
    pub fn from_environment(environment: &Environment) -> Result<Self, Error> {
        let mut settings = Self::default();
        for key in KEYS {
            let variable = key.variable();
            if let Some(text) = environment.get(&variable) {
                settings
                    .set(key, &key.node_from_text(text))
                    .map_err(|error| Error::Setting {
                        place: "environment".into(),
                        key: variable,
                        message: error.0,
                    })?;
            }
        }
        Ok(settings)
    }

    /// Settings from `[tool.pyoci]`; paths count from the file's directory.
    pub fn from_pyproject(document: &Document) -> Result<Self, Error> {
        let Some(tool) = document.get(&["tool", "pyoci"]) else {
            return Ok(Self::default());
        };
        let mut settings = Self::default();
        let wrong = |node: &Node, key: &str, message: String| Error::Setting {
            place: document.place(node).to_string(),
            key: key.to_owned(),
            message,
        };
        let Some(table) = tool.table() else {
            return Err(wrong(
                tool,
                "tool.pyoci",
                format!("expected a table, found {}", tool.kind()),
            ));
        };
        // In the order of the file, so that the first fault is named.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(_, node)| node.line);
        for (name, node) in entries {
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                return Err(Error::UnknownKey {
                    place: document.place(node),
                    key: name.clone(),
                    nearest: keys::nearest(name),
                });
            };
            settings
                .set(key, node)
                .map_err(|error| wrong(node, name, error.0))?;
        }
        let directory = document.path.parent().unwrap_or(Path::new("."));
        settings.anchor(directory);
        // What is typed is shown as it was typed, and counts from the working directory in any case.
        for output in &mut settings.outputs {
            *output = anchored(output, directory);
        }
        Ok(settings)
    }

    /// Makes relative paths count from a directory.
    pub fn anchor(&mut self, directory: &Path) {
        for path in self.requirements.iter_mut().chain(&mut self.lock) {
            *path = directory.join(&*path);
        }
        self.indexes.anchor(directory);
    }

    /// These settings over others: a list said here replaces the list below, maps are joined key by key.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        fn list<T>(above: Vec<T>, below: Vec<T>) -> Vec<T> {
            if above.is_empty() { below } else { above }
        }
        fn map(
            above: BTreeMap<String, String>,
            mut below: BTreeMap<String, String>,
        ) -> BTreeMap<String, String> {
            below.extend(above);
            below
        }
        // What is said above about where the requirements are replaces all that is said below.
        let says_source = self.lock.is_some() || !self.requirements.is_empty();
        let (requirements, lock) = if says_source {
            (self.requirements, self.lock)
        } else {
            (below.requirements, below.lock)
        };
        Self {
            base: self.base.or(below.base),
            python: self.python.or(below.python),
            platforms: list(self.platforms, below.platforms),
            requirements,
            extras: list(self.extras, below.extras),
            groups: list(self.groups, below.groups),
            lock,
            resolver: self.resolver.or(below.resolver),
            no_build: self.no_build.or(below.no_build),
            package: self.package.or(below.package),
            entrypoint: self.entrypoint.or(below.entrypoint),
            process: self.process.or(below.process),
            pythonpath: list(self.pythonpath, below.pythonpath),
            env: map(self.env, below.env),
            labels: map(self.labels, below.labels),
            annotations: map(self.annotations, below.annotations),
            ports: list(self.ports, below.ports),
            user: self.user.or(below.user),
            workdir: self.workdir.or(below.workdir),
            compression: self.compression.or(below.compression),
            compile: self.compile.or(below.compile),
            layers: self.layers.or(below.layers),
            packages: list(self.packages, below.packages),
            strict: self.strict.or(below.strict),
            exclude: list(self.exclude, below.exclude),
            ignore: list(self.ignore, below.ignore),
            include: list(self.include, below.include),
            writable: list(self.writable, below.writable),
            tags: list(self.tags, below.tags),
            outputs: list(self.outputs, below.outputs),
            push: list(self.push, below.push),
            base_blobs: self.base_blobs.or(below.base_blobs),
            cache_from: list(self.cache_from, below.cache_from),
            cache_to: self.cache_to.or(below.cache_to),
            locked: self.locked.or(below.locked),
            offline: self.offline.or(below.offline),
            debian_mirror: self.debian_mirror.or(below.debian_mirror),
            indexes: self.indexes.over(below.indexes),
            debian_snapshot: self.debian_snapshot.or(below.debian_snapshot),
        }
    }
}

/// A destination whose path, if it has one, counts from a directory; one that is malformed is refused when it is used.
fn anchored(output: &str, directory: &Path) -> String {
    if !has_transport(output) {
        return directory.join(output).display().to_string();
    }
    match output.parse::<ImageReference>() {
        Ok(mut reference) if !matches!(reference, ImageReference::Registry(_)) => {
            reference.anchor(directory);
            reference.to_string()
        }
        _ => output.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, Error> {
        Settings::from_pyproject(&Document::parse(Path::new("/p/pyproject.toml"), text)?)
    }

    #[test]
    fn every_key_can_be_set() {
        let text = r#"
            [tool.pyoci]
            base = "recipe:trixie"
            index-url = "https://i/simple"
            extra-index-url = ["https://e/simple"]
            find-links = "wheels"
            no-index = true
            trusted-host = ["i:443"]
            python = "3.13"
            platforms = ["linux/amd64", "linux/arm64"]
            requirements = ["requirements/prod.txt"]
            extras = ["web"]
            groups = ["prod"]
            lock = "pylock.prod.toml"
            resolver = "pip"
            no-build = true
            package = false
            entrypoint = "python3 -m 'my app'"
            process = "worker"
            pythonpath = ["lib/", "."]
            env = { PORT = 80, NAME = "x" }
            labels = { a = "b" }
            annotations = { c = "d" }
            ports = [8000, "53/udp"]
            user = "1000"
            workdir = "data"
            compression = "zstd"
            compile = true
            layers = { ml = ["torch*"] }
            packages = ["libgomp1"]
            strict = true
            exclude = ["tests/**"]
            ignore = ["docs/"]
            include = ["dist/"]
            writable = ["data/"]
            tags = ["v1"]
            output = "image/"
            push = ["ghcr.io/me/app"]
            base-blobs = "reference"
            cache = "ghcr.io/me/cache"
            cache-from = ["ghcr.io/me/cache"]
            cache-to = "ghcr.io/me/cache"
            locked = true
            offline = true
            debian-mirror = "http://deb.example"
            debian-snapshot = "http://snapshot.example"
        "#;
        let document = Document::parse(Path::new("/p/pyproject.toml"), text).unwrap();
        let named = document.get(&["tool", "pyoci"]).unwrap().table().unwrap().len();
        assert_eq!(named, KEYS.len(), "this test names every key");
        let s = Settings::from_pyproject(&document).unwrap();
        assert_eq!(s.python, Some((3, 13)));
        assert_eq!(s.requirements, [Path::new("/p/requirements/prod.txt")]);
        assert_eq!(s.lock, Some("/p/pylock.prod.toml".into()));
        assert_eq!(s.outputs, ["/p/image/"]);
        assert_eq!(s.indexes.find_links, ["/p/wheels"]);
        assert_eq!(s.indexes.trusted_hosts, ["i:443"]);
        assert_eq!(s.entrypoint.unwrap(), ["python3", "-m", "my app"]);
        assert_eq!(s.pythonpath, ["lib", ""]);
        assert_eq!(s.env["PORT"], "80");
        assert_eq!(
            s.ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["8000/tcp", "53/udp"]
        );
        assert_eq!(s.user, Some(Owner { uid: 1000, gid: 1000 }));
        assert_eq!(s.workdir.unwrap(), "/app/data");
        assert_eq!(
            (s.no_build, s.package, s.compile),
            (Some(true), Some(false), Some(true))
        );
        assert_eq!((s.locked, s.offline), (Some(true), Some(true)));
        assert_eq!(
            (s.resolver, s.compression),
            (Some(Resolver::Pip), Some(Compression::Zstd))
        );
    }

    #[test]
    fn outputs_in_the_file_count_from_its_directory() {
        let outputs =
            "output = [\"a\", \"oci:b:1\", \"docker-archive:/c.tar:me/x:2\", \"docker://r.io/x:3\"]";
        let settings = settings(&format!("[tool.pyoci]\n{outputs}\n")).unwrap();
        let expected = [
            "/p/a",
            "oci:/p/b:1",
            "docker-archive:/c.tar:me/x:2",
            "docker://r.io/x:3",
        ];
        assert_eq!(settings.outputs, expected);
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_key_that_was_meant() {
        let error = settings("[tool.pyoci]\nbase = \"x\"\nentry-point = \"y\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "/p/pyproject.toml:3: `entry-point` is not a setting of [tool.pyoci]"
        );
        assert_eq!(error.hint().unwrap(), "did you mean `entrypoint`?");
        let error = settings("[tool.pyoci]\nport = [1]\n").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `ports`?");
        assert_eq!(settings("[tool.pyoci]\nquux = 1\n").unwrap_err().hint(), None);
    }

    #[test]
    fn a_wrong_value_names_line_and_what_was_expected() {
        for (line, message) in [
            ("ports = 80", "ports: expected an array, found an integer"),
            (
                "ports = [0]",
                "ports: `0` is not a port (1 to 65535, with /tcp or /udp)",
            ),
            (
                "compile = \"yes\"",
                "compile: expected true or false, found `yes`",
            ),
            ("base = 1", "base: expected a string, found an integer"),
            (
                "platforms = [\"windows/amd64\"]",
                "platforms: `windows/amd64` is not a supported platform",
            ),
            (
                "resolver = \"conda\"",
                "resolver: expected `uv` or `pip`, found `conda`",
            ),
            (
                "python = \"3\"",
                "python: `3` is not a Python version such as 3.13",
            ),
            ("python = 3.13", "python: expected a string, found a float"),
            ("entrypoint = []", "entrypoint: the command is empty"),
            ("entrypoint = \"a 'b\"", "entrypoint: a quote is not closed"),
            (
                "env = { \"A=B\" = \"1\" }",
                "env: `A=B` is not the name of a variable",
            ),
            ("env = { A = true }", "env: A: expected a string, found a boolean"),
            ("user = \"me\"", "user: `me` is not UID or UID:GID"),
        ] {
            let error = settings(&format!("[tool.pyoci]\n{line}\n")).unwrap_err();
            let expected = format!("/p/pyproject.toml:2: {message}");
            assert!(error.to_string().starts_with(&expected), "{line}: {error}");
        }
    }

    #[test]
    fn flags_go_over_variables_and_those_over_the_file() {
        let file =
            settings("[tool.pyoci]\nbase=\"a\"\nlock=\"l\"\nenv={A=\"1\",B=\"1\"}\nports=[1]\n").unwrap();
        let variables = [
            ("PYOCI_BASE", "b"),
            ("PYOCI_PORT", "2,3"),
            ("PYOCI_ENV", "B=2\nC=2,3"),
        ];
        let environment = Environment::new(
            variables.map(|(k, v)| (k.to_owned(), v.to_owned())),
            "/".into(),
            std::time::SystemTime::UNIX_EPOCH,
        );
        let variables = Settings::from_environment(&environment).unwrap();
        let flags = Settings {
            base: Some("c".into()),
            requirements: vec!["r.txt".into()],
            ..Settings::default()
        };
        let all = flags.over(variables).over(file);
        assert_eq!(all.base.unwrap(), "c");
        assert_eq!(all.ports.len(), 2);
        assert_eq!(all.lock, None, "-r replaces the file's lock");
        let env: Vec<_> = all.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(env, ["A=1", "B=2", "C=2,3"]);
    }
}
