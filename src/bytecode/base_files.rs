//! What making byte-code takes of a base: the files of its interpreter, laid out to be run here, and its standard library.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{Error, Interpreter};
use crate::digest::Digest;
use crate::image::Base;
use crate::layer::{FoundKind, LayerReader};
use crate::native::Elf;
use crate::paths::TreePath;
use crate::store::{Packed, Store};
use crate::tree::{Content, Entry, Method, Tree};

/// No file of an interpreter or its library is larger, in bytes.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;
/// Changes whenever other files are taken of the same base.
const FORMAT: u32 = 1;

/// The files of an interpreter, at their paths in the image.
pub(super) type Program = Vec<(TreePath, Content)>;

/// What was read of a base's layers.
pub(super) struct BaseFiles {
    /// The sources of the standard library.
    pub library: Tree,
    /// What may be of the interpreter.
    files: BTreeMap<String, Vec<u8>>,
    /// `libz.so.1 -> libz.so.1.3.1`
    links: BTreeMap<String, String>,
}

/// Where things are in a base of Debian packages.
struct Places {
    program: String,
    /// Shared objects.
    objects: String,
    library: String,
}

impl Places {
    fn of(base: &Base) -> Self {
        Self {
            program: base.target.interpreter.trim_start_matches('/').to_owned(),
            objects: format!("usr/lib/{}/", base.platform.architecture.multiarch()),
            library: format!("usr/lib/python{}/", base.target.python_minor()),
        }
    }

    /// Whether a file may be of the interpreter: itself, a shared object that it may need, and what decodes sources.
    fn is_of_program(&self, path: &str) -> bool {
        let is_object = |name: &str| !name.contains('/') && name.contains(".so");
        let decodes = |name: &str| {
            let extension = |name: &str| name.starts_with("_codecs_") || name.starts_with("_multibytecodec.");
            name.starts_with("encodings/") || name.strip_prefix("lib-dynload/").is_some_and(extension)
        };
        path == self.program
            || path.strip_prefix(&self.objects).is_some_and(is_object)
            || path.strip_prefix(&self.library).is_some_and(decodes)
    }

    /// Whether a file is a source of the standard library.
    fn is_of_library(&self, path: &str) -> bool {
        let name = path.strip_prefix(&self.library);
        let name = name.and_then(|name| name.strip_suffix(".py"));
        name.is_some_and(|name| !name.contains("dist-packages/"))
    }
}

