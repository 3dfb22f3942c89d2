//! What native code of a bundle needs of a Debian system: the packages of its libraries.

use std::collections::BTreeSet;

use super::Making;
use crate::base;
use crate::native::{self, Gap, Object, Provided};
use crate::platform::Platform;
use crate::python::Libc;
use crate::reference::ImageReference;
use crate::tree::Tree;

/// Parts of glibc, all in one package.
const GLIBC: [&str; 9] = [
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
];
/// Packages of libraries that have the same name in every Debian, so that no list of files needs to be read.
const KNOWN: [(&str, &str); 4] = [
    ("libgcc_s.so.1", "libgcc-s1"),
    ("libgomp.so.1", "libgomp1"),
    ("libstdc++.so.6", "libstdc++6"),
    ("libz.so.1", "zlib1g"),
];

impl Making<'_> {
    /// Relations to the Debian packages of all libraries that objects in a tree need and the tree does not have. What no
    /// package has is warned of.
    pub(super) fn debian_libraries(&self, tree: &Tree, libc: Option<Libc>) -> anyhow::Result<Vec<String>> {
        let objects: Vec<Object> = native::scan(tree)?
            .into_iter()
            .map(|(path, elf)| Object::new(&path, "", elf))
            .collect();
        let findings = native::check(&objects, &Provided::default(), &self.target);
        let missing = findings.iter().filter(|finding| finding.gap == Gap::Library);
        let mut relations = BTreeSet::new();
        let mut unknown = BTreeSet::new();
        for finding in missing {
            let soname = finding.soname.as_str();
            let known = KNOWN.iter().find(|(name, _)| *name == soname);
            match (known, libc) {
                (Some((_, package)), _) => drop(relations.insert((*package).to_owned())),
                (None, Some(Libc::Glibc { major, minor })) if GLIBC.contains(&soname) => {
                    relations.insert(format!("libc6 (>= {major}.{minor})"));
                }
                (None, _) if GLIBC.contains(&soname) => drop(relations.insert("libc6".to_owned())),
                (None, _) => drop(unknown.insert(soname)),
            }
        }
        let sonames: Vec<&str> = unknown.into_iter().collect();
        if !sonames.is_empty() {
            let release = self.debian_release();
            let packages = self.build.packages_of(&release, &sonames, self.target.platform)?;
            for soname in sonames {
                match packages.get(soname) {
                    Some(package) => drop(relations.insert(package.clone())),
                    None => self.build.progress.warn(format!(
                        "{soname} is needed, and neither a wheel nor a package of Debian's {release} has it"
                    )),
                }
            }
        }
        Ok(relations.into_iter().collect())
    }

    /// The Debian release whose Python the packages are for, else the newest.
    fn debian_release(&self) -> String {
        let candidates = base::candidates(&base::Wish::Any);
        let python = self.target.python;
        let fitting = candidates
            .iter()
            .find(|candidate| candidate.target(Platform::host()).python == python);
        match fitting
            .or(candidates.first())
            .map(|candidate| &candidate.reference)
        {
            Some(ImageReference::Recipe(name)) => name.clone(),
            _ => String::new(),
        }
    }
}
