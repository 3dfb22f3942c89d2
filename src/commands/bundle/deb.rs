//! A bundle as a Debian package: its files below a directory of their own, a launcher, control data, a service.

use std::path::Path;

use serde_json::{Value, json};

use crate::commands::build::bundle::Bundle;
use crate::digest::Digest;
use crate::paths::TreePath;
use crate::progress::Progress;
use crate::project::bundle::{APP, Directory, Needs, RUN};
use crate::project::debian::{self, Error, Metadata, Person, Service};
use crate::python::Libc;
use crate::secrets::Secrets;
use crate::sink::deb::{self, Control, Options, Package};
use crate::tree::{Content, Entry, Kind, Owner, Tree};

/// What is asked of a Debian package beside what every bundle is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebOrder {
    /// The name of the package and of its command, where the project's own is not to be it.
    pub name: Option<String>,
    /// The directory of its files, absolute; `/opt/NAME` if `None`.
    pub prefix: Option<String>,
    /// `Maintainer`, where the project's metadata are not to say it.
    pub maintainer: Option<String>,
    /// The version (PEP 440), where the project's metadata are not to say it.
    pub version: Option<String>,
    /// Files of the project that become configuration in `/etc/NAME`.
    pub config: Vec<String>,
    /// Whether it has a systemd service.
    pub service: bool,
}

