//! Writing `pylock.toml` (PEP 751): the same lock gives the same bytes.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use url::Url;

use super::{Artifact, Content, Location, Lock, Package, Vcs};

impl Lock {
    /// The lock as TOML, for a file in `directory`: paths below it are written relative to it.
    pub fn to_toml(&self, directory: &Path) -> String {
        let mut out = String::from("lock-version = \"1.0\"\n");
        let mut list = |key: &str, items: Vec<String>| {
            if !items.is_empty() {
                let items: Vec<_> = items.iter().map(|i| quoted(i)).collect();
                let _ = writeln!(out, "{key} = [{}]", items.join(", "));
            }
        };
        list("environments", texts(&self.environments));
        list("extras", texts(&self.extras));
        list("dependency-groups", texts(&self.groups));
        list("default-groups", texts(&self.default_groups));
        if let Some(requires) = &self.requires_python {
            let _ = writeln!(out, "requires-python = {}", quoted(&requires.to_string()));
        }
        let _ = writeln!(out, "created-by = {}", quoted(&self.created_by));
        if self.packages.is_empty() {
            out.push_str("packages = []\n");
        }
        for package in &self.packages {
            write_package(&mut out, package, directory);
        }
        if !self.tool.is_empty() {
            let tool: toml::Table = [("tool".to_owned(), self.tool.clone().into())]
                .into_iter()
                .collect();
            let pretty = toml::to_string_pretty(&tool).unwrap_or_else(|_| tool.to_string());
            let _ = write!(out, "\n{pretty}");
        }
        out
    }
}

fn texts<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    items.into_iter().map(ToString::to_string).collect()
}

fn write_package(out: &mut String, package: &Package, directory: &Path) {
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {value}");
        }
    };
    line("\n[[packages]]\nname", Some(quoted(package.name.as_str())));
    line(
        "version",
        package.version.as_ref().map(|v| quoted(&v.to_string())),
    );
    line("marker", package.marker.as_ref().map(|m| quoted(&m.to_string())));
    let requires = package.requires_python.as_ref();
    line("requires-python", requires.map(|r| quoted(&r.to_string())));
    let kept = &package.kept;
    line("dependencies", tables(&kept.dependencies));
    line("index", package.index.as_ref().map(|i| quoted(&open(i))));
    match &package.content {
        Content::Files { wheels, sdist } => {
            line("sdist", sdist.as_ref().map(|s| artifact(s, None, directory)));
            let wheels: Vec<_> = wheels.iter().map(|w| artifact(w, None, directory)).collect();
            if !wheels.is_empty() {
                line("wheels", Some(format!("[\n    {},\n]", wheels.join(",\n    "))));
            }
        }
        Content::Archive {
            artifact: file,
            subdirectory,
        } => {
            line(
                "archive",
                Some(artifact(file, subdirectory.as_deref(), directory)),
            );
        }
        Content::Directory {
            path,
            editable,
            subdirectory,
        } => {
            let mut fields = vec![format!("path = {}", quoted(&relative(path, directory)))];
            if *editable {
                fields.push("editable = true".to_owned());
            }
            field(&mut fields, "subdirectory", subdirectory.as_deref());
            line("directory", Some(table(&fields)));
        }
        Content::Vcs(vcs) => line("vcs", Some(vcs_table(vcs, directory))),
    }
    line("attestation-identities", tables(&kept.attestation_identities));
    // Inline: a header of its own would have to come after all else of the package.
    let tool = toml::Value::from(kept.tool.clone());
    line("tool", (!kept.tool.is_empty()).then(|| tool.to_string()));
}

/// An array of tables, one to a line; nothing if it is empty.
fn tables(tables: &[toml::Table]) -> Option<String> {
    let lines = tables
        .iter()
        .map(|table| format!("    {},\n", toml::Value::from(table.clone())));
    (!tables.is_empty()).then(|| format!("[\n{}]", lines.collect::<String>()))
}

fn vcs_table(vcs: &Vcs, directory: &Path) -> String {
    let mut fields = vec![format!("type = {}", quoted(&vcs.kind))];
    fields.extend(location(&vcs.location, directory));
    field(
        &mut fields,
        "requested-revision",
        vcs.requested_revision.as_deref(),
    );
    field(&mut fields, "commit-id", Some(&vcs.commit));
    field(&mut fields, "subdirectory", vcs.subdirectory.as_deref());
    table(&fields)
}

fn artifact(artifact: &Artifact, subdirectory: Option<&str>, directory: &Path) -> String {
    let mut fields = Vec::new();
    // > The file name may be left out where it is the last component of the path or URL.
    if super::pylock::file_name(&artifact.location).as_deref() != Some(&artifact.name) {
        field(&mut fields, "name", Some(&artifact.name));
    }
    fields.extend(location(&artifact.location, directory));
    if let Some(time) = &artifact.upload_time {
        fields.push(format!("upload-time = {time}"));
    }
    if let Some(size) = artifact.size {
        fields.push(format!("size = {size}"));
    }
    field(&mut fields, "subdirectory", subdirectory);
    let hash = |d: &crate::digest::Digest| format!("{} = {}", d.algorithm().name(), quoted(&d.hex()));
    let hashes: Vec<_> = artifact.hashes.iter().map(hash).collect();
    fields.push(format!("hashes = {}", table(&hashes)));
    table(&fields)
}

/// Where it is; nothing for a file of which only the index is known ([`Lock::locate`] comes first).
fn location(location: &Location, directory: &Path) -> Option<String> {
    match location {
        Location::Url(url) => Some(format!("url = {}", quoted(&open(url)))),
        Location::Path(path) => Some(format!("path = {}", quoted(&relative(path, directory)))),
        Location::Index(_) => None,
    }
}

/// A URL without its credentials: a lock is for everyone who reads the project, and they have their own.
fn open(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() || matches!(url.scheme(), "http" | "https") {
        // Fails for URLs that can have none.
        let _ = url.set_password(None);
        let _ = url.set_username("");
    }
    url.into()
}

/// > Relative paths SHOULD use `/` as separator and be relative to the lock file.
fn relative(path: &Path, directory: &Path) -> String {
    if !path.is_absolute() || !directory.is_absolute() {
        return path.display().to_string();
    }
    let shared = path
        .components()
        .zip(directory.components())
        .take_while(|(a, b)| a == b);
    let shared = shared.count();
    let up = directory.components().skip(shared).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(path.components().skip(shared)).collect();
    if relative.as_os_str().is_empty() {
        return ".".to_owned();
    }
    relative.display().to_string()
}

fn field(fields: &mut Vec<String>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        fields.push(format!("{key} = {}", quoted(value)));
    }
}

fn table(fields: &[String]) -> String {
    if fields.is_empty() {
        return "{}".to_owned();
    }
    format!("{{ {} }}", fields.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
