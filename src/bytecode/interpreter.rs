//! An interpreter that makes the byte-code, and how it is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::native::Elf;
use crate::python::Target;
use crate::store::Store;

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

/// What an interpreter says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// `3.13`
    pub minor: String,
    /// `3.13.5`, with `t` behind it for a free-threaded one: it marshals the same code differently.
    version: String,
    cache_tag: String,
}

impl Interpreter {
    /// An interpreter on the host's `PATH` that has the target's minor version, and so its magic number. What a program has
    /// answered is remembered as long as its file stays the same, so that it need not be started to know its version.
    pub fn on_host(target: &Target, environment: &Environment, store: &Store) -> Result<Self, Error> {
        let python = target.python_minor();
        for name in [format!("python{python}"), "python3".to_owned()] {
            let Some(program) = environment.find_program(&name) else {
                continue;
            };
            if let Some(answer) = remembered(&program, store)
                && answer.minor == python
            {
                return Ok(Self::new(program, answer));
            }
        }
        Err(Error::NoInterpreter { python })
    }

    pub(super) fn new(program: PathBuf, answer: Answer) -> Self {
        Self {
            program,
            arguments: vec!["-I".into()],
            environment: BTreeMap::new(),
            cache_tag: answer.cache_tag,
            version: answer.version,
        }
    }
}

fn remembered(program: &Path, store: &Store) -> Option<Answer> {
    // What belongs to this machine is nothing for others.
    let store = store.alone();
    let Some(key) = key(program) else {
        return ask(program);
    };
    if let Some(answer) = store
        .memo(&key)
        .and_then(|note| serde_json::from_slice(&note).ok())
    {
        return Some(answer);
    }
    let answer = ask(program)?;
    if is_whole(program) {
        // What is not remembered is asked again.
        let _ = store.remember(&key, &serde_json::to_vec(&answer).unwrap_or_default());
    }
    Some(answer)
}

/// Stands for a program's file as it is now.
fn key(program: &Path) -> Option<Digest> {
    let program = fs_err::canonicalize(program).ok()?;
    let file = fs_err::metadata(&program).ok()?;
    let state = [
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime().cast_unsigned(),
        file.mtime_nsec().cast_unsigned(),
        file.ctime().cast_unsigned(),
        file.ctime_nsec().cast_unsigned(),
    ];
    let inputs = format!("version of interpreter {} {state:?}", program.display());
    Some(Digest::of(inputs.as_bytes()))
}

/// Whether the interpreter is in the program itself: a script decides anew each time what it starts, and a shared library
/// may be replaced by itself.
fn is_whole(program: &Path) -> bool {
    let elf = fs_err::read(program).ok().and_then(|bytes| Elf::read(&bytes));
    elf.is_some_and(|elf| !elf.needed.iter().any(|name| name.starts_with("libpython")))
}

/// Starts a program to ask it; `None` if it is no finished release of CPython.
pub(super) fn ask(program: &Path) -> Option<Answer> {
    let question = "import sys; v = sys.version_info; \
                    assert sys.implementation.name == 'cpython' and v.releaselevel == 'final'; \
                    print(f'{v[0]}.{v[1]}', f'{v[0]}.{v[1]}.{v[2]}{sys.abiflags}', sys.implementation.cache_tag)";
    let output = Command::new(program)
        .args(["-IS", "-c", question])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace().map(str::to_owned);
    Some(Answer {
        minor: words.next()?,
        version: words.next()?,
        cache_tag: words.next()?,
    })
}
