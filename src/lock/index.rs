//! Files that a lock knows by name and hash only: where they are is asked of the package indexes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use url::Url;

use super::indexes::{Indexes, is_pypi};
use super::simple::{self, File};
use super::{Artifact, Content, Error, Listed, Location, Lock, Request};
use crate::digest::{Digest, Hasher};
use crate::environment::Environment;
use crate::http;
use crate::parallel;
use crate::python::{PackageName, SdistFilename, WheelFilename};
use crate::tools::Tools;

/// Where files are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A package index.
    Index(Url),
    /// A page of links.
    Page(Url),
    /// A directory of files.
    Directory(PathBuf),
}

/// A question to the indexes.
pub(super) struct Question<'a> {
    listed: &'a Listed,
    /// The indexes of the user's settings, and their passwords.
    indexes: &'a Indexes,
    tools: &'a Tools<'a>,
    /// What was answered already.
    answers: RefCell<Vec<(Place, Vec<File>)>>,
}

impl<'a> Question<'a> {
    /// A question about a project.
    pub fn new(listed: &'a Listed, indexes: &'a Indexes, tools: &'a Tools<'a>) -> Self {
        Self {
            listed,
            indexes,
            tools,
            answers: RefCell::default(),
        }
    }

    /// Where a locked file is. Of the indexes that list its name, the first one with the locked hash (or with none) wins:
    /// its bytes are verified after the download in any case.
    pub fn find(&self, artifact: &Artifact) -> Result<Artifact, Error> {
        let found = self.first(|file| {
            let agrees = |own: &Digest| {
                let mut same = file.hashes.iter().filter(|h| h.algorithm() == own.algorithm());
                same.clone().next().is_none() || same.any(|h| h == own)
            };
            file.name == artifact.name && artifact.hashes.iter().all(agrees)
        })?;
        let Some(file) = found.into_iter().next() else {
            return Err(self.not_listed(&artifact.name));
        };
        if file.is_yanked {
            // > An installer MUST ignore yanked releases, if the selection constraints can be satisfied with a non-yanked
            // > version, and MAY … a version specifier of `==`: what is locked is one. (PEP 592)
            let what = format!("{} was taken back by its authors (yanked)", artifact.name);
            self.tools.progress.warn(format!("{what}: lock a newer version"));
        }
        Ok(Artifact {
            location: location(&file.url),
            size: artifact.size.or(file.size),
            ..artifact.clone()
        })
    }

    /// The files that have one of these hashes; all of one index.
    pub fn with_hashes(&self, hashes: &BTreeSet<Digest>) -> Result<Vec<File>, Error> {
        let found = self.first(|file| file.hashes.iter().any(|h| hashes.contains(h)))?;
        if found.is_empty() {
            return Err(self.not_listed("no file of it"));
        }
        Ok(found)
    }

    /// The file of a name.
    pub fn named(&self, name: &str) -> Result<Option<File>, Error> {
        let found = self.first(|file| file.name == name)?;
        Ok(found.into_iter().next())
    }

