//! Power loss: nothing gets its name before its bytes are on the disk, and nothing is referred to before its name is.

use std::collections::BTreeMap;

use super::scene::{Scene, Version};
use super::tracing::Traced;
use super::works::{Work, works};

/// What a line of the log tells.
#[derive(Debug)]
enum Event {
    /// Bytes of a file were changed.
    Written(String),
    /// A file or directory is on the disk.
    Synced(String),
    /// All is on the disk.
    AllSynced,
    /// Something got a name.
    Named { from: String, to: String },
}

/// Calls that succeeded, in the order in which they ended.
fn events(lines: &[String]) -> Vec<Event> {
    let mut unfinished = BTreeMap::<&str, String>::new();
    let mut events = Vec::new();
    for line in lines {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, begun.to_owned());
            continue;
        }
        let resumed = call
            .strip_prefix("<... ")
            .and_then(|rest| rest.split_once("resumed>"));
        let whole = match resumed {
            Some((_, end)) => unfinished.remove(thread).unwrap_or_default() + end,
            None => call.to_owned(),
        };
        let failed = whole
            .rsplit_once(" = ")
            .is_none_or(|(_, result)| result.starts_with('-'));
        if !failed {
            events.extend(event(&whole));
        }
    }
    events
}

fn event(call: &str) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    let opened = || Some(arguments.split_once('<')?.1.split_once('>')?.0.to_owned());
    let mut quoted = arguments.split('"').skip(1).step_by(2).map(str::to_owned);
    match name {
        "write" | "pwrite64" | "writev" | "ftruncate" => Some(Event::Written(opened()?)),
        "copy_file_range" => {
            let to = arguments.split('<').nth(2)?.split_once('>')?.0;
            Some(Event::Written(to.to_owned()))
        }
        // What has its bytes by another name; they may not be on the disk.
        "link" | "linkat" => Some(Event::Written(quoted.nth(1)?)),
        "fsync" | "fdatasync" => Some(Event::Synced(opened()?)),
        "syncfs" => Some(Event::AllSynced),
        "rename" | "renameat" | "renameat2" => Some(Event::Named {
            from: quoted.next()?,
            to: quoted.next()?,
        }),
        _ => None,
    }
}

const CALLS: &str = "write,pwrite64,writev,ftruncate,copy_file_range,link,linkat,fsync,fdatasync,syncfs,rename,renameat,renameat2";

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether an event makes the name of something durable.
fn syncs(event: &Event, path: &str) -> bool {
    match event {
        Event::Synced(synced) => *synced == path,
        Event::AllSynced => true,
        _ => false,
    }
}

/// Fails unless every name outside the cache is given to what is on the disk, and is itself on it at the end.
fn assert_durable(scene: &Scene, work: &Work, events: &[Event]) {
    let cache = scene.sandbox.path("cache").display().to_string();
    let mut names = 0;
    for (at, event) in events.iter().enumerate() {
        let Event::Named { from, to } = event else {
            continue;
        };
        // The cache's entries are verified whenever they are read.
        if is_below(to, &cache) {
            continue;
        }
        names += 1;
        let written = events[..at]
            .iter()
            .rposition(|event| matches!(event, Event::Written(path) if path == from || is_below(path, from)));
        let written = written.unwrap_or_else(|| panic!("{}: {from} has no bytes", work.name));
        let synced = events[written..at].iter().any(|event| syncs(event, from));
        assert!(synced, "{}: {from} -> {to}: its bytes are not synced", work.name);
        let directory = to.rsplit_once('/').unwrap().0;
        let synced = events[at..].iter().position(|event| syncs(event, directory));
        let synced = synced.unwrap_or_else(|| panic!("{}: the name {to} is not synced", work.name));
        // What refers to it comes after.
        let index = events[at..at + synced]
            .iter()
            .find(|event| matches!(event, Event::Named { to, .. } if to.ends_with("/index.json")));
        assert!(
            to.ends_with("/index.json") || index.is_none(),
            "{}: {to}: the index was there before",
            work.name
        );
    }
    assert!(names > 0, "{}: nothing got a name", work.name);
}

#[test]
#[ignore = "needs what tests/setup.sh installs"]
fn what_gets_a_name_is_on_the_disk_before_and_its_name_before_what_refers_to_it() {
    let scene = Scene::new();
    for work in works(&scene) {
        if work.name.contains("push") || work.name.contains("mount") {
            continue;
        }
        (work.clear)(&scene);
        // New, and in the place of something.
        for version in [Version::A, Version::B] {
            work.set(&scene, version);
            let (done, lines) = Traced::new(&scene, &work.arguments(), CALLS, None).run();
            done.succeeded();
            assert_durable(&scene, &work, &events(&lines));
        }
    }
}

#[test]
fn a_log_is_read_whole_also_where_threads_are_interleaved() {
    let log = "1 write(3</o/.x>, \"\"..., 5 <unfinished ...>\n2  fsync(4</o>) = 0\n1 <... write resumed>) = 5\n\
               1 fsync(3</o/.x>) = -1 EIO (INJECTED)\n1 rename(\"/o/.x\", \"/o/x\") = 0\n\
               1 copy_file_range(3</a>, NULL, 4</b>, NULL, 9, 0) = 9\n\
               1 linkat(AT_FDCWD</w>, \"/a\", AT_FDCWD</w>, \"/c\", 0) = 0\n1 +++ exited with 0 +++\n";
    let lines: Vec<String> = log.lines().map(str::to_owned).collect();
    let events = format!("{:?}", events(&lines));
    assert_eq!(
        events,
        "[Synced(\"/o\"), Written(\"/o/.x\"), Named { from: \"/o/.x\", to: \"/o/x\" }, Written(\"/b\"), Written(\"/c\")]"
    );
}
