//! How layers are laid over each other, as runtimes unpack them: whiteouts, links, what replaces what.

use std::io;

use super::files::{Files, Found, LINKS_LIMIT, Laid, STEPS_LIMIT, note, steps};
use crate::layer::{self, FoundKind, LayerReader};
use crate::paths::TreePath;

/// More entries, and more bytes of names, than any real base has: memory stays bounded.
const ENTRIES_LIMIT: usize = 1_000_000;
const NAMES_LIMIT: usize = 96 << 20;
/// The most that is kept of files of interest, all together.
const KEPT_LIMIT: usize = 96 << 20;
/// No system takes a longer link (`PATH_MAX`).
const LINK_LIMIT: usize = 4095;

/// How much has been kept so far.
#[derive(Default)]
pub(super) struct Room {
    entries: usize,
    names: usize,
    kept: usize,
    steps: usize,
}

impl Room {
    fn entry(&mut self, path: &TreePath) -> io::Result<()> {
        self.entries += 1;
        // Parents that no entry of their own names are kept too.
        self.names += path.as_str().len();
        if self.entries > ENTRIES_LIMIT || self.names > NAMES_LIMIT {
            return Err(io::Error::other(format!(
                "more files than any base has ({ENTRIES_LIMIT}, {} MiB of names)",
                NAMES_LIMIT >> 20
            )));
        }
        Ok(())
    }

    fn keep(&mut self, bytes: usize) -> io::Result<()> {
        self.kept += bytes;
        if self.kept > KEPT_LIMIT {
            return Err(io::Error::other(
                "more package lists and configuration than any base has",
            ));
        }
        Ok(())
    }
}

/// A layer that is laid over the files of those below it, member by member as runtimes unpack it: links in the parents of
/// a name are followed inside the root, and what stands in the way of a later member is replaced by it.
pub(super) struct Laying<'a> {
    files: &'a mut Files,
    /// Which layer it is, from below.
    number: usize,
    room: &'a mut Room,
    /// The directory of the member before, as written and as it is: archivers write those of one directory together.
    directory: Option<(String, String)>,
}

impl<'a> Laying<'a> {
    pub(super) fn new(files: &'a mut Files, number: usize, room: &'a mut Room) -> Self {
        Self {
            files,
            number,
            room,
            directory: None,
        }
    }

    pub(super) fn read(mut self, reader: &mut LayerReader<'_>) -> io::Result<()> {
        while let Some(found) = reader.next_member()? {
            self.room.entry(&found.path)?;
            if let Some(name) = found.path.file_name().strip_prefix(".wh.") {
                self.hide(name, found.path.parent_str())?;
            } else {
                self.add(found, reader)?;
            }
        }
        Ok(())
    }

    /// Obeys a whiteout.
    ///
    /// > Whiteout files MUST only apply to resources in lower/parent layers (image-spec layer.md).
    fn hide(&mut self, name: &str, parent: &str) -> io::Result<()> {
        let parent = self.follow(parent)?;
        let number = self.number;
        // > the opaque whiteout file `.wh..wh..opq` [...] all children of the directory are hidden
        if name == ".wh..opq" {
            self.files.remove_below(&parent, |layer| layer < number);
        } else if name.starts_with(".wh.") {
            // Other `.wh..wh.` names are aufs's own bookkeeping.
            return Ok(());
        } else {
            // `.wh..` and `.wh...` would hide a directory from within.
            let hidden = TreePath::new(&beside(&parent, name)).map_err(io::Error::other)?;
            if self
                .files
                .entries
                .get(&hidden)
                .is_some_and(|laid| laid.layer < number)
            {
                self.files.entries.remove(&hidden);
            }
            self.files.remove_below(hidden.as_str(), |layer| layer < number);
        }
        self.directory = None;
        Ok(())
    }

    fn add(&mut self, found: layer::Found, reader: &mut LayerReader<'_>) -> io::Result<()> {
        let directory = self.directory(found.path.parent_str())?;
        let path = TreePath::new(&beside(&directory, found.path.file_name())).map_err(io::Error::other)?;
        let found = match found.kind {
            FoundKind::Directory => Found::Directory,
            FoundKind::Symlink(target) if target.len() > LINK_LIMIT => {
                return Err(invalid(format!(
                    "{path}: a link that is longer than any system takes"
                )));
            }
            FoundKind::Symlink(target) => Found::Link(target),
            FoundKind::HardLink(target) => self.linked(&path, &target)?,
            FoundKind::File => Found::File(note(&path, found.mode, found.size, reader)?),
            FoundKind::Other => Found::Other,
        };
        self.room.keep(found.weight())?;
        let is_directory = found == Found::Directory;
        match self.put(path.clone(), found) {
            Some(Found::Directory) if !is_directory => {
                self.files.remove_below(path.as_str(), |_| true);
                self.directory = None;
            }
            // The directory of the member before may be behind it.
            Some(Found::Link(_)) => self.directory = None,
            _ => {}
        }
        Ok(())
    }

