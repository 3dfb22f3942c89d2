//! Whether a project is a distribution, and whether its metadata can be taken from pyproject.toml as it stands.
//!
//! The rule. A project with `[project]`, `[build-system]` or setup.py is a distribution. Where name, version,
//! dependencies and entry points are static and the build backend is known to add nothing to the files of the tree,
//! the metadata is written from pyproject.toml and the packages are imported from the tree, as after
//! `pip install -e`: its import roots are `/app` (flat layout), `/app/src` (src layout) and what the backend's own
//! settings name. In every other case (dynamic version, generated files, compiled extensions, renamed packages, an
//! unknown backend) PEP 517 builds the project's wheel and what is in it is laid over the tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;

use pep440_rs::Version;

use super::Project;
use super::document::{Document, Node};
use super::error::Error;
use super::python_source;
use super::static_metadata::{self, StaticMetadata};

/// How the project itself becomes importable.
#[derive(Clone, Debug)]
pub enum Packaging {
    /// It is no distribution: files only.
    Files,
    /// Its metadata stands in pyproject.toml.
    Static(Box<StaticMetadata>),
    /// Its wheel must be built (PEP 517).
    Build {
        /// Why, for the user.
        reason: String,
    },
}

/// Build backends that, with static metadata, take packages from the tree as they are; and the requirements that
/// their `[build-system] requires` may name. Others may be plug-ins that generate files.
const PLAIN_BACKENDS: [(&str, &[&str]); 9] = [
    ("setuptools.build_meta", &["setuptools", "wheel"]),
    ("setuptools.build_meta:__legacy__", &["setuptools", "wheel"]),
    ("flit_core.buildapi", &["flit-core"]),
    ("flit.buildapi", &["flit"]),
    ("hatchling.build", &["hatchling"]),
    ("hatchling.ouroboros", &["hatchling"]),
    ("poetry.core.masonry.api", &["poetry-core"]),
    ("pdm.backend", &["pdm-backend"]),
    ("uv_build", &["uv-build"]),
];

/// Settings of backends that generate, compile or rename; with one of them a wheel differs from the tree.
const TRANSFORMING: [&[&str]; 11] = [
    &["tool", "setuptools", "ext-modules"],
    &["tool", "hatch", "build", "hooks"],
    &["tool", "hatch", "build", "targets", "wheel", "hooks"],
    &["tool", "hatch", "build", "targets", "wheel", "force-include"],
    &["tool", "hatch", "build", "force-include"],
    &["tool", "poetry", "build"],
    &["tool", "pdm", "build", "custom-hook"],
    &["tool", "pdm", "build", "run-setuptools"],
    &["tool", "uv", "build-backend", "data"],
    &["tool", "setuptools_scm"],
    &["tool", "flit", "external-data"],
];

/// Fields of `[project]` that must not be dynamic for metadata to be static.
const NEEDED: [&str; 6] = [
    "version",
    "dependencies",
    "optional-dependencies",
    "scripts",
    "gui-scripts",
    "entry-points",
];

impl Project {
    /// How the project itself becomes importable. `[tool.pyoci] package` (and uv's and poetry's settings of the same
    /// meaning) may say that it is no distribution.
    pub fn packaging(&self) -> Result<Packaging, Error> {
        let document = self.pyproject.as_ref();
        let switch = |keys: &[&str]| {
            document
                .and_then(|document| document.get(keys))
                .is_some_and(|node| matches!(node.value, super::Value::Boolean(false)))
        };
        let off = match self.settings.package {
            Some(package) => !package,
            None => switch(&["tool", "uv", "package"]) || switch(&["tool", "poetry", "package-mode"]),
        };
        if off || self.script.is_some() {
            return Ok(Packaging::Files);
        }
        let setup = self.root.join("setup.py").is_file();
        let Some(document) = document else {
            return Ok(if setup {
                build("its metadata is in setup.py")
            } else {
                Packaging::Files
            });
        };
        if self.poetry_refuses().is_some() {
            return Ok(Packaging::Files);
        }
        let backend = document.get(&["build-system"]).is_some();
        if document.get(&["project"]).is_none() {
            return Ok(match (setup, backend) {
                (false, false) => Packaging::Files,
                (true, false) => build("its metadata is in setup.py"),
                (_, true) => build("pyproject.toml has no [project]"),
            });
        }
        if let Some(reason) = dynamic(document) {
            // Without a build system there is nothing that could answer.
            return Ok(if backend || setup {
                build(&reason)
            } else {
                Packaging::Files
            });
        }
        if let Some(reason) = transforms(&self.root, document)? {
            return Ok(build(&reason));
        }
        let roots = import_roots(&self.root, document);
        static_metadata::read(document, roots).map(|metadata| Packaging::Static(Box::new(metadata)))
    }
}

