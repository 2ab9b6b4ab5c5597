//! From measurements to a table that people read.

use std::io::Write as _;
use std::time::Duration;

use crate::measure::{Measured, Start};
use crate::streams::Streams;

/// Prints the table, as Markdown.
pub(crate) fn print(measured: &Measured, streams: &Streams) {
    let mut rows = vec![["what", "median", "p99", "ratio", "target"].map(str::to_owned)];
    let reference = sorted(&measured.references);
    let part = |take: fn(&Start) -> Duration| {
        sorted(&measured.starts.iter().map(take).collect::<Vec<_>>())
    };
    let served = part(|start| start.after_acknowledgement());
    rows.push(row("`crun run` of the same bundle", &reference, "1", ""));
    let served_ratio = ratio(percentile(&served, 50), percentile(&reference, 50));
    rows.push(row(
        "acknowledged → RUNNING → first `echo` ended",
        &served,
        &served_ratio,
        "≤ 2.0",
    ));
    rows.push(row(
        "… of that: acknowledged → RUNNING",
        &part(|s| s.running),
        "",
        "",
    ));
    for (name, laps) in &measured.laps {
        let what = format!("… … the runner's part: {name}");
        rows.push(row(&what, &sorted(laps), "", ""));
    }
    rows.push(row(
        "… of that: `echo` by exec",
        &part(|s| s.echoed),
        "",
        "",
    ));
    rows.push(row(
        "the answer to Start itself",
        &part(|s| s.acknowledged),
        "",
        "",
    ));
    let whole = part(|start| start.whole());
    let whole_ratio = ratio(percentile(&whole, 50), percentile(&reference, 50));
    rows.push(row("all together", &whole, &whole_ratio, ""));
    rows.push(row(
        "exec of `true`",
        &sorted(&measured.execs),
        "",
        "p50 ≤ 5 ms, p99 ≤ 20 ms",
    ));
    let burst = ratio(measured.burst_wall, measured.burst_reference);
    rows.push([
        format!("{} sandboxes at once, wall time", measured.burst),
        millis(measured.burst_wall),
        String::new(),
        burst,
        format!(
            "(beside {} `crun run`: {})",
            measured.burst,
            millis(measured.burst_reference)
        ),
    ]);
    rows.push([
        "resident memory, idle".to_owned(),
        format!("{} MiB", measured.idle_kib / 1024),
        String::new(),
        String::new(),
        "≤ 60 MiB".to_owned(),
    ]);
    rows.extend(of_streams(streams));
    write(&rows, measured);
}

/// The rows of streams and files.
fn of_streams(streams: &Streams) -> Vec<[String; 5]> {
    let bytes = streams.amount.bytes;
    let (plain, output) = (middle(&streams.plain), middle(&streams.output));
    let (file, dd) = (middle(&streams.files), middle(&streams.dd));
    let plain_file = middle(&streams.plain_files);
    let [before, open] = streams.idle_kib;
    let cells = |what: &str, value: String, ratio: String, target: &str| {
        let (what, target) = (what.to_owned(), target.to_owned());
        [what, value, String::new(), ratio, target]
    };
    vec![
        cells(
            "a plain stream of tonic",
            rate(bytes, plain),
            "1".to_owned(),
            "",
        ),
        cells(
            "output of a command",
            rate(bytes, output),
            ratio(plain, output),
            "≥ 500 MB/s or ≥ 0.5",
        ),
        cells(
            &format!("{} MiB through `cat` and back, the same bytes", bytes >> 20),
            rate(bytes, streams.both),
            String::new(),
            "",
        ),
        cells(
            "`dd` of 32 MiB in the sandbox",
            millis(dd),
            "1".to_owned(),
            "",
        ),
        cells(
            "a file of 32 MiB by one call to a plain server of tonic, which drops it",
            millis(plain_file),
            ratio(dd, plain_file),
            "",
        ),
        cells(
            "a file of 32 MiB by one call",
            millis(file),
            ratio(dd, file),
            "≥ 0.5",
        ),
        cells(
            &format!(
                "resident memory with {} idle streams more",
                streams.amount.idle
            ),
            format!("{} → {} MiB", before / 1024, open / 1024),
            String::new(),
            "≤ 400 MiB",
        ),
    ]
}

fn middle(durations: &[Duration]) -> Duration {
    percentile(&sorted(durations), 50)
}

/// In megabytes a second.
fn rate(bytes: u64, took: Duration) -> String {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    format!("{} MB/s", bytes / micros)
}

fn write(rows: &[[String; 5]], measured: &Measured) {
    let mut out = std::io::stdout().lock();
    let (runs, execs) = (measured.starts.len(), measured.execs.len());
    let _ = writeln!(
        out,
        "{runs} starts and as many runs of the runtime, in turn; {execs} execs.\n"
    );
    for (number, row) in rows.iter().enumerate() {
        let _ = writeln!(out, "| {} |", row.join(" | "));
        if number == 0 {
            let _ = writeln!(out, "|---|---|---|---|---|");
        }
    }
}

fn row(what: &str, sorted: &[Duration], ratio: &str, target: &str) -> [String; 5] {
    [
        what.to_owned(),
        millis(percentile(sorted, 50)),
        millis(percentile(sorted, 99)),
        ratio.to_owned(),
        target.to_owned(),
    ]
}

fn sorted(durations: &[Duration]) -> Vec<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort();
    sorted
}

/// The smallest of them that at least this many per cent do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn ratio(one: Duration, other: Duration) -> String {
    format!("{:.2}", one.as_secs_f64() / other.as_secs_f64())
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let all: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&all, 50), Duration::from_millis(50));
        assert_eq!(percentile(&all, 99), Duration::from_millis(99));
        assert_eq!(percentile(&all[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