    /// What a hard link is another name of: the link itself where it is one to a symbolic link.
    fn linked(&mut self, path: &TreePath, target: &TreePath) -> io::Result<Found> {
        let directory = self.follow(target.parent_str())?;
        let place = TreePath::new(&beside(&directory, target.file_name())).map_err(io::Error::other)?;
        let refused = |what: &str| Err(invalid(format!("{path}: a hard link to {target}, {what}")));
        match self.files.get(&place) {
            Some(Found::Directory) => refused("a directory"),
            Some(found) => Ok(found.clone()),
            None => refused("which is not there"),
        }
    }

    fn put(&mut self, path: TreePath, found: Found) -> Option<Found> {
        let layer = self.number;
        let before = self.files.entries.insert(path, Laid { found, layer });
        before.map(|laid| laid.found)
    }

    /// The place of a member's directory, which is made where it is not there yet.
    fn directory(&mut self, written: &str) -> io::Result<String> {
        if let Some((known, place)) = &self.directory
            && known == written
        {
            return Ok(place.clone());
        }
        let place = self.follow(written)?;
        let ends = place.match_indices('/').map(|(at, _)| at).chain([place.len()]);
        for end in ends.filter(|end| *end > 0) {
            let parent = TreePath::new(&place[..end]).map_err(io::Error::other)?;
            let there = self.files.entries.get_mut(&parent);
            if let Some(laid) = there
                && laid.found == Found::Directory
            {
                laid.layer = self.number;
            } else {
                self.room.entry(&parent)?;
                self.put(parent, Found::Directory);
            }
        }
        self.directory = Some((written.to_owned(), place.clone()));
        Ok(place)
    }

