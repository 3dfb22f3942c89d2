//! What `setup.cfg` and `setup.py` say of a project, read and never run.

use std::path::Path;

use super::error::Place;
use super::python_source::Module;
use crate::python::PackageName;

/// A value, and the line that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The value.
    pub value: String,
    /// Where it is.
    pub place: Place,
}

/// The name of the project in `root`: that of setup.cfg, which setuptools prefers, else a literal one of setup.py.
pub(super) fn name(root: &Path) -> Option<String> {
    let is_name = |said: &Said| said.value.parse::<PackageName>().is_ok();
    let in_cfg = in_setup_cfg(root, "metadata", "name").filter(is_name);
    let said = in_cfg.or_else(|| in_setup_py(root, "name").filter(is_name));
    said.map(|said| said.value)
}

/// `python_requires` of the project in `root`.
pub(super) fn python_requires(root: &Path) -> Option<Said> {
    in_setup_cfg(root, "options", "python_requires").or_else(|| in_setup_py(root, "python_requires"))
}

fn in_setup_cfg(root: &Path, section: &str, key: &str) -> Option<Said> {
    let path = root.join("setup.cfg");
    let bytes = fs_err::read(&path).ok()?;
    let (line, value) = of_cfg(&String::from_utf8_lossy(&bytes), section, key)?;
    let place = Place::new(&path, line);
    Some(Said { value, place })
}

fn in_setup_py(root: &Path, keyword: &str) -> Option<Said> {
    let path = root.join("setup.py");
    let source = fs_err::read(&path).ok()?;
    let (at, value) = Module::parse(&source)?.setup_text(keyword)?;
    let before = source.get(..at).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let place = Place::new(&path, line);
    Some(Said { value, place })
}

/// The value of a key of a section, as configparser reads it, with its line; `None` if it is empty or goes over several
/// lines. Keys have no upper and lower case.
fn of_cfg(text: &str, section: &str, key: &str) -> Option<(usize, String)> {
    let mut inside = false;
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if let Some(name) = line.strip_prefix('[') {
            inside = name.split(']').next() == Some(section);
            continue;
        }
        let is_more = line.starts_with([' ', '\t', '#', ';']);
        let Some((name, value)) = line.split_once(['=', ':']).filter(|_| inside && !is_more) else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case(key) {
            let goes_on = lines
                .peek()
                .is_some_and(|(_, next)| next.starts_with([' ', '\t']) && !next.trim().is_empty());
            let value = value.trim();
            return (!value.is_empty() && !goes_on).then(|| (index + 1, value.to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_setup_cfg_is_found_in_its_section_with_its_line() {
        let text = "[metadata]\n# name = no\nName: my.app\n  name = part of the above\n[options]\npython_requires = >=3.9\n\
                    [other]\nname = other\n";
        assert_eq!(
            of_cfg(text, "options", "python_requires"),
            Some((6, ">=3.9".to_owned()))
        );
        assert_eq!(
            of_cfg(text, "metadata", "name"),
            None,
            "several lines are no name"
        );
        let text = text.replace("  name = part of the above\n", "");
        assert_eq!(of_cfg(&text, "metadata", "name"), Some((3, "my.app".to_owned())));
        assert_eq!(of_cfg("[metadata]\nname =\n", "metadata", "name"), None);
        assert_eq!(of_cfg("name = x\n", "metadata", "name"), None);
    }

    #[test]
    fn setup_py_tells_what_it_has_as_text_and_setup_cfg_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let write = |name: &str, text: &str| fs_err::write(root.join(name), text).unwrap();
        assert_eq!(name(root), None);
        let setup = "import setuptools\nNAME = 'my-tool'\n\nsetuptools.setup(\n    name=NAME,\n    version=read(),\n\
                     \x20   python_requires='>=3.10',\n)\n";
        write("setup.py", setup);
        assert_eq!(name(root).as_deref(), Some("my-tool"));
        let requires = python_requires(root).unwrap();
        assert_eq!((requires.value.as_str(), requires.place.line), (">=3.10", 7));
        write("setup.py", &setup.replace("name=NAME", "name=read('name')"));
        assert_eq!(name(root), None, "only what stands there");
        write("setup.py", "other(name='x')\n");
        assert_eq!(name(root), None, "another function's");
        write("setup.py", setup);
        write("setup.cfg", "[metadata]\nname = of-cfg\n");
        assert_eq!(name(root).as_deref(), Some("of-cfg"));
        write("setup.cfg", "[metadata]\nname = not a name!\n");
        assert_eq!(name(root).as_deref(), Some("my-tool"));
    }
}
