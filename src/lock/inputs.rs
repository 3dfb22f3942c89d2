//! The texts that a resolution depends on: requirements files with those that they include, pyproject.toml.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::script::Script;
use super::{Error, Request};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::python::requirements::{Requirements, Sources};
use crate::python::tables::TableError;
use crate::python::{DependencyGroups, PackageName, ProjectTable};

/// All texts that go into a resolution, in a fixed order.
pub(super) fn texts(request: &Request) -> Result<Vec<String>, Error> {
    let mut texts = requirement_texts(request)?;
    texts.extend(request.inline.iter().cloned());
    texts.extend(Script::of(request)?.map(|script| script.text));
    if let Some(file) = &request.pyproject {
        texts.push(read(&request.directory.join(file))?);
    }
    Ok(texts)
}

fn requirement_texts(request: &Request) -> Result<Vec<String>, Error> {
    let mut seen = BTreeSet::new();
    let mut texts = Vec::new();
    for file in request.requirements.iter().chain(&request.constraints) {
        gather(&request.directory.join(file), &mut seen, &mut texts)?;
    }
    Ok(texts)
}

fn gather(file: &Path, seen: &mut BTreeSet<PathBuf>, texts: &mut Vec<String>) -> Result<(), Error> {
    if !seen.insert(file.to_owned()) {
        return Ok(());
    }
    let text = read(file)?;
    let directory = file.parent().unwrap_or(Path::new(""));
    let included: Vec<PathBuf> = lines(&text)
        .iter()
        .filter_map(|line| included(line))
        .filter(|name| !name.contains("://"))
        .map(|name| directory.join(name))
        .collect();
    texts.push(text);
    included.iter().try_for_each(|file| gather(file, seen, texts))
}

fn read(path: &Path) -> Result<String, Error> {
    let bytes = fs_err::read(path).map_err(|source| Error::read(path, source))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Logical lines: comments gone, continuations joined (pip, "Requirements File Format").
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for part in text.lines() {
        // > A line that begins with a # is treated as a comment; whitespace followed by a # begins one.
        let comment = part
            .char_indices()
            .find(|(at, c)| *c == '#' && (*at == 0 || part[..*at].ends_with(char::is_whitespace)));
        let part = comment.map_or(part, |(at, _)| &part[..at]);
        if let Some(part) = part.strip_suffix('\\') {
            line.push_str(part);
            continue;
        }
        line.push_str(part);
        lines.push(std::mem::take(&mut line).trim().to_owned());
    }
    lines.push(line.trim().to_owned());
    lines.retain(|l| !l.is_empty());
    lines
}

/// The file that a line includes by `-r`, `-c` or their long forms.
fn included(line: &str) -> Option<&str> {
    ["--requirement", "--constraint", "-r", "-c"]
        .iter()
        .find_map(|option| {
            let rest = line.strip_prefix(option)?;
            let long = option.starts_with("--");
            let rest = match rest.chars().next()? {
                '=' => &rest[1..],
                c if c.is_whitespace() || !long => rest,
                _ => return None,
            };
            Some(rest.trim().trim_matches(['"', '\'']))
        })
}

/// Names in `${NAME}`.
///
/// > the only supported syntax is `${VAR}`, where the name is upper-case letters, digits and `_`
pub(super) fn variables(text: &str) -> BTreeSet<String> {
    let is_name = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(is_name))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The requirements and constraints files by pip's grammar; an error names file and line.
pub(super) fn requirements(request: &Request, environment: &Environment) -> Result<Requirements, Error> {
    let sources = Sources {
        // Without the path that fs_err puts in front: the error names the file as the user did.
        read: &|file| {
            let path = request.directory.join(file);
            fs_err::read(path).map_err(super::error::bare)
        },
        variable: &|name| environment.get(name).map(str::to_owned),
    };
    let mut all = Requirements::read(&request.requirements, sources).map_err(Error::Requirements)?;
    // Only read: that they follow the grammar.
    let constraints = Requirements::read(&request.constraints, sources).map_err(Error::Requirements)?;
    all.files.extend(constraints.files);
    Ok(all)
}

