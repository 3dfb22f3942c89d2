//! How long each step of a build took. Times reach the report only, never an image.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The steps of a build in the order in which they ended.
#[derive(Debug, Default)]
pub struct Timings(Mutex<Vec<Step>>);

#[derive(Debug)]
struct Step {
    name: &'static str,
    subject: String,
    wall: Duration,
}

impl Timings {
    /// Does a step and notes how long it took. `subject` says for what, e.g. the platform.
    pub fn step<T>(&self, name: &'static str, subject: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        if let Ok(mut steps) = self.0.lock() {
            steps.push(Step {
                name,
                subject: subject.to_owned(),
                wall: start.elapsed(),
            });
        }
        result
    }

    /// All steps as JSON: names, subjects, wall time in seconds.
    pub fn json(&self) -> Value {
        let Ok(steps) = self.0.lock() else {
            return Value::Null;
        };
        let step = |s: &Step| json!({ "step": s.name, "for": s.subject, "seconds": s.wall.as_secs_f64() });
        steps.iter().map(step).collect()
    }
}
