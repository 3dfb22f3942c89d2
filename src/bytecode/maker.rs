//! Who makes the byte-code: the interpreter of the base itself where this machine can run it, else one on the host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{Error, Interpreter};
use crate::environment::Environment;
use crate::image::{Base, BaseOrigin};
use crate::layer::{Found, FoundKind, LayerReader};
use crate::paths::TreePath;
use crate::platform::Platform;
use crate::tree::{Content, Entry, Tree};

/// No file of an interpreter or its library is larger.
const FILE_LIMIT: u64 = 64 * 1024 * 1024;

/// Who makes the byte-code for a base.
#[derive(Clone, Debug)]
pub enum Maker<'a> {
    /// The base's own interpreter: the same byte-code on every machine. Only of recipes, whose packages are signed by
    /// Debian: nobody else's programs are run here.
    Base(&'a Base),
    /// An interpreter of the same minor version on the host.
    Host(Interpreter),
}

impl<'a> Maker<'a> {
    /// The maker for a base on this machine.
    pub fn find(base: &'a Base, environment: &Environment) -> Result<Self, Error> {
        if matches!(base.origin, BaseOrigin::Recipe { .. }) && base.platform == Platform::host() {
            return Ok(Self::Base(base));
        }
        Interpreter::on_host(&base.target, environment).map(Self::Host)
    }

    /// The full version: byte-code is the same for exactly this one.
    pub fn version(&self) -> String {
        match self {
            Self::Base(base) => base.target.python_full_version(),
            Self::Host(interpreter) => interpreter.version.clone(),
        }
    }

    /// The interpreter, ready to start. The base's is laid out in `scratch` first, which must stay while it runs.
    pub fn interpreter(&self, scratch: &Path) -> Result<Interpreter, Error> {
        match self {
            Self::Host(interpreter) => Ok(interpreter.clone()),
            Self::Base(base) => lay_out(base, scratch).map_err(Error::Base),
        }
    }
}

/// The sources of the standard library of a base, at their paths in the image.
pub fn standard_library(base: &Base) -> Result<Tree, Error> {
    let directory = format!("usr/lib/python{}/", base.target.python_minor());
    let mut tree = Tree::new();
    for_each_file(base, |found, reader| {
        let wanted = found.path.as_str().starts_with(&directory)
            && found.path.as_str().strip_suffix(".py").is_some()
            && !found.path.as_str().contains("/dist-packages/");
        if wanted {
            let content = Content::bytes(reader.read_content(FILE_LIMIT)?);
            tree.insert(found.path.clone(), Entry::file(content, false))
                .map_err(io::Error::other)?;
        }
        Ok(())
    })
    .map_err(Error::Base)?;
    Ok(tree)
}

fn for_each_file(
    base: &Base,
    mut visit: impl FnMut(&Found, &mut LayerReader) -> io::Result<()>,
) -> io::Result<()> {
    for layer in &base.layers {
        let mut reader = LayerReader::new(Box::new(layer.blob.open_verified()?))?;
        while let Some(found) = reader.next_member()? {
            visit(&found, &mut reader)?;
        }
    }
    Ok(())
}

/// Writes the base's interpreter, its library and all shared objects below `scratch`, to be started through the base's
/// own dynamic loader: the host's libc is another one.
fn lay_out(base: &Base, scratch: &Path) -> io::Result<Interpreter> {
    let target = &base.target;
    let program = target.interpreter.trim_start_matches('/').to_owned();
    let multiarch = format!("usr/lib/{}/", base.platform.architecture.multiarch());
    let library = format!("usr/lib/python{}/", target.python_minor());
    let mut loader = None;
    let mut links = Vec::new();
    for_each_file(base, |found, reader| {
        let path = found.path.as_str();
        let shared = path
            .strip_prefix(&multiarch)
            .is_some_and(|rest| !rest.contains('/'));
        if !(shared || path == program || path.starts_with(&library)) {
            return Ok(());
        }
        match &found.kind {
            FoundKind::File => {
                if found.path.file_name().starts_with("ld-linux") {
                    loader = Some(found.path.clone());
                }
                write_file(scratch, &found.path, &reader.read_content(FILE_LIMIT)?)
            }
            // `libz.so.1 -> libz.so.1.3.1`: a name beside the link, and nothing that leads elsewhere.
            FoundKind::Symlink(target) if !target.contains('/') => {
                links.push((found.path.clone(), target.clone()));
                Ok(())
            }
            _ => Ok(()),
        }
    })?;
    for (link, target) in links {
        let directory = link.parent().map_or(String::new(), |p| p.to_string());
        fs_err::create_dir_all(scratch.join(&directory))?;
        fs_err::os::unix::fs::symlink(target, scratch.join(link.as_str()))?;
    }
    let loader = loader.ok_or_else(|| io::Error::other("the base has no dynamic loader"))?;
    let (major, minor) = target.python;
    Ok(Interpreter {
        program: scratch.join(loader.as_str()),
        arguments: vec![
            OsString::from("--library-path"),
            scratch.join(&multiarch).into(),
            scratch.join(&program).into(),
            OsString::from("-sB"),
        ],
        environment: BTreeMap::from([("PYTHONHOME".to_owned(), scratch.join("usr").into())]),
        cache_tag: format!("cpython-{major}{minor}"),
        version: target.python_full_version(),
    })
}

fn write_file(scratch: &Path, path: &TreePath, bytes: &[u8]) -> io::Result<()> {
    let place = scratch.join(path.as_str());
    if let Some(parent) = place.parent() {
        fs_err::create_dir_all(parent)?;
    }
    // `create_new` follows no link and replaces nothing; the loader must be executable.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o700);
    let mut file = options.open(&place)?;
    file.write_all(bytes)
}
