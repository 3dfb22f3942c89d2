//! The project as an installed distribution: its dist-info and console scripts, and where its packages are.

use std::collections::BTreeMap;

use super::StaticMetadata;
use super::error::Error;
use super::runtime::{APP, BIN, SITE};
use crate::paths::TreePath;
use crate::python::entry_points::is_interpreter;
use crate::python::{EntryPoints, PackageName, Target};
use crate::tree::{Content, Entry, Tree};
use crate::wheel::{self, INSTALLER, InstallOptions, Row, Wheel, row_of, write_record};

/// The project's own distribution.
#[derive(Clone, Debug)]
pub enum Distribution {
    /// From static metadata; packages are imported from the tree.
    Static(Box<StaticMetadata>),
    /// From the project's built wheel.
    Built(Box<Wheel>),
}

/// Directories of a project in which packages may lie, in the order in which they are looked for.
const SOURCE_DIRECTORIES: [&str; 4] = ["src/", "python/", "lib/", ""];

impl Distribution {
    /// Its name.
    pub fn name(&self) -> &PackageName {
        match self {
            Self::Static(metadata) => &metadata.name,
            Self::Built(wheel) => wheel.name(),
        }
    }

    /// Its version.
    pub fn version(&self) -> &str {
        match self {
            Self::Static(metadata) => &metadata.version,
            Self::Built(wheel) => wheel.version(),
        }
    }

    /// Its entry points.
    pub fn entry_points(&self) -> &EntryPoints {
        match self {
            Self::Static(metadata) => &metadata.entry_points,
            Self::Built(wheel) => wheel.entry_points(),
        }
    }

    /// Adds the distribution to the project's `files` (paths below `/app`). Gives the import roots, below `/app`.
    pub(super) fn install(&self, files: &mut Tree, target: &Target) -> Result<Vec<String>, Error> {
        match self {
            Self::Static(metadata) => install_static(metadata, files, target),
            Self::Built(wheel) => install_built(wheel, files, target),
        }
    }
}

/// A path of the image, below `/app`.
fn in_app(absolute: &str) -> &str {
    absolute
        .strip_prefix(APP)
        .unwrap_or(absolute)
        .trim_start_matches('/')
}

fn path(text: &str) -> Result<TreePath, Error> {
    TreePath::new(text).map_err(|error| Error::FileName {
        path: text.into(),
        message: error.to_string(),
    })
}

fn install_static(
    metadata: &StaticMetadata,
    files: &mut Tree,
    target: &Target,
) -> Result<Vec<String>, Error> {
    let directory = format!("{}-{}.dist-info", metadata.name.escaped(), metadata.version);
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for script in metadata.entry_points.scripts() {
        if is_interpreter(&script.name) {
            return Err(Error::Interpreter(script.name.clone()));
        }
        let content = wheel::script(&target.interpreter, script);
        rows.insert(format!("../bin/{}", script.name), row_of(&content));
        let at = path(&format!("{}/{}", in_app(BIN), script.name))?;
        files.insert(at, Entry::file(Content::bytes(content), true))?;
    }
    // > WHEEL is a file of the wheel; an installer copies it. Tools ask it whether a distribution is pure.
    let wheel = "Wheel-Version: 1.0\nGenerator: pyoci\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let mut texts = vec![
        ("METADATA", metadata.text.clone()),
        ("INSTALLER", INSTALLER.to_owned()),
        ("WHEEL", wheel.to_owned()),
    ];
    if !metadata.entry_points.groups.is_empty() {
        texts.push(("entry_points.txt", metadata.entry_points.to_string()));
    }
    let mut put = |name: &str, bytes: Vec<u8>| -> Result<(), Error> {
        let at = path(&format!("{}/{directory}/{name}", in_app(SITE)))?;
        files.insert(at, Entry::file(Content::bytes(bytes), false))?;
        Ok(())
    };
    for (name, text) in texts {
        rows.insert(format!("{directory}/{name}"), row_of(text.as_bytes()));
        put(name, text.into_bytes())?;
    }
    rows.insert(format!("{directory}/RECORD"), Row::default());
    put("RECORD", write_record(&rows))?;
    Ok(metadata.import_roots.clone())
}

