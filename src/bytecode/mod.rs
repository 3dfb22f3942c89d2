//! Byte-code: unchecked-hash `.pyc` files (PEP 552) with the paths that the sources have in the image.
//!
//! The compiler is an interpreter of the target's own version that runs on the host. Sources go to it through a pipe,
//! so no name of an archive's member reaches the host's file system.

mod interpreter;
mod maker;

use std::io::{self, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub use interpreter::Interpreter;
pub use maker::{Maker, standard_library};

use crate::paths::TreePath;
use crate::tree::{Content, Entry, Kind, Tree};

/// Sources larger than this are left to the interpreter in the container.
const SOURCE_LIMIT: u64 = 16 * 1024 * 1024;
/// A compiled file is never larger than this; a longer message is not from our script.
const CODE_LIMIT: u32 = 256 * 1024 * 1024;

/// Why byte-code could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No interpreter of the target's version can run here.
    #[error("no interpreter of Python {python} was found on this machine to make byte-code with")]
    NoInterpreter {
        /// Major and minor version.
        python: String,
    },
    /// The base's interpreter could not be taken from its layers.
    #[error("cannot read the base's interpreter")]
    Base(#[source] io::Error),
    /// The interpreter failed.
    #[error("the interpreter that makes byte-code failed")]
    Compiler(#[source] io::Error),
    /// A source could not be read.
    #[error("cannot read {0}")]
    Source(TreePath, #[source] io::Error),
    /// A `.pyc` is in the way.
    #[error("cannot add byte-code")]
    Tree(#[from] crate::tree::TreeError),
    /// A path is too long with its suffix.
    #[error("cannot name byte-code")]
    Path(#[from] crate::paths::PathError),
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoInterpreter { python } => {
                Some(format!("install python{python}, or build without --compile"))
            }
            _ => None,
        }
    }
}

/// Adds byte-code for every `.py` file of a tree to it, where the interpreter looks for it
/// (PEP 3147: `__pycache__/NAME.cpython-313.pyc`). `threads` compilers run at once; the result is the same for any
/// number. Files in directories called `tests` or `test` are left out: they are not what makes an app start slowly.
pub fn compile(mut tree: Tree, interpreter: &Interpreter, threads: usize) -> Result<Tree, Error> {
    let sources: Vec<(TreePath, Content)> = tree.iter().filter_map(source).collect();
    let count = threads.clamp(1, 8).min(sources.len().max(1));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Vec<u8>)>, Error> {
        let mut compiler = Compiler::start(interpreter)?;
        let mut results = Vec::new();
        loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some((path, content)) = sources.get(at) else {
                break;
            };
            let bytes = content
                .read(SOURCE_LIMIT)
                .map_err(|e| Error::Source(path.clone(), e))?;
            results.push((at, compiler.compile(path, &bytes).map_err(Error::Compiler)?));
        }
        compiler.finish().map_err(Error::Compiler)?;
        Ok(results)
    };
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let joined = workers
            .into_iter()
            .map(|w| w.join().unwrap_or_else(|_| Err(died())));
        joined.collect::<Result<Vec<_>, Error>>()
    })?;
    for (at, code) in results.into_iter().flatten().filter(|(_, code)| !code.is_empty()) {
        let path = code_path(&sources[at].0, &interpreter.cache_tag)?;
        if tree.get(path.as_str()).is_none() {
            tree.insert(path, Entry::file(Content::bytes(code), false))?;
        }
    }
    Ok(tree)
}

fn died() -> Error {
    Error::Compiler(io::Error::other("a worker ended early"))
}

fn source((path, entry): (&TreePath, &Entry)) -> Option<(TreePath, Content)> {
    let Kind::File(content) = &entry.kind else {
        return None;
    };
    let wanted = path.as_str().strip_suffix(".py").is_some()
        && content.size() <= SOURCE_LIMIT
        && !path.components().any(|c| matches!(c, "tests" | "test"));
    wanted.then(|| (path.clone(), content.clone()))
}

fn code_path(source: &TreePath, cache_tag: &str) -> Result<TreePath, crate::paths::PathError> {
    let name = source
        .file_name()
        .strip_suffix(".py")
        .unwrap_or(source.file_name());
    let file = format!("__pycache__/{name}.{cache_tag}.pyc");
    match source.parent() {
        Some(parent) => parent.join(&file),
        None => TreePath::new(&file),
    }
}

/// One running interpreter that compiles source after source.
struct Compiler {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Compiler {
    fn start(interpreter: &Interpreter) -> Result<Self, Error> {
        let mut command = Command::new(&interpreter.program);
        command
            .args(&interpreter.arguments)
            .args(["-S", "-c", include_str!("compile_stream.py")]);
        command.env_clear().envs(&interpreter.environment);
        // Sets and frozensets in code objects must not be marshalled in an order of the day.
        command.env("PYTHONHASHSEED", "0");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(Error::Compiler)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Compiler(io::Error::other("no pipes")));
        };
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn compile(&mut self, path: &TreePath, source: &[u8]) -> io::Result<Vec<u8>> {
        let mut message = Vec::with_capacity(source.len() + 256);
        for part in [format!("/{path}").as_bytes(), source] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(part);
        }
        self.input.write_all(&message)?;
        self.input.flush()?;
        let mut header = [0; 4];
        self.output.read_exact(&mut header)?;
        let length = u32::from_be_bytes(header);
        if length > CODE_LIMIT {
            return Err(io::Error::other("the compiler's answer is malformed"));
        }
        let mut code = vec![0; length as usize];
        self.output.read_exact(&mut code)?;
        Ok(code)
    }

    fn finish(self) -> io::Result<()> {
        let Self {
            mut child,
            input,
            output,
        } = self;
        drop((input, output));
        let status = child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("it ended with {status}")))
        }
    }
}

#[cfg(test)]
mod tests;
