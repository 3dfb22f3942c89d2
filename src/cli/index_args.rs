//! The flags that say where packages are looked for, by pip's names.

use clap::Args;

use crate::project::settings::IndexSettings;

/// Package indexes.
#[derive(Clone, Debug, Args)]
pub struct IndexArgs {
    /// The package index that is asked in the place of PyPI
    #[arg(short, long, value_name = "URL", help_heading = "Package indexes")]
    pub index_url: Option<String>,
    /// Index that is asked before it; can be repeated
    #[arg(long, value_name = "URL", help_heading = "Package indexes")]
    pub extra_index_url: Vec<String>,
    /// Directory, or URL of a page, with wheels and sdists; can be repeated
    #[arg(short, long, value_name = "PLACE", help_heading = "Package indexes")]
    pub find_links: Vec<String>,
    /// Ask no index, only --find-links
    #[arg(long, help_heading = "Package indexes")]
    pub no_index: bool,
    /// Host (HOST or HOST:PORT) whose certificate is not looked at; can be repeated
    #[arg(long, value_name = "HOST", help_heading = "Package indexes")]
    pub trusted_host: Vec<String>,
}

impl IndexArgs {
    /// The flags as settings.
    pub fn settings(&self) -> IndexSettings {
        IndexSettings {
            index_url: self.index_url.clone(),
            extra_index_urls: self.extra_index_url.clone(),
            find_links: self.find_links.clone(),
            no_index: self.no_index.then_some(true),
            trusted_hosts: self.trusted_host.clone(),
        }
    }
}