impl DebOrder {
    /// The first flag that was given.
    pub(super) fn flag(&self) -> Option<&'static str> {
        let given = [
            (self.name.is_some(), "--name"),
            (self.prefix.is_some(), "--prefix"),
            (self.maintainer.is_some(), "--maintainer"),
            (self.version.is_some(), "--package-version"),
            (!self.config.is_empty(), "--config"),
            (self.service, "--service"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}

/// A package that is decided, and what is told of it.
pub(super) struct Decided {
    package: Package,
    prefix: String,
}

/// Where a version comes from when the project has none.
const NO_VERSION: &str = "0";

/// Directories of the system that packages share.
const SHARED: [&str; 4] = ["/opt", "/srv", "/usr/lib", "/usr/share"];

/// Decides all of a package; nothing is written.
pub(super) fn decide(bundle: &Bundle, order: &DebOrder, progress: &Progress) -> anyhow::Result<Decided> {
    let metadata = bundle.project.debian_metadata(bundle.distribution.as_ref());
    let name = debian::package_name(order.name.as_ref().unwrap_or(&metadata.name))?;
    let version = version(&metadata, order, progress)?;
    let maintainer = maintainer(&metadata, order, &name, progress)?;
    let prefix = prefix(order, &name)?;
    let mut tree = Tree::new();
    let top = TreePath::new(prefix.trim_start_matches('/'))?;
    for (path, entry) in bundle.tree()? {
        tree.insert(top.join(path.as_str())?, entry.owned_by(Owner::default()))?;
    }
    let conffiles = configuration(&mut tree, &top, &name, &order.config)?;
    let launcher = TreePath::new(&format!("usr/bin/{name}"))?;
    tree.insert(launcher, Entry::symlink(&format!("{prefix}/{RUN}")))?;

    let mut control = Control {
        package: name.clone(),
        version,
        architecture: bundle
            .needs
            .architecture
            .map_or("all", |cpu| cpu.oci())
            .to_owned(),
        maintainer,
        depends: depends(bundle)?,
        section: "misc".to_owned(),
        homepage: metadata.homepage.clone(),
        ..Control::default()
    };
    describe(&mut control, &metadata, bundle, &prefix);
    documents(&mut tree, &control, &metadata, bundle, &prefix)?;
    let mut scripts = std::collections::BTreeMap::new();
    if order.service {
        let service = Service {
            package: &name,
            description: &control.synopsis,
            prefix: &prefix,
            in_app: bundle.directory == Directory::App,
        };
        let unit = debian::unit(&service);
        put(
            &mut tree,
            &format!("usr/lib/systemd/system/{name}.service"),
            unit.into_bytes(),
        )?;
        scripts = debian::scripts(&name);
    }
    Ok(Decided {
        package: Package {
            control,
            tree,
            conffiles,
            scripts,
        },
        prefix,
    })
}

impl Decided {
    /// Writes it. Gives its digest and its size.
    pub fn write(
        &self,
        output: &Path,
        bundle: &Bundle,
        secrets: &Secrets,
    ) -> Result<(Digest, u64), deb::Error> {
        let options = Options {
            mtime: bundle.layer.mtime,
            threads: bundle.layer.threads,
        };
        let written = deb::write(output, &self.package, options, secrets)?;
        Ok((written.digest, written.size))
    }

    /// All its files.
    pub fn tree(&self) -> &Tree {
        &self.package.tree
    }

    /// `NAME VERSION (ARCHITECTURE)`.
    pub fn summary(&self) -> String {
        let control = &self.package.control;
        format!(
            "{} {} ({})",
            control.package, control.version, control.architecture
        )
    }

    /// What `--format json` says of it.
    pub fn json(&self) -> Value {
        let Package {
            control, conffiles, ..
        } = &self.package;
        let conffiles: Vec<String> = conffiles.iter().map(|path| format!("/{path}")).collect();
        json!({
            "name": control.package,
            "version": control.version,
            "architecture": control.architecture,
            "maintainer": control.maintainer,
            "depends": control.depends,
            "prefix": self.prefix,
            "conffiles": conffiles,
            "service": !self.package.scripts.is_empty(),
        })
    }
}

fn version(metadata: &Metadata, order: &DebOrder, progress: &Progress) -> Result<String, Error> {
    let said = order.version.as_ref().or(metadata.version.as_ref());
    let version = debian::package_version(said.map_or(NO_VERSION, String::as_str))?;
    if said.is_none() {
        progress.warn(format!(
            "the project has no version: the package gets {version}; --package-version gives it another"
        ));
    }
    Ok(version)
}

fn maintainer(
    metadata: &Metadata,
    order: &DebOrder,
    package: &str,
    progress: &Progress,
) -> Result<String, Error> {
    if let Some(given) = &order.maintainer {
        return Ok(given.parse::<Person>()?.contact(package));
    }
    let nobody = Person::nobody(package);
    let mut people = metadata.people.iter();
    let reachable = people.find(|person| person.address.is_some());
    let person = reachable.or(metadata.people.first()).unwrap_or(&nobody);
    let contact = person.contact(package);
    if reachable.is_none() {
        progress.warn(format!(
            "the project names nobody with an e-mail address: the package's maintainer is {contact}; --maintainer names another"
        ));
    }
    Ok(contact)
}

/// The directory of the package's files. Its name goes into units and scripts, so that it has no character that means
/// something there.
fn prefix(order: &DebOrder, name: &str) -> Result<String, Error> {
    let Some(given) = &order.prefix else {
        return Ok(format!("/opt/{name}"));
    };
    let refused = || Error::Prefix(given.clone());
    let prefix = given.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    let inside = prefix.strip_prefix('/').ok_or_else(refused)?;
    if TreePath::new(inside).is_err() || !prefix.chars().all(plain) {
        return Err(refused());
    }
    // One directory below a shared one at least: what is removed with the package is then its own.
    let is_below = |shared: &&str| {
        prefix
            .strip_prefix(*shared)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    if !SHARED.iter().any(is_below) {
        return Err(refused());
    }
    Ok(prefix.to_owned())
}

/// Moves files of the project to `/etc/NAME`, and leaves links to them.
fn configuration(
    tree: &mut Tree,
    top: &TreePath,
    name: &str,
    files: &[String],
) -> anyhow::Result<Vec<TreePath>> {
    let mut conffiles = Vec::new();
    for file in files {
        let clean = file.trim_start_matches("./");
        let place = top.join(&format!("{APP}/{clean}"));
        let place = place.map_err(|_| Error::NoConfig(file.clone()))?;
        let to = TreePath::new(&format!("etc/{name}/{clean}"))?;
        match tree.get(place.as_str()).map(|entry| &entry.kind) {
            None => return Err(Error::NoConfig(file.clone()).into()),
            Some(Kind::File(_)) => {}
            // Given twice, it is a link by now.
            Some(Kind::Symlink(target)) if *target == format!("/{to}") => continue,
            Some(_) => return Err(Error::ConfigKind(file.clone()).into()),
        }
        if let Some(entry) = tree.remove(&place) {
            tree.insert(place, Entry::symlink(&format!("/{to}")))?;
            tree.insert(to.clone(), entry)?;
            conffiles.push(to);
        }
    }
    conffiles.sort();
    Ok(conffiles)
}

/// `python3` in the versions that will do, and what native code needs.
fn depends(bundle: &Bundle) -> Result<Vec<String>, Error> {
    let Needs {
        first, last, libc, ..
    } = bundle.needs;
    if matches!(libc, Some(Libc::Musl { .. })) {
        return Err(Error::Musl);
    }
    let mut depends = vec![format!("python3 (>= {}.{})", first.0, first.1)];
    if let Some((major, minor)) = last {
        depends.push(format!("python3 (<< {major}.{})", minor + 1));
    }
    depends.extend(bundle.debian_libraries.iter().cloned());
    Ok(depends)
}

fn describe(control: &mut Control, metadata: &Metadata, bundle: &Bundle, prefix: &str) {
    let usual = "application in Python".to_owned();
    let description = metadata.description.as_deref();
    let described = description.filter(|text| !text.trim().is_empty());
    let synopsis = debian::synopsis(described.unwrap_or(&usual), &control.package);
    control.synopsis = synopsis.line;
    control.description.extend(synopsis.rest);
    let packages: Vec<String> = bundle
        .packages
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let with = if packages.is_empty() {
        "It needs no Python packages beside itself.".to_owned()
    } else {
        format!(
            "With it come the Python packages that it needs: {}.",
            packages.join(", ")
        )
    };
    control
        .description
        .push(format!("{} is installed in {prefix}. {with}", metadata.name));
}

/// Copyright, changelog, and what lintian need not say.
fn documents(
    tree: &mut Tree,
    control: &Control,
    metadata: &Metadata,
    bundle: &Bundle,
    prefix: &str,
) -> anyhow::Result<()> {
    let name = &control.package;
    let dependencies = format!("{prefix}/{}", crate::project::bundle::DEPENDENCIES);
    let copyright = debian::copyright(&bundle.project, metadata, &dependencies)?;
    put(
        tree,
        &format!("usr/share/doc/{name}/copyright"),
        copyright.into_bytes(),
    )?;
    let changelog = debian::changelog(name, &control.version, &control.maintainer, bundle.layer.mtime);
    put(
        tree,
        &format!("usr/share/doc/{name}/changelog.Debian.gz"),
        debian::gzip(&changelog)?,
    )?;
    let overrides = debian::lintian_overrides(name, prefix, &dependencies);
    put(
        tree,
        &format!("usr/share/lintian/overrides/{name}"),
        overrides.into_bytes(),
    )
}

fn put(tree: &mut Tree, path: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
    tree.insert(TreePath::new(path)?, Entry::file(Content::bytes(bytes), false))?;
    Ok(())
}
