//! What was set out to be reached, as figures that are not to exceed a limit.
//! They are judged by the medians of one run: on a disk, where syncs are what
//! counts; elsewhere where the case is run in memory only.

use crate::contestants::Name;
use crate::measure::{Medium, Row};
use crate::report::time;

pub(crate) struct Goal {
    /// The case that it is about.
    pub(crate) case: &'static str,
    pub(crate) text: &'static str,
    /// Where the case is judged, if it is run there.
    pub(crate) medium: Medium,
    figure: fn(&Results<'_>) -> Option<f64>,
    pub(crate) limit: f64,
}

pub(crate) struct Judgement {
    pub(crate) figure: f64,
    pub(crate) met: bool,
}

/// All results, to pick figures from.
struct Results<'a> {
    rows: &'a [Row],
    case: &'static str,
    medium: Medium,
}

/// 4 MiB.
const MEMORY: f64 = 4_194_304.0;

#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of one lifetime is no function of every lifetime"
)]
pub(crate) const GOALS: [Goal; 45] = [
    goal(
        "overwrite-1",
        "at most 0.6 x the peer",
        |r| r.to(Name::Mappedpages),
        0.6,
    ),
    goal(
        "overwrite-1",
        "at most 1.45 x the floor",
        |r| r.to(Name::Floor),
        1.45,
    ),
    goal(
        "overwrite-1",
        "at most 0.8 x the better of redb and LMDB",
        |r| r.to_better(),
        0.8,
    ),
    goal(
        "overwrite-100",
        "at most 1/25 of the peer",
        |r| r.to(Name::Mappedpages),
        0.04,
    ),
    goal(
        "overwrite-100",
        "at most 0.5 x the better of redb and LMDB",
        |r| r.to_better(),
        0.5,
    ),
    goal(
        "overwrite-100",
        "at most 1.4 x the floor",
        |r| r.to(Name::Floor),
        1.4,
    ),
    goal(
        "overwrite-1",
        "in memory at most LMDB",
        |r| r.to(Name::Lmdb),
        1.0,
    )
    .in_memory(),
    goal(
        "overwrite-100",
        "in memory, the sandbox's share a page: at most 0.25 us",
        |r| r.share(100.0),
        250.0,
    )
    .in_memory(),
    goal(
        "overwrite-1-deferred",
        "in memory at most 3 us",
        |r| r.median(),
        3e3,
    )
    .in_memory(),
    goal(
        "deferred-64",
        "a commit at most 0.4 x a durable one",
        |r| r.to_case("overwrite-1"),
        0.4,
    ),
    goal(
        "alloc-free",
        "at most 0.65 x the peer",
        |r| r.to(Name::Mappedpages),
        0.65,
    ),
    goal(
        "alloc-free-copied",
        "at most 0.6 x the peer",
        |r| r.to(Name::Mappedpages),
        0.6,
    ),
    goal(
        "alloc-1000",
        "at most 0.7 x the peer",
        |r| r.to(Name::Mappedpages),
        0.7,
    ),
    goal(
        "alloc-1000-cpu",
        "at most 0.1 x the peer",
        |r| r.to(Name::Mappedpages),
        0.1,
    ),
    goal(
        "alloc-cpu-100",
        "the core alone: at most the peer",
        |r| r.core_to(Name::Mappedpages),
        1.0,
    ),
    goal(
        "alloc-cpu-100",
        "the sandbox's share: at most 0.6 us",
        |r| r.share(1.0),
        600.0,
    ),
    goal(
        "alloc-cpu-10000",
        "the core alone: at most the peer",
        |r| r.core_to(Name::Mappedpages),
        1.0,
    ),
    goal(
        "alloc-cpu-10000",
        "the sandbox's share: at most 0.6 us",
        |r| r.share(1.0),
        600.0,
    ),
    goal(
        "protect-8000",
        "at most 1.2 x the same at 100 protected pages",
        |r| r.to_case("protect-100"),
        1.2,
    ),
    goal(
        "churn-4k",
        "the slowest at most 1.5 x the fastest",
        |r| {
            r.spread(&[
                "churn-1-1000",
                "churn-50-1000",
                "churn-99-1000",
                "churn-1-10000",
                "churn-50-10000",
                "churn-99-10000",
            ])
        },
        1.5,
    ),
    goal(
        "churn-64k",
        "the slowest at most 1.5 x the fastest",
        |r| r.spread(&["churn-1-500000", "churn-50-500000", "churn-99-500000"]),
        1.5,
    ),
    goal(
        "read-8",
        "at most 1.1 x format 0",
        |r| r.to(Name::PageboxZero),
        1.1,
    ),
    goal(
        "read-8",
        "at most 2 x the peer",
        |r| r.to(Name::Mappedpages),
        2.0,
    ),
    goal(
        "read-protected-8",
        "at most 1.1 x format 0",
        |r| r.to(Name::PageboxZero),
        1.1,
    ),
    goal(
        "read-protected-8",
        "at most 2 x the peer",
        |r| r.to(Name::Mappedpages),
        2.0,
    ),
    goal(
        "read-4096",
        "at most 1.1 x format 0",
        |r| r.to(Name::PageboxZero),
        1.1,
    ),
    goal(
        "read-4096",
        "at most 1.2 x the peer",
        |r| r.to(Name::Mappedpages),
        1.2,
    ),
    goal(
        "read-4096",
        "at most 1/3 of redb",
        |r| r.to(Name::Redb),
        1.0 / 3.0,
    ),
    goal(
        "read-protected-4096",
        "at most 1.1 x format 0",
        |r| r.to(Name::PageboxZero),
        1.1,
    ),
    goal(
        "read-protected-4096",
        "at most 1.2 x the peer",
        |r| r.to(Name::Mappedpages),
        1.2,
    ),
    goal(
        "read-protected-4096",
        "at most 1/3 of redb",
        |r| r.to(Name::Redb),
        1.0 / 3.0,
    ),
    goal(
        "iterate",
        "at least 300 x faster than the peer",
        |r| r.to(Name::Mappedpages),
        1.0 / 300.0,
    ),
    goal("open", "at most 150 us", |r| r.median(), 150e3),
    goal(
        "cold",
        "at most 1.6 ms to the first read",
        |r| r.median(),
        1.6e6,
    ),
    goal(
        "write-sync",
        "at most 1.1 x the peer with a sync",
        |r| r.to(Name::Mappedpages),
        1.1,
    ),
    goal(
        "growth",
        "no commit above 3 x p99",
        |r| r.pagebox().map(|row| row.slowest_ns / row.p99_ns),
        3.0,
    ),
    goal(
        "growth",
        "in all at most the peer's time",
        |r| Some(r.pagebox()?.total_ns / r.row(r.case, Name::Mappedpages)?.total_ns),
        1.0,
    ),
    goal(
        "group-1",
        "in memory at most 1.5 x a lone pager",
        |r| r.group_to_lone(),
        1.5,
    )
    .in_memory(),
    goal(
        "group-64",
        "at most 1.6 x the floor",
        |r| r.to(Name::Floor),
        1.6,
    ),
    goal(
        "group-64",
        "p99 under 10 x the median of one writer",
        |r| Some(r.pagebox()?.p99_ns / r.row("group-1", Name::Pagebox)?.ns),
        10.0,
    ),
    goal(
        "read-threads-2",
        "two readers at least 1.8 x one",
        |r| r.to_case("read-threads-1"),
        1.0 / 1.8,
    ),
    goal(
        "view-threads-1",
        "at most 2 x a pager's",
        |r| r.to_case("read-threads-1"),
        2.0,
    ),
    goal(
        "view-threads-2",
        "two readers at least 1.8 x one",
        |r| r.to_case("view-threads-1"),
        1.0 / 1.8,
    ),
    goal(
        "view-writer-2",
        "beside a writer, two readers at least 1.8 x one",
        |r| r.to_case("view-writer-1"),
        1.0 / 1.8,
    ),
    goal(
        "memory",
        "at most 4 MiB beyond the engine",
        |r| r.pagebox()?.memory_bytes,
        MEMORY,
    ),
];

