//! What a plain unpack of packages lacks, because maintainer scripts and triggers would have written it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Error;
use super::ld_so_cache::ld_so_cache;
use super::recipe::Recipe;
use crate::debian::{MERGED, Unpacked};
use crate::paths::TreePath;
use crate::platform::Architecture;
use crate::tree::{Content, Entry, Owner, Tree};

/// > hosts: files dns (the default of libc-bin, without the name services of systems that have daemons)
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\nethers: files\nrpc: files\n";
/// Where ca-certificates keeps the certificates, one by one.
const CERTIFICATES: &str = "usr/share/ca-certificates";
/// No certificate is larger.
const CERTIFICATE_LIMIT: u64 = 1 << 20;

/// The tree of a base: the packages' files and what they lack.
pub fn finish(recipe: &Recipe, unpacked: Unpacked, architecture: Architecture) -> Result<Tree, Error> {
    let mut finishing = Finishing {
        tree: unpacked.tree,
        recipe: &recipe.name,
    };
    finishing.certificates()?;
    finishing.users(recipe)?;
    finishing.text("etc/nsswitch.conf", NSSWITCH)?;
    finishing.status(&unpacked.control)?;
    for (path, target) in &recipe.symlinks {
        finishing.link(path, target)?;
    }
    finishing.merge_usr()?;
    let cache = ld_so_cache(&finishing.tree, architecture).map_err(|source| Error::Finish {
        recipe: recipe.name.clone(),
        source: Box::new(source),
    })?;
    finishing.put("etc/ld.so.cache", Entry::file(Content::bytes(cache), false))?;
    Ok(finishing.tree)
}

struct Finishing<'a> {
    tree: Tree,
    recipe: &'a str,
}

impl Finishing<'_> {
    fn fault(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Finish {
            recipe: self.recipe.to_owned(),
            source: Box::new(source),
        }
    }

    fn put(&mut self, path: &str, entry: Entry) -> Result<(), Error> {
        let path = TreePath::new(path).map_err(|e| self.fault(e))?;
        if !entry.is_directory() {
            self.tree.remove(&path);
        }
        self.tree.insert(path, entry).map_err(|e| self.fault(e))
    }

    fn text(&mut self, path: &str, text: &str) -> Result<(), Error> {
        self.put(path, Entry::file(Content::bytes(text.as_bytes()), false))
    }

    fn link(&mut self, path: &TreePath, target: &str) -> Result<(), Error> {
        self.put(path.as_str(), Entry::symlink(target))
    }

    /// The bundle that update-ca-certificates would write: every certificate, in the order of their names.
    fn certificates(&mut self) -> Result<(), Error> {
        let mut bundle = Vec::new();
        for (path, entry) in self.tree.iter() {
            let certificate = path
                .strip_prefix(CERTIFICATES)
                .is_some_and(|name| name.rsplit_once('.').is_some_and(|(_, ending)| ending == "crt"));
            if let (true, Some(content)) = (certificate, entry.content()) {
                bundle.extend(content.read(CERTIFICATE_LIMIT).map_err(|e| self.fault(e))?);
                if bundle.last() != Some(&b'\n') {
                    bundle.push(b'\n');
                }
            }
        }
        if bundle.is_empty() {
            return Ok(());
        }
        let single = TreePath::new(CERTIFICATES).map_err(|e| self.fault(e))?;
        self.tree.remove(&single);
        self.put(
            "etc/ssl/certs/ca-certificates.crt",
            Entry::file(Content::bytes(bundle), false),
        )
    }

    /// `/etc/passwd`, `/etc/group` (`passwd(5)`, `group(5)`) and the home directories below `/home`.
    fn users(&mut self, recipe: &Recipe) -> Result<(), Error> {
        let shell = recipe.shell.as_deref().unwrap_or("/usr/sbin/nologin");
        let (mut passwd, mut group) = (String::new(), String::new());
        for user in &recipe.users {
            let (name, id, home) = (&user.name, user.id, &user.home);
            let group_name = user.group.as_ref().unwrap_or(name);
            let _ = writeln!(passwd, "{name}:x:{id}:{id}:{name}:{home}:{shell}");
            let _ = writeln!(group, "{group_name}:x:{id}:");
            if home.starts_with("/home/") {
                let home = Entry::directory().owned_by(Owner { uid: id, gid: id });
                self.put(user.home.trim_start_matches('/'), home)?;
            }
        }
        self.text("etc/passwd", &passwd)?;
        self.text("etc/group", &group)
    }

    /// What scanners look for in images without dpkg: the control stanza of each package.
    fn status(&mut self, control: &BTreeMap<String, String>) -> Result<(), Error> {
        for (package, stanza) in control {
            self.text(&format!("var/lib/dpkg/status.d/{package}"), stanza)?;
        }
        Ok(())
    }

    /// `bin`, `lib`, … become links into `usr`, for those that are there.
    fn merge_usr(&mut self) -> Result<(), Error> {
        for name in MERGED {
            let target = format!("usr/{name}");
            if self.tree.get(&target).is_some() {
                self.put(name, Entry::symlink(&target))?;
            }
        }
        Ok(())
    }
}
