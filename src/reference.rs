//! Where an image comes from or goes to, in the transports that people know from skopeo and podman.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::digest::Digest;

/// A reference to an image: `oci:DIR[:TAG]`, `recipe:NAME|FILE`, a registry name, ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageReference {
    /// `oci:DIR[:TAG]`: an OCI image layout on disk.
    Layout(LayoutReference),
    /// `oci-archive:FILE[:TAG]`: an OCI image layout in a tar file.
    OciArchive(LayoutReference),
    /// `docker-archive:FILE[:REF|:@INDEX]`: what `docker save` writes.
    DockerArchive(LayoutReference),
    /// `recipe:NAME` or `recipe:FILE`: a base that pyoci assembles from Debian packages.
    Recipe(String),
    /// A registry reference, with or without `docker://` in front.
    Registry(RegistryReference),
}

/// A place on disk and an optional tag in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutReference {
    /// The directory or file.
    pub path: PathBuf,
    /// The tag (the `org.opencontainers.image.ref.name` annotation of an `index.json` entry), or for an archive of
    /// Docker's the repository and tag, or `@` and the image's place in it.
    pub tag: Option<String>,
}

/// `HOST[:PORT]/NAME`: a repository of a registry (distribution-spec, "Definitions").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// The registry's host and port; `docker.io` for short names.
    pub registry: String,
    /// The name in the registry, `library/` added for Docker Hub's official images.
    pub name: String,
}

/// `HOST[:PORT]/NAME[:TAG][@DIGEST]`, fully qualified (distribution-spec, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegistryReference {
    /// Where it is.
    pub repository: Repository,
    /// The tag, if one was written.
    pub tag: Option<String>,
    /// The digest, if one was written; it wins over the tag.
    pub digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// Nothing after the transport.
    #[error("`{0}` names no {1}")]
    Empty(String, &'static str),
    /// The tag has characters that the OCI specs do not allow.
    #[error("`{0}` is not a valid tag (letters, digits, `_`, `.` and `-`, at most 128)")]
    Tag(String),
    /// The repository name is malformed.
    #[error("`{0}` is not a valid image reference")]
    Repository(String),
    /// The digest after `@` is malformed.
    #[error("`{0}` has a malformed digest")]
    Digest(String, #[source] crate::digest::DigestError),
}

/// Whether a text says its transport; a destination without one is a directory.
pub fn has_transport(text: &str) -> bool {
    ["oci:", "oci-archive:", "docker-archive:", "docker://", "recipe:"]
        .iter()
        .any(|transport| text.starts_with(transport))
}

/// Checks a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
pub fn check_tag(tag: &str) -> Result<(), ReferenceError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    let valid = bytes.first().is_some_and(|b| word(*b))
        && bytes.len() <= 128
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'));
    if valid {
        Ok(())
    } else {
        Err(ReferenceError::Tag(tag.to_owned()))
    }
}

/// Checks what follows the file in `docker-archive:FILE:REF`: a name without digest, or `@INDEX` (containers-transports(5)).
fn check_archive_name(text: &str) -> Result<(), ReferenceError> {
    let valid = match text.strip_prefix('@') {
        Some(index) => index.parse::<u32>().is_ok(),
        None => text.parse::<RegistryReference>()?.digest.is_none(),
    };
    valid
        .then_some(())
        .ok_or_else(|| ReferenceError::Repository(text.to_owned()))
}

/// Whether a text is a host and maybe a port, in the grammar that docker and podman have: `.` and `..` are none, so no host
/// is a path.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_number = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let component = |c: &str| {
        let word = c.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        !c.is_empty() && word && !c.starts_with('-') && !c.ends_with('-')
    };
    let is_name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(component),
    };
    is_name && port.is_none_or(is_number)
}

impl LayoutReference {
    /// Parses `PATH[:TAG]`; a part after the last colon is a tag only if no `/` follows it, as skopeo does.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (path, tag) = match text.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
            _ => (text, None),
        };
        if path.is_empty() {
            return Err(ReferenceError::Empty(text.to_owned(), "path"));
        }
        if let Some(tag) = &tag {
            check_tag(tag)?;
        }
        Ok(Self {
            path: PathBuf::from(path),
            tag,
        })
    }

    /// A layout without a tag.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            tag: None,
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

impl RegistryReference {
    /// The reference in the form that registries and `org.opencontainers.image.base.name` use: everything spelled out.
    pub fn qualified(&self) -> String {
        let mut text = self.repository.to_string();
        match (&self.tag, &self.digest) {
            (None, None) => text.push_str(":latest"),
            (Some(tag), _) => {
                text.push(':');
                text.push_str(tag);
            }
            _ => {}
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

impl RegistryReference {
    /// The name as Docker shows it, without what stands for itself: `app:1` for `docker.io/library/app:1`.
    pub fn familiar(&self) -> String {
        let qualified = self.qualified();
        let Some(name) = qualified.strip_prefix("docker.io/") else {
            return qualified;
        };
        match name.strip_prefix("library/") {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => name.to_owned(),
        }
    }
}

impl FromStr for RegistryReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let malformed = || ReferenceError::Repository(text.to_owned());
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|e| ReferenceError::Digest(text.to_owned(), e))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (name, None),
        };
        if let Some(tag) = &tag {
            check_tag(tag)?;
        }
        // The first component is a host if it could not be a user of Docker Hub: the rule of docker and podman.
        let (registry, name) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        let component = |c: &str| {
            let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let bytes = c.as_bytes();
            edge(bytes.first())
                && edge(bytes.last())
                && bytes
                    .iter()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        };
        if !is_host(registry) || name.len() > 255 || !name.split('/').all(component) {
            return Err(malformed());
        }
        Ok(Self {
            repository: Repository {
                registry: registry.to_owned(),
                name,
            },
            tag,
            digest,
        })
    }
}

