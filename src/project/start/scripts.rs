//! Console scripts, packages that run, and files named like a program.

use super::{Clues, Start, below, of_words};
use crate::project::RequirementSource;

/// The one console script, or the one named like the project.
pub(super) fn console_script(clues: &mut Clues<'_>) -> Option<Start> {
    let (own, names) = match clues.distribution {
        Some(distribution) => {
            let scripts = distribution.entry_points().console_scripts.iter();
            (
                distribution.name().to_string(),
                scripts.map(|script| script.name.clone()).collect(),
            )
        }
        None if clues.surroundings.unbuilt => (clues.project.name.clone(), declared(clues)),
        None => return None,
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let normal = |name: &str| name.parse::<crate::python::PackageName>().ok();
    let same = |name: &str| normal(name).is_some_and(|name| Some(name) == normal(&own));
    let (name, reason) = match names.as_slice() {
        [] => return None,
        [name] => (*name, "the project's only console script"),
        _ => {
            if let Some(name) = names.iter().find(|name| same(name)) {
                (*name, "the console script named like the project")
            } else {
                clues.seen.push(format!(
                    "console scripts {}: none is named like the project",
                    names.join(", ")
                ));
                return None;
            }
        }
    };
    Some(of_words(&[name], reason.to_owned()))
}

/// The console scripts that the project's files declare: `[project]` or poetry's own table, setup.cfg, setup.py.
fn declared(clues: &Clues<'_>) -> Vec<String> {
    let tables = [&["project", "scripts"][..], &["tool", "poetry", "scripts"]];
    let table = tables
        .iter()
        .find_map(|keys| clues.project.pyproject.as_ref()?.get(keys)?.table());
    if let Some(table) = table {
        return table.keys().cloned().collect();
    }
    let in_cfg = clues
        .read("setup.cfg")
        .map(|bytes| in_setup_cfg(&String::from_utf8_lossy(&bytes)));
    match in_cfg {
        Some(names) if !names.is_empty() => names,
        _ => clues
            .module("setup.py")
            .map(|module| module.console_scripts())
            .unwrap_or_default(),
    }
}

/// `console_scripts` of `[options.entry_points]`: lines of `name = module:object`, indented.
fn in_setup_cfg(text: &str) -> Vec<String> {
    let section = text
        .lines()
        .skip_while(|line| line.trim() != "[options.entry_points]")
        .skip(1);
    let section = section.take_while(|line| !line.starts_with('['));
    let after = section
        .skip_while(|line| !line.starts_with("console_scripts"))
        .skip(1);
    after
        .take_while(|line| line.is_empty() || line.starts_with([' ', '\t']))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect()
}

/// The one package with a `__main__.py`, or the one named like the project.
pub(super) fn package_main(clues: &mut Clues<'_>) -> Option<Start> {
    let mut packages = Vec::new();
    for root in clues.roots() {
        for name in clues.list(root) {
            let Some(name) = name.strip_suffix('/') else {
                continue;
            };
            let path = below(root, name);
            if is_identifier(name) && path != "src" && clues.has(&format!("{path}/__main__.py")) {
                packages.push((name.to_owned(), root));
            }
        }
    }
    let own = clues.project.name.replace(['-', '.'], "_").to_lowercase();
    let (chosen, reason) = match packages.as_slice() {
        [] => return None,
        [one] => (one, "the project's only package with a __main__.py"),
        _ => {
            if let Some(one) = packages.iter().find(|(name, _)| name.to_lowercase() == own) {
                (
                    one,
                    "the package with a __main__.py that is named like the project",
                )
            } else {
                let names: Vec<_> = packages.iter().map(|(name, _)| name.as_str()).collect();
                clues
                    .seen
                    .push(format!("packages with a __main__.py: {}", names.join(", ")));
                return None;
            }
        }
    };
    let mut start = of_words(&["python3", "-m", &chosen.0], reason.to_owned());
    if !chosen.1.is_empty() {
        start.import_roots.push(chosen.1.to_owned());
    }
    Some(start)
}

/// Files that tools run, never the user.
const TOOLS_FILES: [&str; 6] = [
    "setup.py",
    "conftest.py",
    "noxfile.py",
    "fabfile.py",
    "dodo.py",
    "pavement.py",
];

/// A file named like a program or like the project, or the only one that is a program.
pub(super) fn main_file(clues: &mut Clues<'_>) -> Option<Start> {
    for file in ["main.py", "src/main.py", "app.py", "src/app.py", "__main__.py"] {
        if clues.has(file) {
            let argument = clues.argument(file);
            return Some(of_words(&["python3", &argument], format!("{file} is there")));
        }
    }
    let own = clues.project.name.replace(['-', '.'], "_");
    for root in clues.roots() {
        let file = below(root, &format!("{own}.py"));
        if clues.has(&file) {
            let argument = clues.argument(&file);
            let reason = format!("{file} is named like the project");
            return Some(of_words(&["python3", &argument], reason));
        }
    }
    let mut files: Vec<String> = Vec::new();
    for root in clues.roots() {
        files.extend(
            clues
                .list(root)
                .into_iter()
                .filter(|name| {
                    name.rsplit_once('.')
                        .is_some_and(|(_, extension)| extension == "py")
                })
                .map(|name| below(root, &name)),
        );
    }
    files.retain(|file| !TOOLS_FILES.contains(&file.as_str()));
    let programs = files
        .iter()
        .filter(|file| clues.module(file).is_some_and(|module| module.is_program()));
    if let [program] = programs.collect::<Vec<_>>().as_slice() {
        let argument = clues.argument(program);
        let reason = format!("{program} is the only file with `if __name__ == \"__main__\"`");
        return Some(of_words(&["python3", &argument], reason));
    }
    if let [only] = files.as_slice() {
        // Not taken by itself: it may as well be a module to import. But it is what the hint should propose.
        clues.likely = Some(format!("python3 {}", clues.argument(only)));
    }
    if !files.is_empty() {
        clues
            .seen
            .push(format!("files {}: none is main.py or app.py", files.join(", ")));
    }
    None
}

/// The script whose header says what the project requires.
pub(super) fn with_header(clues: &mut Clues<'_>) -> Option<Start> {
    let RequirementSource::Script(script) = &clues.project.requirements.source else {
        return None;
    };
    let name = script.file_name()?.to_str().filter(|name| clues.has(name))?;
    let reason = format!("{name} has the header that says what is required");
    Some(of_words(&["python3", &clues.argument(name)], reason))
}

pub(super) fn is_identifier(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}
