//! `/usr/share/doc/NAME/copyright` (Debian Policy 12.5).

use std::fmt::Write as _;
use std::path::Path;

use super::{Error, Metadata};
use crate::project::Project;
use crate::project::document::Node;

/// No licence is longer; in bytes.
const LIMIT: u64 = 256 * 1024;

/// Texts that every Debian system has: how they begin, in capitals, and their names in `/usr/share/common-licenses`.
///
/// > Packages distributed under the Apache license (version 2.0), the Artistic license, [...] should refer to the
/// > corresponding files under /usr/share/common-licenses
const COMMON: [(&[&str], &str); 8] = [
    (
        &["APACHE LICENSE", "VERSION 2.0", "TERMS AND CONDITIONS"],
        "Apache-2.0",
    ),
    (&["GNU AFFERO GENERAL PUBLIC LICENSE"], ""),
    (&["GNU LESSER GENERAL PUBLIC LICENSE", "VERSION 3"], "LGPL-3"),
    (&["GNU LESSER GENERAL PUBLIC LICENSE", "VERSION 2.1"], "LGPL-2.1"),
    (&["GNU LIBRARY GENERAL PUBLIC LICENSE", "VERSION 2"], "LGPL-2"),
    (&["GNU GENERAL PUBLIC LICENSE", "VERSION 3"], "GPL-3"),
    (&["GNU GENERAL PUBLIC LICENSE", "VERSION 2"], "GPL-2"),
    (&["MOZILLA PUBLIC LICENSE VERSION 2.0"], "MPL-2.0"),
];

/// The text: who wrote the project, and its licence file; `place` is where the vendored packages are.
pub fn copyright(project: &Project, metadata: &Metadata, place: &str) -> Result<String, Error> {
    let mut text = format!("{}, packaged with pyoci from its project.\n", metadata.name);
    if let Some(homepage) = &metadata.homepage {
        let _ = writeln!(text, "Source: {homepage}");
    }
    let authors: Vec<String> = metadata.authors.iter().map(ToString::to_string).collect();
    if authors.is_empty() {
        let _ = writeln!(text, "Copyright: the authors of {}", metadata.name);
    } else {
        let _ = writeln!(text, "Copyright: {}", authors.join(", "));
    }
    if let Some(licence) = &metadata.licence {
        let _ = writeln!(text, "License: {licence}");
    }
    match file(project)? {
        Some((name, content)) => {
            if let Some(common) = common(&content) {
                let _ = writeln!(
                    text,
                    "\n{name} of the project is the text that Debian has in /usr/share/common-licenses/{common}."
                );
            } else {
                let _ = writeln!(text, "\n{}", content.trim_end());
            }
        }
        None if metadata.licence.is_none() => {
            text.push_str("\nThe project says nothing about its licence.\n");
        }
        None => {}
    }
    let _ = writeln!(
        text,
        "\nThe Python packages in {place} have their own authors and licences: see the *.dist-info directories there."
    );
    Ok(text)
}

/// The licence file: the one that `[project]` names, else one under a usual name.
fn file(project: &Project) -> Result<Option<(String, String)>, Error> {
    let table = project
        .pyproject
        .as_ref()
        .and_then(|document| document.get(&["project"]));
    let named = table
        .and_then(|table| table.get("license")?.get("file"))
        .and_then(Node::text);
    let listed = table.and_then(|table| table.get("license-files"));
    let listed = listed
        .into_iter()
        .flat_map(Node::texts)
        .filter(|name| !name.contains(['*', '?', '[']));
    let mut candidates: Vec<String> = named.into_iter().chain(listed).map(str::to_owned).collect();
    if project.script.is_none() {
        let entries = crate::files::read_dir(&project.root).map_err(Error::Licence)?;
        let mut usual: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| {
                let upper = name.to_uppercase();
                ["LICENSE", "LICENCE", "COPYING"]
                    .iter()
                    .any(|begin| upper.starts_with(begin))
            })
            .collect();
        usual.sort();
        candidates.extend(usual);
    }
    for name in candidates {
        // A name that leads out of the project would put another file of this machine into the package.
        let inside = crate::paths::TreePath::new(&name).is_ok();
        let path = project.root.join(&name);
        if inside && is_file_inside(&path, &project.root) {
            let bytes = fs_err::read(&path).map_err(Error::Licence)?;
            return Ok(Some((
                name,
                String::from_utf8_lossy(&bytes).replace("\r\n", "\n"),
            )));
        }
    }
    Ok(None)
}

fn is_file_inside(path: &Path, root: &Path) -> bool {
    let Ok(real) = fs_err::canonicalize(path) else {
        return false;
    };
    let metadata = fs_err::metadata(&real);
    real.starts_with(root) && metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LIMIT)
}

/// The name in `/usr/share/common-licenses` of a licence that is there in full.
fn common(text: &str) -> Option<&'static str> {
    // What counts is the title: MIT's text may mention the others.
    let begin: String = text.chars().take(1200).collect::<String>().to_uppercase();
    let begin = begin.split_whitespace().collect::<Vec<_>>().join(" ");
    let has_all = |words: &&(&[&str], &'static str)| words.0.iter().all(|word| begin.contains(word));
    let is_long = text.len() > 5000;
    COMMON
        .iter()
        .find(has_all)
        .map(|(_, name)| *name)
        .filter(|name| is_long && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Settings;

    fn text(files: &[(&str, &str)]) -> String {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs_err::write(directory.path().join(name), content).unwrap();
        }
        let project = Project::discover(directory.path(), Settings::default()).unwrap();
        copyright(&project, &project.debian_metadata(None), "/opt/x/python_deps").unwrap()
    }

    #[test]
    fn the_licence_file_is_in_it_and_common_ones_are_referred_to() {
        let pyproject = (
            "pyproject.toml",
            "[project]\nname = 'x'\nversion = '1'\nauthors = [{ name = 'Ann' }]\n",
        );
        let mit = text(&[pyproject, ("LICENSE.txt", "MIT License\r\n\r\nPermission is\n")]);
        assert!(
            mit.contains("Copyright: Ann\n\nMIT License\n\nPermission is\n\n"),
            "{mit}"
        );
        let gpl = format!(
            "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007\n{}",
            "text ".repeat(2000)
        );
        let gpl = text(&[pyproject, ("COPYING", &gpl)]);
        assert!(
            gpl.contains("/usr/share/common-licenses/GPL-3") && !gpl.contains("text text"),
            "{gpl}"
        );
        let none = text(&[pyproject]);
        assert!(none.contains("says nothing about its licence"), "{none}");
    }

    #[test]
    fn a_licence_that_leads_out_of_the_project_is_not_taken() {
        let said =
            "[project]\nname = 'x'\nversion = '1'\nlicense = { file = '../../../../../../etc/hostname' }\n";
        assert!(text(&[("pyproject.toml", said)]).contains("says nothing"));
    }
}
