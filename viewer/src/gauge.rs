//! How much room is left before the limits of a format.

use crate::{
    inspect::Summary,
    plots::{WIDTH, real},
    text,
};

/// How much of a limit is used.
#[derive(Debug)]
pub(crate) struct Gauge {
    pub(crate) name: &'static str,
    /// None where it is not known.
    pub(crate) used: Option<u64>,
    pub(crate) limit: u64,
    pub(crate) left: u64,
    pub(crate) meaning: &'static str,
    pub(crate) width: f64,
    pub(crate) percent: String,
}

impl Gauge {
    pub(crate) fn new(
        name: &'static str,
        used: Option<u64>,
        limit: u64,
        meaning: &'static str,
    ) -> Self {
        let known = used.unwrap_or(0);
        let share = if limit == 0 {
            0.0
        } else {
            (real(known) / real(limit)).min(1.0)
        };
        Self {
            name,
            used,
            limit,
            left: limit.saturating_sub(known),
            meaning,
            width: share * WIDTH,
            percent: text::percent(known.min(limit), limit),
        }
    }

    /// Full, nearly full, or neither.
    pub(crate) fn tone(&self) -> &'static str {
        match self.used {
            Some(used) if self.limit > 0 && used >= self.limit => "bad",
            // Nine tenths, without overflow.
            Some(used) if self.limit > 0 && used >= self.limit - self.limit / 10 => "note",
            _ => "",
        }
    }
}

/// How much room is left before the format's limits.
pub(crate) fn gauges(summary: &Summary) -> [Gauge; 2] {
    [
        Gauge::new(
            "Pages",
            summary.page_count,
            summary.page_limit,
            "can still be added before the format is full",
        ),
        Gauge::new(
            "Protected pages",
            summary.protected_pages,
            summary.protected_limit,
            "can still be named by the directory",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauge_warns_before_a_limit_is_reached() {
        let tone = |used| Gauge::new("pages", used, 1000, "").tone();
        assert_eq!(tone(Some(899)), "");
        assert_eq!(tone(Some(900)), "note");
        assert_eq!(tone(Some(1000)), "bad");
        assert_eq!(tone(None), "");
    }

    #[test]
    fn gauge_of_a_limit_that_is_not_known_is_empty() {
        let gauge = Gauge::new("pages", Some(5), 0, "");
        assert!(gauge.width.abs() < 1e-9);
        assert_eq!((gauge.left, gauge.tone()), (0, ""));
    }
}
