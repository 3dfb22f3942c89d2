//! `Packages` indexes: what a suite has for one architecture, and which package satisfies a relation.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::Range;

use super::deb822::{self, Stanza, Stanzas};
use super::relation::{self, Relation, RelationError};
use super::version::Version;
use crate::digest::{Algorithm, Digest};

/// One package as an index lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Where the `.deb` is, below the root of its archive.
    pub filename: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub sha256: Digest,
    /// The archive it is in: `debian` or `debian-security`.
    pub archive: String,
    depends: String,
    conflicts: String,
    provides: Vec<Relation>,
}

/// Why an index is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not control data.
    #[error("the package index is malformed")]
    Form(#[from] deb822::Error),
    /// A field of a package is missing or malformed.
    #[error("package {package} has a missing or malformed field {field}")]
    Field {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// A relation of a package is malformed.
    #[error("package {package} has a malformed relation")]
    Relation {
        /// The package.
        package: String,
        /// What is wrong.
        #[source]
        source: RelationError,
    },
}

const FIELDS: [&str; 11] = [
    "Package",
    "Version",
    "Architecture",
    "Filename",
    "Size",
    "SHA256",
    "Depends",
    "Pre-Depends",
    "Conflicts",
    "Breaks",
    "Provides",
];

impl Package {
    fn read(stanza: &Stanza, archive: &str) -> Result<Self, Error> {
        let name = stanza.get("Package").unwrap_or_default();
        let wrong = |field| Error::Field {
            package: name.to_owned(),
            field,
        };
        let field = |field: &'static str| stanza.get(field).filter(|v| !v.is_empty()).ok_or(wrong(field));
        let joined = |first: &str, second: &str| {
            let parts = [stanza.get(first), stanza.get(second)];
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        Relation::parse(name)
            .ok()
            .filter(|r| r.name == name)
            .ok_or_else(|| wrong("Package"))?;
        let filename = field("Filename")?;
        crate::paths::TreePath::new(filename).map_err(|_| wrong("Filename"))?;
        let provides = relation::parse_all(stanza.get("Provides").unwrap_or_default()).map_err(|source| {
            Error::Relation {
                package: name.to_owned(),
                source,
            }
        })?;
        Ok(Self {
            name: name.to_owned(),
            version: Version::parse(field("Version")?).ok_or_else(|| wrong("Version"))?,
            architecture: field("Architecture")?.to_owned(),
            filename: filename.to_owned(),
            size: field("Size")?.parse().map_err(|_| wrong("Size"))?,
            sha256: Digest::new(Algorithm::Sha256, field("SHA256")?).map_err(|_| wrong("SHA256"))?,
            archive: archive.to_owned(),
            depends: joined("Pre-Depends", "Depends"),
            conflicts: joined("Conflicts", "Breaks"),
            provides: provides.into_iter().flatten().collect(),
        })
    }

    /// A package that is installed, as its control data have it: it satisfies relations and is never fetched.
    pub fn installed(name: &str, version: &str, provides: &str) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            version: Version::parse(version)?,
            architecture: String::new(),
            filename: String::new(),
            size: 0,
            sha256: Digest::of(b""),
            archive: String::new(),
            depends: String::new(),
            conflicts: String::new(),
            provides: relation::parse_all(provides)
                .ok()?
                .into_iter()
                .flatten()
                .collect(),
        })
    }

    /// What it needs: `Pre-Depends` and `Depends`.
    pub fn depends(&self) -> Result<Vec<Vec<Relation>>, Error> {
        self.relations(&self.depends)
    }

    /// What cannot be beside it: `Conflicts` and `Breaks`.
    pub fn conflicts(&self) -> Result<Vec<Vec<Relation>>, Error> {
        self.relations(&self.conflicts)
    }

    fn relations(&self, field: &str) -> Result<Vec<Vec<Relation>>, Error> {
        relation::parse_all(field).map_err(|source| Error::Relation {
            package: self.name.clone(),
            source,
        })
    }

    /// Whether it satisfies a relation, by its own name or by what it provides.
    pub fn satisfies(&self, relation: &Relation) -> bool {
        if self.name == relation.name && relation.accepts(Some(&self.version)) {
            return true;
        }
        self.provides.iter().any(|p| {
            let version = p.constraint.as_ref().map(|(_, version)| version);
            p.name == relation.name && relation.accepts(version)
        })
    }
}

/// All packages of the suites of one recipe for one architecture.
///
/// Debian offers some 70,000 and a base takes 30: what is kept of each is its text, parsed again when it is looked at.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The fields that matter of every package.
    text: String,
    archives: Vec<String>,
    by_name: BTreeMap<Box<str>, Vec<Listed>>,
    providers: BTreeMap<Box<str>, Vec<Box<str>>>,
}

/// Where the text of a package is, and the archive that it is in.
#[derive(Clone, Debug)]
struct Listed {
    text: Range<usize>,
    archive: usize,
}

impl Index {
    /// Adds the packages of an index file of an archive (`debian`, `debian-security`).
    pub fn read(&mut self, reader: impl BufRead, archive: &str) -> Result<(), Error> {
        self.archives.push(archive.to_owned());
        for stanza in Stanzas::only(reader, &FIELDS) {
            let stanza = stanza?;
            let package = Package::read(&stanza, archive)?;
            for provided in &package.provides {
                let providers = self.providers.entry(provided.name.as_str().into()).or_default();
                if !providers.iter().any(|p| **p == *package.name) {
                    providers.push(package.name.as_str().into());
                }
            }
            let start = self.text.len();
            stanza.write(&mut self.text);
            let listed = Listed {
                text: start..self.text.len(),
                archive: self.archives.len() - 1,
            };
            let there = self.versions(&package.name);
            // The newest first; of one version in two suites the one that was read first.
            let at = there
                .take_while(|earlier| earlier.version >= package.version)
                .count();
            self.by_name
                .entry(package.name.into())
                // Most have one version.
                .or_insert_with(|| Vec::with_capacity(1))
                .insert(at, listed);
        }
        Ok(())
    }

    /// The number of packages, versions counted each.
    pub fn count(&self) -> usize {
        self.by_name.values().map(Vec::len).sum()
    }

    /// The package that satisfies a relation best: the newest of that name; else, of those that provide it, the newest of the
    /// first by name.
    pub fn find(&self, relation: &Relation) -> Option<Package> {
        let mut real = self.versions(&relation.name);
        if let Some(package) = real.find(|p| relation.accepts(Some(&p.version))) {
            return Some(package);
        }
        let mut providers: Vec<_> = self
            .providers
            .get(relation.name.as_str())
            .into_iter()
            .flatten()
            .collect();
        providers.sort_unstable();
        providers
            .into_iter()
            // Only the newest version of a provider counts: an old one must not come in through what it provided.
            .filter_map(|name| self.versions(name).next())
            .find(|p| p.satisfies(relation))
    }

    /// The packages of a name, the newest first.
    fn versions(&self, name: &str) -> impl Iterator<Item = Package> {
        let listed = self.by_name.get(name).into_iter().flatten();
        // What is kept was read once without fault.
        listed.filter_map(|listed| {
            let stanza = Stanzas::new(self.text[listed.text.clone()].as_bytes())
                .next()?
                .ok()?;
            Package::read(&stanza, &self.archives[listed.archive]).ok()
        })
    }
}
