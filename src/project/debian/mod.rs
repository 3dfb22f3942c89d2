//! What a Debian package says of a project: name, version, maintainer, description, copyright, changelog, service.

mod copyright;
mod lintian;
mod name;
mod people;
mod service;
mod text;
mod version;

use std::collections::BTreeMap;

use super::document::Node;
use super::{Distribution, Project};

pub use copyright::copyright;
pub use lintian::lintian_overrides;
pub use name::package_name;
pub use people::{Person, people};
pub use service::{Service, scripts, unit};
pub use text::{Synopsis, changelog, gzip, synopsis};
pub use version::package_version;

/// Why a project cannot be a Debian package.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no letter or digit that Debian allows.
    #[error("`{0}` gives no name for a Debian package")]
    Name(String),
    /// Something that is no version.
    #[error("`{0}` is not a version")]
    Version(String),
    /// An epoch that dpkg does not take.
    #[error("version {0} has an epoch that is too large for Debian")]
    Epoch(String),
    /// Something that is no person with an address.
    #[error("`{0}` is not a maintainer")]
    Maintainer(String),
    /// A file that is to be a conffile and is not there.
    #[error("--config {0}: the project has no such file, or it is left out")]
    NoConfig(String),
    /// Something else than a file.
    #[error("--config {0}: only files can be configuration")]
    ConfigKind(String),
    /// A directory in which packages have no business.
    #[error("--prefix {0} is not a directory that a package can have for its own")]
    Prefix(String),
    /// Packages of musl.
    #[error("the packages are for musl, and Debian has glibc")]
    Musl,
    /// A licence file that cannot be read.
    #[error("cannot read the licence")]
    Licence(#[source] std::io::Error),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) => {
                Some("give the project a name: [project] name, of letters, digits, + - .".to_owned())
            }
            Self::Version(_) | Self::Epoch(_) => {
                Some("give it as Python packages have it (PEP 440), e.g. 1.2.3".to_owned())
            }
            Self::Maintainer(_) => Some("give it as \"Name <name@example.org>\"".to_owned()),
            Self::NoConfig(_) | Self::ConfigKind(_) => {
                Some("name a file below the project's directory, e.g. --config settings.toml".to_owned())
            }
            Self::Prefix(_) => {
                Some("give one of its own, e.g. --prefix /usr/lib/NAME; /opt/NAME is the default".to_owned())
            }
            Self::Musl => Some("leave --platform out, or take wheels for glibc (manylinux)".to_owned()),
            Self::Licence(_) => None,
        }
    }
}

/// What the metadata of a project say, in the order in which Debian asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `[project] name`, else the directory's.
    pub name: String,
    /// The version, if there is one.
    pub version: Option<String>,
    /// `maintainers`, else `authors`.
    pub people: Vec<Person>,
    /// `authors`, else `maintainers`.
    pub authors: Vec<Person>,
    /// `description`
    pub description: Option<String>,
    /// The homepage, else where the source is.
    pub homepage: Option<String>,
    /// The licence's SPDX expression or name.
    pub licence: Option<String>,
}

impl Project {
    /// The project's metadata for a Debian package. What is dynamic comes from the distribution that was built.
    pub fn debian_metadata(&self, distribution: Option<&Distribution>) -> Metadata {
        let labels: BTreeMap<String, String> = self.labels(distribution);
        let label = |name: &str| labels.get(&format!("org.opencontainers.image.{name}")).cloned();
        let table = self
            .pyproject
            .as_ref()
            .and_then(|document| document.get(&["project"]));
        let listed = |key: &str| people(table.and_then(|project| project.get(key)));
        let (maintainers, authors) = (listed("maintainers"), listed("authors"));
        let is_described = |node: &Node| node.get("description").is_some();
        Metadata {
            name: label("title").unwrap_or_else(|| self.name.clone()),
            version: label("version"),
            people: [maintainers.clone(), authors.clone()].concat(),
            authors: [authors, maintainers].concat(),
            description: table
                .filter(|node| is_described(node))
                .and_then(|_| label("description")),
            homepage: label("url").or_else(|| label("source")),
            licence: label("licenses"),
        }
    }
}
