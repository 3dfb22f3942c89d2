//! `run`: a POSIX shell script that finds its directory, sets the environment and becomes the start command.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::runtime::is_assignment;
use super::{APP, DEPENDENCIES, Needs};
use crate::interrupted::uninterrupted;
use crate::tree::Tree;

/// Where the app finds itself when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// Where its caller is: names of files among its arguments mean what they mean to the caller.
    Caller,
    /// In `app/`, as in an image.
    App,
}

/// What the start script is made of.
pub struct Launcher<'a> {
    /// What is needed, for the message that there is no Python.
    pub needs: &'a Needs,
    /// The interpreter, unless the caller names another: a name on PATH, or an absolute path.
    pub interpreter: &'a str,
    /// The start command, in words.
    pub command: &'a [String],
    /// Where the app starts; `None` decides by the command.
    pub directory: Option<Directory>,
    /// Variables that are set unless they are set already.
    pub env: &'a BTreeMap<String, String>,
    /// `app/` and `python_deps/`.
    pub files: &'a Tree,
    /// What the packages of a thin bundle say of themselves once they are installed.
    pub stamp: Option<&'a str>,
}

/// What a program of a start command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// Python.
    Python,
    /// A Python script of the bundle, at a path in it.
    Script(String),
    /// Another program of the bundle.
    File(String),
    /// A program of the machine.
    OnPath(String),
}

impl Launcher<'_> {
    /// The text of `run`.
    pub fn text(&self) -> String {
        include_str!("run.sh")
            .replace("@PYTHON@", &self.needs.pythons())
            .replace("@INTERPRETER@", self.interpreter)
            .replace("@INSTALL@\n", &self.install())
            .replace("@START@\n", &self.start())
    }

    fn install(&self) -> String {
        let mut text = String::new();
        if let Some(stamp) = self.stamp {
            let _ = write!(
                text,
                "\n# The packages are installed at the first start.\n\
                 pyoci_stamp=\n\
                 [ ! -f \"$pyoci_here/{DEPENDENCIES}/.pyoci\" ] || read -r pyoci_stamp <\"$pyoci_here/{DEPENDENCIES}/.pyoci\"\n\
                 [ \"$pyoci_stamp\" = {stamp} ] ||\n    \
                 \"$pyoci_python\" \"$pyoci_here/{APP}/.pyoci/install.py\" \"${{0##*/}}\" {stamp} || exit\n"
            );
        }
        for (name, value) in self.env {
            let _ = write!(
                text,
                "[ \"${{{name}+x}}\" ] || {name}={}\nexport {name}\n",
                quoted(value)
            );
        }
        text + "\n"
    }

    /// Where the app starts.
    pub fn directory(&self) -> Directory {
        self.directory.unwrap_or_else(|| self.usual_directory())
    }

    /// A program of the project's own (a script, a file, a package that runs) takes the names of files from its caller;
    /// all else (servers, shell lines) expects what it finds in an image.
    fn usual_directory(&self) -> Directory {
        let words = self.words();
        match (self.program(), words.get(1).map(String::as_str)) {
            (Some(Program::Script(path)), _) if path.starts_with(APP) => Directory::Caller,
            (Some(Program::Python), Some("-m")) if self.safe_path() => {
                let module = words.get(2).map_or("", String::as_str).replace('.', "/");
                let is_own = |root: &str| {
                    let package = format!("{APP}/{root}{module}");
                    self.files.get(&format!("{package}/__main__.py")).is_some()
                };
                let own = !module.is_empty() && (is_own("") || is_own("src/"));
                if own { Directory::Caller } else { Directory::App }
            }
            (Some(Program::Python), Some(file)) if self.app_file(file).is_some() => Directory::Caller,
            _ => Directory::App,
        }
    }

    /// Whether all Pythons that will do know `-P`: without it `-m` would look for modules where the caller is.
    fn safe_path(&self) -> bool {
        self.needs.first >= (3, 11)
    }

    /// The command without the variables before it.
    fn words(&self) -> &[String] {
        let set = self.command.iter().take_while(|word| is_assignment(word)).count();
        &self.command[set..]
    }

    /// What the program of the command is; `None` if there is no command.
    pub fn program(&self) -> Option<Program> {
        let word = self.words().first()?;
        if let Some(version) = word.strip_prefix("python")
            && version.chars().all(|c| c.is_ascii_digit() || c == '.')
        {
            return Some(Program::Python);
        }
        let bins = [
            format!("{APP}/.pyoci/bin/{word}"),
            format!("{DEPENDENCIES}/bin/{word}"),
        ];
        let file = match self.app_file(word) {
            Some(path) if word.contains('/') => Some(path),
            _ => bins.into_iter().find(|path| self.files.get(path).is_some()),
        };
        Some(match file {
            None => Program::OnPath(word.clone()),
            Some(path) if self.is_python(&path) => Program::Script(path),
            Some(path) => Program::File(path),
        })
    }

    fn is_python(&self, path: &str) -> bool {
        let content = self.files.get(path).and_then(|entry| entry.content());
        let Some(mut start) = content.and_then(|content| content.open().ok()) else {
            return false;
        };
        let mut line = [0; 128];
        let read = uninterrupted(|| std::io::Read::read(&mut start, &mut line)).unwrap_or(0);
        let first = line[..read].split(|b| *b == b'\n').next().unwrap_or_default();
        first.starts_with(b"#!") && first.windows(6).any(|w| w == b"python")
    }

    /// The path in the bundle of what a word of the command names: a file of the project.
    fn app_file(&self, word: &str) -> Option<String> {
        let inside = word
            .strip_prefix("/app/")
            .unwrap_or(word)
            .trim_start_matches("./");
        let path = format!("{APP}/{inside}");
        let entry = self.files.get(&path)?;
        (!entry.is_directory()).then_some(path)
    }

    fn start(&self) -> String {
        let words = self.words();
        let set = &self.command[..self.command.len() - words.len()];
        let mut text = String::from("set --");
        match self.program() {
            Some(Program::Python) => text += " \"$pyoci_python\"",
            Some(Program::Script(path)) => {
                let _ = write!(text, " \"$pyoci_python\" {}", in_bundle(&path));
            }
            Some(Program::File(path)) => {
                let _ = write!(text, " {}", in_bundle(&path));
            }
            Some(Program::OnPath(name)) => {
                let _ = write!(text, " {}", expanded(&name));
            }
            None => {}
        }
        let directory = self.directory();
        let module = words.get(1).is_some_and(|word| word == "-m");
        if directory == Directory::Caller && module && self.safe_path() {
            text += " -P";
        }
        let mut before = "";
        for word in words.iter().skip(1) {
            let file = self.app_file(word).filter(|_| !["-m", "-c"].contains(&before));
            let word_text = match file {
                // In app/ a relative name is right as it is.
                Some(path) if directory == Directory::Caller || word.starts_with('/') => in_bundle(&path),
                _ => expanded(word),
            };
            let _ = write!(text, " {word_text}");
            before = word;
        }
        text += " \"$@\"\n";
        for word in set {
            if let Some((name, value)) = word.split_once('=') {
                let _ = write!(text, "{name}={}\nexport {name}\n", expanded(value));
            }
        }
        if directory == Directory::App {
            let _ = writeln!(text, "cd \"$pyoci_here/{APP}\" || exit");
        }
        text + "exec \"$@\"\n"
    }
}

