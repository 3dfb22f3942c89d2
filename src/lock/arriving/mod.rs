//! Wheels that are read while they still arrive: a layer is made of them in the meantime, and counts when all of them
//! have been verified.
//!
//! The end of each wheel is fetched first: it lists the files. The rest follows in the order in which it is read.

mod file;
mod tasks;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use self::file::{ArrivingFile, First};
use self::tasks::{Task, Tasks};
use super::fetch::{CONNECTIONS, Download, Fetched, fetch_each, refuse_build};
use super::index::Question;
use super::indexes::Indexes;
use super::{Artifact, Error, FetchedWheel, Location, Request, Selected, Source, Tools, hashed};
use crate::blob::RandomFile;
use crate::parallel;
use crate::python::{PackageName, Target, WheelFilename};
use crate::store::Kind;
use crate::timings::{Branch, Note};

/// Wheels up to this size, in bytes, are not worth reading before they are whole.
const SMALL: u64 = 256 * 1024;

/// A wheel to open.
#[derive(Clone, Debug)]
pub enum Opening {
    /// It is on this machine, verified.
    There(PathBuf, WheelFilename),
    /// It can be read while the rest of it arrives.
    Coming(Arc<RandomFile>, WheelFilename),
}

/// What is being fetched.
pub struct Arriving<'a> {
    request: &'a Request,
    target: &'a Target,
    tools: &'a Tools<'a>,
    indexes: Indexes,
    /// The wheels that can be read while they arrive.
    wheels: Vec<Wanted<'a>>,
    /// The others, when they are there.
    rest: OnceLock<Vec<FetchedWheel>>,
    tasks: Tasks,
    state: Mutex<State>,
    changed: Condvar,
    /// The step that it is done for.
    branch: Branch<'a>,
}

/// A wheel that is fetched, by its number.
struct Wanted<'a> {
    selected: &'a Selected,
    artifact: &'a Artifact,
    file_name: WheelFilename,
    title: String,
}

#[derive(Default)]
struct State {
    /// Files of which some is there.
    begun: BTreeMap<usize, Arc<ArrivingFile>>,
    /// Files that are there and verified.
    done: BTreeMap<usize, Fetched>,
    /// What went wrong, by number; it is told once.
    faults: BTreeMap<usize, Error>,
    failed: bool,
}

/// Fetches what was selected, and builds wheels of what is none, while `work` already reads it. What `work` makes must not
/// be kept before [`Arriving::settle`] has said that all it was made of is right. Where `work` fails, `misread` says that the
/// fault may be in what it read, and the files are right, it is asked once more, now with all of each file: the parts that
/// are read ahead do not always tell where the others begin.
///
/// Fails with what is wrong with a file rather than with what `work` made of it.
pub fn fetch_while<T, E: From<Error>>(
    selected: &[Selected],
    target: &Target,
    (request, tools): (&Request, &Tools<'_>),
    work: impl Fn(&Arriving<'_>) -> Result<T, E>,
    misread: impl Fn(&E) -> bool,
) -> Result<T, E> {
    if request.no_build {
        selected.iter().try_for_each(refuse_build)?;
    }
    let (wheels, rest): (Vec<_>, Vec<_>) = selected.iter().partition(|package| wanted(package).is_some());
    let rest: Vec<Selected> = rest.into_iter().cloned().collect();
    let wheels: Vec<Wanted<'_>> = wheels.into_iter().filter_map(wanted).collect();
    let mut order: Vec<usize> = (0..wheels.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(wheels[*number].artifact.size.unwrap_or(u64::MAX)));
    let arriving = Arriving {
        request,
        target,
        tools,
        indexes: Indexes::of(request, tools.environment)?,
        wheels,
        rest: OnceLock::new(),
        tasks: Tasks::new(order),
        state: Mutex::default(),
        changed: Condvar::new(),
        branch: tools.progress.timings().branch(),
    };
    let connections = if arriving.wheels.is_empty() {
        0
    } else {
        CONNECTIONS
    };
    std::thread::scope(|scope| {
        // Should this thread panic, the others end too: the scope waits for them.
        let _guard = FailOnPanic(&arriving);
        parallel::start(scope, connections, || arriving.connection()).map_err(Error::Threads)?;
        let fetched = fetch_each(&rest, target, request, tools).map_err(E::from);
        let result = fetched.and_then(|fetched| {
            let _ = arriving.rest.set(fetched);
            work(&arriving)
        });
        match (result, arriving.settle()) {
            (Err(error), Ok(())) if misread(&error) && !arriving.came().is_empty() => work(&arriving),
            (result, Ok(())) => result,
            // What it was has been told.
            (Err(error), Err(Error::Stopped)) => Err(error),
            (_, Err(fault)) => Err(fault.into()),
        }
    })
}

/// A wheel whose bytes can be told right from wrong, at a server.
fn wanted(selected: &Selected) -> Option<Wanted<'_>> {
    let Source::Wheel(artifact) = &selected.source else {
        return None;
    };
    let remote = match &artifact.location {
        Location::Path(_) => false,
        Location::Url(url) => matches!(url.scheme(), "http" | "https"),
        Location::Index(_) => true,
    };
    artifact.digest().filter(|_| remote)?;
    Some(Wanted {
        selected,
        artifact,
        file_name: artifact.name.parse().ok()?,
        title: selected.title(),
    })
}

/// Ends everything if its thread panics, so that nobody is left waiting.
struct FailOnPanic<'f, 'a>(&'f Arriving<'a>);

impl Drop for FailOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(usize::MAX, Error::Stopped);
        }
    }
}

