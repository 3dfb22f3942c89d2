//! One running interpreter that compiles source after source: they go in and their byte-code comes out through pipes.

use std::io::{self, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::maker::Ready;
use crate::paths::TreePath;

/// A compiled file is never larger than this, in bytes; a longer message is not from our script.
const CODE_LIMIT: u32 = 256 * 1024 * 1024;

/// Where sources go in.
pub(super) struct Input(ChildStdin);

impl Input {
    /// Sends a source. Fails if the compiler has ended.
    pub fn send(&mut self, path: &TreePath, source: &[u8]) -> io::Result<()> {
        let name = format!("/{path}");
        let mut message = Vec::with_capacity(8 + name.len() + source.len());
        for part in [name.as_bytes(), source] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(part);
        }
        self.0.write_all(&message)
    }
}

/// The running interpreter, and where byte-code comes out. Dropped before [`Compiler::finish`], it is ended.
pub(super) struct Compiler {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Compiler {
    /// Starts an interpreter.
    pub fn start(
        Ready {
            interpreter, script, ..
        }: &Ready,
    ) -> io::Result<(Self, Input)> {
        let mut command = Command::new(&interpreter.program);
        command.args(&interpreter.arguments).arg("-S").arg(script);
        command.env_clear().envs(&interpreter.environment);
        // Sets and frozensets in code objects must not be marshalled in an order of the day.
        command.env("PYTHONHASHSEED", "0");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        let output = BufReader::with_capacity(64 * 1024, output);
        Ok((Self { child, output }, Input(input)))
    }

    /// The byte-code of the source that was sent first of those not received yet; empty if it does not compile.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        self.output.read_exact(&mut header)?;
        let length = u32::from_be_bytes(header);
        if length > CODE_LIMIT {
            return Err(io::Error::other("the compiler's answer is malformed"));
        }
        let mut code = Vec::new();
        let read = self.output.by_ref().take(length.into()).read_to_end(&mut code)?;
        if read < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(code)
    }

    /// Waits for its end, which comes once its input is dropped.
    pub fn finish(mut self) -> io::Result<()> {
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("it ended with {status}")))
        }
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // Whoever still sends to it is told; one that has ended is only asked for its status again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
