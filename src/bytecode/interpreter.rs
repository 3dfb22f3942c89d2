//! Which interpreter makes the byte-code, and how it is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Error;
use crate::environment::Environment;
use crate::python::Target;

/// An interpreter of the target's version that runs on this machine.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// The program to start.
    pub program: PathBuf,
    /// Arguments before ours.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: BTreeMap<String, OsString>,
    /// `sys.implementation.cache_tag`, e.g. `cpython-313`.
    pub cache_tag: String,
    /// Its full version: byte-code is cached for exactly this one.
    pub version: String,
}

impl Interpreter {
    /// An interpreter on the host's `PATH` that has the target's minor version, and so its magic number.
    pub fn on_host(target: &Target, environment: &Environment) -> Result<Self, Error> {
        let python = target.python_minor();
        for name in [format!("python{python}"), "python3".to_owned()] {
            if let Some((interpreter, minor)) = Self::of_program(&name, environment)
                && minor == python
            {
                return Ok(interpreter);
            }
        }
        Err(Error::NoInterpreter { python })
    }

    /// The interpreter of a name on `PATH`, and its minor version.
    pub(super) fn of_program(name: &str, environment: &Environment) -> Option<(Self, String)> {
        let program = environment.find_program(name)?;
        let question = "import sys; v = sys.version_info; \
                        assert sys.implementation.name == 'cpython' and v.releaselevel == 'final'; \
                        print(f'{v[0]}.{v[1]}', f'{v[0]}.{v[1]}.{v[2]}', sys.implementation.cache_tag)";
        let output = Command::new(&program)
            .args(["-IS", "-c", question])
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut words = text.split_whitespace().map(str::to_owned);
        let (minor, version, cache_tag) = (words.next()?, words.next()?, words.next()?);
        let arguments = vec!["-I".into()];
        Some((
            Self {
                program,
                arguments,
                environment: BTreeMap::new(),
                cache_tag,
                version,
            },
            minor,
        ))
    }
}
