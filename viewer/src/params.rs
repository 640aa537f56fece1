//! What addresses hold, as people write it.

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{IntoParams, ToSchema};

use crate::text;

/// As of when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct AsOfParams {
    /// The name of a snapshot: the answer is about the protected pages as they were
    /// then. The committed state, if not given.
    snapshot: Option<String>,
}

impl AsOfParams {
    /// The name; none: the committed state. No snapshot has an empty name.
    pub(crate) fn snapshot(self) -> Option<String> {
        self.snapshot.filter(|name| !name.is_empty())
    }
}

/// What the colours of a map say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Colour {
    /// What a page is.
    #[default]
    Kind,
    /// How long ago it was written, where that is known.
    Age,
    /// What the program's own decoder says that it is.
    Decoder,
}

impl Colour {
    /// The part of an address that keeps it.
    pub(crate) fn kept(self) -> &'static str {
        match self {
            Self::Kind => "",
            Self::Age => "colour=age&",
            Self::Decoder => "colour=decoder&",
        }
    }
}

// By hand: the words of what is derived are for who wrote the program.
impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "" | "kind" => Ok(Self::Kind),
            "age" => Ok(Self::Age),
            "decoder" => Ok(Self::Decoder),
            text => Err(de::Error::custom(format!(
                "'{}' is none of kind, age and decoder",
                text::visible(text)
            ))),
        }
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
