//! Who makes the byte-code: the interpreter of the base itself where this machine can run it, else one on the host.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::base_files::{self, BaseFiles};
use super::{Error, Interpreter};
use crate::environment::Environment;
use crate::image::{Base, BaseOrigin};
use crate::platform::Platform;
use crate::store::Store;
use crate::tree::Tree;

/// Who makes the byte-code for a base. Nothing is started or laid out before something must be compiled.
#[derive(Debug)]
pub struct Maker<'a> {
    who: Who<'a>,
    ready: OnceLock<Ready>,
}

/// An interpreter that can be started. Its files are there as long as this is.
#[derive(Debug)]
pub(super) struct Ready {
    pub interpreter: Interpreter,
    /// What it runs: a file, as newer versions import much of their library to run what stands in an argument.
    pub script: PathBuf,
    _scratch: tempfile::TempDir,
}

#[derive(Debug)]
enum Who<'a> {
    /// The base's own interpreter: the same byte-code on every machine. Only of recipes, whose packages are signed by
    /// Debian: nobody else's programs are run here.
    Base(&'a Base),
    /// An interpreter of the same minor version on the host.
    Host(Interpreter),
}

impl<'a> Maker<'a> {
    /// The maker for a base on this machine.
    pub fn find(base: &'a Base, environment: &Environment, store: &Store) -> Result<Self, Error> {
        if matches!(base.origin, BaseOrigin::Recipe { .. }) && base.platform == Platform::host() {
            return Ok(Self::new(Who::Base(base)));
        }
        let interpreter = Interpreter::on_host(&base.target, environment, store)?;
        Ok(Self::host(interpreter))
    }

    /// An interpreter on the host.
    pub(super) fn host(interpreter: Interpreter) -> Self {
        Self::new(Who::Host(interpreter))
    }

    fn new(who: Who<'a>) -> Self {
        Self {
            who,
            ready: OnceLock::new(),
        }
    }

    /// The full version: byte-code is the same for exactly this one.
    pub fn version(&self) -> String {
        match &self.who {
            Who::Base(base) => base.target.python_full_version(),
            Who::Host(interpreter) => interpreter.version.clone(),
        }
    }

    /// Whether the byte-code of the base's standard library is made too.
    pub fn is_of_base(&self) -> bool {
        matches!(self.who, Who::Base(_))
    }

    /// `sys.implementation.cache_tag`, e.g. `cpython-313`.
    pub(super) fn cache_tag(&self) -> String {
        match &self.who {
            Who::Base(base) => base_files::cache_tag(base),
            Who::Host(interpreter) => interpreter.cache_tag.clone(),
        }
    }

    /// The interpreter, ready to start. The base's is laid out first, once.
    pub(super) fn ready(&self, store: &Store) -> Result<&Ready, Error> {
        if let Some(ready) = self.ready.get() {
            return Ok(ready);
        }
        match &self.who {
            Who::Base(base) => {
                let program = match base_files::kept_program(base, store) {
                    Some(program) => program,
                    None => BaseFiles::read(base)
                        .map_err(Error::Base)?
                        .keep_program(base, store)?,
                };
                self.make_ready(store, |root| base_files::lay_out(base, program, root))
            }
            Who::Host(interpreter) => self.make_ready(store, |_| Ok(interpreter.clone())),
        }
    }

    /// The sources of the standard library of the base, if its own interpreter makes the byte-code. The interpreter is laid
    /// out from the same bytes.
    pub(super) fn standard_library(&self, store: &Store) -> Result<Option<Tree>, Error> {
        let Who::Base(base) = &self.who else {
            return Ok(None);
        };
        let mut files = BaseFiles::read(base).map_err(Error::Base)?;
        let library = std::mem::take(&mut files.library);
        if self.ready.get().is_none() {
            let program = files.keep_program(base, store)?;
            self.make_ready(store, |root| base_files::lay_out(base, program, root))?;
        }
        Ok(Some(library))
    }

    fn make_ready(
        &self,
        store: &Store,
        lay_out: impl FnOnce(&Path) -> io::Result<Interpreter>,
    ) -> Result<&Ready, Error> {
        let scratch = store.scratch()?;
        let script = scratch.path().join("compile_stream.py");
        fs_err::write(&script, include_str!("compile_stream.py")).map_err(Error::Compiler)?;
        let ready = Ready {
            interpreter: lay_out(scratch.path()).map_err(Error::Base)?,
            script,
            _scratch: scratch,
        };
        Ok(self.ready.get_or_init(|| ready))
    }
}
