//! `Contents` indexes: which package has a library. Read as a stream, and what it said is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

use super::{Archives, Error, Suite};
use crate::digest::Digest;
use crate::platform::Architecture;

/// No list of files is near it when unpacked (trixie's is about 180 MB for a component).
const LIMIT: u64 = 4 << 30;
/// No line is longer.
const LINE_LIMIT: u64 = 64 * 1024;

impl Archives<'_> {
    /// The packages that have libraries of these names where the loader looks, by name. Libraries that no package has are left out.
    ///
    /// A suite that is released does not change in this: what was answered once is not asked again.
    pub fn packages_of(
        &self,
        suite: &Suite,
        component: &str,
        architecture: Architecture,
        sonames: &[&str],
    ) -> Result<BTreeMap<String, String>, Error> {
        let key = |soname: &str| {
            let question = format!("package of {soname} in {} {component} {architecture}", suite.name);
            Digest::of(question.as_bytes())
        };
        let mut known = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for soname in sonames {
            let note = self.store.memo(&key(soname));
            match note.and_then(|note| String::from_utf8(note).ok()) {
                Some(package) => drop(known.insert((*soname).to_owned(), package)),
                None => drop(unknown.insert(*soname)),
            }
        }
        if !unknown.is_empty() {
            let found = self.look_up(suite, component, architecture, &unknown)?;
            for soname in unknown {
                let package = found.get(soname).cloned().unwrap_or_default();
                self.store.remember(&key(soname), package.as_bytes())?;
                known.insert(soname.to_owned(), package);
            }
        }
        known.retain(|_, package| !package.is_empty());
        Ok(known)
    }

    fn look_up(
        &self,
        suite: &Suite,
        component: &str,
        architecture: Architecture,
        sonames: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let release = self.release(suite)?;
        let path = format!("{component}/Contents-{architecture}.gz");
        let Some((digest, size)) = release.file(&path) else {
            return Err(Error::NoIndex {
                suite: suite.name.clone(),
                component: format!("{component}/Contents"),
                architecture: architecture.to_string(),
            });
        };
        let file = self.index_file(suite, &release, &path, (digest, *size))?;
        let file = super::fetch::open(&file, &path)?;
        let reader = flate2::read::GzDecoder::new(file).take(LIMIT);
        read(
            BufReader::with_capacity(256 * 1024, reader),
            architecture,
            sonames,
        )
        .map_err(|source| Error::Contents {
            suite: suite.name.clone(),
            source,
        })
    }
}

/// > [...] a list of path names and, separated by white space, the qualified package names that contain them, separated by
/// > commas (wiki.debian.org/DebianRepository/Format, "Contents" indices)
fn read(
    mut reader: impl BufRead,
    architecture: Architecture,
    sonames: &BTreeSet<&str>,
) -> std::io::Result<BTreeMap<String, String>> {
    let multiarch = architecture.multiarch();
    let directories = [
        format!("usr/lib/{multiarch}"),
        format!("lib/{multiarch}"),
        "usr/lib".to_owned(),
        "lib".to_owned(),
    ];
    let mut found = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line)? == 0 {
            return Ok(found);
        }
        let Some((path, packages)) = std::str::from_utf8(&line)
            .ok()
            .and_then(|line| line.trim_end().rsplit_once([' ', '\t']))
        else {
            continue;
        };
        let Some((directory, name)) = path.trim_end().rsplit_once('/') else {
            continue;
        };
        if sonames.contains(name) && directories.iter().any(|d| d == directory) {
            let package = packages
                .split(',')
                .map(|qualified| qualified.rsplit('/').next().unwrap_or(qualified))
                // The shortest name is the plain one: others are variants of it, or for debugging.
                .min_by_key(|package| (package.len(), (*package).to_owned()));
            let package = package.unwrap_or_default().to_owned();
            found.entry(name.to_owned()).or_insert(package);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_a_library_is_the_one_that_has_it_where_the_loader_looks() {
        let text = "usr/lib/x86_64-linux-gnu/libGL.so.1                    libs/libgl1\n\
            usr/lib/x86_64-linux-gnu/blas/libblas.so.3             libs/libblas3\n\
            usr/lib/x86_64-linux-gnu/libx.so.1 debug/libx1-dbg,libs/libx1,libs/libx1-nox\n\
            usr/share/a name with blanks/libGL.so.1 doc/other\n\
            usr/lib/aarch64-linux-gnu/liby.so.1 libs/liby1\n";
        let sonames = ["libGL.so.1", "libblas.so.3", "libx.so.1", "liby.so.1"].into();
        let found = read(text.as_bytes(), Architecture::Amd64, &sonames).unwrap();
        let found: Vec<_> = found.iter().map(|(s, p)| format!("{s} {p}")).collect();
        assert_eq!(found, ["libGL.so.1 libgl1", "libx.so.1 libx1"]);
    }
}
