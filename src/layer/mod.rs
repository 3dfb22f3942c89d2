//! Layers: a tree becomes a tar, the tar a compressed blob. The only tar headers and the only compression are here.

use crate::blob::Blob;
use crate::digest::Digest;

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