/// Lays a wheel over the tree: a package that the tree has in one of its source directories gets there what only the
/// wheel has (compiled extensions, generated files); what the tree does not have goes to the site directory. So there is
/// one copy of each package, and it is complete from wherever it is imported.
fn install_built(wheel: &Wheel, files: &mut Tree, target: &Target) -> Result<Vec<String>, Error> {
    let prefix = path("site")?;
    let options = InstallOptions {
        prefix: &prefix,
        target,
        exclude: &globset::GlobSet::empty(),
        requested: &std::collections::BTreeSet::from([wheel.name().clone()]),
    };
    let installed =
        wheel::install_all(vec![wheel.clone()], &options).map_err(|error| Error::Wheel(Box::new(error)))?;
    let mut places = Places::default();
    let mut record = None;
    for (at, entry) in installed.tree {
        let Some(inside) = at.strip_prefix("site") else {
            continue;
        };
        if entry.is_directory() {
            continue;
        }
        if inside.ends_with(".dist-info/RECORD") {
            record = Some((inside.to_owned(), entry));
            continue;
        }
        let place = places.of(inside, wheel, files);
        put_over(files, path(&place)?, entry)?;
    }
    if let Some((inside, entry)) = record {
        let bytes = entry
            .content()
            .map_or(Ok(Vec::new()), |content| content.read(64 << 20))
            .map_err(Error::Io)?;
        let moved = places.move_record(&bytes)?;
        let at = path(&format!("{}/{inside}", in_app(SITE)))?;
        files.insert(at, Entry::file(Content::bytes(moved), false))?;
    }
    let mut roots: Vec<String> = places.roots.into_iter().collect();
    roots.reverse();
    if !roots.contains(&String::new()) {
        roots.push(String::new());
    }
    Ok(roots)
}

/// Adds a file, or replaces the one that is there: what was built is what would have been installed.
fn put_over(files: &mut Tree, at: TreePath, entry: Entry) -> Result<(), Error> {
    if let Some(there) = files.get(at.as_str())
        && !there.is_directory()
    {
        if same_content(there, &entry).map_err(Error::Io)? {
            return Ok(());
        }
        files.remove(&at);
    }
    files.insert(at, entry)?;
    Ok(())
}

fn same_content(a: &Entry, b: &Entry) -> std::io::Result<bool> {
    let (Some(a), Some(b)) = (a.content(), b.content()) else {
        return Ok(false);
    };
    // Beyond this, replacing is cheaper than comparing.
    let limit = 16 << 20;
    Ok(a.size() == b.size() && a.size() <= limit && a.read(limit)? == b.read(limit)?)
}

/// Where the files of the wheel have gone.
#[derive(Default)]
struct Places {
    /// The source directory of each top-level name of the wheel; `None` for the site directory.
    tops: BTreeMap<String, Option<&'static str>>,
    /// Import roots that were found, without a slash at the end.
    roots: std::collections::BTreeSet<String>,
    /// Path in the site directory, as the wheel has it, to the path below `/app`.
    moved: BTreeMap<String, String>,
}

impl Places {
    fn of(&mut self, inside: &str, wheel: &Wheel, files: &Tree) -> String {
        let top = inside.split('/').next().unwrap_or_default();
        let is_script = inside.strip_prefix("bin/").is_some_and(|name| {
            wheel.entry_points().scripts().any(|script| script.name == name)
                || wheel
                    .files()
                    .any(|(path, _)| path.as_str().ends_with(&format!(".data/scripts/{name}")))
        });
        let place = if is_script {
            format!("{}/{}", in_app(BIN), &inside["bin/".len()..])
        } else {
            let found = self
                .tops
                .entry(top.to_owned())
                .or_insert_with(|| source_directory(top, files));
            match *found {
                Some(directory) => {
                    self.roots.insert(directory.trim_end_matches('/').to_owned());
                    format!("{directory}{inside}")
                }
                None => format!("{}/{inside}", in_app(SITE)),
            }
        };
        self.moved.insert(inside.to_owned(), place.clone());
        place
    }

    /// RECORD with the paths that its files have now, relative to the site directory.
    fn move_record(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut rows = BTreeMap::new();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
        for row in reader.records() {
            let row = row.map_err(|error| Error::Io(std::io::Error::other(error)))?;
            let field = |index| row.get(index).unwrap_or_default().to_owned();
            let now = self.moved.get(&field(0)).map(|place| {
                match place
                    .strip_prefix(in_app(SITE))
                    .and_then(|rest| rest.strip_prefix('/'))
                {
                    Some(inside) => inside.to_owned(),
                    None => match place.strip_prefix(".pyoci/") {
                        Some(beside) => format!("../{beside}"),
                        None => format!("../../{place}"),
                    },
                }
            });
            let row = Row {
                hash: field(1),
                size: field(2),
            };
            rows.insert(now.unwrap_or_else(|| field(0)), row);
        }
        Ok(write_record(&rows))
    }
}

/// The source directory in which the tree has a package or module of this name.
fn source_directory(top: &str, files: &Tree) -> Option<&'static str> {
    if top.ends_with(".dist-info") {
        return None;
    }
    SOURCE_DIRECTORIES.into_iter().find(|directory| {
        let at = format!("{directory}{top}");
        match files.get(&at) {
            Some(entry) if entry.is_directory() => {
                let prefix = format!("{at}/");
                files.iter().any(|(path, _)| {
                    path.as_str().starts_with(&prefix)
                        && path
                            .file_name()
                            .rsplit_once('.')
                            .is_some_and(|(_, extension)| extension == "py")
                })
            }
            Some(_) => true,
            None => false,
        }
    })
}
