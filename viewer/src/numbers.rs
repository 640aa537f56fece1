//! What bytes are as numbers, whichever way round they are meant. Pure.

use serde::Serialize;
use utoipa::ToSchema;

/// Some bytes as a number of one width.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Reading {
    /// `u8`, `u16`, `u32`, `u64` or `f64`; signed where that is another number.
    pub(crate) kind: &'static str,
    /// With the lowest byte first.
    pub(crate) little: String,
    /// With the highest byte first.
    pub(crate) big: String,
}

/// The bytes from the first on, as far as there are enough.
pub(crate) fn readings(bytes: &[u8]) -> Vec<Reading> {
    let mut readings = Vec::new();
    if let Some(byte) = bytes.first() {
        let both = signed(u64::from(*byte), 1);
        readings.push(reading("u8", both.clone(), both));
    }
    for (kind, len) in [("u16", 2), ("u32", 4), ("u64", 8)] {
        let Some(part) = bytes.get(..len) else { break };
        let little = part.iter().rev().copied().fold(0, widened);
        let big = part.iter().copied().fold(0, widened);
        readings.push(reading(kind, signed(little, len), signed(big, len)));
    }
    if let Some(part) = bytes.first_chunk::<8>() {
        let text = |value: f64| format!("{value:?}");
        readings.push(reading(
            "f64",
            text(f64::from_le_bytes(*part)),
            text(f64::from_be_bytes(*part)),
        ));
    }
    readings
}

fn reading(kind: &'static str, little: String, big: String) -> Reading {
    Reading { kind, little, big }
}

fn widened(value: u64, byte: u8) -> u64 {
    value << 8 | u64::from(byte)
}

/// A number of so many bytes, and what it is if its highest bit is a sign.
fn signed(value: u64, len: usize) -> String {
    let unused = u32::try_from(64 - 8 * len).unwrap_or(0);
    let signed = (value << unused).cast_signed() >> unused;
    if signed < 0 {
        format!("{value} ({signed})")
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_both_ways_round_as_far_as_there_are_enough() {
        let all = readings(&[0xfe, 0xff, 0, 0, 0, 0, 0xf0, 0x3f]);
        let said: Vec<(&str, &str, &str)> = all
            .iter()
            .map(|each| (each.kind, &*each.little, &*each.big))
            .collect();
        assert_eq!(
            said[..3],
            [
                ("u8", "254 (-2)", "254 (-2)"),
                ("u16", "65534 (-2)", "65279 (-257)"),
                ("u32", "65534", "4278124544 (-16842752)"),
            ]
        );
        assert_eq!(said[3].1, "4607182418800082942");
        assert!(said[4].1.starts_with("1.00000000"), "{}", said[4].1);
        assert_eq!(readings(&[1, 0, 0]).len(), 2);
        assert_eq!(readings(&[]), []);
    }
}
