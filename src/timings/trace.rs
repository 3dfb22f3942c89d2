//! Steps in Chrome's trace format: complete events, times in microseconds
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>, "Complete Events").

use std::time::Duration;

use serde_json::{Value, json};

use super::Step;

/// One process is told of.
const PROCESS: u32 = 1;

/// One event for each step, on a line for each thread that works at the same time; and one for the whole command.
pub(super) fn render(steps: &[Step], total: Duration) -> Value {
    let mut events = vec![
        json!({ "name": "process_name", "ph": "M", "pid": PROCESS, "tid": 0, "args": { "name": "pyoci" } }),
        json!({
            "name": "total", "cat": "total", "ph": "X", "ts": 0.0, "dur": microseconds(total), "pid": PROCESS, "tid": 0,
            "args": {},
        }),
    ];
    events.extend(steps.iter().map(|step| event(step, total)));
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}

fn event(step: &Step, total: Duration) -> Value {
    let wall = step.wall.unwrap_or_else(|| total.saturating_sub(step.start));
    let mut args = json!({ "for": step.subject });
    if let Some(bytes) = step.note.bytes {
        args["bytes"] = json!(bytes);
    }
    if let Some(cached) = step.note.cached {
        args["cached"] = json!(cached);
    }
    json!({
        "name": format!("{} {}", step.name, step.subject).trim_end(),
        "cat": step.name,
        "ph": "X",
        "ts": microseconds(step.start),
        "dur": microseconds(wall),
        "pid": PROCESS,
        "tid": step.lane,
        "args": args,
    })
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::super::Timings;
    use super::*;

    #[test]
    fn what_overlaps_is_on_lines_of_its_own_and_all_is_within_the_total() {
        let timings = Timings::default();
        let together = Barrier::new(2);
        timings.step("outer", "x", || {
            timings.step("inner", "", || ());
            let branch = timings.branch();
            std::thread::scope(|scope| {
                for name in ["a", "b"] {
                    let together = &together;
                    scope.spawn(move || {
                        branch.detail("download", name, |note| {
                            together.wait();
                            note.bytes(3);
                        });
                    });
                }
            });
        });
        let trace = timings.trace();
        let events = trace["traceEvents"].as_array().unwrap();
        let lines: Vec<_> = events
            .iter()
            .map(|e| (e["name"].as_str().unwrap(), e["tid"].as_u64().unwrap()))
            .collect();
        assert_eq!(
            &lines[..4],
            [("process_name", 0), ("total", 0), ("outer x", 0), ("inner", 0)]
        );
        let mut downloads: Vec<_> = lines[4..].iter().map(|(_, line)| *line).collect();
        downloads.sort_unstable();
        assert_eq!(downloads, [1, 2]);
        let end = |event: &Value| event["ts"].as_f64().unwrap() + event["dur"].as_f64().unwrap();
        for event in &events[2..] {
            assert_eq!(event["ph"], "X");
            assert!(end(event) <= end(&events[1]), "{event}");
        }
        assert_eq!(events[4]["args"]["bytes"], 3);
    }
}