/// A path of the bundle as a word.
fn in_bundle(path: &str) -> String {
    format!("\"$pyoci_here\"/{}", quoted(path))
}

/// A text as one word of a shell that means itself.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A word in which `$NAME`, `${NAME}` and `${NAME:-default}` are expanded and `$$` is one `$`, as the image's entrypoint
/// does it.
fn expanded(word: &str) -> String {
    if !word.contains('$') {
        return quoted(word);
    }
    let mut text = String::from("\"");
    translate(word, &mut text);
    text + "\""
}

/// A word inside double quotes.
fn translate(word: &str, text: &mut String) {
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        if c == '$'
            && let Some(after) = reference(&rest[1..], text)
        {
            rest = after;
            continue;
        }
        if "\"\\`$".contains(c) {
            text.push('\\');
        }
        text.push(c);
        rest = &rest[c.len_utf8()..];
    }
}

/// Translates what follows a `$`, and gives what comes behind it; `None` if it is no reference.
fn reference<'w>(rest: &'w str, text: &mut String) -> Option<&'w str> {
    if let Some(after) = rest.strip_prefix('$') {
        text.push_str("\\$");
        return Some(after);
    }
    let braced = rest.strip_prefix('{');
    let begin = braced.unwrap_or(rest);
    let length = begin
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_alphanumeric() || *c == '_') || (*at == 0 && c.is_ascii_digit()))
        .map_or(begin.len(), |(at, _)| at);
    let (name, after) = begin.split_at(length);
    if name.is_empty() {
        return None;
    }
    if braced.is_none() {
        let _ = write!(text, "${{{name}-}}");
        return Some(after);
    }
    let close = close_of(after)?;
    let (inside, behind) = (&after[..close], &after[close + 1..]);
    match inside.strip_prefix(":-") {
        _ if inside.is_empty() => {
            let _ = write!(text, "${{{name}-}}");
        }
        Some(default) => {
            let _ = write!(text, "${{{name}:-");
            translate(default, text);
            text.push('}');
        }
        None => return None,
    }
    Some(behind)
}

/// The `}` that ends a reference, after those of the references inside it.
fn close_of(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if text[at..].starts_with("${") {
            depth += 1;
        } else if c == '}' {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
    }
    None
}

#[cfg(test)]
mod tests;
