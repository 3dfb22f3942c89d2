//! Bundles: the project in a directory that runs on a machine with `python3` and nothing else. `docs/bundles.md`.

mod launcher;

use std::fmt;

pub use launcher::{Directory, Launcher, Program};

use super::runtime;
use crate::paths::TreePath;
use crate::platform::Architecture;
use crate::python::Libc;
use crate::tree::{Content, Entry, Tree};

/// Where the project's files are in a bundle.
pub const APP: &str = "app";
/// Where the packages are.
pub const DEPENDENCIES: &str = "python_deps";
/// What starts the app.
pub const RUN: &str = "run";
/// What a thin bundle installs: requirements with hashes.
pub const REQUIREMENTS: &str = "requirements.txt";
/// Where a thin bundle has the packages that no index has.
pub const BUILT: &str = "built";
/// How the second line of `run` begins: it tells a bundle from other directories.
pub const MARK: &str = "# A bundle made by pyoci";
/// The interpreter in the first line of scripts: whichever `python3` the machine has.
pub const INTERPRETER: &str = "/usr/bin/env python3";

/// What the packages of a bundle need of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The first minor version of Python that will do, e.g. `(3, 9)`.
    pub first: (u32, u32),
    /// The last one; `None` if any later one will do.
    pub last: Option<(u32, u32)>,
    /// The CPU, if there is native code.
    pub architecture: Option<Architecture>,
    /// The C library and its oldest version, if there is native code that needs one.
    pub libc: Option<Libc>,
}

impl Needs {
    /// `3.13`, `3.9 to 3.13`, `3.9 or later`.
    pub fn pythons(&self) -> String {
        let text = |(major, minor): (u32, u32)| format!("{major}.{minor}");
        match self.last {
            None => format!("{} or later", text(self.first)),
            Some(last) if last == self.first => text(last),
            Some(last) => format!("{} to {}", text(self.first), text(last)),
        }
    }

    /// As Python reads it when the app starts.
    fn to_python(&self) -> String {
        let minor = |(major, minor): (u32, u32)| format!("({major}, {minor})");
        let none = || "None".to_owned();
        let libc = match self.libc {
            Some(Libc::Glibc { major, minor }) => format!("(\"glibc\", ({major}, {minor}))"),
            Some(Libc::Musl { major, minor }) => format!("(\"musl\", ({major}, {minor}))"),
            None => none(),
        };
        format!(
            "\"\"\"What the packages of this bundle need.\"\"\"\n\nPYTHON = {}, {}\nMACHINE = {}\nLIBC = {libc}\n",
            minor(self.first),
            self.last.map_or_else(none, minor),
            self.architecture
                .map_or_else(none, |cpu| format!("\"{}\"", cpu.machine())),
        )
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Python {}", self.pythons())?;
        match self.architecture {
            Some(cpu) => write!(f, ", {}", cpu.machine())?,
            None => write!(f, ", any CPU")?,
        }
        match self.libc {
            Some(libc @ Libc::Glibc { .. }) => write!(f, ", {libc} or later"),
            Some(Libc::Musl { .. }) => write!(f, ", musl"),
            None => Ok(()),
        }
    }
}

/// The files of `app/.pyoci` that every bundle has. `roots` are below `app`; empty for itself.
pub(super) fn tree(needs: &Needs, thin: bool, roots: &[String]) -> Result<Tree, runtime::Error> {
    let mut tree = Tree::new();
    let mut put = |name: &str, text: String| -> Result<(), runtime::Error> {
        let path = TreePath::new(&format!("{APP}/.pyoci/{name}"))?;
        tree.insert(path, Entry::file(Content::bytes(text.into_bytes()), false))?;
        Ok(())
    };
    for (name, text) in runtime::site() {
        put(&format!("site/{name}"), text.replace(IMAGE_DIRECTORY, DIRECTORY))?;
    }
    put(
        "site/_pyoci_bundle.py",
        include_str!("_pyoci_bundle.py").to_owned(),
    )?;
    put("site/_pyoci_needs.py", needs.to_python())?;
    if thin {
        put("install.py", include_str!("install.py").to_owned())?;
    }
    if !roots.is_empty() {
        // From the site directory, in which the file is.
        let mut lines = String::new();
        for root in roots {
            lines.push_str(format!("../../{root}").trim_end_matches('/'));
            lines.push('\n');
        }
        put("site/roots", lines)?;
    }
    Ok(tree)
}

/// The line of the image's files that says where the packages are, and what stands there in a bundle.
const IMAGE_DIRECTORY: &str = "DEPS = \"/deps\"\n";
const DIRECTORY: &str = "DEPS = __import__(\"_pyoci_bundle\").DEPS\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_bundle_find_the_packages_beside_them() {
        let needs = Needs {
            first: (3, 9),
            last: None,
            architecture: None,
            libc: None,
        };
        let tree = tree(&needs, true, &[String::new(), "src".to_owned()]).unwrap();
        let text = |name: &str| {
            let entry = tree.get(&format!("app/.pyoci/{name}")).unwrap();
            String::from_utf8(entry.content().unwrap().read(1 << 20).unwrap()).unwrap()
        };
        assert!(text("site/_pyoci_runtime.py").contains(DIRECTORY));
        assert!(!text("site/_pyoci_runtime.py").contains(IMAGE_DIRECTORY));
        assert_eq!(text("site/roots"), "../..\n../../src\n");
        assert!(text("site/_pyoci_needs.py").contains("PYTHON = (3, 9), None\nMACHINE = None\n"));
    }
}
