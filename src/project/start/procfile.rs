//! `Procfile`: its `web:` line (or the one that was asked for), split as a shell splits words; what only a shell
//! understands is left to the base's own, if it has one.

use super::{Clues, Start};
use crate::project::error::{Error, Place};
use crate::project::runtime::is_assignment;
use crate::project::settings::split_words;

/// The port where the platform that the Procfile was written for would set `$PORT`.
const PORT: &str = "${PORT:-8000}";

pub(super) fn start(clues: &mut Clues<'_>) -> Result<Option<Start>, Error> {
    let asked = clues.project.settings.process.as_deref();
    let Some(bytes) = clues.read("Procfile") else {
        return asked.map_or(Ok(None), |process| {
            Err(Error::NoProcess {
                process: process.to_owned(),
                there: None,
            })
        });
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines = lines(&text);
    let Some((line, name, command)) = choose(&lines, asked) else {
        let names: Vec<_> = lines.iter().map(|(_, name, _)| *name).collect();
        if let Some(process) = asked {
            return Err(Error::NoProcess {
                process: process.to_owned(),
                there: Some(names.join(", ")),
            });
        }
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
        if !clues.surroundings.shell {
            return Err(Error::NeedsShell {
                place: Place::new(&clues.project.root.join("Procfile"), *line).to_string(),
                command: (*command).to_owned(),
                syntax,
            });
        }
        return Ok(Some(Start {
            command: in_shell(command),
            reason: format!("the {name}: line of Procfile, in /bin/sh of the base as it has {syntax}"),
            import_roots: Vec::new(),
        }));
    }
    let mut words = split_words(&literal(command)).map_err(|error| wrong(&error.0))?;
    // A shell's `exec` is what the entrypoint does anyway.
    let program = words.iter().position(|word| !is_assignment(word));
    let Some(program) = program else {
        return Err(wrong("names no program"));
    };
    if words[program] == "exec" {
        words.remove(program);
    }
    if program == words.len() {
        return Err(wrong("names no program"));
    }
    for word in &mut words {
        *word = with_default_port(word);
    }
    // The platform that the Procfile was written for always sets PORT: gunicorn reads it by itself, and so may the app.
    if *name == "web" {
        words.insert(0, format!("PORT={PORT}"));
    }
    Ok(Some(Start {
        command: words,
        reason: format!("the {name}: line of Procfile"),
        import_roots: Vec::new(),
    }))
}

/// Number, process type and command of each line.
///
/// > `<process type>: <command>`, where `<process type>` is an alphanumeric name (Heroku, "The Procfile")
fn lines(text: &str) -> Vec<(usize, &str, &str)> {
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let (name, command) = line.split_once(':')?;
        Some((index + 1, name.trim(), command.trim()))
    });
    lines.filter(|(_, name, _)| !name.starts_with('#')).collect()
}

/// The line that was asked for; else `web`; else the only one that is left running (`release` runs once, at a deploy).
fn choose<'a>(
    lines: &'a [(usize, &'a str, &'a str)],
    asked: Option<&str>,
) -> Option<&'a (usize, &'a str, &'a str)> {
    let named = |wanted: &str| lines.iter().find(|(_, name, _)| *name == wanted);
    if let Some(asked) = asked {
        return named(asked);
    }
    let mut running = lines.iter().filter(|(_, name, _)| *name != "release");
    named("web").or_else(|| running.next().filter(|_| running.next().is_none()))
}

/// The line as the base's shell runs it: with a port, and with its `$` past the entrypoint.
fn in_shell(command: &str) -> Vec<String> {
    let script = format!(": \"${{PORT:=8000}}\"; export PORT; {command}");
    vec!["/bin/sh".to_owned(), "-c".to_owned(), script.replace('$', "$$")]
}

/// The line with every `$` that a shell would take as it is (in single quotes, behind a backslash) doubled: the
/// entrypoint then takes it as it is too.
fn literal(command: &str) -> String {
    let (mut done, mut quote) = (String::new(), None);
    let mut rest = command.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) if rest.peek() == Some(&'$') => {
                rest.next();
                done += "$$";
                continue;
            }
            ('\\', None | Some('"')) => {
                done.push(c);
                done.extend(rest.next());
                continue;
            }
            ('$', Some('\'')) => done.push('$'),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        done.push(c);
    }
    done
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
                // The first `}` ends it only where the default holds no reference itself.
                if !is_expandable(&inside) && !inside.contains(":-${") {
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
            "A=1 python x.py",
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
