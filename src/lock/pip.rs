//! `--resolver pip`: the host's pip asked for a report, where the host is like the target.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use url::Url;

use super::build::Host;
use super::indexes::Indexes;
use super::process::{Run, network_variables, pick};
use super::resolve;
use super::script::Script;
use super::{
    Artifact, Content, Error, Location, Lock, Package, Request, Said, Tools, Vcs, inputs, messages, pylock,
};
use crate::digest::{Algorithm, Digest};
use crate::python::Target;

#[derive(Deserialize)]
struct Report {
    pip_version: String,
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    download_info: DownloadInfo,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

/// Spec: <https://packaging.python.org/en/latest/specifications/direct-url-data-structure/>.
#[derive(Deserialize)]
struct DownloadInfo {
    url: String,
    archive_info: Option<ArchiveInfo>,
    dir_info: Option<DirInfo>,
    vcs_info: Option<VcsInfo>,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct DirInfo {
    #[serde(default)]
    editable: bool,
}

#[derive(Deserialize)]
struct VcsInfo {
    vcs: String,
    requested_revision: Option<String>,
    commit_id: String,
}

/// Resolves with `python3 -m pip install --dry-run --report`.
pub(super) fn resolve(request: &Request, target: &Target, tools: &Tools<'_>) -> Result<Lock, Error> {
    let refuse = |reason: String| Error::Pip {
        target: target.to_string(),
        reason,
    };
    let minor = format!("python{}", target.python_minor());
    let found = [minor.as_str(), "python3"]
        .into_iter()
        .filter_map(|name| tools.environment.find_program(name))
        .find_map(|python| Host::of(&python, tools).ok().map(|host| (python, host)));
    let (python, host) = found.ok_or_else(|| refuse("there is no python3 on this machine".to_owned()))?;
    // pip evaluates markers for the Python that runs it, whatever --python-version says.
    if let Some(difference) = host.difference(target) {
        return Err(refuse(difference));
    }
    if request.offline {
        return Err(Error::OfflineUnresolved {
            target: target.to_string(),
        });
    }
    let requirements = inputs::requirements(request, tools.environment)?;
    let scratch = tools.store.scratch()?;
    let inline = scratch.path().join("requirements.txt");
    let mut lines = request.inline.clone();
    lines.extend(project_requirements(request)?);
    lines.extend(Script::of(request)?.map(|s| s.dependencies()).unwrap_or_default());
    fs_err::write(&inline, lines.join("\n")).map_err(|source| Error::read(&inline, source))?;
    let report = run(&python, request, &inline, tools)?;
    let packages: Result<Vec<_>, Error> = report.install.into_iter().map(package).collect();
    let mut packages = packages?;
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let detail = format!("{} packages with pip {}", packages.len(), report.pip_version);
    tools.progress.done("Resolved", detail);
    let lock = Lock {
        created_by: format!("pip {}", report.pip_version),
        packages,
        ..Lock::default()
    };
    resolve::finish(lock, request, &requirements)
}

fn run(python: &Path, request: &Request, inline: &Path, tools: &Tools<'_>) -> Result<Report, Error> {
    let mut variables = network_variables(tools.environment);
    variables.extend(pick(tools.environment, |name| {
        name.starts_with("PIP_")
            || name.starts_with("XDG_")
            || matches!(name, "HOME" | "NETRC" | "SSH_AUTH_SOCK")
    }));
    variables.extend(index_variables(&Indexes::of(request, tools.environment)?));
    for text in inputs::texts(request)? {
        let names = inputs::variables(&text);
        variables.extend(pick(tools.environment, |name| names.contains(name)));
    }
    let mut run = Run::new(python, &request.directory)
        .arguments([
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--ignore-installed",
            "--quiet",
        ])
        .arguments(["--no-input", "--disable-pip-version-check", "--report", "-", "-r"])
        .arguments([inline])
        .variables(variables);
    for file in &request.requirements {
        run = run.arguments(["-r".as_ref(), file.as_os_str()]);
    }
    for file in &request.constraints {
        run = run.arguments(["-c".as_ref(), file.as_os_str()]);
    }
    if request.no_build {
        run = run.arguments(["--only-binary", ":all:"]);
    }
    let output = run.output()?;
    let failed = |said: String| Error::Resolve {
        resolver: "pip".to_owned(),
        said: Said(said),
        hint: None,
    };
    if !output.success {
        let said: Vec<String> = messages::tail(&output.stderr)
            .lines()
            .filter(|l| !l.starts_with("WARNING") && !l.starts_with("[notice]"))
            .map(|l| l.trim_start_matches("ERROR: ").to_owned())
            .collect();
        return Err(failed(said.join("\n")));
    }
    serde_json::from_str(&output.stdout).map_err(|e| failed(format!("its report cannot be read: {e}")))
}

/// The indexes of all that says something of them (uv's and poetry's settings too), with their credentials, as pip is told.
fn index_variables(indexes: &Indexes) -> BTreeMap<String, String> {
    let with = |url: &Url| indexes.with_credentials(url).to_string();
    let first: Vec<String> = indexes.first.iter().map(with).collect();
    let all = [
        ("PIP_INDEX_URL", with(&indexes.default)),
        ("PIP_EXTRA_INDEX_URL", first.join(" ")),
        ("PIP_FIND_LINKS", indexes.find_links.join(" ")),
        ("PIP_TRUSTED_HOST", indexes.trusted_hosts.join(" ")),
        ("PIP_NO_INDEX", if indexes.no_index { "1" } else { "" }.to_owned()),
    ];
    let said = all.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The project's dependencies with extras and groups, as requirement lines; pip itself would install the project too.
fn project_requirements(request: &Request) -> Result<Vec<String>, Error> {
    let Some(file) = &request.pyproject else {
        return Ok(Vec::new());
    };
    let path = request.directory.join(file);
    let text = fs_err::read_to_string(&path).map_err(|source| Error::read(&path, source))?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| Error::LockFile {
        path: path.clone(),
        line: e.span().map_or(1, |s| text[..s.start].matches('\n').count() + 1),
        problem: e.message().to_owned(),
    })?;
    let project = table.get("project");
    let mut lines = strings(project.and_then(|p| p.get("dependencies")));
    for extra in &request.extras {
        let extras = project.and_then(|p| p.get("optional-dependencies")?.as_table());
        let found = extras.and_then(|t| t.iter().find(|(name, _)| name.parse().as_ref() == Ok(extra)));
        let (_, value) = found.ok_or_else(|| unknown("extra", extra.as_str(), extras))?;
        lines.extend(strings(Some(value)));
    }
    let groups = table.get("dependency-groups").and_then(toml::Value::as_table);
    for group in &request.groups {
        add_group(groups, group.as_str(), &mut Vec::new(), &mut lines)?;
    }
    Ok(lines)
}

fn strings(value: Option<&toml::Value>) -> Vec<String> {
    let array = value.and_then(toml::Value::as_array).into_iter().flatten();
    array.filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// Spec: PEP 735: a group may include others, never itself.
fn add_group(
    groups: Option<&toml::Table>,
    wanted: &str,
    within: &mut Vec<String>,
    lines: &mut Vec<String>,
) -> Result<(), Error> {
    let normal = |name: &str| name.parse::<crate::python::GroupName>().ok();
    let found = groups.and_then(|t| t.iter().find(|(name, _)| normal(name) == normal(wanted)));
    let (name, value) = found.ok_or_else(|| unknown("dependency group", wanted, groups))?;
    if within.contains(name) {
        return Ok(());
    }
    within.push(name.clone());
    lines.extend(strings(Some(value)));
    let included = value.as_array().into_iter().flatten();
    for name in included.filter_map(|v| v.get("include-group")?.as_str()) {
        add_group(groups, name, within, lines)?;
    }
    Ok(())
}

fn unknown(kind: &'static str, name: &str, known: Option<&toml::Table>) -> Error {
    Error::Unknown {
        place: "pyproject.toml".to_owned(),
        kind,
        name: name.to_owned(),
        known: known.map(|t| t.keys().cloned().collect()).unwrap_or_default(),
    }
}

fn package(item: Item) -> Result<Package, Error> {
    let fault = |what: &str| Error::Resolve {
        resolver: "pip".to_owned(),
        said: Said(format!(
            "its report on {} has no usable {what}",
            item.metadata.name
        )),
        hint: None,
    };
    let info = item.download_info;
    let mut url: Url = info.url.parse().map_err(|_| fault("URL"))?;
    if info.vcs_info.is_none() && url.scheme().starts_with("http") {
        // Files are fetched with the credentials that are known for their server.
        let _ = url.set_password(None);
        let _ = url.set_username("");
    }
    let location = match url.to_file_path() {
        Ok(path) if url.scheme() == "file" => Location::Path(path),
        _ => Location::Url(url),
    };
    let content = if let Some(vcs) = info.vcs_info {
        Content::Vcs(Vcs {
            kind: vcs.vcs,
            location,
            requested_revision: vcs.requested_revision,
            commit: vcs.commit_id,
            subdirectory: info.subdirectory,
        })
    } else if let (Some(directory), Location::Path(path)) = (&info.dir_info, &location) {
        Content::Directory {
            path: path.clone(),
            editable: directory.editable,
            subdirectory: info.subdirectory,
        }
    } else {
        let hashes = info.archive_info.map(|a| a.hashes).unwrap_or_default();
        let digests = hashes
            .iter()
            .filter_map(|(name, hex)| Digest::new(name.parse::<Algorithm>().ok()?, hex).ok());
        Content::Archive {
            artifact: Artifact {
                name: pylock::file_name(&location).ok_or_else(|| fault("file name"))?,
                hashes: digests.collect(),
                location,
                size: None,
                upload_time: None,
            },
            subdirectory: info.subdirectory,
        }
    };
    Ok(Package {
        name: item.metadata.name.parse().map_err(|_| fault("name"))?,
        version: Some(item.metadata.version.parse().map_err(|_| fault("version"))?),
        marker: None,
        kept: super::Kept::default(),
        requires_python: None,
        index: None,
        content,
    })
}