const fn goal(
    case: &'static str,
    text: &'static str,
    figure: fn(&Results<'_>) -> Option<f64>,
    limit: f64,
) -> Goal {
    Goal {
        case,
        text,
        medium: Medium::Disk,
        figure,
        limit,
    }
}

impl Goal {
    /// Judged where a sync costs nothing.
    const fn in_memory(self) -> Self {
        Self {
            medium: Medium::Tmpfs,
            ..self
        }
    }

    /// What was reached, for people.
    pub(crate) fn in_words(&self, figure: f64) -> String {
        match self.case {
            "open" | "cold" | "overwrite-1-deferred" => time(figure),
            _ if self.text.contains("share") => time(figure),
            "memory" => format!("{:.2} MiB", figure / f64::from(1 << 20)),
            _ if figure < 0.3 => format!("1/{:.1}", 1.0 / figure),
            _ => format!("{figure:.2} x"),
        }
    }

    /// Whether it is met; none: its case was not run.
    pub(crate) fn judge(&self, rows: &[Row]) -> Option<Judgement> {
        let figure = (self.figure)(&Results {
            rows,
            case: self.case,
            medium: self.medium,
        })?;
        Some(Judgement {
            figure,
            met: figure <= self.limit,
        })
    }
}

/// A contestant's result: on `medium`, or else on the other.
pub(crate) fn result<'a>(
    rows: &'a [Row],
    case: &str,
    contestant: Name,
    medium: Medium,
) -> Option<&'a Row> {
    let mut of_case = rows
        .iter()
        .filter(|row| row.case == case && row.contestant == contestant);
    let other = of_case.clone().next();
    of_case.find(|row| row.medium == medium).or(other)
}

