//! Installing: wheels become one tree, as `pip install --target --no-compile` into an empty directory would leave it.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::sync::Arc;

use super::record::{self, Row};
use super::site::laid_out;
use super::{Error, Installed, MAX_TEXT, Site, Wheel, local, scheme, script, zip};
use crate::interrupted::uninterrupted;
use crate::paths::{PathError, TreePath};
use crate::python::entry_points::is_interpreter;
use crate::python::{PackageName, Target};
use crate::tree::{Content, Entry, Tree};

/// What the INSTALLER file of every installed distribution says: the tree is the one that pip leaves, and whoever asks
/// INSTALLER which tool may change it is answered as if pip had made it.
pub const INSTALLER: &str = "pip\n";
/// The version of what [`install_all`] makes of the same wheels. It goes into the keys under which finished layers are
/// kept: whatever changes an installed tree changes it.
pub const INSTALL_FORMAT: u32 = 2;

/// Where and how to install.
#[derive(Clone, Copy, Debug)]
pub struct InstallOptions<'a> {
    /// The directory in the image, e.g. `deps`.
    pub prefix: &'a TreePath,
    /// What the image runs: scripts start with its interpreter.
    pub target: &'a Target,
    /// Files to leave out, by path relative to the prefix (`[tool.pyoci] exclude`).
    pub exclude: &'a globset::GlobSet,
    /// The distributions that the user asked for by name; the others are dependencies. They get a REQUESTED file.
    pub requested: &'a BTreeSet<PackageName>,
}

/// Installs wheels together. Their order does not matter.
///
/// Two wheels may have the same file at one path; different ones there are an error.
pub fn install_all(mut wheels: Vec<Wheel>, options: &InstallOptions<'_>) -> Result<Installed, Error> {
    wheels.sort_by_cached_key(|wheel| wheel.filename().to_string());
    let mut site = Site::new(options.prefix, None);
    for wheel in wheels {
        site.add(Placed::of(wheel, options)?)?;
    }
    site.installed()
}

/// One wheel's files where they are installed, with those that installing makes. It takes less memory than the wheel.
#[derive(Debug)]
pub struct Placed {
    pub(super) wheel: Arc<str>,
    pub(super) tree: Tree,
    pub(super) warnings: Vec<String>,
    pub(super) excluded: (usize, u64),
}

impl Placed {
    /// The wheel's file name.
    pub fn wheel(&self) -> &str {
        &self.wheel
    }

    /// Installs a wheel by itself.
    pub fn of(mut wheel: Wheel, options: &InstallOptions<'_>) -> Result<Self, Error> {
        let files = std::mem::take(&mut wheel.files);
        let mut rows = std::mem::take(&mut wheel.record).into_rows().peekable();
        let mut installing = Installing {
            wheel: &wheel,
            options,
            files: Vec::with_capacity(files.len()),
            rows: Vec::with_capacity(files.len()),
            excluded: (0, 0),
        };
        // Both are sorted, and each row is about a file.
        for (path, file) in files {
            let row = rows.next_if(|(of, _)| *of == path).map(|(_, row)| row);
            installing.place(&path, file, row.unwrap_or_default())?;
        }
        for entry_point in script::scripts_of(&wheel.entry_points, options.target) {
            let text = script::script(&options.target.interpreter, &entry_point);
            installing.generate(&format!("bin/{}", entry_point.name), text, true)?;
        }
        installing.describe()?;
        let (files, excluded) = (installing.files, installing.excluded);
        let name: Arc<str> = wheel.filename().to_string().into();
        Ok(Self {
            tree: laid_out(files, options.prefix, &name)?,
            wheel: name,
            excluded,
            warnings: wheel.warnings,
        })
    }
}

/// Reads until the buffer is full or the content ends.
pub(super) fn fill(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match uninterrupted(|| reader.read(&mut buffer[filled..]))? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

struct Installing<'a> {
    wheel: &'a Wheel,
    options: &'a InstallOptions<'a>,
    files: Vec<(TreePath, Entry)>,
    rows: Vec<(TreePath, Row)>,
    excluded: (usize, u64),
}

