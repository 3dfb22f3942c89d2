//! Files that a lock knows by name and hash only: where they are is asked of the package indexes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use url::Url;

use super::settings::{self, OwnIndex, Settings};
use super::simple::{self, File};
use super::{Artifact, Content, Error, Listed, Location, Lock, Request};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::http;
use crate::parallel;
use crate::python::PackageName;
use crate::tools::Tools;

/// The index where nothing names another.
pub(super) const PYPI: &str = "https://pypi.org/simple/";

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
    /// URLs with the user's passwords.
    credentials: &'a [Url],
    tools: &'a Tools<'a>,
    /// What was answered already.
    answers: RefCell<Vec<(Place, Vec<File>)>>,
}

/// Whether an index is PyPI: in its place the index is asked that the user's settings name.
pub(super) fn is_pypi(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    matches!(host, "pypi.org" | "pypi.python.org") && url.path().trim_end_matches('/') == "/simple"
}

impl<'a> Question<'a> {
    /// A question about a project; `credentials` are the URLs of indexes that hold passwords.
    pub fn new(listed: &'a Listed, credentials: &'a [Url], tools: &'a Tools<'a>) -> Self {
        Self {
            listed,
            credentials,
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

    /// The wanted files of the first place that has any. A place that cannot be asked is passed over; its fault is
    /// reported if no other has them.
    fn first(&self, wanted: impl Fn(&File) -> bool) -> Result<Vec<File>, Error> {
        let mut fault = None;
        for place in places(self.listed, self.tools.environment) {
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
            Place::Directory(path) => return directory(path),
            Place::Page(url) => url.clone(),
            Place::Index(url) => project_page(url, &self.listed.package),
        };
        let fault = |source| Error::Index {
            package: self.listed.package.to_string(),
            source,
        };
        let asked = settings::with_credentials(&url, self.credentials);
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
        let places = places(self.listed, self.tools.environment);
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
        let credentials = &settings::credentials(request, tools.environment);
        let located = parallel::map(&self.packages, CONNECTIONS, |package| {
            located(&package.content, credentials, tools)
        })?;
        for (package, content) in self.packages.iter_mut().zip(located) {
            package.content = content;
        }
        Ok(self)
    }
}

fn located(content: &Content, credentials: &[Url], tools: &Tools<'_>) -> Result<Content, Error> {
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
        let question = Question::new(&listed, credentials, tools);
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

/// The files of a directory; none if there is no such directory.
fn directory(path: &PathBuf) -> Result<Vec<File>, Error> {
    let entries = match fs_err::read_dir(path) {
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
fn places(listed: &Listed, environment: &Environment) -> Vec<Place> {
    let pip = Settings::load(environment).for_uv(environment, OwnIndex::No);
    let get = |names: [&str; 2]| {
        let own = names.iter().find_map(|name| environment.get(name));
        let found = own.or_else(|| names.iter().find_map(|name| pip.get(*name).map(String::as_str)));
        found.unwrap_or_default().to_owned()
    };
    let mut places: Vec<Place> = get(["UV_FIND_LINKS", "UV_FIND_LINKS"])
        .split([',', ' '])
        .filter(|link| !link.is_empty())
        .map(|link| match link.parse::<Url>() {
            Ok(url) if url.scheme() == "file" => Place::Directory(url.to_file_path().unwrap_or_default()),
            Ok(url) => Place::Page(url),
            Err(_) => Place::Directory(environment.working_directory.join(link)),
        })
        .collect();
    if matches!(get(["UV_NO_INDEX", "UV_NO_INDEX"]).as_str(), "1" | "true") {
        return places;
    }
    let named = |text: String| -> Vec<Place> {
        let url = |word: &str| {
            // uv names an index as `name=url`.
            let text = word
                .split_once("=http")
                .map_or(word.to_owned(), |(_, rest)| format!("http{rest}"));
            text.parse().ok().map(Place::Index)
        };
        text.split_whitespace().filter_map(url).collect()
    };
    let mut default = named(get(["UV_DEFAULT_INDEX", "UV_INDEX_URL"]));
    if default.is_empty() {
        default.extend(PYPI.parse().ok().map(Place::Index));
    }
    if listed.indexes.is_empty() {
        places.extend(named(get(["UV_INDEX", "UV_EXTRA_INDEX_URL"])));
        places.extend(default);
    } else {
        for url in &listed.indexes {
            if is_pypi(url) {
                places.extend(default.clone());
            } else {
                places.push(Place::Index(url.clone()));
            }
        }
    }
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
