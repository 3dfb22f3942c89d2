//! Which file says what the project requires: the order of sources, and the reason for the choice.

use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::Error;
use super::settings::Settings;
use super::{script, uv_workspace};
use crate::lock::LockFormat;

/// Where the project's requirements are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequirementSource {
    /// A lock file, of any [`LockFormat`].
    Lock(PathBuf),
    /// Requirements files in pip's format.
    Files(Vec<PathBuf>),
    /// The project's own metadata: `pyproject.toml`, or `setup.cfg` / `setup.py` where there is none. Extras and
    /// groups are in the settings.
    Metadata(PathBuf),
    /// The header of a script (PEP 723).
    Script(PathBuf),
    /// The project requires nothing.
    None,
}

/// A source, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// Where the requirements are.
    pub source: RequirementSource,
    /// Why, in words for the user.
    pub reason: String,
    /// A file that would have been the source if a better one had not been there.
    pub ignored: Option<PathBuf>,
}

/// Finds the source of the requirements of the project in `root`.
pub fn requirements(
    root: &Path,
    pyproject: Option<&Document>,
    settings: &Settings,
) -> Result<Requirements, Error> {
    let wants_metadata = !settings.extras.is_empty() || !settings.groups.is_empty();
    if let Some(asked) = asked_for(settings, wants_metadata)? {
        return Ok(asked);
    }
    if let Some(lock) = own_lock(root)? {
        return Ok(Requirements {
            source: RequirementSource::Lock(lock),
            reason: "the project's lock file".to_owned(),
            ignored: requirements_file(root),
        });
    }
    beside_pylock(root, pyproject, wants_metadata)
}

/// The same as if no `pylock.toml` were there, nor asked for. Of a script: its own.
pub fn requirements_beside_pylock(
    root: &Path,
    pyproject: Option<&Document>,
    settings: &Settings,
    of_script: Option<Requirements>,
) -> Result<Requirements, Error> {
    let wants_metadata = !settings.extras.is_empty() || !settings.groups.is_empty();
    let is_pylock = |path: &PathBuf| LockFormat::of_name(path) == Some(LockFormat::Pylock);
    let mut settings = settings.clone();
    settings.lock = settings.lock.filter(|lock| !is_pylock(lock));
    settings.requirements.retain(|file| !is_pylock(file));
    match asked_for(&settings, wants_metadata)? {
        Some(asked) => Ok(asked),
        None => match of_script {
            Some(requirements) => Ok(requirements),
            None => match beside_pylock(root, pyproject, wants_metadata)? {
                // The script that the directory takes its requirements from has a lock of its own.
                Requirements {
                    source: RequirementSource::Lock(lock),
                    ..
                } if is_pylock(&lock) => {
                    script::requirements_of_directory(root, script::requirements_beside_pylock)
                }
                other => Ok(other),
            },
        },
    }
}

fn requirements_file(root: &Path) -> Option<PathBuf> {
    Some(root.join("requirements.txt")).filter(|file| file.is_file())
}

fn beside_pylock(
    root: &Path,
    pyproject: Option<&Document>,
    wants_metadata: bool,
) -> Result<Requirements, Error> {
    let metadata = metadata_file(root, pyproject);
    let text_file = requirements_file(root);
    let chosen = |source, reason: &str, ignored: Option<&PathBuf>| {
        Ok(Requirements {
            source,
            reason: reason.to_owned(),
            ignored: ignored.cloned(),
        })
    };
    if let Some((lock, reason)) = lock_of_a_tool(root, pyproject)? {
        return chosen(RequirementSource::Lock(lock), reason, text_file.as_ref());
    }
    match (text_file, metadata) {
        (_, Some(file)) if wants_metadata => chosen(
            RequirementSource::Metadata(file),
            "extras and groups belong to the project's metadata",
            None,
        ),
        (Some(file), metadata) => chosen(
            RequirementSource::Files(vec![file]),
            "there is no lock file",
            metadata.as_ref(),
        ),
        (None, Some(file)) => chosen(
            RequirementSource::Metadata(file),
            "there is no lock file and no requirements.txt",
            None,
        ),
        (None, None) => script::requirements_of_directory(root, script::requirements),
    }
}