impl Arriving<'_> {
    /// The wheel of a package, as soon as some of it is there; `None` if it is not fetched. Fails if it cannot be had;
    /// [`Arriving::settle`] then says why.
    pub fn open(&self, package: &PackageName) -> Option<Result<Opening, Error>> {
        let mut rest = self.rest.get().into_iter().flatten();
        if let Some(wheel) = rest.find(|wheel| wheel.selected.name == *package) {
            let opening = Opening::There(wheel.path.clone(), wheel.file_name.clone());
            return Some(Ok(opening));
        }
        let is_it = |wheel: &Wanted<'_>| wheel.selected.name == *package;
        let number = self.wheels.iter().position(is_it)?;
        let name = self.wheels[number].file_name.clone();
        let mut state = self.lock();
        loop {
            if let Some(done) = state.done.get(&number) {
                return Some(Ok(Opening::There(done.path.clone(), name)));
            }
            if state.failed {
                return Some(Err(Error::Stopped));
            }
            if let Some(file) = state.begun.get(&number) {
                return Some(Ok(Opening::Coming(Arc::clone(&file.archive), name)));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says in which order ranges of the wheels will be read.
    pub fn prefer(&self, order: impl Iterator<Item = (Arc<RandomFile>, Range<u64>)>) {
        let begun = self.lock().begun.clone();
        if begun.is_empty() {
            return;
        }
        let number = |archive: &Arc<RandomFile>| {
            let mut files = begun.iter();
            files.find_map(|(number, file)| Arc::ptr_eq(&file.archive, archive).then_some(*number))
        };
        self.tasks
            .prefer(order.filter_map(|(archive, range)| Some((number(&archive)?, range))));
    }

    /// Waits until everything is there, verified and kept. Fails with the first fault, once.
    pub fn settle(&self) -> Result<(), Error> {
        let mut state = self.lock();
        while !state.failed && state.done.len() < self.wheels.len() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some((_, fault)) = state.faults.pop_first() {
            return Err(fault);
        }
        if state.failed {
            return Err(Error::Stopped);
        }
        drop(state);
        hashed::check_complete(&self.fetched(), self.request, self.target, self.tools)
    }

    /// The wheels that are there and were read while they arrived, or could have been.
    pub fn came(&self) -> Vec<FetchedWheel> {
        let state = self.lock();
        let came = state
            .done
            .iter()
            .filter(|(number, _)| state.begun.contains_key(number));
        came.map(|(number, fetched)| self.wheel(*number, fetched))
            .collect()
    }

    /// All wheels that are there.
    fn fetched(&self) -> Vec<FetchedWheel> {
        let state = self.lock();
        let done = state
            .done
            .iter()
            .map(|(number, fetched)| self.wheel(*number, fetched));
        done.chain(self.rest.get().into_iter().flatten().cloned())
            .collect()
    }

    fn wheel(&self, number: usize, fetched: &Fetched) -> FetchedWheel {
        let wanted = &self.wheels[number];
        FetchedWheel {
            path: fetched.path.clone(),
            digest: fetched.digest.clone(),
            file_name: wanted.file_name.clone(),
            selected: wanted.selected.clone(),
        }
    }

    /// What one connection does until all is there.
    fn connection(&self) {
        let _guard = FailOnPanic(self);
        while let Some(task) = self.tasks.next() {
            let (Task::Begin(number) | Task::Part(number, _)) = task;
            let name = &self.wheels[number].artifact.name;
            let result = self.branch.detail("download", name, |note| self.task(task, note));
            if let Err(fault) = result {
                self.fail(number, fault);
            }
        }
    }

    fn task(&self, task: Task, note: &mut Note) -> Result<(), Error> {
        note.cached(false);
        match task {
            Task::Begin(number) => {
                let result = self.begin(number);
                self.tasks.begun();
                if let Some(done) = self.lock().done.get(&number) {
                    note.bytes(done.size);
                    note.cached(done.kept);
                }
                result
            }
            Task::Part(number, range) => {
                note.bytes(range.end - range.start);
                self.part(number, range)
            }
        }
    }

    fn begin(&self, number: usize) -> Result<(), Error> {
        let wanted = &self.wheels[number];
        let download = self.download(wanted, wanted.artifact, &self.indexes);
        if let Some(kept) = download.kept()? {
            self.done(number, kept);
            return Ok(());
        }
        let (found, indexes);
        let (artifact, indexes) = match &wanted.artifact.location {
            Location::Index(listed) => {
                found = Question::new(listed, &self.indexes, self.tools).find(wanted.artifact)?;
                // Files are often on the host of their index, which may name its password in the lock.
                indexes = self.indexes.also(&listed.indexes);
                (&found, &indexes)
            }
            _ => (wanted.artifact, &self.indexes),
        };
        let download = self.download(wanted, artifact, indexes);
        let url = match &artifact.location {
            Location::Url(url) if artifact.size.is_none_or(|size| size > SMALL) => {
                indexes.with_credentials(url)
            }
            _ => {
                self.done(number, download.run()?);
                return Ok(());
            }
        };
        let (file, response) = match ArrivingFile::ask(&download, url)? {
            First::Unknown => {
                self.done(number, download.run()?);
                return Ok(());
            }
            First::Tail(file) => (file, None),
            First::All(file, response) => (file, Some(*response)),
        };
        let mut state = self.lock();
        state.begun.insert(number, Arc::clone(&file));
        // Before anyone opens it, so that whoever does can say in which order its parts are wanted.
        if response.is_none() {
            self.tasks.add(number, file.size(), file.part());
        }
        drop(state);
        self.changed.notify_all();
        match response {
            Some(response) => file.take_all(&download, response)?,
            None => file.fetch_for_opening(&download)?,
        }
        self.settle_file(number, &file, &download)
    }

    fn part(&self, number: usize, range: Range<u64>) -> Result<(), Error> {
        let Some(file) = self.lock().begun.get(&number).cloned() else {
            return Ok(());
        };
        let wanted = &self.wheels[number];
        let download = self.download(wanted, wanted.artifact, &self.indexes);
        file.fetch(&download, range)?;
        self.settle_file(number, &file, &download)
    }

    fn settle_file(&self, number: usize, file: &ArrivingFile, download: &Download<'_>) -> Result<(), Error> {
        if let Some(fetched) = file.settle(download)? {
            self.done(number, fetched);
        }
        Ok(())
    }

    fn download<'d>(
        &'d self,
        wanted: &'d Wanted<'_>,
        artifact: &'d Artifact,
        indexes: &'d Indexes,
    ) -> Download<'d> {
        Download {
            package: &wanted.title,
            artifact,
            kind: Kind::Wheel,
            indexes,
            tools: self.tools,
        }
    }

    fn done(&self, number: usize, fetched: Fetched) {
        self.lock().done.insert(number, fetched);
        self.changed.notify_all();
    }

    /// One fault ends everything.
    fn fail(&self, number: usize, fault: Error) {
        self.tasks.stop();
        let mut state = self.lock();
        state.failed = true;
        state.faults.insert(number, fault);
        state.begun.values().for_each(|file| file.give_up());
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