    /// The wanted files of the first place that has any. A place that cannot be asked is passed over; its fault is
    /// reported if no other has them.
    fn first(&self, wanted: impl Fn(&File) -> bool) -> Result<Vec<File>, Error> {
        let mut fault = None;
        for place in places(self.listed, self.indexes, self.tools.environment) {
            let mut answers = self.answers.borrow_mut();
            let known = answers.iter().position(|(asked, _)| *asked == place);
            let files = match known.map_or_else(|| self.files(&place), |at| Ok(answers[at].1.clone())) {
                Ok(files) => files,
                Err(error) => {
                    fault = fault.or(Some(error));
                    continue;
                }
            };
            let found: Vec<File> = files.iter().filter(|file| wanted(file)).cloned().collect();
            if known.is_none() {
                answers.push((place, files));
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        fault.map_or(Ok(Vec::new()), Err)
    }

    /// The project's files at a place; none if it does not know the project.
    fn files(&self, place: &Place) -> Result<Vec<File>, Error> {
        let url = match place {
            Place::Directory(path) => return hashed(directory(path)?, &self.listed.package),
            Place::Page(url) => url.clone(),
            Place::Index(url) => project_page(url, &self.listed.package),
        };
        if url.scheme() == "file"
            && let Ok(path) = url.to_file_path()
        {
            return directory(&path);
        }
        let fault = |source| Error::Index {
            package: self.listed.package.to_string(),
            source,
        };
        let asked = self.indexes.with_credentials(&url);
        let response = match self.tools.http.get_with(&asked, &[("accept", simple::ACCEPT)]) {
            Ok(response) => response,
            Err(http::Error::Status {
                status: 404 | 410, ..
            }) => return Ok(Vec::new()),
            Err(error) => return Err(fault(error)),
        };
        let page = response.url.clone();
        let kind = response.header("content-type").unwrap_or_default().to_owned();
        let bytes = response.read(simple::LARGEST).map_err(fault)?;
        simple::parse(&bytes, &kind, &page).map_err(|problem| Error::Page {
            url: http::redacted(&url),
            problem: problem.to_string(),
        })
    }

    fn not_listed(&self, file: &str) -> Error {
        let places = places(self.listed, self.indexes, self.tools.environment);
        Error::NotListed {
            package: self.listed.package.to_string(),
            file: file.to_owned(),
            places: places.iter().map(ToString::to_string).collect(),
        }
    }
}

/// How many projects are asked for at once.
pub(super) const CONNECTIONS: usize = 8;

impl Lock {
    /// The lock with the URL of every file that only an index knows: as it must be to be written.
    pub fn locate(mut self, request: &Request, tools: &Tools<'_>) -> Result<Self, Error> {
        let indexes = &Indexes::of(request, tools.environment)?;
        let located = parallel::map(&self.packages, CONNECTIONS, |package| {
            located(&package.content, indexes, tools)
        })?;
        for (package, content) in self.packages.iter_mut().zip(located) {
            package.content = content;
        }
        Ok(self)
    }
}

fn located(content: &Content, indexes: &Indexes, tools: &Tools<'_>) -> Result<Content, Error> {
    let mut content = content.clone();
    let Content::Files { wheels, sdist } = &mut content else {
        return Ok(content);
    };
    // All files of one package are listed by the same indexes.
    let listed = wheels
        .iter()
        .chain(&*sdist)
        .find_map(|artifact| match &artifact.location {
            Location::Index(listed) => Some(listed.clone()),
            _ => None,
        });
    if let Some(listed) = listed {
        let question = Question::new(&listed, indexes, tools);
        for artifact in wheels.iter_mut().chain(sdist) {
            if matches!(artifact.location, Location::Index(_)) {
                *artifact = question.find(artifact)?;
            }
        }
    }
    Ok(content)
}

fn location(url: &Url) -> Location {
    match url.to_file_path() {
        Ok(path) if url.scheme() == "file" => Location::Path(path),
        _ => Location::Url(url.clone()),
    }
}

/// > Below the root URL is another URL for each individual project contained within a repository. The format of this URL
/// > is `/<project>/` where the `<project>` is replaced by the normalized name for that project.
fn project_page(index: &Url, package: &PackageName) -> Url {
    let mut url = index.clone();
    url.set_fragment(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(package.as_str()).push("");
    }
    url
}

/// The project's own of some files on this machine, with their hashes: some locks know files by these alone.
fn hashed(files: Vec<File>, package: &PackageName) -> Result<Vec<File>, Error> {
    let is_own = |file: &File| {
        let wheel = file.name.parse::<WheelFilename>();
        wheel.is_ok_and(|wheel| wheel.name == *package) || SdistFilename::parse(&file.name, package).is_ok()
    };
    let mut own: Vec<File> = files.into_iter().filter(is_own).collect();
    for file in &mut own {
        if let (true, Ok(path)) = (file.hashes.is_empty(), file.url.to_file_path()) {
            let mut hasher = Hasher::sha256();
            let mut content = fs_err::File::open(&path).map_err(|e| Error::read(&path, e))?;
            std::io::copy(&mut content, &mut hasher).map_err(|e| Error::read(&path, e))?;
            file.hashes.push(hasher.finish());
        }
    }
    Ok(own)
}

/// The files of a directory, or those that a page of links in it or at this place names; none if there is nothing.
fn directory(path: &Path) -> Result<Vec<File>, Error> {
    let page = [path.to_owned(), path.join("index.html")];
    if let Some(page) = page.iter().find(|page| page.is_file())
        && let Ok(url) = Url::from_file_path(page)
    {
        let bytes = fs_err::read(page).map_err(|e| Error::read(page, e))?;
        return simple::parse(&bytes, "text/html", &url).map_err(|problem| Error::Page {
            url: url.to_string(),
            problem: problem.to_string(),
        });
    }
    let entries = match crate::files::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::read(path, e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::read(path, e))?;
        let (Ok(name), Ok(url)) = (entry.file_name().into_string(), Url::from_file_path(entry.path())) else {
            continue;
        };
        files.push(File {
            name,
            url,
            hashes: Vec::new(),
            size: None,
            requires_python: None,
            is_yanked: false,
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Where a file is looked for, in order: directories and pages of links, then the indexes that the lock names, else those
/// of the user's settings; the additional ones before the default one, so that names of private packages stay private.
fn places(listed: &Listed, indexes: &Indexes, environment: &Environment) -> Vec<Place> {
    let link = |link: &String| match link.parse::<Url>() {
        Ok(url) if url.scheme() == "file" => Place::Directory(url.to_file_path().unwrap_or_default()),
        Ok(url) => Place::Page(url),
        Err(_) => Place::Directory(environment.working_directory.join(link)),
    };
    let mut places: Vec<Place> = indexes.find_links.iter().map(link).collect();
    if indexes.no_index {
        return places;
    }
    let asked: Vec<&Url> = if listed.indexes.is_empty() {
        indexes.first.iter().chain([&indexes.default]).collect()
    } else {
        listed.indexes.iter().collect()
    };
    let here = |url: &Url| {
        if is_pypi(url) {
            indexes.default.clone()
        } else {
            url.clone()
        }
    };
    places.extend(asked.into_iter().map(here).map(Place::Index));
    places.dedup();
    places
}

impl std::fmt::Display for Place {
    /// As it may be shown: passwords redacted.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(url) | Self::Page(url) => f.write_str(&http::redacted(url)),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}
