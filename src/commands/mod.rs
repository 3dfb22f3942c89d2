//! The commands, one readable page each. A newcomer starts at [`build`].

pub mod base;
pub mod build;
pub mod cache;
mod report;

pub use report::Report;

/// What a command itself can find wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no directory to keep the cache in.
    #[error("there is no place for the cache: neither XDG_CACHE_HOME nor HOME is set")]
    NoCache,
    /// The user did not say where the image goes.
    #[error("no output: where should the image go?")]
    NoOutput,
    /// A transport that images cannot be written to.
    #[error("`{0}` is not a destination that images can be written to yet")]
    Destination(String),
    /// One platform was asked for twice.
    #[error("platform {0} is given twice")]
    PlatformTwice(crate::platform::Platform),
    /// A pattern of `exclude` that is none.
    #[error("exclude: `{pattern}` is not a pattern: {problem}")]
    Exclude {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A variable holds something else than it must.
    #[error("{name}={value} is not a number of seconds since 1970")]
    SourceDateEpoch {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCache => Some("set XDG_CACHE_HOME to a directory that you can write".to_owned()),
            Self::NoOutput => Some("pyoci build -o image/".to_owned()),
            Self::Destination(_) => Some("use -o DIR or -o oci:DIR[:TAG], then `skopeo copy`".to_owned()),
            _ => None,
        }
    }
}
