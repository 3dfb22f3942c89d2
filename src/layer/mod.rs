//! Layers: a tree becomes a tar, the tar a compressed blob. The only tar headers and the only compression are here.
//!
//! Files of wheels are DEFLATE streams already: a gzip layer carries them over as they are (`docs/layer-format.md`).

mod buffer;
mod compression;
mod deflate;
mod dialect;
mod encode;
mod extended;
mod fixed;
mod header;
mod inflate;
mod member;
mod pax;
mod plan;
mod queue;
mod raw;
mod read;
mod sha256;
mod stretch;
mod tar_hasher;
mod work;
mod write;

use std::io;

use crate::blob::Blob;
use crate::digest::Digest;
use crate::paths::TreePath;

pub use compression::{compression, decompress, decompress_foreign, is_bomb};
pub use deflate::Deflater;
pub use dialect::Dialect;
pub use header::{file_header, file_padding};
pub use read::{Found, FoundKind, LayerReader};
pub use write::{write, write_seen, write_watched};

/// The version of the byte format. It goes into the keys under which finished layers are kept: whatever changes a byte of
/// any layer changes it.
pub const FORMAT: u32 = 3;

/// A layer: digest, size and `diff_id` are known; only its bytes are lazy (OCI image-spec, layer.md).
#[derive(Clone, Debug)]
pub struct Layer {
    /// The compressed tar.
    pub blob: Blob,
    /// The digest of the uncompressed tar (image-spec config.md, `rootfs.diff_ids`).
    pub diff_id: Digest,
    /// What made it: the `created_by` of its entry in the image's `history`.
    pub created_by: String,
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// One gzip member; DEFLATE streams of wheels are carried over.
    #[default]
    Gzip,
    /// zstd frames; everything is compressed anew.
    Zstd,
}

/// What decides the bytes of a layer beside its tree, and how many threads make it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The mtime of every entry, in seconds since 1970.
    pub mtime: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// How many threads inflate and compress, at least 1; the calling thread hashes and writes. No byte depends on it.
    pub threads: usize,
}

/// A layer that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The media type of the blob.
    pub media_type: &'static str,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// Why a layer cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file's content cannot be read or is not what was stated.
    #[error("cannot read the content of {path}")]
    Content {
        /// The path in the tree.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// What keeps the list of files cannot be read.
    #[error("cannot read the list of the layer's files")]
    Entries(#[source] io::Error),
    /// A name that means something else in a layer.
    ///
    /// > As files prefixed with `.wh.` are special whiteout markers, it is not possible to create a filesystem which has a
    /// > file or directory with a name beginning with `.wh.`. (image-spec layer.md)
    #[error("{0} cannot be in an image: there a name that begins with `.wh.` hides another file")]
    Whiteout(TreePath),
    /// A credential would be in it.
    #[error("the layer is not written")]
    Leak(#[source] crate::secrets::Leak),
    /// A compressor failed.
    #[error("cannot compress the layer")]
    Encode(#[source] io::Error),
    /// The destination takes no more bytes.
    #[error("cannot write the layer")]
    Write(#[source] io::Error),
}
