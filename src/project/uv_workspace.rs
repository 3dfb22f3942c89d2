//! uv's workspaces: directories whose members share one `uv.lock`.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::document::{Document, Node};

/// The root of the workspace above a project that counts it as a member, as uv finds it: the nearest directory above
/// that has a `[tool.uv.workspace]`, unless the project is a workspace of its own or stands aside.
///
/// Spec: <https://docs.astral.sh/uv/concepts/projects/workspaces/>.
pub(super) fn above(root: &Path, pyproject: Option<&Document>) -> Option<PathBuf> {
    let own = pyproject?.get(&["tool", "uv"]);
    let alone = own.and_then(|uv| uv.get("workspace")).is_some()
        || own
            .and_then(|uv| uv.get("managed"))
            .is_some_and(|managed| matches!(managed.value, super::Value::Boolean(false)));
    if alone {
        return None;
    }
    for directory in root.ancestors().skip(1) {
        // What cannot be read there is no workspace of ours.
        let Ok(Some(document)) = Document::read(&directory.join("pyproject.toml")) else {
            continue;
        };
        let Some(workspace) = document.get(&["tool", "uv", "workspace"]) else {
            continue;
        };
        let below = root.strip_prefix(directory).ok()?;
        let covers = |key| globs(workspace.get(key)).is_some_and(|globs| globs.is_match(below));
        // > Every directory included by the `members` globs (and not excluded by the `exclude` globs) must contain a
        // > `pyproject.toml` file.
        return (covers("members") && !covers("exclude")).then(|| directory.to_owned());
    }
    None
}

fn globs(list: Option<&Node>) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in list?.texts() {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().ok()?);
    }
    set.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_finds_its_workspace_and_others_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let top = fs_err::canonicalize(directory.path()).unwrap();
        let write = |name: &str, text: &str| {
            let path = top.join(name).join("pyproject.toml");
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        let members = "[tool.uv.workspace]\nmembers = ['libs/*', './tools/one/']\nexclude = ['libs/old']\n";
        write("", members);
        write("libs", "= not toml");
        for name in ["libs/a", "libs/old", "tools/one", "tools/two", "libs/a/deep"] {
            write(name, "[project]\nname = 'x'\n");
        }
        write("libs/own", "[tool.uv.workspace]\n");
        write("libs/aside", "[tool.uv]\nmanaged = false\n");
        for (name, is_member) in [
            ("libs/a", true),
            ("tools/one", true),
            ("libs/old", false),
            ("tools/two", false),
            ("libs/a/deep", false),
            ("libs/own", false),
            ("libs/aside", false),
            ("", false),
        ] {
            let root = top.join(name);
            let document = Document::read(&root.join("pyproject.toml")).unwrap();
            let found = above(&root, document.as_ref());
            assert_eq!(found, is_member.then(|| top.clone()), "{name}");
        }
    }
}
