//! The screens: each file has one screen's parameters, view, handler and
//! tests; the template of the same name shows it.

pub(crate) mod about;
pub(crate) mod diff;
pub(crate) mod directory;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod live;
pub(crate) mod map;
pub(crate) mod metadata;
pub(crate) mod overview;
pub(crate) mod page;

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use crate::{
    inspect::{PageKind, Side},
    schema,
    state::File,
    text,
};

/// A file, by what addresses and what people call it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FileName {
    /// What addresses call it.
    pub(crate) id: String,
    /// What people call it. Characters that cannot be seen are written out.
    pub(crate) name: String,
}

impl From<&File> for FileName {
    fn from(file: &File) -> Self {
        Self {
            id: file.id.clone(),
            name: file.name.clone(),
        }
    }
}

/// The kinds of pages that a file has, for legends.
#[derive(Clone, Debug)]
pub(crate) struct Legend {
    pub(crate) kinds: Vec<LegendLine>,
    pub(crate) total: u64,
}

/// A line of a legend.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LegendLine {
    /// The kind.
    #[serde(flatten)]
    #[schema(value_type = schema::PageKind)]
    pub(crate) kind: PageKind,
    /// Its share of all pages.
    pub(crate) percent: String,
}

impl LegendLine {
    /// How it is drawn.
    pub(crate) fn class(&self) -> &'static str {
        class_of(&self.kind.name)
    }
}

impl Legend {
    pub(crate) fn new(kinds: Vec<PageKind>) -> Self {
        let counts: Vec<u64> = kinds.iter().map(|kind| kind.count).collect();
        let total = counts.iter().sum();
        let kinds = kinds
            .into_iter()
            .zip(text::percents(&counts))
            .map(|(kind, percent)| LegendLine { kind, percent })
            .collect();
        Self { kinds, total }
    }

    /// The kind of a code.
    pub(crate) fn name(&self, code: u8) -> &str {
        self.kinds
            .iter()
            .find(|line| line.kind.code == code)
            .map_or("unknown", |line| &line.kind.name)
    }

    pub(crate) fn class(&self, code: u8) -> &'static str {
        class_of(self.name(code))
    }
}

/// The kinds that have a drawing of their own; others are drawn as unknown.
const DRAWN: [&str; 10] = [
    "free",
    "regular",
    "protected-active",
    "protected-shadow",
    "directory",
    "superblock",
    "metadata",
    "slack",
    "missing",
    "unknown",
];

/// How a kind is drawn, as the name of a class.
pub(crate) fn class_of(kind: &str) -> &'static str {
    DRAWN
        .into_iter()
        .find(|drawn| *drawn == kind)
        .unwrap_or("unknown")
}

/// A side's letter.
pub(crate) fn side_name(side: Side) -> &'static str {
    match side {
        Side::A => "A",
        Side::B => "B",
    }
}

/// A number in an address, in decimal or, after `0x`, in hex. Nothing is none.
pub(crate) fn number_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let Some(text) = text
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let plain = text.replace([',', '_', ' '], "");
    let parsed = match plain.strip_prefix("0x").or(plain.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => plain.parse(),
    };
    parsed.map(Some).map_err(|_| {
        de::Error::custom(format!(
            "'{}' is not a page or byte number",
            text::visible(text)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Params {
        #[serde(default, deserialize_with = "number_or_none")]
        n: Option<u64>,
    }

    fn parse(query: &str) -> Result<Option<u64>, String> {
        let uri = format!("/?{query}").parse().map_err(|_| "uri")?;
        axum::extract::Query::<Params>::try_from_uri(&uri)
            .map(|params| params.n)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn number_in_an_address_is_decimal_or_hex_or_absent() {
        assert_eq!(parse("n=17"), Ok(Some(17)));
        assert_eq!(parse("n=0x11"), Ok(Some(17)));
        assert_eq!(parse("n=8,388,384"), Ok(Some(8_388_384)));
        assert_eq!(parse("n="), Ok(None));
        assert_eq!(parse(""), Ok(None));
        assert!(parse("n=x").is_err());
        assert!(parse("n=-1").is_err());
    }
}
