//! Media types of manifests, configs and layers: the OCI image spec's, and Docker's schema 2 where it was before them.

/// Media type of image manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of image indexes.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of image configs.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of gzip-compressed layers.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of zstd-compressed layers.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Media type of layers that are not compressed.
pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// Docker's image manifest (image manifest version 2, schema 2).
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
const DOCKER_LAYER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Whether it is an index of manifests, OCI's or Docker's.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, INDEX | DOCKER_MANIFEST_LIST)
}

/// Whether it is the manifest of one image, OCI's or Docker's.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, MANIFEST | DOCKER_MANIFEST)
}

/// The OCI media type of a layer with the same bytes; `None` if it is no layer that may be carried over: of an unknown
/// type, or one that is fetched from elsewhere ("foreign", image-spec layer.md "Non-Distributable Layers").
pub fn oci_layer(media_type: &str) -> Option<&'static str> {
    match media_type {
        LAYER_GZIP | DOCKER_LAYER_GZIP => Some(LAYER_GZIP),
        LAYER_ZSTD | DOCKER_LAYER_ZSTD => Some(LAYER_ZSTD),
        LAYER_TAR | DOCKER_LAYER_TAR => Some(LAYER_TAR),
        _ => None,
    }
}
