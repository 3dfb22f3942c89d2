//! Names of Debian packages (Debian Policy 5.6.1).

use super::Error;

/// A project's name as the name of a Debian package.
///
/// > Package names [...] must consist only of lower case letters (a-z), digits (0-9), plus (+) and minus (-) signs, and
/// > periods (.). They must be at least two characters long and must start with an alphanumeric character.
pub fn package_name(project: &str) -> Result<String, Error> {
    let mut name = String::new();
    for c in project.chars().flat_map(char::to_lowercase) {
        let allowed = c.is_ascii_lowercase() || c.is_ascii_digit() || "+.".contains(c);
        if allowed && (c.is_ascii_alphanumeric() || !name.is_empty()) {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches(['-', '.']);
    match name.len() {
        0 => Err(Error::Name(project.to_owned())),
        // A single letter is no name.
        1 => Ok(format!("{name}-app")),
        _ => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_as_the_policy_wants_them() {
        for (project, package) in [
            ("My_App", "my-app"),
            ("my.app", "my.app"),
            ("__x__", "x-app"),
            ("g++ tools", "g++-tools"),
            ("Übung 1", "bung-1"),
            ("a--b__c", "a-b-c"),
        ] {
            assert_eq!(package_name(project).unwrap(), package);
        }
        assert!(matches!(package_name("___"), Err(Error::Name(_))));
        assert!(matches!(package_name("日本"), Err(Error::Name(_))));
    }

    proptest! {
        #[test]
        fn every_name_is_refused_or_allowed(text in "\\PC{0,20}") {
            if let Ok(name) = package_name(&text) {
                let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
                prop_assert!(name.len() >= 2 && name.chars().all(allowed));
                prop_assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()));
            }
        }
    }
}