/// What `-r` or `--lock` (or the settings of the same meaning) name.
pub(super) fn asked_for(settings: &Settings, wants_metadata: bool) -> Result<Option<Requirements>, Error> {
    let exists = |flag, path: &PathBuf| {
        let path = path.clone();
        if path.is_file() {
            Ok(())
        } else {
            Err(Error::MissingFile { flag, path })
        }
    };
    let (source, reason) = match (&settings.lock, settings.requirements.as_slice()) {
        (Some(_), [_, ..]) => return Err(Error::Exclusive("--lock", "-r")),
        (Some(lock), []) => {
            exists("--lock", lock)?;
            (RequirementSource::Lock(lock.clone()), "asked for by --lock")
        }
        (None, []) => return Ok(None),
        (None, _) if wants_metadata => return Err(Error::Exclusive("-r", "--extra and --group")),
        (None, files) => {
            files.iter().try_for_each(|file| exists("-r", file))?;
            let source = match files {
                [lock] if LockFormat::of_name(lock).is_some() => RequirementSource::Lock(lock.clone()),
                _ => RequirementSource::Files(files.to_vec()),
            };
            (source, "asked for by -r")
        }
    };
    Ok(Some(Requirements {
        source,
        reason: reason.to_owned(),
        ignored: None,
    }))
}

fn own_lock(root: &Path) -> Result<Option<PathBuf>, Error> {
    let plain = root.join("pylock.toml");
    if plain.is_file() {
        return Ok(Some(plain));
    }
    let mut named = Vec::new();
    for entry in crate::files::read_dir(root).map_err(Error::Io)? {
        let path = entry.map_err(Error::Io)?.path();
        let is_lock = LockFormat::of_name(&path) == Some(LockFormat::Pylock) && path.is_file();
        // That of a script counts where the script does.
        if is_lock && !script::is_lock_of_script(&path)? {
            named.push(path);
        }
    }
    named.sort();
    if named.len() > 1 {
        return Err(Error::SeveralLocks(
            named.iter().map(|lock| shown(lock, root)).collect(),
        ));
    }
    Ok(named.pop())
}

/// The lock file of the one tool that manages the project, and where it is. That of uv is in the root of the workspace
/// if the project is a member of one.
fn lock_of_a_tool(
    root: &Path,
    pyproject: Option<&Document>,
) -> Result<Option<(PathBuf, &'static str)>, Error> {
    let mut found = Vec::new();
    for format in LockFormat::OF_TOOLS {
        let mut path = root.join(format.file_name());
        let mut reason = "the project's lock file";
        if format == LockFormat::Uv
            && let Some(workspace) = uv_workspace::above(root, pyproject)
            && workspace.join(format.file_name()).is_file()
        {
            path = workspace.join(format.file_name());
            reason = "the lock file of the workspace";
        }
        if path.is_file() {
            found.push((path, reason));
        }
    }
    if found.len() > 1 {
        let names = found.iter().map(|(lock, _)| shown(lock, root));
        return Err(Error::LocksOfSeveralTools(names.collect()));
    }
    Ok(found.pop())
}

