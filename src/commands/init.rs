//! `pyoci init`: today's guesses, written into `[tool.pyoci]` of pyproject.toml.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::Error;
use super::build::{Order, Plan, plans};
use crate::environment::Environment;
use crate::progress::Progress;
use crate::project::{Project, RequirementSource};
use crate::sink::file::replace_file;

/// What was written.
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// The keys that were added.
    pub keys: Vec<String>,
}

/// A key, its value and why it is this one.
struct Guess {
    key: &'static str,
    value: Value,
    reason: String,
}

/// Adds what a build would guess to `[tool.pyoci]`; what stands there stays.
pub fn run(order: &Order, environment: &Environment, progress: &Progress) -> anyhow::Result<Written> {
    let (project, plans) = plans(order, environment, &progress.without_steps())?;
    let path = project.root.join("pyproject.toml");
    // A link stays one: what it leads to is written.
    let path = fs_err::canonicalize(&path).unwrap_or(path);
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let mut document: DocumentMut = text
        .parse()
        .with_context(|| format!("cannot read {}", path.display()))?;
    let guesses = plans
        .first()
        .map(|planned| guesses(&project, &planned.plan))
        .unwrap_or_default();
    let keys = add(&mut document, guesses, &path)?;
    if !keys.is_empty() {
        replace_file(&path, document.to_string().as_bytes())?;
    }
    Ok(Written { path, keys })
}

fn guesses(project: &Project, plan: &Plan) -> Vec<Guess> {
    let settings = &project.settings;
    let mut guesses = Vec::new();
    let mut guess = |key, value: Value, reason: &str| {
        guesses.push(Guess {
            key,
            value,
            reason: reason.to_owned(),
        });
    };
    guess("base", plan.reference.to_string().into(), &plan.reason);
    let platforms = settings.platforms.iter().map(ToString::to_string);
    let platforms: Vec<String> = if settings.platforms.is_empty() {
        vec![plan.base.platform.to_string()]
    } else {
        platforms.collect()
    };
    guess("platforms", array(&platforms), "what is built for");
    let requirements = &project.requirements;
    let relative = |path: &PathBuf| {
        let inside = path.strip_prefix(&project.root);
        inside.unwrap_or(path).display().to_string()
    };
    match &requirements.source {
        RequirementSource::Lock(path) => guess("lock", relative(path).into(), &requirements.reason),
        RequirementSource::Files(paths) => {
            let files: Vec<String> = paths.iter().map(relative).collect();
            guess("requirements", array(&files), &requirements.reason);
        }
        _ => {}
    }
    for (key, names) in [
        (
            "extras",
            settings
                .extras
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ),
        (
            "groups",
            settings.groups.iter().map(ToString::to_string).collect(),
        ),
    ] {
        if !names.is_empty() {
            guess(key, array(&names), "as asked for");
        }
    }
    if !plan.start.command.is_empty() {
        guess("entrypoint", array(&plan.start.command), &plan.start.reason);
    }
    if !plan.start.import_roots.is_empty() {
        let roots = plan.start.import_roots.iter();
        let roots: Vec<String> = roots
            .map(|root| if root.is_empty() { "." } else { root }.to_owned())
            .collect();
        guess("pythonpath", array(&roots), "where the command imports from");
    }
    let user = format!("{}:{}", plan.user.uid, plan.user.gid);
    guess("user", user.into(), "who the app runs as");
    guesses
}

fn array(items: &[String]) -> Value {
    Value::Array(items.iter().map(String::as_str).collect::<Array>())
}

/// Adds what is not there yet; gives the keys that were added.
fn add(document: &mut DocumentMut, guesses: Vec<Guess>, path: &Path) -> Result<Vec<String>, Error> {
    let not_a_table = || Error::NotATable(path.to_owned());
    let tool = document.entry("tool").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let tool = tool.as_table_like_mut().ok_or_else(not_a_table)?;
    let table = tool.entry("pyoci").or_insert_with(|| Item::Table(Table::new()));
    let table = table.as_table_like_mut().ok_or_else(not_a_table)?;
    let mut added = Vec::new();
    for Guess { key, value, reason } in guesses {
        // A lock and requirements exclude each other; so do a process and a command.
        let other = match key {
            "lock" => "requirements",
            "requirements" => "lock",
            "entrypoint" => "process",
            _ => key,
        };
        if table.contains_key(key) || table.contains_key(other) {
            continue;
        }
        let mut value = value;
        value.decor_mut().set_suffix(format!("  # {}", one_line(&reason)));
        table.insert(key, Item::Value(value));
        added.push(key.to_owned());
    }
    Ok(added)
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(key: &'static str, value: &str) -> Guess {
        Guess {
            key,
            value: value.into(),
            reason: "why\nso".into(),
        }
    }

    fn added(text: &str, guesses: Vec<Guess>) -> (String, Vec<String>) {
        let mut document: DocumentMut = text.parse().unwrap();
        let keys = add(&mut document, guesses, Path::new("pyproject.toml")).unwrap();
        (document.to_string(), keys)
    }

    #[test]
    fn what_stands_there_stays() {
        let before =
            "# mine\n[project]\nname = 'x'\n\n[tool.pyoci]\nbase = \"b\"  # keep\n\n[tool.z]\nq = 1\n";
        let (text, keys) = added(before, vec![guess("base", "other"), guess("user", "1:1")]);
        assert_eq!(keys, ["user"]);
        assert_eq!(
            text,
            before.replace("# keep\n", "# keep\nuser = \"1:1\"  # why so\n")
        );
        let (text, keys) = added(
            "[tool.pyoci]\nprocess = 'web'\nlock = 'x'\n",
            vec![guess("entrypoint", "e"), guess("requirements", "r")],
        );
        assert!(keys.is_empty(), "{text}");
    }

    #[test]
    fn a_table_is_made_where_there_is_none() {
        let table = "[tool.pyoci]\nbase = \"b\"  # why so\n";
        assert_eq!(added("", vec![guess("base", "b")]).0, table);
        let (text, _) = added("[project]\nname = 'x'\n", vec![guess("base", "b")]);
        assert_eq!(text, format!("[project]\nname = 'x'\n\n{table}"));
        let mut inline: DocumentMut = "tool = 1\n".parse().unwrap();
        assert!(matches!(
            add(&mut inline, Vec::new(), Path::new("p")),
            Err(Error::NotATable(_))
        ));
    }
}
