//! A tree becomes a layer: workers make its stretches, the caller's thread hashes and writes them in order.

use std::io::{self, Write};
use std::sync::PoisonError;

use super::inflate::invalid;
use super::plan::Jobs;
use super::queue::{Queue, StopOnPanic};
use super::stretch::{Chunk, Mark, Output, Spare, StoredRange, Sums};
use super::tar_hasher::TarHasher;
use super::{Error, Options, Written, header, plan, work};
use crate::digest::Hasher;
use crate::parallel;
use crate::secrets::{Hit, Watch};
use crate::tree::{Content, Entries};

/// More workers than this wait for the thread that hashes.
const MOST_THREADS: usize = 8;

/// Writes the layer of a tree's entries, from its first byte to its last, and says what was written.
///
/// The bytes depend on the tree, the mtime and the compression, and on nothing else: not on the number of threads, and
/// not on where the content comes from, but for this: how a zip member was deflated shows in the blob (never in the tar).
///
/// Memory is bounded by the number of threads, whatever the sizes of the files: some 30 MB for two.
pub fn write(tree: &dyn Entries, options: &Options, out: &mut dyn Write) -> Result<Written, Error> {
    write_watched(tree, options, None, out)
}

/// As [`write()`]; fails if a credential is in the tar: in a name or in the content of a file.
pub fn write_watched(
    tree: &dyn Entries,
    options: &Options,
    watch: Option<Watch>,
    out: &mut dyn Write,
) -> Result<Written, Error> {
    write_seen(tree, options, watch, out, &mut |_| {})
}

/// As [`write_watched`], and shows all bytes of the tar to `see`, in order.
pub fn write_seen(
    tree: &dyn Entries,
    options: &Options,
    watch: Option<Watch>,
    out: &mut dyn Write,
    see: &mut dyn FnMut(&[u8]),
) -> Result<Written, Error> {
    let size = check(tree)?;
    let queue = Queue::new(plan::jobs(tree.each(), options.compression.rules()));
    let spare = Spare::default();
    std::thread::scope(|scope| {
        // Should this thread panic, the workers end too: the scope waits for them.
        let _guard = StopOnPanic(&queue);
        let most = plan::count(size).min(MOST_THREADS);
        let work = || work::run(&queue, &spare, *options);
        parallel::start(scope, options.threads.clamp(1, most), work).map_err(Error::Encode)?;
        let result = Writer::new(options, watch, out, see).and_then(|writer| writer.write(&queue, &spare));
        let result = result.map_err(|stop| match stop {
            Ended::Failed(error) => error,
            Ended::Leak(hit) => {
                let place = place(tree, options.mtime, hit.offset);
                Error::Leak(hit.leak(&place))
            }
        });
        queue.stop();
        result
    })
}

/// Refuses names that a layer cannot have; gives about the size of the tar, in bytes.
fn check(tree: &dyn Entries) -> Result<u64, Error> {
    let mut size = 0;
    for entry in tree.each() {
        let (path, entry) = entry.map_err(Error::Entries)?;
        if path.file_name().starts_with(".wh.") {
            return Err(Error::Whiteout(path));
        }
        size += header::BLOCK as u64 + entry.content().map_or(0, Content::size);
    }
    Ok(size)
}

/// The file of a tree whose bytes are at an offset of its tar.
fn place(tree: &dyn Entries, mtime: u64, offset: u64) -> String {
    let mut at = 0;
    for (path, entry) in tree.each().flatten() {
        let mut header = Vec::new();
        header::append(&mut header, &path, &entry, mtime);
        let size = entry.content().map_or(0, Content::size);
        at += header.len() as u64 + size + header::padding(size) as u64;
        if offset < at {
            return path.to_string();
        }
    }
    "the layer".to_owned()
}

/// Why a layer is not written to its end.
enum Ended {
    Failed(Error),
    Leak(Hit),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Hashes and writes the stretches of a layer in order.
struct Writer<'o> {
    options: &'o Options,
    watch: Option<Watch>,
    out: &'o mut dyn Write,
    see: &'o mut dyn FnMut(&[u8]),
    tar: TarHasher,
    digest: Hasher,
    size: u64,
    crc: crc32fast::Hasher,
    stored: Option<StoredRange>,
}

impl<'o> Writer<'o> {
    fn new(
        options: &'o Options,
        watch: Option<Watch>,
        out: &'o mut dyn Write,
        see: &'o mut dyn FnMut(&[u8]),
    ) -> Result<Self, Ended> {
        let mut writer = Self {
            options,
            watch,
            out,
            see,
            tar: TarHasher::new(),
            digest: Hasher::sha256(),
            size: 0,
            crc: crc32fast::Hasher::new(),
            stored: None,
        };
        writer.blob(options.compression.header()).map_err(Error::Write)?;
        Ok(writer)
    }

