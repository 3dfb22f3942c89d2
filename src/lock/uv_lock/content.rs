//! What a package of a `uv.lock` is installed from.

use pep440_rs::Version;
use toml::Spanned;
use url::Url;

use super::document::{RawFile, RawPackage, Source};
use crate::digest::Digest;
use crate::lock::pylock::{file_name, misnamed};
use crate::lock::text::Text;
use crate::lock::{Artifact, Content, Error, Location, Package, Vcs};
use crate::python::PackageName;

/// The content of a package that stands at a byte of the text; `None` for a virtual one.
pub(super) fn of(
    raw: &RawPackage,
    name: &PackageName,
    version: Option<&Version>,
    (at, text): (usize, Text<'_>),
) -> Result<Option<Content>, Error> {
    let source = raw.source.get_ref();
    let reader = Reader {
        name,
        source,
        at,
        text,
    };
    if source.r#virtual.is_some() {
        return Ok(None);
    }
    if let Some(git) = &source.git {
        return reader.vcs(git).map(|vcs| Some(Content::Vcs(vcs)));
    }
    if let Some(path) = source.tree() {
        return Ok(Some(Content::Directory {
            path: text.absolute(path),
            editable: source.editable.is_some(),
            subdirectory: None,
        }));
    }
    if source.registry.is_none() {
        return reader.archive(raw).map(Some);
    }
    let content = Content::Files {
        wheels: raw
            .wheels
            .iter()
            .map(|w| reader.of_index(w))
            .collect::<Result<_, _>>()?,
        sdist: raw.sdist.as_ref().map(|s| reader.of_index(s)).transpose()?,
    };
    reader.check_names(&content, version)?;
    Ok(Some(content))
}

struct Reader<'a> {
    name: &'a PackageName,
    source: &'a Source,
    at: usize,
    text: Text<'a>,
}

impl Reader<'_> {
    fn fault(&self, problem: impl AsRef<str>) -> Error {
        let problem = format!("package `{}`: {}", self.name, problem.as_ref());
        self.text.fault(self.at, problem)
    }

    /// A file of an index: at a URL, or at a path below an index that is a directory.
    fn of_index(&self, file: &Spanned<RawFile>) -> Result<Artifact, Error> {
        let raw = file.get_ref();
        let location = match (&raw.url, &raw.path, &self.source.registry) {
            (Some(url), _, _) => self.text.place(url)?,
            (None, Some(path), Some(registry)) => {
                Location::Path(self.text.absolute(&format!("{registry}/{path}")))
            }
            _ => return Err(self.fault("a file of it has neither url nor path")),
        };
        self.artifact(raw, location)
    }

    /// The one file that a package is, at a URL or path.
    fn archive(&self, raw: &RawPackage) -> Result<Content, Error> {
        let location = match (&self.source.url, &self.source.path) {
            (Some(url), _) => self.text.place(&Spanned::new(raw.source.span(), url.clone()))?,
            (None, Some(path)) => Location::Path(self.text.absolute(path)),
            (None, None) => return Err(self.fault("its source is of no known kind")),
        };
        let file = raw.wheels.first().or(raw.sdist.as_ref());
        let file = file.ok_or_else(|| self.fault("it has no file"))?;
        Ok(Content::Archive {
            artifact: self.artifact(file.get_ref(), location)?,
            subdirectory: self.subdirectory(self.source.subdirectory.as_deref())?,
        })
    }

    fn artifact(&self, raw: &RawFile, location: Location) -> Result<Artifact, Error> {
        let name = raw.filename.clone().or_else(|| file_name(&location));
        let is_name =
            |name: &String| !name.is_empty() && !name.contains(['/', '\\', '\0']) && !name.starts_with('.');
        let name = name.filter(is_name);
        let name = name.ok_or_else(|| self.fault(format!("{location} has no file name")))?;
        let hash = |raw: &Spanned<String>| self.text.value::<Digest>(raw);
        let hashes: Vec<Digest> = raw.hash.iter().map(hash).collect::<Result<_, _>>()?;
        // uv writes none for files of an index that is a directory.
        if hashes.is_empty() && matches!(location, Location::Url(_)) {
            return Err(self.fault(format!("{name} has no sha256, sha384 or sha512 hash")));
        }
        Ok(Artifact {
            name,
            location,
            size: raw.size,
            upload_time: None,
            hashes,
        })
    }

    /// `https://host/repository?tag=v1&subdirectory=a#commit`
    fn vcs(&self, git: &str) -> Result<Vcs, Error> {
        let mut url: Url = git
            .parse()
            .map_err(|e| self.fault(format!("`{git}` is no URL of a repository: {e}")))?;
        let commit = url.fragment().unwrap_or_default().to_owned();
        if commit.len() < 7 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.fault(format!("`{}` is not a commit", commit.escape_debug())));
        }
        let value = |keys: &[&str]| {
            let mut pairs = url.query_pairs();
            let pair = pairs.find(|(key, _)| keys.contains(&key.as_ref()));
            pair.map(|(_, value)| value.into_owned())
        };
        let requested_revision = value(&["tag", "branch", "rev"]);
        let subdirectory = self.subdirectory(value(&["subdirectory"]).as_deref())?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Vcs {
            kind: "git".to_owned(),
            location: Location::Url(url),
            requested_revision,
            commit,
            subdirectory,
        })
    }

    fn subdirectory(&self, path: Option<&str>) -> Result<Option<String>, Error> {
        use std::path::{Component, Path};
        let inside = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
        match path {
            Some(path) if !Path::new(path).components().all(inside) => {
                Err(self.fault(format!("subdirectory `{path}` leaves its project")))
            }
            path => Ok(path.map(str::to_owned)),
        }
    }

    fn check_names(&self, content: &Content, version: Option<&Version>) -> Result<(), Error> {
        let Content::Files { wheels, sdist } = content else {
            return Ok(());
        };
        if wheels.is_empty() && sdist.is_none() {
            return Err(self.fault("it has no file"));
        }
        let package = Package {
            name: self.name.clone(),
            version: version.cloned(),
            marker: None,
            kept: crate::lock::Kept::default(),
            requires_python: None,
            index: None,
            content: content.clone(),
        };
        match wheels
            .iter()
            .chain(sdist)
            .find_map(|file| misnamed(file, &package))
        {
            Some(problem) => Err(self.fault(problem)),
            None => Ok(()),
        }
    }
}
