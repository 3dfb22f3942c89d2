//! Users and passwords of package indexes: variables, poetry's `auth.toml`, pdm's `config.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Value;
use url::Url;

use super::Error;
use super::sources::{read, text};
use crate::environment::Environment;

/// > `UV_INDEX_INTERNAL_PROXY_USERNAME`, where `INTERNAL_PROXY` is the uppercase version of the index name.
pub(super) fn uv_login(name: &str, environment: &Environment) -> Option<(String, String)> {
    login_in(&format!("UV_INDEX_{}", variable_part(name)), environment)
}

/// A name as it stands in a variable's.
fn variable_part(name: &str) -> String {
    let part = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(part).collect()
}

fn login_in(prefix: &str, environment: &Environment) -> Option<(String, String)> {
    let get = |end: &str| environment.get(&format!("{prefix}_{end}"));
    let (user, password) = (get("USERNAME"), get("PASSWORD"));
    (user.is_some() || password.is_some()).then(|| {
        (
            user.unwrap_or_default().to_owned(),
            password.unwrap_or_default().to_owned(),
        )
    })
}

/// The URL with a user and password, unless it has its own.
pub(super) fn with_login(mut url: Url, login: Option<(String, String)>) -> Url {
    if let Some((user, password)) = login.filter(|_| url.username().is_empty() && url.password().is_none()) {
        let _ = url.set_username(&user);
        let _ = url.set_password(Some(&password));
    }
    url
}

/// Users and passwords by the name of an index.
pub(super) struct Logins<'a> {
    environment: &'a Environment,
    poetry: BTreeMap<String, (String, String)>,
    /// By the name of the index.
    pub pdm: BTreeMap<String, (String, String)>,
}

impl<'a> Logins<'a> {
    /// Reads poetry's `auth.toml` and pdm's `config.toml`.
    pub fn load(environment: &'a Environment) -> Result<Self, Error> {
        let home = environment.config_home();
        let file = |variable: &str, own: &str| {
            let named = environment.get(variable).map(PathBuf::from);
            named.or_else(|| home.as_ref().map(|home| home.join(own)))
        };
        let poetry = file("POETRY_CONFIG_DIR", "pypoetry").map(|d| d.join("auth.toml"));
        let pdm = environment.get("PDM_CONFIG_FILE").map(PathBuf::from);
        let pdm = pdm.or_else(|| home.as_ref().map(|home| home.join("pdm/config.toml")));
        let mut logins = Self {
            environment,
            poetry: BTreeMap::new(),
            pdm: BTreeMap::new(),
        };
        if let Some(table) = poetry.map(|file| read(&file)).transpose()?.flatten() {
            logins.poetry = of_names(table.get("http-basic"));
        }
        if let Some(table) = pdm.map(|file| read(&file)).transpose()?.flatten() {
            logins.pdm = of_names(table.get("pypi"));
        }
        for ((user, password), name) in logins.poetry.iter().chain(&logins.pdm).map(|(n, l)| (l, n)) {
            let what = format!("the password of the index {name}");
            environment.secrets.hold(&what, Some(user), password);
        }
        Ok(logins)
    }

    /// > `POETRY_HTTP_BASIC_<NAME>_USERNAME`, in upper case, `-` and `.` as `_`
    pub fn of_poetry(&self, name: &str) -> Option<(String, String)> {
        let prefix = format!("POETRY_HTTP_BASIC_{}", variable_part(name));
        login_in(&prefix, self.environment).or_else(|| self.poetry.get(name).cloned())
    }
}

/// `{ NAME = { username, password } }`
fn of_names(value: Option<&Value>) -> BTreeMap<String, (String, String)> {
    let entries = value.and_then(Value::as_table).into_iter().flatten();
    let login = |(name, value): (&String, &Value)| {
        let table = value.as_table()?;
        let (user, password) = (
            text(table, "username")?,
            text(table, "password").unwrap_or_default(),
        );
        Some((name.clone(), (user, password)))
    };
    entries.filter_map(login).collect()
}