/// A path as the user would write it in the project's directory.
fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The file that holds the project's own metadata, if it may name requirements.
fn metadata_file(root: &Path, pyproject: Option<&Document>) -> Option<PathBuf> {
    if let Some(document) = pyproject {
        let names = [
            &["project"][..],
            &["build-system"],
            &["tool", "poetry"],
            &["dependency-groups"],
        ];
        if names.iter().any(|keys| document.get(keys).is_some()) {
            return Some(document.path.clone());
        }
    }
    ["setup.py", "setup.cfg"]
        .into_iter()
        .map(|name| root.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project of empty files, and the source that is chosen for it.
    fn choose(files: &[&str], settings: &Settings) -> Result<(String, String), Error> {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let text = if *file == "pyproject.toml" {
                "[project]\nname='x'\n"
            } else {
                ""
            };
            fs_err::write(directory.path().join(file), text).unwrap();
        }
        let mut settings = settings.clone();
        settings.anchor(directory.path());
        let document = Document::read(&directory.path().join("pyproject.toml"))?;
        let chosen = requirements(directory.path(), document.as_ref(), &settings)?;
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let source = match &chosen.source {
            RequirementSource::Lock(path) => format!("lock {}", name(path)),
            RequirementSource::Files(paths) => format!("files {}", name(&paths[0])),
            RequirementSource::Metadata(path) => format!("metadata {}", name(path)),
            RequirementSource::Script(path) => format!("script {}", name(path)),
            RequirementSource::None => "none".into(),
        };
        Ok((source, chosen.ignored.as_ref().map(name).unwrap_or_default()))
    }

    #[test]
    fn the_best_source_wins_and_the_next_is_named() {
        let none = Settings::default();
        for (files, source, ignored) in [
            (
                &["pylock.toml", "pylock.dev.toml", "requirements.txt"][..],
                "lock pylock.toml",
                "requirements.txt",
            ),
            (&["pylock.prod.toml", "uv.lock"], "lock pylock.prod.toml", ""),
            (
                &["uv.lock", "requirements.txt", "pyproject.toml"],
                "lock uv.lock",
                "requirements.txt",
            ),
            (&["poetry.lock", "pyproject.toml"], "lock poetry.lock", ""),
            (&["pdm.lock"], "lock pdm.lock", ""),
            (&["Pipfile.lock"], "lock Pipfile.lock", ""),
            (
                &["requirements.txt", "pyproject.toml"],
                "files requirements.txt",
                "pyproject.toml",
            ),
            (&["pyproject.toml", "setup.py"], "metadata pyproject.toml", ""),
            (&["setup.cfg", "setup.py"], "metadata setup.py", ""),
            (&["main.py", "pylock.a.b.toml"], "none", ""),
        ] {
            assert_eq!(
                choose(files, &none).unwrap(),
                (source.into(), ignored.into()),
                "{files:?}"
            );
        }
    }

    #[test]
    fn extras_lead_to_the_metadata() {
        let settings = Settings {
            extras: vec!["web".parse().unwrap()],
            ..Settings::default()
        };
        let (source, _) = choose(&["requirements.txt", "pyproject.toml"], &settings).unwrap();
        assert_eq!(source, "metadata pyproject.toml");
    }

    #[test]
    fn what_is_asked_for_must_exist_and_fit_together() {
        let with = |requirements: &[&str], lock: Option<&str>| Settings {
            requirements: requirements.iter().map(PathBuf::from).collect(),
            lock: lock.map(PathBuf::from),
            ..Settings::default()
        };
        let files = ["a.txt", "pylock.x.toml", "requirements.txt"];
        assert_eq!(choose(&files, &with(&["a.txt"], None)).unwrap().0, "files a.txt");
        assert_eq!(
            choose(&files, &with(&["pylock.x.toml"], None)).unwrap().0,
            "lock pylock.x.toml"
        );
        assert!(matches!(
            choose(&files, &with(&["b.txt"], None)),
            Err(Error::MissingFile { flag: "-r", .. })
        ));
        assert!(matches!(
            choose(&files, &with(&["a.txt"], Some("pylock.x.toml"))),
            Err(Error::Exclusive(..))
        ));
    }

    #[test]
    fn locks_that_cannot_be_told_apart_are_errors_with_a_way_out() {
        let none = Settings::default();
        let error = choose(&["uv.lock", "poetry.lock", "requirements.txt"], &none).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lock files of several tools: uv.lock, poetry.lock"
        );
        assert_eq!(error.hint().unwrap(), "choose one: --lock uv.lock");
        let error = choose(&["pylock.b.toml", "pylock.a.toml"], &none).unwrap_err();
        assert_eq!(error.hint().unwrap(), "choose one: --lock pylock.a.toml");
    }
}
