//! `pyoci bundle`: a Python project becomes a directory or an archive that runs where there is `python3`.

mod archive;
mod deb;
mod directory;

pub use deb::DebOrder;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::build::bundle::{Bundle, BundleOrder, bundle};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::layer::{self, Compression};
use crate::progress::Progress;
use crate::project::bundle::Directory;
use crate::secrets::Leak;
use crate::tree::Tree;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Project, settings and target.
    pub bundle: BundleOrder,
    /// Where it goes; absolute.
    pub output: Option<PathBuf>,
    /// Whether everything is decided and nothing written.
    pub dry_run: bool,
    /// What is asked of a Debian package.
    pub deb: DebOrder,
}

/// What a bundle is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A directory.
    Directory,
    /// A tar archive.
    Archive(Compression),
    /// A Debian package.
    Deb,
}

impl Form {
    /// By the name of the output: `.tar.gz`, `.tgz` and `.tar.zst` are archives, `.deb` is a Debian package, all else is a directory.
    pub fn of(output: &Path) -> Self {
        let name = output.to_string_lossy().to_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".tar.gz", ".tgz"]) {
            return Self::Archive(Compression::Gzip);
        }
        if ends(&[".tar.zst", ".tzst"]) {
            return Self::Archive(Compression::Zstd);
        }
        if ends(&[".deb"]) {
            return Self::Deb;
        }
        Self::Directory
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
            Self::Archive(Compression::Gzip) => "tar.gz",
            Self::Archive(Compression::Zstd) => "tar.zst",
            Self::Deb => "deb",
        })
    }
}

/// Why a bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user did not say where it goes.
    #[error("no output: where should the bundle go?")]
    NoOutput,
    /// Something else is there.
    #[error("{} is not a bundle, and is not replaced: {reason}", path.display())]
    NotBundle {
        /// Where.
        path: PathBuf,
        /// What tells so.
        reason: String,
    },
    /// A flag of Debian packages, and another output.
    #[error("{0} is for Debian packages, and the output is none")]
    NotDebian(&'static str),
    /// A Debian package whose files would be there after its installation only.
    #[error("--thin: a Debian package brings all its files")]
    ThinDebian,
    /// The file system failed.
    #[error("cannot write {}", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A credential would be in it.
    #[error("the bundle is not written")]
    Leak(#[source] Leak),
    /// The archive cannot be made.
    #[error("cannot write {}", path.display())]
    Layer {
        /// What.
        path: PathBuf,
        /// Why.
        source: layer::Error,
    },
}

impl Error {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoOutput => Some("pyoci bundle -o app/ (or app.tar.gz, app.tar.zst)".to_owned()),
            Self::NotDebian(_) => Some("name a file that ends in .deb: -o NAME.deb".to_owned()),
            Self::ThinDebian => Some("leave --thin out".to_owned()),
            Self::NotBundle { .. } => Some("name another directory, or remove this one first".to_owned()),
            _ => None,
        }
    }
}

/// What became of a bundle.
pub struct Report {
    bundle: Bundle,
    output: Option<PathBuf>,
    form: Form,
    /// Of the directory: of all paths, modes and contents. Of an archive: of its bytes.
    digest: Digest,
    /// In bytes.
    size: u64,
    /// The Debian package, if it is one.
    package: Option<Value>,
}