impl Project {
    /// Why poetry could not install the project itself, if it has metadata in poetry's own form: many applications are
    /// only ever installed with `poetry install --no-root`, and nobody has noticed.
    pub fn poetry_refuses(&self) -> Option<String> {
        let document = self.pyproject.as_ref()?;
        let poetry = document.get(&["tool", "poetry"])?;
        let backend = document
            .get(&["build-system", "build-backend"])
            .and_then(Node::text);
        let is_poetrys = backend.is_some_and(|backend| backend.starts_with("poetry"));
        if self.settings.package.is_some() || document.get(&["project"]).is_some() || !is_poetrys {
            return None;
        }
        if let Some(readme) = poetry.get("readme") {
            let mut names = readme.text().into_iter().chain(readme.texts());
            if let Some(missing) = names.find(|name| !self.root.join(name).is_file()) {
                return Some(format!("poetry cannot build it: its readme {missing} is missing"));
            }
        }
        if poetry.get("packages").is_some() || poetry.get("include").is_some() {
            return None;
        }
        // > [poetry] will automatically detect your package if its name is that of the project
        let name = poetry.get("name").and_then(Node::text)?;
        let module = name
            .parse::<crate::python::PackageName>()
            .ok()?
            .to_string()
            .replace('-', "_");
        let there = ["", "src/"].iter().any(|directory| {
            let at = |name: String| self.root.join(format!("{directory}{name}"));
            at(module.clone()).is_dir()
                || at(format!("{module}.py")).is_file()
                || at(format!("{module}-stubs")).is_dir()
        });
        (!there).then(|| format!("poetry finds no package `{module}` in it"))
    }
}

fn build(reason: &str) -> Packaging {
    Packaging::Build {
        reason: reason.to_owned(),
    }
}

/// What of the metadata is not static.
fn dynamic(document: &Document) -> Option<String> {
    let project = document.get(&["project"])?;
    let dynamic = project.get("dynamic");
    let named = dynamic.and_then(|node| node.texts().find(|field| NEEDED.contains(field)));
    if let Some(field) = named {
        return Some(format!("its {field} is dynamic"));
    }
    let version = project.get("version").and_then(Node::text);
    match version.map(Version::from_str) {
        Some(Ok(_)) => None,
        Some(Err(_)) => Some("its version is no version of PEP 440".to_owned()),
        None => Some("it has no version".to_owned()),
    }
}

/// Why the wheel may hold other files than the tree.
fn transforms(root: &Path, document: &Document) -> Result<Option<String>, Error> {
    if let Some(keys) = TRANSFORMING.iter().find(|keys| document.get(keys).is_some()) {
        return Ok(Some(format!("[{}] may add files", keys.join("."))));
    }
    if root.join("pdm_build.py").is_file() {
        return Ok(Some("pdm_build.py may add files".to_owned()));
    }
    let Some(system) = document.get(&["build-system"]) else {
        return Ok(None);
    };
    let backend = system
        .get("build-backend")
        .and_then(Node::text)
        .unwrap_or("setuptools.build_meta:__legacy__");
    let Some((_, allowed)) = PLAIN_BACKENDS.iter().find(|(name, _)| *name == backend) else {
        return Ok(Some(format!("the build backend `{backend}` may add files")));
    };
    if system.get("backend-path").is_some() && document.get(&["tool", "flit"]).is_none() {
        return Ok(Some("its build backend is its own".to_owned()));
    }
    let requires = system.get("requires").into_iter().flat_map(Node::texts);
    for text in requires {
        let name = text
            .parse::<crate::python::Requirement>()
            .map(|r| r.name.to_string());
        if !name.is_ok_and(|name| allowed.contains(&name.as_str())) {
            return Ok(Some(format!("its build requires `{text}`")));
        }
    }
    if backend.starts_with("setuptools") {
        return setuptools_transforms(root, document);
    }
    Ok(remapped(document).map(str::to_owned))
}

fn setuptools_transforms(root: &Path, document: &Document) -> Result<Option<String>, Error> {
    let setup = root.join("setup.py");
    if setup.is_file() && !python_source::is_bare_setup(&fs_err::read(&setup).map_err(Error::Io)?) {
        return Ok(Some("setup.py may add files".to_owned()));
    }
    let cfg = root.join("setup.cfg");
    if cfg.is_file() {
        let bytes = fs_err::read(&cfg).map_err(Error::Io)?;
        let text = String::from_utf8_lossy(&bytes);
        if text
            .lines()
            .any(|line| line.starts_with("[options") || line.starts_with("[build_ext"))
        {
            return Ok(Some("setup.cfg has options of its own".to_owned()));
        }
    }
    Ok(remapped(document).map(str::to_owned))
}

/// Settings that give packages other names than their directories.
fn remapped(document: &Document) -> Option<&'static str> {
    let has = |keys: &[&str]| document.get(keys).and_then(Node::table);
    let package_dir = has(&["tool", "setuptools", "package-dir"]);
    if package_dir.is_some_and(|map| map.keys().any(|package| !package.is_empty())) {
        return Some("[tool.setuptools.package-dir] renames packages");
    }
    let sources = [
        &["tool", "hatch", "build", "targets", "wheel", "sources"][..],
        &["tool", "hatch", "build", "sources"],
    ];
    if sources.iter().any(|keys| has(keys).is_some()) {
        return Some("hatch's sources rename packages");
    }
    let packages = document.get(&["tool", "poetry", "packages"])?.array()?;
    packages
        .iter()
        .any(|package| package.get("to").is_some())
        .then_some("[tool.poetry] packages are renamed")
}