    fn write(mut self, queue: &Queue<Output, impl Jobs>, spare: &Spare) -> Result<Written, Ended> {
        while let Some(output) = queue.take() {
            match output {
                Output::Chunk(mut chunk) => {
                    let Chunk { tar, blob, marks } = &mut chunk;
                    if let Some(hit) = self.watch.as_mut().and_then(|watch| watch.push(tar.bytes())) {
                        return Err(Ended::Leak(hit));
                    }
                    self.hash(tar.bytes(), marks)?;
                    (self.see)(tar.bytes());
                    self.blob(blob).map_err(Error::Write)?;
                    tar.clear();
                    blob.clear();
                    marks.clear();
                    spare.lock().unwrap_or_else(PoisonError::into_inner).push(chunk);
                }
                Output::Done(sums) => self.add(sums)?,
                Output::Failed(error) => return Err(error.into()),
            }
        }
        let trailer = self
            .options
            .compression
            .trailer(self.crc.clone().finalize(), self.tar.size());
        self.blob(&trailer).map_err(Error::Write)?;
        self.out.flush().map_err(Error::Write)?;
        Ok(Written {
            media_type: self.options.compression.media_type(),
            digest: self.digest.finish(),
            size: self.size,
            diff_id: self.tar.finish(),
        })
    }

    /// Hashes bytes of the tar, and holds the members that end in them against their digests.
    fn hash(&mut self, tar: &[u8], marks: &[(usize, Mark)]) -> Result<(), Error> {
        let mut from = 0;
        for (at, mark) in marks {
            self.tar.update(&tar[from..*at]);
            from = *at;
            match mark {
                Mark::Begin(algorithm) => self.tar.begin(*algorithm),
                Mark::End(node) => {
                    let stated = node.member().and_then(|member| member.digest.as_ref());
                    if self.tar.end().as_ref() != stated {
                        return Err(Error::Content {
                            path: node.path.clone(),
                            source: invalid("content does not have the hash that was stated"),
                        });
                    }
                }
            }
        }
        self.tar.update(&tar[from..]);
        Ok(())
    }

    fn blob(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.size += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Adds the check sums of a job, and checks those of stored members that are complete with it.
    fn add(&mut self, sums: Sums) -> Result<(), Error> {
        self.crc.combine(&sums.tar);
        for range in sums.stored {
            let mut whole = match self.stored.take() {
                Some(mut before) if !range.begins => {
                    before.crc.combine(&range.crc);
                    StoredRange {
                        crc: before.crc,
                        ..range
                    }
                }
                _ => range,
            };
            let Some(expected) = whole.expected.take() else {
                self.stored = Some(whole);
                continue;
            };
            let crc = whole.crc.finalize();
            if crc != expected {
                let source = invalid(format!("has CRC-32 {crc:08x}, not the {expected:08x} stated"));
                return Err(Error::Content {
                    path: whole.node.path.clone(),
                    source,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::layer::Compression;
    use crate::paths::TreePath;
    use crate::tree::{Each, Entry, Tree};

    /// Several times as many bytes as may wait for the writer.
    fn large() -> Tree {
        let mut tree = Tree::new();
        for number in 0..24 {
            let path = TreePath::new(&format!("file{number}")).unwrap();
            let content = Content::bytes(vec![number; 2 << 20]);
            tree.insert(path, Entry::file(content, false)).unwrap();
        }
        tree
    }

    #[test]
    fn a_name_that_would_hide_another_file_is_not_written() {
        for name in [".wh.a", "deps/.wh..wh..opq", "deps/.wh.x/file", "a/.wh."] {
            let mut tree = Tree::new();
            let file = Entry::file(Content::bytes(*b""), false);
            tree.insert(TreePath::new(name).unwrap(), file).unwrap();
            let options = Options {
                mtime: 0,
                compression: Compression::Gzip,
                threads: 1,
            };
            let mut out = Vec::new();
            let error = write(&tree, &options, &mut out).unwrap_err();
            assert!(matches!(error, Error::Whiteout(_)), "{name}: {error}");
            assert!(out.is_empty());
        }
    }

    /// Entries that can be read so many times; then the list ends early.
    struct Failing(Tree, AtomicUsize);

    impl Entries for Failing {
        fn each(&self) -> Each<'_> {
            if self.1.fetch_sub(1, Ordering::Relaxed) > 0 {
                return self.0.each();
            }
            let fault = std::iter::once_with(|| Err(io::Error::other("the list is cut off")));
            Box::new(self.0.each().take(3).chain(fault))
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_to_its_end_makes_no_layer() {
        for (times, threads) in [(0, 1), (1, 1), (1, 3)] {
            let tree = Failing(large(), AtomicUsize::new(times));
            let options = Options {
                mtime: 0,
                compression: Compression::Gzip,
                threads,
            };
            let error = write(&tree, &options, &mut io::sink()).unwrap_err();
            assert!(matches!(&error, Error::Entries(_)), "{times}: {error}");
        }
    }

    #[test]
    fn workers_whose_writer_panics_end_too() {
        let options = Options {
            mtime: 0,
            compression: Compression::default(),
            threads: 2,
        };
        let tree = large();
        let mut see = |_: &[u8]| panic!("the writer's own");
        let mut out = io::sink();
        let write = || write_seen(&tree, &options, None, &mut out, &mut see);
        assert!(catch_unwind(AssertUnwindSafe(write)).is_err());
    }
}