impl Installing<'_> {
    /// Places a file of the archive, with its row of RECORD.
    fn place(&mut self, path: &TreePath, file: zip::File, row: Row) -> Result<(), Error> {
        let content = Content::Member(file.member);
        if self.is_made_anew(path) {
            return self.check(&content);
        }
        let is_metadata = path.strip_prefix(self.wheel.dist_info.as_str()) == Some("METADATA");
        if is_metadata && let Some(text) = local::without_local_urls(&self.wheel.metadata_bytes) {
            return self.generate(path.as_str(), text, false);
        }
        let place = scheme::place(self.wheel, path)?;
        local::check_editable(self.wheel, place.path.as_str(), &content)?;
        if place.is_script && script::is_wrapper(place.path.file_name(), &self.wheel.entry_points) {
            return self.check(&content);
        }
        if !place.is_script {
            return self.add(place.path, Entry::file(content, file.executable), row);
        }
        let fixed = self.fixed_script(&content).map_err(|e| self.unreadable(e))?;
        if let Some(text) = fixed {
            return self.generate(place.path.as_str(), text, true);
        }
        self.add(place.path, Entry::file(content, true), row)
    }

    /// The text of a script that starts with `#!python`, with the image's interpreter; other scripts and programs
    /// stay as they are.
    fn fixed_script(&self, content: &Content) -> io::Result<Option<Vec<u8>>> {
        let mut start = [0; 8];
        let n = fill(&mut content.open()?.take(8), &mut start)?;
        if !script::needs_interpreter(&start[..n]) {
            return Ok(None);
        }
        let text = content.read(MAX_TEXT)?;
        Ok(Some(script::with_interpreter(
            &self.options.target.interpreter,
            &text,
        )))
    }

    /// Files of `.dist-info` that say how a distribution was installed, not what it is.
    fn is_made_anew(&self, path: &TreePath) -> bool {
        path.strip_prefix(self.wheel.dist_info.as_str())
            .is_some_and(|name| matches!(name, "RECORD" | "INSTALLER" | "REQUESTED" | "direct_url.json"))
    }

    /// Adds what installing makes in `.dist-info`; RECORD last, as it lists the rest.
    fn describe(&mut self) -> Result<(), Error> {
        let dist_info = self.wheel.dist_info.clone();
        self.generate(&format!("{dist_info}/INSTALLER"), INSTALLER.into(), false)?;
        if self.options.requested.contains(self.wheel.name()) {
            self.generate(&format!("{dist_info}/REQUESTED"), Vec::new(), false)?;
        }
        let path = self.path(&format!("{dist_info}/RECORD"))?;
        self.rows.push((path.clone(), Row::default()));
        let rows = std::mem::take(&mut self.rows).into_iter().collect();
        let text = record::write::<TreePath>(&rows);
        self.add(path, Entry::file(Content::bytes(text), false), Row::default())
    }

    fn generate(&mut self, path: &str, text: Vec<u8>, executable: bool) -> Result<(), Error> {
        let path = self.path(path)?;
        let row = record::row_of(&text);
        self.add(path, Entry::file(Content::bytes(text), executable), row)
    }

    fn add(&mut self, path: TreePath, entry: Entry, row: Row) -> Result<(), Error> {
        let exclude = self.options.exclude;
        if !exclude.is_empty() && exclude.is_match(path.as_str()) {
            self.excluded.0 += 1;
            self.excluded.1 += entry.content().map_or(0, Content::size);
            return entry.content().map_or(Ok(()), |content| self.check(content));
        }
        self.check_place(&path)?;
        let place = self.options.prefix.join_path(&path);
        self.files
            .push((place.map_err(|source| self.misplaced(source))?, entry));
        self.rows.push((path, row));
        Ok(())
    }

    /// Refuses what a wheel has no business to put there: pip takes it, and then runs the wheel's own `python3` for
    /// everybody's.
    fn check_place(&self, path: &TreePath) -> Result<(), Error> {
        let wheel = || self.wheel.filename().to_string();
        let path = path.clone();
        match path.as_str().split_once('/') {
            Some(("bin", name)) if is_interpreter(name) => Err(Error::Interpreter { wheel: wheel(), path }),
            // `.data/purelib` would bring them past the check of the wheel's own directories.
            Some((top, _)) if top.ends_with(".dist-info") && top != self.wheel.dist_info.as_str() => {
                Err(Error::Foreign { wheel: wheel(), path })
            }
            _ => Ok(()),
        }
    }

    /// Reads content that is not installed: the whole wheel must be right. What is installed is checked when it is read.
    fn check(&self, content: &Content) -> Result<(), Error> {
        let read = content.open().and_then(|mut r| io::copy(&mut r, &mut io::sink()));
        read.map(|_| ()).map_err(|e| self.unreadable(e))
    }

    fn path(&self, path: &str) -> Result<TreePath, Error> {
        TreePath::new(path).map_err(|source| self.misplaced(source))
    }

    fn misplaced(&self, source: PathError) -> Error {
        Error::Path {
            wheel: self.wheel.filename().to_string(),
            source,
        }
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Read {
            wheel: self.wheel.filename().to_string(),
            source,
        }
    }
}
