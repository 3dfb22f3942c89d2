//! How long each step of a command took, and what it moved. Times reach reports only, never an image.

mod table;
mod trace;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The steps of a command in the order in which they began. Cheap to clone: all clones note the same steps.
#[derive(Clone, Debug)]
pub struct Timings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: Vec<Step>,
    lanes: Vec<Lane>,
}

/// Where the steps of one thread are noted while it is in one; then the lane is free for another.
#[derive(Debug)]
struct Lane {
    thread: ThreadId,
    /// The steps that it is in, the innermost last.
    open: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Step {
    name: &'static str,
    subject: String,
    /// Whether only a trace has it: there may be hundreds of its kind.
    detail: bool,
    within: Option<usize>,
    lane: usize,
    start: Duration,
    /// None while it lasts.
    wall: Option<Duration>,
    note: Note,
}

/// What a step says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note {
    bytes: Option<u64>,
    cached: Option<bool>,
}

impl Note {
    /// How many bytes it read, wrote or moved.
    pub fn bytes(&mut self, bytes: u64) {
        self.bytes = Some(bytes);
    }

    /// Whether its result was there already.
    pub fn cached(&mut self, cached: bool) {
        self.cached = Some(cached);
    }
}

impl Default for Timings {
    /// Begins now.
    fn default() -> Self {
        Self(Arc::new(Shared {
            began: Instant::now(),
            state: Mutex::default(),
        }))
    }
}

impl Timings {
    /// Does a step and notes how long it took. `subject` says for what, e.g. the platform.
    pub fn step<T>(&self, name: &'static str, subject: &str, work: impl FnOnce() -> T) -> T {
        self.measure(name, subject, |_| work())
    }

    /// A step that says something of itself.
    pub fn measure<T>(&self, name: &'static str, subject: &str, work: impl FnOnce(&mut Note) -> T) -> T {
        Open::new(self, (name, subject), false, None).run(work)
    }

    /// The step that this thread is in, for work that other threads do for it.
    pub fn branch(&self) -> Branch<'_> {
        let thread = std::thread::current().id();
        let state = self.state();
        let mut lanes = state.lanes.iter().filter(|lane| lane.thread == thread);
        Branch {
            timings: self,
            within: lanes.find_map(|lane| lane.open.last().copied()),
        }
    }

    /// All steps but details as JSON: names, subjects, start and wall time in seconds; bytes and whether the result was
    /// there already, where that can be said.
    pub fn json(&self) -> Value {
        let row = |row: Row| {
            let mut value = json!({
                "step": row.name, "for": row.subject, "start": row.start.as_secs_f64(), "seconds": row.wall.as_secs_f64(),
            });
            if let Some(bytes) = row.bytes {
                value["bytes"] = json!(bytes);
            }
            if row.all > 0 {
                value["cached"] = json!(row.kept == row.all);
            }
            value
        };
        self.rows().into_iter().map(row).collect()
    }

    /// All steps but details as a table for people.
    pub fn table(&self) -> String {
        table::render(&self.rows(), self.0.began.elapsed())
    }

    /// All steps in Chrome's trace format, which `chrome://tracing` and Perfetto read.
    pub fn trace(&self) -> Value {
        let total = self.0.began.elapsed();
        trace::render(&self.state().steps, total)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> Vec<Row> {
        let now = self.0.began.elapsed();
        let steps = &self.state().steps;
        let mut rows: Vec<Row> = Vec::new();
        // A step comes after the one that it is within: from the last to the first all parts of a step are known.
        let (mut bytes, mut kept) = (vec![None; steps.len()], vec![(0, 0); steps.len()]);
        for (at, step) in steps.iter().enumerate().rev() {
            bytes[at] = step.note.bytes.or(bytes[at]);
            if let Some(cached) = step.note.cached {
                kept[at] = (usize::from(cached), 1);
            }
            if let Some(above) = step.within {
                kept[above] = (kept[above].0 + kept[at].0, kept[above].1 + kept[at].1);
                // Other steps within may have had the same bytes one after another; what was there already was not moved.
                if step.detail
                    && step.note.cached != Some(true)
                    && let Some(more) = bytes[at]
                {
                    bytes[above] = Some(bytes[above].unwrap_or(0) + more);
                }
            }
            if !step.detail {
                rows.push(Row {
                    depth: std::iter::successors(step.within, |above| steps[*above].within).count(),
                    name: step.name,
                    subject: step.subject.clone(),
                    start: step.start,
                    wall: step.wall.unwrap_or_else(|| now.saturating_sub(step.start)),
                    bytes: bytes[at],
                    kept: kept[at].0,
                    all: kept[at].1,
                });
            }
        }
        rows.reverse();
        rows
    }
}