impl Results<'_> {
    fn row(&self, case: &str, contestant: Name) -> Option<&Row> {
        result(self.rows, case, contestant, self.medium)
    }

    fn pagebox(&self) -> Option<&Row> {
        self.row(self.case, Name::Pagebox)
    }

    fn median(&self) -> Option<f64> {
        self.pagebox().map(|row| row.ns)
    }

    /// pagebox's time as a multiple of another one's.
    fn to(&self, other: Name) -> Option<f64> {
        Some(self.median()? / self.row(self.case, other)?.ns)
    }

    fn to_better(&self) -> Option<f64> {
        Some(f64::max(self.to(Name::Redb)?, self.to(Name::Lmdb)?))
    }

    /// pagebox's time as a multiple of its own in another case.
    fn to_case(&self, other: &str) -> Option<f64> {
        Some(self.median()? / self.row(other, Name::Pagebox)?.ns)
    }

    /// The core's time, without the sandbox, as a multiple of another one's.
    fn core_to(&self, other: Name) -> Option<f64> {
        let core = self.row(self.case, Name::PageboxCore)?;
        Some(core.ns / self.row(self.case, other)?.ns)
    }

    /// What the sandbox adds to the core, in nanoseconds for each of `parts`.
    fn share(&self, parts: f64) -> Option<f64> {
        let core = self.row(self.case, Name::PageboxCore)?;
        Some((self.median()? - core.ns).max(0.0) / parts)
    }

    /// A shared pager with one writer as a multiple of a lone pager, which
    /// overwrites a page.
    fn group_to_lone(&self) -> Option<f64> {
        let shared = self.row(self.case, Name::Pagebox)?;
        Some(shared.ns / self.row("overwrite-1", Name::Pagebox)?.ns)
    }

    /// The slowest of some cases as a multiple of the fastest.
    fn spread(&self, cases: &[&str]) -> Option<f64> {
        let medians: Option<Vec<f64>> = cases
            .iter()
            .map(|case| self.row(case, Name::Pagebox).map(|row| row.ns))
            .collect();
        let medians = medians?;
        let slowest = medians.iter().copied().reduce(f64::max)?;
        let fastest = medians.iter().copied().reduce(f64::min)?;
        Some(slowest / fastest)
    }
}
