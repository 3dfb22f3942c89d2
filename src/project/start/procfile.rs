//! `Procfile`: its `web:` line, if it needs no shell.

use super::{Clues, Start};
use crate::project::error::{Error, Place};
use crate::project::settings::split_words;

/// The port where the platform that the Procfile was written for would set `$PORT`.
const PORT: &str = "${PORT:-8000}";

pub(super) fn start(clues: &mut Clues<'_>) -> Result<Option<Start>, Error> {
    let Some(bytes) = clues.read("Procfile") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    // > <process type>: <command>, where <process type> is an alphanumeric name (Heroku, "The Procfile")
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let (name, command) = line.split_once(':')?;
        Some((index + 1, name.trim(), command.trim()))
    });
    let lines: Vec<_> = lines.filter(|(_, name, _)| !name.starts_with('#')).collect();
    let Some((line, _, command)) = lines.iter().find(|(_, name, _)| *name == "web") else {
        let names: Vec<_> = lines.iter().map(|(_, name, _)| *name).collect();
        clues
            .seen
            .push(format!("Procfile: no web: line ({})", names.join(", ")));
        return Ok(None);
    };
    let wrong = |message: &str| Error::Command {
        place: Place::new(&clues.project.root.join("Procfile"), *line).to_string(),
        command: (*command).to_owned(),
        message: message.to_owned(),
    };
    if let Some(syntax) = shell_syntax(command) {
        return Err(wrong(&format!(
            "needs a shell ({syntax}), and the image has none"
        )));
    }
    let mut words = split_words(command).map_err(|error| wrong(&error.0))?;
    // A shell's `exec` is what the entrypoint does anyway.
    if words.first().is_some_and(|word| word == "exec") {
        words.remove(0);
    }
    if words.is_empty() {
        return Err(wrong("is empty"));
    }
    for word in &mut words {
        *word = with_default_port(word);
    }
    Ok(Some(Start {
        command: words,
        reason: "the web: line of Procfile".into(),
        import_roots: Vec::new(),
    }))
}

/// `$PORT` and `${PORT}`, which nobody sets here, get a default.
fn with_default_port(word: &str) -> String {
    let word = word.replace("${PORT}", PORT);
    let mut result = String::new();
    let mut rest = word.as_str();
    while let Some((before, after)) = rest.split_once("$PORT") {
        let is_name = after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        result += before;
        result += if is_name { "$PORT" } else { PORT };
        rest = after;
    }
    result + rest
}

/// What in a command only a shell understands, if anything does.
fn shell_syntax(command: &str) -> Option<String> {
    let first = command.split_whitespace().next().unwrap_or_default();
    if [
        "cd", "source", ".", "export", "if", "for", "while", "set", "ulimit",
    ]
    .contains(&first)
    {
        return Some(format!("`{first}`"));
    }
    let is_assignment = first.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    if is_assignment {
        return Some(format!("`{first}`; [tool.pyoci] env sets variables"));
    }
    let (mut quote, mut rest) = (None, command.chars().peekable());
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                rest.next();
            }
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('$', None | Some('"')) if rest.peek() == Some(&'(') => return Some("`$(...)`".into()),
            ('$', None | Some('"')) if rest.peek() == Some(&'{') => {
                let inside: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                if !is_expandable(&inside) {
                    return Some(format!("`${{{inside}}}`"));
                }
            }
            ('`', None | Some('"')) => return Some("backquotes".into()),
            ('|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?', None) => return Some(format!("`{c}`")),
            _ => {}
        }
    }
    None
}

/// `NAME` or `NAME:-default`: what the image's entrypoint expands.
fn is_expandable(inside: &str) -> bool {
    let name = inside.split_once(":-").map_or(inside, |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_shell_is_named() {
        for (command, syntax) in [
            ("a && b", "`&`"),
            ("a | b", "`|`"),
            ("a > log", "`>`"),
            ("python $(which x)", "`$(...)`"),
            ("cd src", "`cd`"),
            ("A=1 python x.py", "`A=1`; [tool.pyoci] env sets variables"),
            ("a \"`b`\"", "backquotes"),
            ("a ${PORT:?}", "`${PORT:?}`"),
        ] {
            assert_eq!(shell_syntax(command).as_deref(), Some(syntax), "{command}");
        }
        for command in [
            "gunicorn app:app -b 0.0.0.0:${PORT:-80}",
            "a '$(b) | c'",
            "a \\; b",
            "a b=c",
            "'a?'",
        ] {
            assert_eq!(shell_syntax(command), None, "{command}");
        }
    }

    #[test]
    fn the_port_has_a_default() {
        assert_eq!(with_default_port("0.0.0.0:$PORT"), "0.0.0.0:${PORT:-8000}");
        assert_eq!(
            with_default_port("${PORT}$PORTAL$PORT"),
            "${PORT:-8000}$PORTAL${PORT:-8000}"
        );
    }
}