/// The directories, below the project (empty: the project's own), that packages are imported from.
fn import_roots(root: &Path, document: &Document) -> Vec<String> {
    let mut roots = configured_roots(document);
    roots.extend(src_root(root));
    roots.push(String::new());
    let mut seen = std::collections::BTreeSet::new();
    roots.retain(|directory| {
        let parsed = crate::paths::TreePath::from_tar_name(directory);
        let inside = directory.is_empty() || matches!(parsed, Ok(Some(_)));
        inside && seen.insert(directory.clone()) && root.join(directory).is_dir()
    });
    roots
}

/// `src`, where it is laid out as one.
pub(super) fn src_root(root: &Path) -> Option<String> {
    let src = root.join("src");
    if src.join("__init__.py").exists() {
        return None;
    }
    let holds_package = crate::files::read_dir(&src)
        .ok()?
        .filter_map(Result::ok)
        .any(|entry| {
            let path = entry.path();
            path.join("__init__.py").is_file() || path.extension().is_some_and(|extension| extension == "py")
        });
    holds_package.then(|| "src".to_owned())
}

/// Roots that the backends' settings name, a trailing slash removed.
fn configured_roots(document: &Document) -> Vec<String> {
    let text = |keys: &[&str]| document.get(keys).and_then(Node::text);
    let items = |keys: &[&str]| document.get(keys).and_then(Node::array).unwrap_or_default();
    let mut roots: Vec<&str> = Vec::new();
    roots.extend(
        document
            .get(&["tool", "setuptools", "package-dir"])
            .and_then(|map| map.get(""))
            .and_then(Node::text),
    );
    let find = document.get(&["tool", "setuptools", "packages", "find", "where"]);
    roots.extend(find.into_iter().flat_map(Node::texts));
    for package in items(&["tool", "hatch", "build", "targets", "wheel", "packages"]) {
        roots.extend(
            package
                .text()
                .map(|path| path.rsplit_once('/').map_or("", |(parent, _)| parent)),
        );
    }
    let sources = document.get(&["tool", "hatch", "build", "targets", "wheel", "sources"]);
    roots.extend(sources.into_iter().flat_map(Node::texts));
    for package in items(&["tool", "poetry", "packages"]) {
        roots.extend(package.get("from").and_then(Node::text));
    }
    roots.extend(text(&["tool", "pdm", "build", "package-dir"]));
    roots.extend(text(&["tool", "uv", "build-backend", "module-root"]));
    roots
        .into_iter()
        .map(|root| root.trim_start_matches("./").trim_end_matches('/').to_owned())
        .map(|root| if root == "." { String::new() } else { root })
        .collect()
}

/// Entry points of `[project]`: group to name to reference.
pub(super) fn entry_point_groups(project: &Node) -> BTreeMap<String, BTreeMap<String, String>> {
    let table = |node: &Node| -> BTreeMap<String, String> {
        let entries = node.table().into_iter().flatten();
        entries
            .filter_map(|(name, value)| Some((name.clone(), value.text()?.to_owned())))
            .collect()
    };
    let mut groups = BTreeMap::new();
    for (key, group) in [("scripts", "console_scripts"), ("gui-scripts", "gui_scripts")] {
        if let Some(node) = project.get(key) {
            groups.insert(group.to_owned(), table(node));
        }
    }
    for (group, node) in project
        .get("entry-points")
        .and_then(Node::table)
        .into_iter()
        .flatten()
    {
        groups.insert(group.clone(), table(node));
    }
    groups.retain(|_, entries| !entries.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_poetry_itself_would_refuse_goes_in_as_files() {
        let system =
            "[build-system]\nrequires = ['poetry-core']\nbuild-backend = 'poetry.core.masonry.api'\n";
        for (table, files, refused) in [
            ("name = 'my-app'", &["main.py"][..], Some("no package `my_app`")),
            ("name = 'My.App'", &["src/my_app/__init__.py"], None),
            ("name = 'my-app'", &["my_app.py"], None),
            ("name = 'my-app'\npackages = [{include = 'x'}]", &[], None),
            (
                "name = 'my-app'\nreadme = 'README.md'",
                &["my_app.py"],
                Some("readme README.md"),
            ),
        ] {
            let directory = tempfile::tempdir().unwrap();
            for file in files {
                let path = directory.path().join(file);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, "").unwrap();
            }
            let text = format!("[tool.poetry]\n{table}\n{system}");
            fs_err::write(directory.path().join("pyproject.toml"), text).unwrap();
            let project = Project::discover(directory.path(), crate::project::Settings::default()).unwrap();
            let reason = project.poetry_refuses();
            match refused {
                Some(words) => assert!(reason.unwrap().contains(words), "{table}"),
                None => assert_eq!(reason, None, "{table}"),
            }
            let files_only = matches!(project.packaging().unwrap(), Packaging::Files);
            assert_eq!(files_only, refused.is_some(), "{table}");
        }
    }
}