    /// Where a directory is once all links in its path are followed; it need not be there. Empty for the root.
    fn follow(&mut self, written: &str) -> io::Result<String> {
        let mut open: Vec<String> = written.split('/').rev().map(str::to_owned).collect();
        let mut place = String::new();
        let mut links = 0;
        while let Some(component) = open.pop() {
            match &*component {
                "" | "." => continue,
                ".." => {
                    place.truncate(place.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let here = beside(&place, &component);
            let laid = self.files.entries.get(&*here);
            let Some(Found::Link(target)) = laid.map(|laid| &laid.found) else {
                place = here;
                continue;
            };
            links += 1;
            self.room.steps += steps(target);
            if self.room.steps > STEPS_LIMIT {
                return Err(invalid("more links through links than any base has".to_owned()));
            }
            if links > LINKS_LIMIT {
                return Err(invalid(format!("{written}: links that lead round in a circle")));
            }
            if target.starts_with('/') {
                place.clear();
            }
            open.extend(target.split('/').rev().map(str::to_owned));
        }
        Ok(place)
    }
}

/// `NAME` in a directory, which may be the root.
fn beside(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    /// A tar whose names ending in `/` are directories, with `->` links, with `=>` hard links, else files.
    fn layer(names: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_mode(0o755);
            if let Some((name, target)) = name.split_once("->") {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, target).unwrap();
            } else if let Some((name, target)) = name.split_once("=>") {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, name, target).unwrap();
            } else {
                let kind = if name.ends_with('/') {
                    tar::EntryType::Directory
                } else {
                    tar::EntryType::Regular
                };
                header.set_entry_type(kind);
                builder.append_data(&mut header, name, io::empty()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn laid(layers: &[&[&str]]) -> io::Result<Files> {
        let mut files = Files::default();
        let mut room = Room::default();
        for (number, names) in layers.iter().enumerate() {
            let mut reader = LayerReader::new(Box::new(io::Cursor::new(layer(names))))?;
            Laying::new(&mut files, number, &mut room).read(&mut reader)?;
        }
        Ok(files)
    }

    fn files(layers: &[&[&str]]) -> Files {
        laid(layers).unwrap()
    }

    fn names(files: &Files) -> Vec<&str> {
        files.iter().map(|(p, _)| p.as_str()).collect()
    }

    #[test]
    fn whiteouts_hide_what_is_below_them_and_only_that() {
        let below: &[&str] = &["a/", "a/1", "a/2", "b/", "b/1", "ab"];
        assert_eq!(
            names(&files(&[below, &["a/.wh.1", "a/3"]])),
            ["a", "a/2", "a/3", "ab", "b", "b/1"]
        );
        assert_eq!(names(&files(&[below, &[".wh.a"]])), ["ab", "b", "b/1"]);
        // The opaque mark counts for lower layers only, wherever it stands in its own.
        assert_eq!(
            names(&files(&[below, &["a/3", "a/.wh..wh..opq"]])),
            ["a", "a/3", "ab", "b", "b/1"]
        );
        assert_eq!(names(&files(&[below, &[".wh..wh..opq", "c"]])), ["c"]);
    }

    #[test]
    fn a_file_over_a_directory_replaces_it_and_a_directory_over_a_directory_does_not() {
        let below: &[&str] = &["a/", "a/1"];
        assert_eq!(names(&files(&[below, &["a"]])), ["a"]);
        assert_eq!(names(&files(&[below, &["a/", "a/2"]])), ["a", "a/1", "a/2"]);
    }

    #[test]
    fn names_below_links_are_where_these_lead_inside_the_base() {
        let below: &[&str] = &[
            "usr/lib/",
            "usr/lib/a",
            "lib->usr/lib",
            "up->../../usr",
            "dead->none",
        ];
        let upper: &[&str] = &["lib/b", "up/lib/c", "lib/.wh.a", "dead/d"];
        let expected = [
            "dead",
            "lib",
            "none",
            "none/d",
            "up",
            "usr",
            "usr/lib",
            "usr/lib/b",
            "usr/lib/c",
        ];
        assert_eq!(names(&files(&[below, upper])), expected);
        // A directory replaces a link, and a link a directory with all that is in it.
        assert_eq!(
            names(&files(&[below, &["lib/", "lib/x"]])),
            ["dead", "lib", "lib/x", "up", "usr", "usr/lib", "usr/lib/a"]
        );
        assert_eq!(names(&files(&[&["a/1", "b/", "a->b", "a/2"]])), ["a", "b", "b/2"]);
        assert_eq!(names(&files(&[&["a", "a/1"]])), ["a", "a/1"]);
    }

    /// 40 links, each of which goes from directory to directory 2,000 times before it leads to the next.
    #[test]
    fn links_that_are_made_to_take_forever_are_refused() {
        let mut members = vec!["a/".to_owned(), "l40/".to_owned()];
        for number in 0..40 {
            members.push(format!("l{number}->{}l{}", "a/../".repeat(800), number + 1));
        }
        members.extend((0..1000).map(|number| format!("l0/{number}/file")));
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let said = laid(&[&members]).unwrap_err().to_string();
        assert_eq!(said, "more links through links than any base has");
        let said = laid(&[&[&format!("l->{}", "a/".repeat(2048))]]).unwrap_err();
        assert_eq!(said.to_string(), "l: a link that is longer than any system takes");
        // Of each link it would be asked whether it leads to a directory.
        let mut few = members[..42].to_vec();
        let links: Vec<String> = (0..1000).map(|number| format!("to{number}->l1")).collect();
        few.extend(links.iter().map(String::as_str));
        let files = files(&[&few]);
        let found = links.iter().map(|link| link.split_once('-').unwrap().0);
        let found = found.filter(|link| files.resolve(link).is_some());
        assert!((1..1000).contains(&found.count()));
    }

    /// Hard links share nothing in memory.
    #[test]
    fn what_is_kept_of_hard_links_is_counted() {
        let mut members = vec![format!("l->{}", "a/".repeat(2000))];
        members.extend((0..30_000).map(|number| format!("h{number}=>l")));
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let said = laid(&[&members]).unwrap_err().to_string();
        assert!(said.contains("than any base has"), "{said}");
    }

    #[test]
    fn a_hard_link_is_what_it_links_to_in_any_layer_below() {
        let files = files(&[
            &["usr/bin/x", "s->usr/bin/x", "bin->usr/bin"],
            &["y=>bin/x", "z=>s"],
        ]);
        assert!(matches!(files.get(&path("y")), Some(Found::File(noted)) if noted.executable));
        assert_eq!(files.get(&path("z")), Some(&Found::Link("usr/bin/x".to_owned())));
        for (members, words) in [
            (&["y=>x"][..], "y: a hard link to x, which is not there"),
            (&["x/", "y=>x"], "y: a hard link to x, a directory"),
            (&["l->l", "l/x"], "l: links that lead round in a circle"),
            (&["l->l", "y=>l/x"], "l: links that lead round in a circle"),
        ] {
            assert_eq!(laid(&[members]).unwrap_err().to_string(), words);
        }
    }

    proptest! {
        #[test]
        fn every_path_is_below_directories_whatever_the_layers_do(
            layers in vec(vec("[ab](/[ab]){0,2}(|/|->(/|\\.\\./|)[ab](/[ab]){0,2}|=>[ab](/[ab])?)|([ab]/)?\\.wh\\.(a|b|\\.wh\\.\\.opq)", 0..9), 1..4)
        ) {
            let layers: Vec<Vec<&str>> = layers.iter().map(|l| l.iter().map(String::as_str).collect()).collect();
            let layers: Vec<&[&str]> = layers.iter().map(Vec::as_slice).collect();
            if let Ok(files) = laid(&layers) {
                for (path, _) in files.iter() {
                    let is_directory = |parent: TreePath| files.get(&parent) == Some(&Found::Directory);
                    prop_assert!(path.parents().all(is_directory), "{path} of {:?}", names(&files));
                }
            }
        }
    }

    #[test]
    fn links_are_followed_inside_the_base() {
        let files = files(&[&[
            "usr/bin/python3.13",
            "usr/bin/python3->python3.13",
            "bin->usr/bin",
            "x->/../bin/./python3",
            "loop->loop",
            "usr/lib/",
        ]]);
        for name in ["bin/python3", "/usr/bin/python3.13", "x", "bin/../bin/python3"] {
            assert_eq!(files.resolve(name), Some(path("usr/bin/python3.13")), "{name}");
        }
        for name in ["loop", "nothing", "usr/bin/python3/x", "bin/nothing"] {
            assert_eq!(files.resolve(name), None, "{name}");
        }
    }
}