/// Makes a bundle and writes it.
pub fn run(order: &Order, environment: &Environment, progress: &Progress) -> anyhow::Result<Report> {
    let output = match &order.output {
        None if !order.dry_run => return Err(Error::NoOutput.into()),
        output => output.clone(),
    };
    let form = output.as_deref().map_or(Form::Directory, Form::of);
    check(order, output.as_deref(), form)?;
    let bundle_order = BundleOrder {
        output: output.clone(),
        debian: form == Form::Deb,
        ..order.bundle.clone()
    };
    let bundle = bundle(&bundle_order, environment, progress)?;
    let package = match form {
        Form::Deb => Some(deb::decide(&bundle, &order.deb, progress)?),
        _ => None,
    };
    let tree = match &package {
        Some(package) => package.tree().clone(),
        None => bundle.tree()?,
    };
    let secrets = &environment.secrets;
    let write = || -> anyhow::Result<_> {
        Ok(match (&output, form) {
            (Some(output), Form::Deb)
                if !order.dry_run
                    && let Some(package) = &package =>
            {
                package.write(output, &bundle, secrets)?
            }
            (Some(output), Form::Directory) if !order.dry_run => {
                directory::write(&tree, output, bundle.layer.mtime, secrets)?;
                (tree.digest()?, tree.size())
            }
            (Some(output), Form::Archive(compression)) if !order.dry_run => {
                let options = layer::Options {
                    compression,
                    ..bundle.layer
                };
                archive::write(&tree, output, &options, secrets)?
            }
            _ => (tree.digest()?, tree.size()),
        })
    };
    let timings = progress.timings();
    let (digest, size) = timings.measure("write", &form.to_string(), |note| {
        let (digest, size) = write()?;
        note.bytes(size);
        Ok::<_, anyhow::Error>((digest, size))
    })?;
    if let Some(output) = output.as_ref().filter(|_| !order.dry_run) {
        let detail = format!("{}: {form}, {}", output.display(), summary(&bundle, &tree, size));
        progress.done("Bundle", detail);
    }
    if let Some(package) = &package {
        progress.choice("Package", package.summary());
    }
    Ok(Report {
        bundle,
        output: output.filter(|_| !order.dry_run),
        form,
        digest,
        size,
        package: package.map(|package| package.json()),
    })
}

/// Whether the output can take the place of what is there, and takes the flags that were given.
fn check(order: &Order, output: Option<&Path>, form: Form) -> anyhow::Result<()> {
    match (output, form) {
        (Some(output), Form::Directory) => directory::check(output)?,
        (Some(output), Form::Deb) => crate::sink::deb::check(output)?,
        _ => {}
    }
    match (form, order.deb.flag()) {
        (Form::Deb, _) if order.bundle.thin => Err(Error::ThinDebian.into()),
        (Form::Deb, _) | (_, None) => Ok(()),
        (_, Some(flag)) => Err(Error::NotDebian(flag).into()),
    }
}

fn summary(bundle: &Bundle, tree: &Tree, size: u64) -> String {
    let files = tree.iter().filter(|(_, entry)| entry.content().is_some()).count();
    let packages = bundle.packages.len();
    let plural = if packages == 1 { "" } else { "s" };
    let thin = if bundle.thin.is_some() {
        " at the first start"
    } else {
        ""
    };
    format!(
        "{packages} package{plural}{thin}, {files} files, {}",
        indicatif::DecimalBytes(size)
    )
}

impl Report {
    /// What is printed on stdout: where it is; nothing where nothing was written.
    pub fn lines(&self) -> Vec<String> {
        self.output
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    /// What `--format json` prints.
    pub fn json(&self) -> Value {
        let bundle = &self.bundle;
        let (target, needs) = (&bundle.target, &bundle.needs);
        let minor = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        let packages = bundle.packages.iter();
        let packages: Vec<Value> = packages
            .map(|(name, version)| json!({ "name": name, "version": version }))
            .collect();
        json!({
            "output": self.output.as_ref().map(|path| path.display().to_string()),
            "form": self.form.to_string(),
            "digest": self.digest,
            "size": self.size,
            "package": self.package,
            "thin": bundle.thin.is_some(),
            "target": {
                "python": target.python_minor(),
                "platform": target.platform.to_string(),
                "libc": target.libc.to_string(),
            },
            "needs": {
                "python": { "first": minor(needs.first), "last": needs.last.map(minor) },
                "cpu": needs.architecture.map(crate::platform::Architecture::machine),
                "libc": needs.libc.map(|libc| libc.to_string()),
            },
            "packages": packages,
            "start": {
                "command": bundle.start.command,
                "reason": bundle.start.reason,
                "directory": match bundle.directory { Directory::Caller => "caller", Directory::App => "app" },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_output_says_what_is_written() {
        let form = |name: &str| Form::of(Path::new(name)).to_string();
        assert_eq!(form("dist/app.tar.gz"), "tar.gz");
        assert_eq!(form("app.TGZ"), "tar.gz");
        assert_eq!(form("app.tar.zst"), "tar.zst");
        assert_eq!(form("app/"), "directory");
        assert_eq!(form("dist/app_1.0_all.deb"), "deb");
        assert_eq!(form("app.tar"), "directory");
    }
}
