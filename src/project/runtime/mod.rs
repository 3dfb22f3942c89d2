//! What runs inside the image: the entrypoint that becomes the start command, and the `sitecustomize` that makes
//! `/deps` a site directory. `docs/runtime.md` says what happens when.

use crate::paths::{PathError, TreePath};
use crate::python::Target;
use crate::tree::{Content, Entry, Tree, TreeError};

#[cfg(test)]
mod tests;

/// Where the dependencies are in the image.
pub const DEPENDENCIES: &str = "/deps";
/// Where the project's files are in the image.
pub const APP: &str = "/app";
/// First on `PYTHONPATH`: `sitecustomize.py`, and the project's own dist-info.
pub const SITE: &str = "/app/.pyoci/site";
/// The project's own console scripts; first on `PATH`.
pub const BIN: &str = "/app/.pyoci/bin";
/// The first word of the config's `Entrypoint`.
pub const ENTRYPOINT: &str = "/app/.pyoci/entrypoint";
/// `PYTHONPATH` of the config's `Env`; the entrypoint sets the same, with what the user passed in the middle.
pub const PYTHONPATH: &str = "/app/.pyoci/site:/deps";

/// The option of the entrypoint that says in how many words, counted from the next, variables are expanded.
const EXPAND: &str = "--expand=";
/// The option behind it that says how many of the words are variables of the command.
const SET: &str = "--set=";

/// Why the files cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Linux takes 255 bytes of a script's first line, and splits it at blanks.
    #[error("the interpreter `{0}` of the base cannot stand in the first line of a script")]
    Interpreter(String),
    /// An import root has to be an absolute path of one line.
    #[error("the import root `{0}` is not an absolute path of one line")]
    Root(String),
    /// A path of ours is wrong.
    #[error("a path of the runtime files is wrong")]
    Path(#[from] PathError),
    /// Two of our files are at one path.
    #[error("the runtime files do not form a tree")]
    Tree(#[from] TreeError),
}

/// The files of `/app/.pyoci` that every image has. `roots` are absolute paths in the image, e.g. `/app/src`, that
/// the project's own packages are imported from, as after `pip install -e`.
pub fn tree(target: &Target, roots: &[String]) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    let entrypoint = with_first_line(include_str!("entrypoint.py"), &target.interpreter)?;
    tree.insert(
        below(ENTRYPOINT, "")?,
        Entry::file(Content::bytes(entrypoint.into_bytes()), true),
    )?;
    for (name, text) in site() {
        tree.insert(
            below(SITE, &format!("/{name}"))?,
            Entry::file(Content::bytes(text.as_bytes()), false),
        )?;
    }
    if !roots.is_empty() {
        let content = Content::bytes(roots_file(roots)?.into_bytes());
        tree.insert(below(SITE, "/roots")?, Entry::file(content, false))?;
    }
    Ok(tree)
}

/// The files of the site directory, with their names.
pub(super) fn site() -> [(&'static str, &'static str); 3] {
    [
        ("sitecustomize.py", include_str!("sitecustomize.py")),
        ("usercustomize.py", include_str!("usercustomize.py")),
        ("_pyoci_runtime.py", include_str!("_pyoci_runtime.py")),
    ]
}

/// The config's `Entrypoint` for a start command. Words with a `$` are expanded at start, so the entrypoint must know
/// where the command ends and the arguments of `podman run` begin: `["/app/.pyoci/entrypoint", "--expand=3", ...]`.
/// `NAME=value` words before the program are variables of it, as in a shell (`--set=1`).
pub fn entrypoint_argv(command: &[String]) -> Vec<String> {
    let set = command.iter().take_while(|word| is_assignment(word)).count();
    let expanded = command.iter().rposition(|word| word.contains('$'));
    let words = expanded.map_or(set, |at| set.max(at + 1));
    let mut argv = vec![ENTRYPOINT.to_owned()];
    // A program that is really called `--expand=…` must not be read as the option.
    let alike = |option: &str| command.first().is_some_and(|word| word.starts_with(option));
    if words > 0 || alike(EXPAND) || alike(SET) {
        argv.push(format!("{EXPAND}{words}"));
    }
    if set > 0 || alike(SET) {
        argv.push(format!("{SET}{set}"));
    }
    argv.extend_from_slice(command);
    argv
}

/// Whether a word is `NAME=value`: a variable, if it stands before the program.
pub fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_shell_name(name))
}

/// Whether a shell can set a variable of that name (POSIX XCU 2.9.1, XBD 3.216 "Name").
pub fn is_shell_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The start command that [`entrypoint_argv`] was made of; `None` if the `Entrypoint` is not one of ours.
pub fn command_of(entrypoint: &[String]) -> Option<&[String]> {
    let (first, rest) = entrypoint.split_first()?;
    let after =
        |words: &'_ [String], option: &str| words.first().is_some_and(|word| word.starts_with(option));
    match rest {
        _ if first != ENTRYPOINT => None,
        [_, _, command @ ..] if after(rest, EXPAND) && after(&rest[1..], SET) => Some(command),
        [_, command @ ..] if after(rest, EXPAND) => Some(command),
        _ => Some(rest),
    }
}

/// The script with the target's interpreter in its first line.
fn with_first_line(script: &str, interpreter: &str) -> Result<String, Error> {
    // -I: the environment's PYTHON* must not reach the entrypoint itself; -S: it needs nothing that is installed.
    let line = format!("#!{interpreter} -IS\n");
    let plain =
        interpreter.starts_with('/') && !interpreter.contains(|c: char| c.is_whitespace() || c.is_control());
    if !plain || line.len() > 255 {
        return Err(Error::Interpreter(interpreter.to_owned()));
    }
    let rest = script.split_once('\n').map_or("", |(_, rest)| rest);
    Ok(line + rest)
}

fn roots_file(roots: &[String]) -> Result<String, Error> {
    match roots
        .iter()
        .find(|root| !root.starts_with('/') || root.contains(char::is_control))
    {
        Some(bad) => Err(Error::Root(bad.clone())),
        None => Ok(roots.join("\n") + "\n"),
    }
}

/// A path of the image as one of its tree.
fn below(directory: &str, name: &str) -> Result<TreePath, PathError> {
    TreePath::new(format!("{directory}{name}").trim_start_matches('/'))
}
