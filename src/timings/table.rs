//! Steps as a table that people read.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::DecimalBytes;

use super::Row;

const HEAD: [&str; 6] = ["step", "for", "wall", "bytes", "rate", "cached"];

/// One line for each step, those within another one indented; then the whole time.
pub(super) fn render(rows: &[Row], total: Duration) -> String {
    let mut lines: Vec<[String; 6]> = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut last: [String; 6] = Default::default();
    (last[0], last[2]) = ("total".to_owned(), time(total));
    lines.push(last);
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            // Words to the left, numbers to the right.
            let _ = match column {
                0 | 1 | 5 => write!(shown, "{cell:<width$}  "),
                _ => write!(shown, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(text, "{}", shown.trim_end());
    }
    text
}

fn cells(row: &Row) -> [String; 6] {
    let bytes = row.bytes.map(|bytes| DecimalBytes(bytes).to_string());
    [
        format!("{}{}", "  ".repeat(row.depth), row.name),
        row.subject.clone(),
        time(row.wall),
        bytes.unwrap_or_default(),
        rate(row).unwrap_or_default(),
        match (row.kept, row.all) {
            (_, 0) => String::new(),
            (0, _) => "no".to_owned(),
            (kept, all) if kept == all => "yes".to_owned(),
            (kept, all) => format!("{kept} of {all}"),
        },
    ]
}

/// Of what was there already nothing moved.
fn rate(row: &Row) -> Option<String> {
    let moved = row.all == 0 || row.kept < row.all;
    let bytes = row.bytes.filter(|bytes| moved && *bytes > 0)?;
    let nanoseconds = row.wall.as_nanos().max(1);
    let second = u128::from(bytes) * 1_000_000_000 / nanoseconds;
    Some(format!(
        "{}/s",
        DecimalBytes(u64::try_from(second).unwrap_or(u64::MAX))
    ))
}

fn time(wall: Duration) -> String {
    let milliseconds = wall.as_secs_f64() * 1000.0;
    if milliseconds < 1000.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{:.2} s", wall.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(depth: usize, name: &'static str, bytes: Option<u64>, (kept, all): (usize, usize)) -> Row {
        Row {
            depth,
            name,
            subject: if depth == 0 {
                "linux/amd64".to_owned()
            } else {
                String::new()
            },
            start: Duration::ZERO,
            wall: Duration::from_millis(500),
            bytes,
            kept,
            all,
        }
    }

    #[test]
    fn columns_are_aligned_and_what_nothing_is_known_of_is_empty() {
        let rows = [
            row(0, "dependencies", None, (1, 3)),
            row(1, "fetch", Some(38_000_000), (0, 2)),
            row(1, "layer", Some(1_000), (1, 1)),
        ];
        let expected = "\
step          for              wall     bytes        rate  cached
dependencies  linux/amd64  500.0 ms                        1 of 3
  fetch                    500.0 ms  38.00 MB  76.00 MB/s  no
  layer                    500.0 ms   1.00 kB              yes
total                        2.00 s
";
        assert_eq!(render(&rows, Duration::from_secs(2)), expected);
    }
}