impl fmt::Display for RegistryReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified())
    }
}

impl ImageReference {
    /// Makes a relative path of it count from a directory.
    pub fn anchor(&mut self, directory: &Path) {
        match self {
            Self::Layout(place) | Self::OciArchive(place) | Self::DockerArchive(place) => {
                place.path = directory.join(&place.path);
            }
            Self::Recipe(_) | Self::Registry(_) => {}
        }
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if let Some(rest) = text.strip_prefix("oci:") {
            LayoutReference::parse(rest).map(Self::Layout)
        } else if let Some(rest) = text.strip_prefix("oci-archive:") {
            LayoutReference::parse(rest).map(Self::OciArchive)
        } else if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (path, tag) = match rest.split_once(':') {
                Some((path, tag)) => (path, Some(tag.to_owned())),
                None => (rest, None),
            };
            if let Some(tag) = &tag {
                check_archive_name(tag)?;
            }
            if path.is_empty() {
                return Err(ReferenceError::Empty(text.to_owned(), "file"));
            }
            Ok(Self::DockerArchive(LayoutReference {
                path: path.into(),
                tag,
            }))
        } else if let Some(rest) = text.strip_prefix("recipe:") {
            if rest.is_empty() {
                return Err(ReferenceError::Empty(text.to_owned(), "recipe"));
            }
            Ok(Self::Recipe(rest.to_owned()))
        } else {
            text.strip_prefix("docker://")
                .unwrap_or(text)
                .parse()
                .map(Self::Registry)
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, place) = match self {
            Self::Layout(place) => ("oci", place),
            Self::OciArchive(place) => ("oci-archive", place),
            Self::DockerArchive(place) => ("docker-archive", place),
            Self::Recipe(name) => return write!(f, "recipe:{name}"),
            Self::Registry(reference) => return reference.fmt(f),
        };
        write!(f, "{transport}:{}", place.path.display())?;
        match &place.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_are_docker_hub_references() {
        for (text, qualified) in [
            ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
            ("me/app", "docker.io/me/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1"),
            ("docker://ghcr.io/x/y:2", "ghcr.io/x/y:2"),
        ] {
            assert_eq!(text.parse::<ImageReference>().unwrap().to_string(), qualified);
        }
    }

    #[test]
    fn familiar_names_leave_out_what_stands_for_itself() {
        for (text, familiar) in [
            ("docker.io/library/python:3", "python:3"),
            ("me/app", "me/app:latest"),
            ("docker.io/library/a/b:1", "library/a/b:1"),
            ("ghcr.io/library/app:1", "ghcr.io/library/app:1"),
        ] {
            assert_eq!(text.parse::<RegistryReference>().unwrap().familiar(), familiar);
        }
    }

    #[test]
    fn transports_are_read_as_skopeo_reads_them() {
        let layout = "oci:some/dir:v1".parse::<ImageReference>().unwrap();
        let expected = LayoutReference {
            path: "some/dir".into(),
            tag: Some("v1".to_owned()),
        };
        assert_eq!(layout, ImageReference::Layout(expected));
        assert_eq!(
            "oci:a:b/c".parse::<ImageReference>().unwrap().to_string(),
            "oci:a:b/c"
        );
        for archive in [
            "docker-archive:a.tar:localhost:5000/me/app:1",
            "docker-archive:a.tar:@1",
        ] {
            let reference = archive.parse::<ImageReference>().unwrap();
            assert!(
                matches!(&reference, ImageReference::DockerArchive(place) if place.path == Path::new("a.tar"))
            );
            assert_eq!(reference.to_string(), archive);
        }
        assert_eq!(
            "recipe:trixie".parse(),
            Ok(ImageReference::Recipe("trixie".to_owned()))
        );
    }

    #[test]
    fn malformed_references_are_refused() {
        for bad in [
            "",
            "oci:",
            "oci:x:bad tag",
            "UPPER/case",
            "a//b",
            "x@sha256:12",
            "ghcr.io/",
            "-x/y",
            "./a/b",
            "../a",
            "a.b:c:1/x",
            "[x]:1/y",
            "h-.example/x",
            "h:65536/x",
            "a:",
            "docker-archive:a.tar:UPPER",
            "docker-archive:a.tar:@one",
            "docker-archive:a.tar:x@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
    }
}
