//! Sources become byte-code on all processors: the largest first, the next already sent while one is compiled.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder};

use super::Error;
use super::compiler::{Compiler, Input};
use super::maker::Ready;
use super::source::{SOURCE_LIMIT, Source};
use crate::layer::Deflater;
use crate::parallel::{self, NoThread};
use crate::store::Packed;
use crate::tree::Method;

/// So many bytes of source are worth the start of another interpreter.
const WORTH_ONE: u64 = 128 * 1024;
/// Sources that wait in the pipe beside the one that is compiled: more would leave others idle at the end.
const AHEAD: usize = 1;

/// The byte-code of sources, in their order; `None` for those that do not compile. Up to `threads` interpreters run at
/// once; no byte depends on their number.
pub(super) fn make(sources: &[&Source], ready: &Ready, threads: usize) -> Result<Vec<Option<Packed>>, Error> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(sources[*at].content.size()));
    let bytes: u64 = sources.iter().map(|source| source.content.size()).sum();
    let worth = usize::try_from(bytes / WORTH_ONE + 1).unwrap_or(usize::MAX);
    let work = Work {
        sources,
        order,
        next: AtomicUsize::new(0),
    };
    let results = thread::scope(|scope| {
        let compilers = threads.min(worth).min(sources.len());
        let compilers = parallel::start(scope, compilers, || work.with_a_compiler(ready));
        let compilers = compilers.map_err(Error::Compiler)?;
        let joined = compilers.into_iter().map(|thread| {
            let died = |_| Err(Error::Compiler(io::Error::other("a worker ended early")));
            thread.join().unwrap_or_else(died)
        });
        joined.collect::<Result<Vec<_>, Error>>()
    })?;
    let mut made = vec![None; sources.len()];
    for (at, packed) in results.into_iter().flatten() {
        made[at] = packed;
    }
    Ok(made)
}

struct Work<'a> {
    sources: &'a [&'a Source],
    order: Vec<usize>,
    /// Where in the order the next source is.
    next: AtomicUsize,
}

type Answers = Vec<(usize, Option<Packed>)>;

impl Work<'_> {
    /// Starts a compiler and has it compile sources until there are no more.
    fn with_a_compiler(&self, ready: &Ready) -> Result<Answers, Error> {
        let (compiler, input) = Compiler::start(ready).map_err(Error::Compiler)?;
        thread::scope(|scope| {
            let (sent, sources) = sync_channel(AHEAD);
            let feeder = Builder::new().spawn_scoped(scope, move || self.feed(input, &sent));
            let feeder = feeder.map_err(|error| Error::Compiler(NoThread::error(error)))?;
            let answers = self.receive(compiler, &sources);
            // Where one has failed nobody takes up more.
            if answers.is_err() {
                self.next.store(self.order.len(), Ordering::Relaxed);
            }
            drop(sources);
            let died = |_| Err(Error::Compiler(io::Error::other("a feeder ended early")));
            match (feeder.join().unwrap_or_else(died), answers) {
                (Err(unread @ Error::Source(..)), _) => Err(unread),
                // It knows more of the compiler's end than that nothing could be sent any more.
                (_, Err(failure)) => Err(Error::Compiler(failure)),
                (fed, Ok(answers)) => fed.map(|()| answers),
            }
        })
    }

    /// Sends sources to a compiler and says which. Fails if one cannot be read or sent.
    fn feed(&self, mut input: Input, sent: &SyncSender<usize>) -> Result<(), Error> {
        while let Some(at) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let Source { path, content, .. } = self.sources[*at];
            let read = content.read(SOURCE_LIMIT);
            let source = read.map_err(|e| {
                self.next.store(self.order.len(), Ordering::Relaxed);
                Error::Source(path.clone(), e)
            })?;
            input.send(path, &source).map_err(Error::Compiler)?;
            if sent.send(*at).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Takes the byte-code of what was sent, and deflates it.
    fn receive(&self, mut compiler: Compiler, sent: &Receiver<usize>) -> io::Result<Answers> {
        let mut deflater = Deflater::new();
        let mut answers = Vec::new();
        for at in sent {
            let code = compiler.receive()?;
            let packed = match &code[..] {
                [] => None,
                code => Some(Packed {
                    path: self.sources[at].code.clone(),
                    method: Method::Deflated,
                    bytes: deflater.deflate(code)?,
                    size: code.len() as u64,
                    crc32: crc32fast::hash(code),
                }),
            };
            answers.push((at, packed));
        }
        compiler.finish()?;
        Ok(answers)
    }
}
