//! What tar archives of each origin may hold: the strictest that their writers live with (`docs/security.md`).

/// What a tar archive is, and so which of tar's many extensions it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A layer of an image: what runtimes take, devices and names in any encoding included.
    Layer,
    /// An archive of images (`oci-archive:`, `docker-archive:`).
    ImageArchive,
    /// A member of a Debian package, as `deb(5)` allows it: no pax.
    Debian,
    /// An sdist, which other programs unpack after us: pax alone, and one name for each file.
    ///
    /// > sdists must be in the "modern POSIX.1-2001 pax tar format" (packaging.python.org, source distribution format)
    Source,
}

impl Dialect {
    /// Whether names may be longer than a header by GNU's members of type `L` and `K`.
    pub(super) fn has_gnu_names(self) -> bool {
        self != Self::Source
    }

    /// Whether there are extended headers.
    pub(super) fn has_pax(self) -> bool {
        self != Self::Debian
    }

    /// Whether headers without the magic of POSIX or GNU are taken: those of before 1988.
    pub(super) fn has_old_headers(self) -> bool {
        self != Self::Source
    }

    /// Whether names may begin with `/` or `./` and have empty components, which mean nothing.
    pub(super) fn has_loose_names(self) -> bool {
        self != Self::Source
    }

    /// Whether names may be in any encoding.
    pub(super) fn has_bytes(self) -> bool {
        self == Self::Layer
    }

    /// Whether devices, pipes and files with holes are there, to be passed over.
    pub(super) fn has_special_files(self) -> bool {
        self == Self::Layer
    }
}
