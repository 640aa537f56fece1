//! [`Choice`]: at which step of a trace the power fails, and what survives. As
//! addresses have it: in the query of the simulator's screen, and in the id of the
//! image, by which all other screens show it.

use std::fmt::Write as _;

/// The most sectors that an address names one by one: an address has 4 KiB.
pub(crate) const EXCEPTIONS_MAX: usize = 200;

/// What parts the id of a trace from what is chosen of it.
pub(crate) const BEGINS: char = '~';

/// When the power fails, and what survives of what is not durable then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    /// The step that is under way, counted from 0; past the last one all are done.
    pub(crate) at: usize,
    /// A step that is left out.
    pub(crate) without: Option<usize>,
    pub(crate) keep: Keep,
    /// How many pages there are, where that is in doubt and not as `keep` has it.
    pub(crate) length: Option<u64>,
    /// What is not as `keep` has it.
    pub(crate) but: Vec<Exception>,
}

/// What survives unless something else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Keep {
    All,
    None,
    /// What is drawn by this seed.
    Random(u64),
}

/// A sector that has another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Exception {
    pub(crate) page: u64,
    /// Its place in the page, in sectors.
    pub(crate) sector: usize,
    /// 0: what is durable; 1: the oldest of what was written since.
    pub(crate) version: usize,
}

impl Choice {
    /// Everything survives.
    pub(crate) fn all(at: usize) -> Self {
        Self {
            at,
            without: None,
            keep: Keep::All,
            length: None,
            but: Vec::new(),
        }
    }

    /// The same without exceptions.
    pub(crate) fn keeping(&self, keep: Keep) -> Self {
        Self {
            keep,
            ..Self {
                without: self.without,
                ..Self::all(self.at)
            }
        }
    }

    /// The same at another step; what is chosen of sectors is of no use there.
    pub(crate) fn moved(&self, at: usize) -> Self {
        Self {
            at,
            ..self.keeping(self.keep)
        }
    }

    /// The same without a step, or with all.
    pub(crate) fn leaving_out(&self, without: Option<usize>) -> Self {
        Self {
            without,
            ..self.keeping(self.keep)
        }
    }

    /// The same with another version of a sector; `preset` is that which it has
    /// without an exception.
    pub(crate) fn with(&self, exception: Exception, preset: usize) -> Self {
        let mut other = self.clone();
        other
            .but
            .retain(|each| (each.page, each.sector) != (exception.page, exception.sector));
        if exception.version != preset {
            other.but.push(exception);
        }
        other
    }

    /// As the query of the simulator's screen.
    pub(crate) fn query(&self) -> String {
        let mut query = format!("at={}", self.at + 1);
        if let Some(without) = self.without {
            let _ = write!(query, "&without={}", without + 1);
        }
        match self.keep {
            Keep::All => query.push_str("&keep=all"),
            Keep::None => query.push_str("&keep=none"),
            Keep::Random(seed) => {
                let _ = write!(query, "&keep=random&seed={seed}");
            }
        }
        if let Some(length) = self.length {
            let _ = write!(query, "&length={length}");
        }
        for (place, exception) in self.but.iter().enumerate() {
            query.push_str(if place == 0 { "&but=" } else { "," });
            query.push_str(&exception.text());
        }
        query
    }

    /// As the end of an image's id.
    pub(crate) fn code(&self) -> String {
        let mut parts = vec![(self.at + 1).to_string()];
        parts.extend(self.without.map(|without| format!("w{}", without + 1)));
        parts.push(match self.keep {
            Keep::All => "all".to_owned(),
            Keep::None => "none".to_owned(),
            Keep::Random(seed) => format!("r{seed}"),
        });
        parts.extend(self.length.map(|length| format!("l{length}")));
        parts.extend(self.but.iter().map(Exception::text));
        parts.join("~")
    }

    /// What the end of an image's id says; none where it says nothing.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        let mut parts = code.split(BEGINS);
        let mut choice = Self::all(step(parts.next()?)?);
        for part in parts {
            match part.split_at_checked(1)? {
                _ if part == "all" => choice.keep = Keep::All,
                _ if part == "none" => choice.keep = Keep::None,
                ("w", number) => choice.without = Some(step(number)?),
                ("r", seed) => choice.keep = Keep::Random(seed.parse().ok()?),
                ("l", length) => choice.length = Some(length.parse().ok()?),
                _ => choice.but.push(Exception::of(part)?),
            }
        }
        (choice.but.len() <= EXCEPTIONS_MAX).then_some(choice)
    }
}

/// A step as people count it, from 1.
fn step(text: &str) -> Option<usize> {
    text.parse::<usize>().ok()?.checked_sub(1)
}

impl Exception {
    /// `63.4.1`: of page 63 sector 4 has version 1.
    fn text(&self) -> String {
        format!("{}.{}.{}", self.page, self.sector, self.version)
    }

    /// The same from addresses.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let exception = Self {
            page: numbers.next()?.parse().ok()?,
            sector: numbers.next()?.parse().ok()?,
            version: numbers.next()?.parse().ok()?,
        };
        numbers.next().is_none().then_some(exception)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice_is_in_an_id_what_it_was() {
        let plain = Choice::all(6);
        assert_eq!(plain.code(), "7~all");
        let exceptions = [(63, 4, 1), (2, 0, 0)].map(|(page, sector, version)| Exception {
            page,
            sector,
            version,
        });
        let full = Choice {
            without: Some(3),
            keep: Keep::Random(9),
            length: Some(16),
            but: exceptions.to_vec(),
            ..plain.clone()
        };
        assert_eq!(full.code(), "7~w4~r9~l16~63.4.1~2.0.0");
        assert_eq!(
            full.query(),
            "at=7&without=4&keep=random&seed=9&length=16&but=63.4.1,2.0.0"
        );
        for choice in [plain, full] {
            assert_eq!(Choice::of_code(&choice.code()), Some(choice));
        }
    }

    #[test]
    fn id_that_says_no_choice_is_none() {
        for code in [
            "",
            "0",
            "x",
            "7~",
            "7~some",
            "7~w0",
            "7~1.2",
            "7~1.2.3.4",
            "7~r",
            "7~-1.0.0",
        ] {
            assert_eq!(Choice::of_code(code), None, "{code}");
        }
        let many = format!("7{}", "~1.0.0".repeat(EXCEPTIONS_MAX + 1));
        assert_eq!(Choice::of_code(&many), None);
    }
}
