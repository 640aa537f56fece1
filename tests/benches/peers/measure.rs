//! Measuring: contestants take turns, and medians are compared.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::contestants::Name;
use crate::syscalls;

/// What is under the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Medium {
    /// A file system on a disk.
    Disk,
    /// Memory: a tmpfs, or for pagebox a store of its own where the case says
    /// so.
    Tmpfs,
}

impl Medium {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Tmpfs => "tmpfs",
        }
    }
}

/// One result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) medium: Medium,
    pub(crate) contestant: Name,
    /// Median of an operation, in nanoseconds.
    pub(crate) ns: f64,
    /// 99 of 100 operations take at most this.
    pub(crate) p99_ns: f64,
    /// Syncs an operation.
    pub(crate) syncs: f64,
    /// Bytes that an operation dirties, as the kernel accounts for them: in
    /// whole folios, even where it writes less. Only known of disks.
    pub(crate) bytes_written: Option<f64>,
    pub(crate) ratio_to_peer: Option<f64>,
    pub(crate) ratio_to_floor: Option<f64>,
    /// The slowest operation of all.
    pub(crate) slowest_ns: f64,
    /// All operations together.
    pub(crate) total_ns: f64,
    /// Bytes of memory that the contestant took, where the case is about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<f64>,
}

/// What was measured of one contestant.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Nanoseconds an operation, one entry a sample.
    samples: Vec<f64>,
    /// Nanoseconds of all samples together.
    total: f64,
    operations: u64,
    syncs: u64,
    bytes: u64,
}

impl Recorder {
    /// Times `operations` operations as one sample.
    pub(crate) fn time<R>(&mut self, operations: u64, f: impl FnOnce() -> R) -> R {
        let syncs = syscalls::syncs();
        let start = Instant::now();
        let result = f();
        let time = start.elapsed();
        self.syncs += syscalls::syncs() - syncs;
        self.add(operations, time);
        result
    }

    /// Adds a sample that was timed elsewhere.
    pub(crate) fn add(&mut self, operations: u64, time: Duration) {
        self.operations += operations;
        self.total += nanoseconds(time);
        self.samples.push(nanoseconds(time) / count(operations));
    }

    /// The result, without its ratios.
    pub(crate) fn row(mut self, case: &str, medium: Medium, contestant: Name) -> Row {
        self.samples.sort_by(f64::total_cmp);
        Row {
            case: case.to_owned(),
            medium,
            contestant,
            ns: quantile(&self.samples, 50),
            p99_ns: quantile(&self.samples, 99),
            syncs: count(self.syncs) / count(self.operations),
            bytes_written: (medium == Medium::Disk)
                .then(|| count(self.bytes) / count(self.operations)),
            ratio_to_peer: None,
            ratio_to_floor: None,
            slowest_ns: quantile(&self.samples, 100),
            total_ns: self.total,
            memory_bytes: None,
        }
    }
}

/// Lets contestants take turns: in each of `turns` rounds each has one, and who
/// begins changes. Only what `turn` times counts.
pub(crate) fn race<C: ?Sized>(
    case: &str,
    medium: Medium,
    turns: u64,
    contestants: &mut [(Name, Box<C>)],
    mut turn: impl FnMut(&mut C, u64, &mut Recorder),
) -> Vec<Row> {
    let mut recorders: Vec<_> = contestants.iter().map(|_| Recorder::default()).collect();
    for round in 0..turns {
        for position in 0..contestants.len() {
            let index = (position + round as usize) % contestants.len();
            let recorder = &mut recorders[index];
            let before = bytes_written();
            turn(&mut contestants[index].1, round, recorder);
            recorder.bytes += bytes_written() - before;
        }
    }
    contestants
        .iter()
        .zip(recorders)
        .map(|((name, _), recorder)| recorder.row(case, medium, *name))
        .collect()
}

/// Fills in the ratios of one case's rows.
pub(crate) fn with_ratios(mut rows: Vec<Row>) -> Vec<Row> {
    let median = |name| {
        let row = rows.iter().find(|row| row.contestant == name);
        row.map(|row| row.ns)
    };
    let (peer, floor) = (median(Name::Mappedpages), median(Name::Floor));
    for row in &mut rows {
        row.ratio_to_peer = peer.map(|peer| row.ns / peer);
        row.ratio_to_floor = floor.map(|floor| row.ns / floor);
    }
    rows
}

/// The value that `percent` of sorted samples do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub(crate) fn count(n: u64) -> f64 {
    n as f64
}

/// Bytes that this process dirtied in files on disks.
fn bytes_written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("write_bytes: "))
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(0)
}
