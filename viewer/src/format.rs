//! The form of an answer: for people, for programs, for tables.

use axum::http::{HeaderMap, header};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Json,
    Csv,
}

impl Format {
    /// What the address says, or else what the request would rather have.
    pub(crate) fn of(path: &str, headers: &HeaderMap) -> Self {
        let last = path.rsplit('/').next().unwrap_or(path);
        match last.rsplit_once('.') {
            Some((_, "csv")) => return Self::Csv,
            Some(_) => return Self::Json,
            None if last == "events" => return Self::Json,
            None => {}
        }
        let accepted = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(','));
        let mut best = (0, Self::Html);
        for range in accepted {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("text/html" | "*/*") => Self::Html,
                Some("application/json") => Self::Json,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(1000, thousandths);
            // Of two that are as welcome the first counts.
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }
}

/// A quality, `0.8`, in thousandths; what is none counts as the best.
fn thousandths(quality: &str) -> u32 {
    let (whole, rest) = quality.split_once('.').unwrap_or((quality, ""));
    let digits: String = rest.chars().chain("000".chars()).take(3).collect();
    match (whole.parse::<u32>(), digits.parse::<u32>()) {
        (Ok(whole), Ok(rest)) => (whole * 1000 + rest).min(1000),
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepting(accept: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))])
    }

    #[test]
    fn format_is_what_the_address_says_or_else_what_is_accepted() {
        let browser = accepting("text/html,application/xhtml+xml,*/*;q=0.8");
        let program = accepting("application/json");
        let curl = accepting("*/*");
        assert_eq!(Format::of("/f/1/map", &browser), Format::Html);
        assert_eq!(Format::of("/f/1/map", &program), Format::Json);
        assert_eq!(Format::of("/f/1/map", &curl), Format::Html);
        let rather = accepting("text/html;q=0.1, application/json");
        assert_eq!(Format::of("/f/1/map", &rather), Format::Json);
        let never = accepting("application/json;q=0, text/html;q=0.001");
        assert_eq!(Format::of("/f/1/map", &never), Format::Html);
        assert_eq!(Format::of("/f/1/map", &HeaderMap::new()), Format::Html);
        assert_eq!(Format::of("/f/1/map.json", &browser), Format::Json);
        assert_eq!(Format::of("/f/1/directory.csv", &browser), Format::Csv);
    }
}
