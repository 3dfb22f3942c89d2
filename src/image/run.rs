//! How an image is run: what goes into the `config` object of the image config.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::{Base, Error};
use crate::tree::Owner;

/// What an image runs and how (image-spec config.md, `config`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// `Entrypoint`: the entrypoint and the start command. The base's `Cmd` is removed.
    pub entrypoint: Vec<String>,
    /// Environment variables that are set over the base's.
    pub env: BTreeMap<String, String>,
    /// Directories put in front of the base's `PATH`.
    pub path: Vec<String>,
    /// Who runs it: [`UserChoice::resolve`]d.
    pub user: String,
    /// `WorkingDir`.
    pub working_directory: String,
    /// TCP ports (or `PORT/udp`), without duplicates.
    pub ports: BTreeSet<String>,
    /// `Labels`.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

/// The `--user` setting: `UID`, `UID:GID`, or a name that the base's `/etc/passwd` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChoice {
    /// Numeric ids.
    Ids(Owner),
    /// A name, to be found in the base.
    Name(String),
}

impl FromStr for UserChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // Linux reserves the upper half; kernels and runtimes disagree on ids past 2^31.
        let digits = |t: &&str| t.bytes().all(|b| b.is_ascii_digit());
        let id = |t: &str| {
            Some(t)
                .filter(digits)?
                .parse::<u32>()
                .ok()
                .filter(|id| i32::try_from(*id).is_ok())
        };
        let refused = || Error::User(text.to_owned());
        match text.split_once(':') {
            Some((uid, gid)) => {
                let (uid, gid) = id(uid).zip(id(gid)).ok_or_else(refused)?;
                Ok(Self::Ids(Owner { uid, gid }))
            }
            None if text.is_empty() => Err(refused()),
            None if text.bytes().all(|b| b.is_ascii_digit()) => {
                let uid = id(text).ok_or_else(refused)?;
                Ok(Self::Ids(Owner { uid, gid: uid }))
            }
            None if text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) =>
            {
                Ok(Self::Name(text.to_owned()))
            }
            None => Err(refused()),
        }
    }
}

impl fmt::Display for UserChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ids(owner) => write!(f, "{}:{}", owner.uid, owner.gid),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl UserChoice {
    /// The user that images run as where neither the base nor the user of pyoci says otherwise.
    pub const NONROOT: Owner = Owner {
        uid: 65532,
        gid: 65532,
    };

    /// What the base itself asks for, unless that is root. A user that runtimes refuse is an error: an image that runs
    /// as somebody else than its base is nothing that anybody asked for.
    pub fn of_base(base: &Base) -> Result<Option<Self>, Error> {
        let user = match base.config.pointer("/config/User") {
            None | Some(serde_json::Value::Null) => return Ok(None),
            Some(user) => user
                .as_str()
                .ok_or_else(|| Error::BaseConfig("`User` is no text".to_owned()))?,
        };
        let (name, group) = user.split_once(':').map_or((user, None), |(n, g)| (n, Some(g)));
        if matches!(name, "" | "root") || (name.bytes().all(|b| b == b'0')) {
            return Ok(None);
        }
        match (base.users.get(name), group) {
            // > user:group, uid:gid, uid:group, user:gid (image-spec config.md); the group of a user's own name is its own.
            (Some(known), Some(group)) if group == name => Ok(Some(Self::Ids(known.owner()))),
            (Some(known), Some(group)) if group.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{}:{group}", known.uid).parse().map(Some)
            }
            _ => user.parse().map(Some),
        }
    }

    /// The numeric ids in a base.
    pub fn resolve(&self, base: &Base) -> Result<Owner, Error> {
        match self {
            Self::Ids(owner) => Ok(*owner),
            Self::Name(name) => base
                .users
                .get(name)
                .map(super::base::User::owner)
                .ok_or_else(|| Error::User(name.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_or_names() {
        assert_eq!("1000".parse::<UserChoice>().unwrap().to_string(), "1000:1000");
        assert_eq!("1000:0".parse::<UserChoice>().unwrap().to_string(), "1000:0");
        assert_eq!(
            "app".parse::<UserChoice>().unwrap(),
            UserChoice::Name("app".to_owned())
        );
        for bad in ["", "1:", ":1", "+1:1", "4294967296", "2147483648", "a b", "app:1"] {
            assert!(bad.parse::<UserChoice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_user_of_a_base_stays_unless_it_is_root_and_is_never_replaced_silently() {
        let choice = |user: serde_json::Value| {
            let mut base = crate::image::testing::tiny_base();
            let app = crate::image::base::User {
                uid: 1000,
                gid: 50,
                home: "/srv".to_owned(),
            };
            base.users.insert("app".to_owned(), app);
            base.config["config"]["User"] = user;
            UserChoice::of_base(&base)?
                .map(|choice| choice.resolve(&base))
                .transpose()
        };
        for root in ["", "0", "root", "00:5", "root:root"] {
            assert_eq!(choice(root.into()).unwrap(), None, "{root}");
        }
        for (user, uid, gid) in [
            ("app", 1000, 50),
            ("app:app", 1000, 50),
            ("app:7", 1000, 7),
            ("2147483647:0", 2_147_483_647, 0),
        ] {
            assert_eq!(choice(user.into()).unwrap(), Some(Owner { uid, gid }), "{user}");
        }
        for bad in [
            "2147483648",
            "4294967295",
            "4294967296:0",
            "-1",
            "nobody",
            "app:staff",
            "app:4294967295",
        ] {
            let error = choice(bad.into()).unwrap_err();
            assert!(matches!(error, Error::User(_)), "{bad}");
        }
        assert!(
            choice(5.into())
                .unwrap_err()
                .to_string()
                .contains("`User` is no text")
        );
    }
}