/// A step as tables have it.
struct Row {
    /// How many steps it is within.
    depth: usize,
    name: &'static str,
    subject: String,
    start: Duration,
    wall: Duration,
    /// Its own, else those that its details moved.
    bytes: Option<u64>,
    /// How many results were there already, of `all` of which it is known.
    kept: usize,
    all: usize,
}

/// A step whose parts are done by other threads.
#[derive(Clone, Copy, Debug)]
pub struct Branch<'t> {
    timings: &'t Timings,
    within: Option<usize>,
}

impl Branch<'_> {
    /// Does one of many parts of the step, which a trace alone tells apart.
    pub fn detail<T>(&self, name: &'static str, subject: &str, work: impl FnOnce(&mut Note) -> T) -> T {
        Open::new(self.timings, (name, subject), true, self.within).run(work)
    }
}

/// A step that lasts; dropped, also by a panic, it has ended.
struct Open<'t> {
    timings: &'t Timings,
    at: usize,
    note: Note,
}

impl<'t> Open<'t> {
    fn new(
        timings: &'t Timings,
        (name, subject): (&'static str, &str),
        detail: bool,
        within: Option<usize>,
    ) -> Self {
        let mut state = timings.state();
        let at = state.steps.len();
        let lane = state.enter(at);
        let own = state.lanes[lane].open.iter().rev().nth(1).copied();
        state.steps.push(Step {
            name,
            subject: subject.to_owned(),
            detail,
            within: own.or(within),
            lane,
            start: timings.0.began.elapsed(),
            wall: None,
            note: Note::default(),
        });
        drop(state);
        Self {
            timings,
            at,
            note: Note::default(),
        }
    }

    fn run<T>(mut self, work: impl FnOnce(&mut Note) -> T) -> T {
        work(&mut self.note)
    }
}

impl State {
    /// Notes that this thread is in a step now; gives its lane, the first free one if it has none.
    fn enter(&mut self, step: usize) -> usize {
        let thread = std::thread::current().id();
        let own = self
            .lanes
            .iter()
            .position(|lane| lane.thread == thread && !lane.open.is_empty());
        let free = || self.lanes.iter().position(|lane| lane.open.is_empty());
        let at = own.or_else(free).unwrap_or_else(|| {
            self.lanes.push(Lane {
                thread,
                open: Vec::new(),
            });
            self.lanes.len() - 1
        });
        self.lanes[at].thread = thread;
        self.lanes[at].open.push(step);
        at
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let now = self.timings.0.began.elapsed();
        let mut state = self.timings.state();
        let step = &mut state.steps[self.at];
        step.wall = Some(now.saturating_sub(step.start));
        step.note = self.note;
        let lane = step.lane;
        state.lanes[lane].open.retain(|open| *open != self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_the_order_in_which_they_began_with_what_is_known_of_their_parts() {
        let timings = Timings::default();
        let pause = || std::thread::sleep(Duration::from_millis(2));
        timings.step("dependencies", "linux/amd64", || {
            timings.step("fetch", "", || {
                let branch = timings.branch();
                std::thread::scope(|scope| {
                    for (size, cached) in [(5, true), (7, false)] {
                        let work = move |note: &mut Note| {
                            pause();
                            note.bytes(size);
                            note.cached(cached);
                        };
                        scope.spawn(move || branch.detail("download", &size.to_string(), work));
                    }
                });
            });
            timings.measure("layer", "x", |note| {
                note.bytes(100);
                note.cached(true);
            });
        });
        timings.step("write", "out", pause);
        let json = timings.json();
        let told: Vec<_> = json
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (&s["step"], &s["bytes"], &s["cached"]))
            .collect();
        let null = Value::Null;
        assert_eq!(
            told,
            [
                (&json!("dependencies"), &null, &json!(false)),
                (&json!("fetch"), &json!(7), &json!(false)),
                (&json!("layer"), &json!(100), &json!(true)),
                (&json!("write"), &null, &null),
            ]
        );
        assert!(json[1]["seconds"].as_f64() > Some(0.002));
        assert!(json[2]["start"].as_f64() >= Some(0.002));
        let kept: Vec<_> = timings
            .rows()
            .iter()
            .map(|row| (row.depth, row.kept, row.all))
            .collect();
        assert_eq!(kept, [(0, 2, 3), (1, 1, 2), (1, 1, 1), (0, 0, 0)]);
    }

    #[test]
    fn a_step_that_panics_or_lasts_is_told_too() {
        let timings = Timings::default();
        let panics = || timings.step("first", "", || -> () { panic!("on purpose") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        timings.step("second", "", || {
            let rows = timings.rows();
            assert_eq!((rows[0].name, rows[0].depth), ("first", 0));
            assert_eq!((rows[1].name, rows[1].depth), ("second", 0));
        });
    }
}