impl BaseFiles {
    /// Reads the layers of a base, once.
    pub fn read(base: &Base) -> io::Result<Self> {
        let places = Places::of(base);
        let mut read = Self {
            library: Tree::new(),
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        for layer in &base.layers {
            let mut reader = LayerReader::new(Box::new(layer.blob.open_verified()?))?;
            while let Some(found) = reader.next_member()? {
                let path = found.path.as_str();
                let (of_program, of_library) = (places.is_of_program(path), places.is_of_library(path));
                match found.kind {
                    FoundKind::File if of_program || of_library => {
                        let bytes = reader.read_content(FILE_LIMIT)?;
                        if of_program {
                            read.files.insert(path.to_owned(), bytes.clone());
                        }
                        if of_library {
                            let entry = Entry::file(Content::bytes(bytes), false);
                            read.library
                                .insert(found.path.clone(), entry)
                                .map_err(io::Error::other)?;
                        }
                    }
                    // A name beside the link, and nothing that leads elsewhere.
                    FoundKind::Symlink(target) if of_program && !target.contains('/') => {
                        read.links.insert(path.to_owned(), target);
                    }
                    _ => {}
                }
            }
        }
        Ok(read)
    }

    /// Keeps the files that the interpreter needs to start, for the next time.
    pub fn keep_program(self, base: &Base, store: &Store) -> Result<Program, Error> {
        let places = Places::of(base);
        let objects = self.objects(&places).map_err(Error::Base)?;
        let of_library = |path: &String| path.starts_with(&places.library);
        let names = self.files.keys().filter(|path| of_library(path)).cloned();
        let names = names.map(|name| (name.clone(), name));
        let mut packed = Vec::new();
        for (name, file) in names.chain(objects) {
            let bytes = self.files.get(&file).cloned().unwrap_or_default();
            packed.push(Packed {
                path: TreePath::new(&name)?,
                method: Method::Stored,
                size: bytes.len() as u64,
                crc32: crc32fast::hash(&bytes),
                bytes,
            });
        }
        Ok(store.keep_pack(&key(base), &packed)?)
    }

    /// The program, its dynamic loader, and the shared objects that it needs: the path of each by that under which the
    /// loader looks for it.
    fn objects(&self, places: &Places) -> io::Result<BTreeMap<String, String>> {
        let mut objects = BTreeMap::from([(places.program.clone(), places.program.clone())]);
        let mut seen = BTreeSet::new();
        let mut open = vec![places.program.clone()];
        while let Some(file) = open.pop() {
            let elf = self.files.get(&file).and_then(|bytes| Elf::read(bytes));
            let elf =
                elf.ok_or_else(|| io::Error::other(format!("the base has no {file} that can be run")))?;
            let loader = elf.interpreter.iter().filter_map(|path| path.rsplit('/').next());
            for name in loader.chain(elf.needed.iter().map(String::as_str)) {
                let name = format!("{}{name}", places.objects);
                if seen.insert(name.clone()) {
                    let file = self.follow(&name, places);
                    open.push(file.clone());
                    objects.insert(name, file);
                }
            }
        }
        Ok(objects)
    }

    /// The file behind a name.
    fn follow(&self, name: &str, places: &Places) -> String {
        let mut name = name.to_owned();
        // Links may lead to links; a loop ends where there is no file.
        for _ in 0..8 {
            match self.links.get(&name) {
                Some(target) => name = format!("{}{target}", places.objects),
                None => break,
            }
        }
        name
    }
}

/// `sys.implementation.cache_tag` of a base's CPython.
pub(super) fn cache_tag(base: &Base) -> String {
    let (major, minor) = base.target.python;
    format!("cpython-{major}{minor}")
}

/// The files that a base's interpreter needs to start, if they were kept.
pub(super) fn kept_program(base: &Base, store: &Store) -> Option<Program> {
    store.pack(&key(base))
}

fn key(base: &Base) -> Digest {
    let layers: Vec<String> = base
        .layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    let interpreter = &base.target.interpreter;
    Digest::of(format!("interpreter {FORMAT} {interpreter} of\n{}", layers.join("\n")).as_bytes())
}

/// Writes the files of a base's interpreter to a directory, to be started through the base's own dynamic loader: the
/// host's libc is another one.
pub(super) fn lay_out(base: &Base, files: Program, root: &Path) -> io::Result<Interpreter> {
    let places = Places::of(base);
    let mut loader = None;
    for (path, content) in files {
        write_file(root, &path, &content.read(FILE_LIMIT)?)?;
        if path.file_name().starts_with("ld-linux") {
            loader = Some(path);
        }
    }
    let loader = loader.ok_or_else(|| io::Error::other("the base has no dynamic loader"))?;
    Ok(Interpreter {
        program: root.join(loader.as_str()),
        arguments: vec![
            OsString::from("--library-path"),
            root.join(&places.objects).into(),
            root.join(&places.program).into(),
            OsString::from("-sB"),
        ],
        environment: BTreeMap::from([("PYTHONHOME".to_owned(), root.join("usr").into())]),
        cache_tag: cache_tag(base),
        version: base.target.python_full_version(),
    })
}

fn write_file(root: &Path, path: &TreePath, bytes: &[u8]) -> io::Result<()> {
    let place = root.join(path.as_str());
    if let Some(parent) = place.parent() {
        fs_err::create_dir_all(parent)?;
    }
    // `create_new` follows no link and replaces nothing; the loader must be executable.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o700);
    let mut file = options.open(&place)?;
    file.write_all(bytes)
}