/// Checks what pyproject.toml says: uv would try to build a project whose requirements it cannot read.
pub(super) fn check_project(request: &Request) -> Result<(), Error> {
    let Some(file) = &request.pyproject else {
        return Ok(());
    };
    let path = request.directory.join(file);
    let place = path.display().to_string();
    // setup.py and setup.cfg have extras that only their backend knows, and no groups.
    if path.extension().is_none_or(|extension| extension != "toml") {
        return check_known(&place, "dependency group", &request.groups, &BTreeSet::new());
    }
    let text = read(&path)?;
    let fault = |error: TableError| Error::LockFile {
        path: path.clone(),
        line: error.line,
        problem: error.problem,
    };
    let extras = ProjectTable::extras(&text).map_err(fault)?;
    let groups = DependencyGroups::parse(&text).map_err(fault)?;
    // A build backend may know more extras.
    let is_dynamic = extras.is_empty() && text.contains("optional-dependencies");
    if !is_dynamic {
        check_known(&place, "extra", &request.extras, &extras.into_keys().collect())?;
    }
    check_known(
        &place,
        "dependency group",
        &request.groups,
        &groups.names().cloned().collect(),
    )
}

/// Fails if something is asked for that is not there. `place` is what should have it.
pub(super) fn check_known<T: Ord + ToString>(
    place: &str,
    kind: &'static str,
    asked: &BTreeSet<T>,
    known: &BTreeSet<T>,
) -> Result<(), Error> {
    match asked.difference(known).next() {
        None => Ok(()),
        Some(unknown) => Err(Error::Unknown {
            place: place.to_owned(),
            kind,
            name: unknown.to_string(),
            known: known.iter().map(ToString::to_string).collect(),
        }),
    }
}

/// The hashes that requirements demand, by package.
pub(super) fn hashes(requirements: &Requirements) -> BTreeMap<PackageName, BTreeSet<Digest>> {
    let mut all: BTreeMap<PackageName, BTreeSet<Digest>> = BTreeMap::new();
    for entry in requirements.entries.iter().filter(|e| !e.hashes.is_empty()) {
        if let Some(name) = entry.name() {
            all.entry(name.clone())
                .or_default()
                .extend(entry.hashes.iter().cloned());
        }
    }
    all
}

/// Where a package is required: `requirements.txt:3`, if a requirements file names it at the beginning of a line.
pub(super) fn place_of(request: &Request, package: &PackageName) -> Option<String> {
    request.requirements.iter().find_map(|file| {
        let text = read(&request.directory.join(file)).ok()?;
        let line = text
            .lines()
            .position(|l| leading_name(l).as_ref() == Some(package))?;
        Some(format!("{}:{}", file.display(), line + 1))
    })
}

fn leading_name(line: &str) -> Option<PackageName> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
        .unwrap_or(line.len());
    line[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_of_setup_py_are_not_read_as_toml() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(
            directory.path().join("setup.py"),
            "from setuptools import setup\nsetup()\n",
        )
        .unwrap();
        let mut request = Request {
            directory: directory.path().to_owned(),
            pyproject: Some("setup.py".into()),
            extras: ["web".parse().unwrap()].into(),
            ..Request::default()
        };
        check_project(&request).unwrap();
        request.groups.insert("dev".parse().unwrap());
        assert!(matches!(check_project(&request), Err(Error::Unknown { .. })));
    }

    #[test]
    fn included_files_count_too_and_each_once() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs_err::write(directory.path().join(name), text).unwrap();
        fs_err::create_dir(directory.path().join("sub")).unwrap();
        write("a.txt", "x\n-r sub/b.txt # nested\n-c c.txt\n");
        write("sub/b.txt", "--requirement=../a2.txt\n");
        write("a2.txt", "y");
        write("c.txt", "z<2");
        let request = Request {
            directory: directory.path().to_owned(),
            requirements: vec!["a.txt".into()],
            ..Request::default()
        };
        let texts = texts(&request).unwrap();
        assert_eq!(texts.len(), 4);
        assert!(texts.contains(&"y".to_owned()) && texts.contains(&"z<2".to_owned()));
        assert_eq!(
            place_of(&request, &"X".parse().unwrap()),
            Some("a.txt:1".to_owned())
        );
        fs_err::remove_file(directory.path().join("a2.txt")).unwrap();
        assert!(super::texts(&request).unwrap_err().to_string().contains("a2.txt"));
    }

    #[test]
    fn variables_are_found_by_their_only_syntax() {
        let names = variables("https://${USER_1}:${TOKEN}@h/ $HOME ${lower} ${");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["TOKEN", "USER_1"]);
    }
}
