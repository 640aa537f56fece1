//! What is shown and written: a table of the results, the goals, and JSON.

use std::path::Path;

use crate::contestants::Name;
use crate::goals::{GOALS, Judgement, result};
use crate::measure::Row;

/// Shows results as they come in.
pub(crate) fn progress(rows: &[Row]) {
    for row in rows {
        eprintln!(
            "{:<20} {:<6} {:<13} {:>10}",
            row.case,
            row.medium.text(),
            row.contestant.text(),
            time(row.ns)
        );
    }
}

/// The table of all results.
pub(crate) fn table(rows: &[Row]) {
    println!(
        "\n{:<20} {:<6} {:<13} {:>10} {:>10} {:>7} {:>10} {:>8} {:>8}",
        "case", "medium", "contestant", "median", "p99", "syncs", "bytes", "x peer", "x floor"
    );
    let mut last = None;
    for row in rows {
        let case = (&row.case, row.medium);
        if last.replace(case).is_some_and(|last| last != case) {
            println!();
        }
        let bytes = row.memory_bytes.or(row.bytes_written);
        println!(
            "{:<20} {:<6} {:<13} {:>10} {:>10} {:>7.2} {:>10} {:>8} {:>8}",
            row.case,
            row.medium.text(),
            row.contestant.text(),
            time(row.ns),
            time(row.p99_ns),
            row.syncs,
            bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}")),
            ratio(row.ratio_to_peer),
            ratio(row.ratio_to_floor),
        );
    }
}

/// The goals, met or missed. Those whose cases were not run are left out.
pub(crate) fn goals(rows: &[Row]) {
    println!("\n{:<20} {:>9} {:>9}  goal", "case", "is", "at most");
    for goal in &GOALS {
        let Some(Judgement { figure, met }) = goal.judge(rows) else {
            continue;
        };
        println!(
            "{:<20} {:>9} {:>9}  {}: {}",
            goal.case,
            goal.in_words(figure),
            goal.in_words(goal.limit),
            if met { "met" } else { "MISSED" },
            goal.text,
        );
    }
}

/// The goals as a table in Markdown, with the medians that they are about.
pub(crate) fn markdown(rows: &[Row]) {
    println!("| Case | pagebox | format 0 | mappedpages | Goal | Is | |");
    println!("|---|---|---|---|---|---|---|");
    for goal in &GOALS {
        let Some(Judgement { figure, met }) = goal.judge(rows) else {
            continue;
        };
        let median = |contestant| {
            let row = result(rows, goal.case, contestant, goal.medium);
            row.map_or_else(|| "-".to_owned(), |row| time(row.ns))
        };
        println!(
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            goal.case,
            median(Name::Pagebox),
            median(Name::PageboxZero),
            median(Name::Mappedpages),
            goal.text,
            goal.in_words(figure),
            if met { "met" } else { "**missed**" },
        );
    }
}

/// Writes the results.
pub(crate) fn write(rows: &[Row], path: &Path) {
    let json = serde_json::to_string_pretty(rows).expect("rows are plain values");
    std::fs::write(path, json + "\n").expect("the results can be written");
    println!("\nwritten to {}", path.display());
}

/// Reads results that were written.
pub(crate) fn read(path: &str) -> Vec<Row> {
    let json = std::fs::read_to_string(path).expect("the results can be read");
    serde_json::from_str(&json).expect("the results are of this program")
}

pub(crate) fn time(ns: f64) -> String {
    if ns < 100.0 {
        format!("{ns:.1} ns")
    } else if ns < 1e3 {
        format!("{ns:.0} ns")
    } else if ns < 1e6 {
        format!("{:.2} us", ns / 1e3)
    } else {
        format!("{:.2} ms", ns / 1e6)
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"))
}
