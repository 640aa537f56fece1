//! The README's table of languages: versions are those that are installed, and
//! sizes those that the programs have.

use std::fs;

use crate::guide::built;
use crate::programs::LANGUAGES;
use crate::tools::repository;

/// The rows, a list of cells each.
fn rows() -> Vec<Vec<String>> {
    let readme = fs::read_to_string(repository().join("README.md")).expect("it can be read");
    let (_, rest) = readme.split_once("<!-- languages -->").expect("it begins");
    let (table, _) = rest.split_once("<!-- /languages -->").expect("it ends");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    table
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|-"))
        .skip(1)
        .map(cells)
        .collect()
}

#[test]
fn the_table_of_languages_has_the_versions_that_are_installed() {
    let read = |path: &str| {
        fs::read_to_string(repository().join(path)).expect("what is installed is written down")
    };
    let installed = [
        "host/examples/requirements.txt",
        "host/examples/package.json",
        "host/javascript/package.json",
        "host/examples/rust/Cargo.toml",
        ".ci/install-languages",
        "Cargo.toml",
    ]
    .map(read)
    .join("\n");
    let mut versions = 0;
    for row in rows() {
        for word in row[4].split([' ', ',', ';']) {
            // Those of Debian's packages are Debian's.
            if word.split('.').count() == 3 {
                assert!(installed.contains(word), "{word} is not what is installed");
                versions += 1;
            }
        }
    }
    assert!(versions >= 6, "{versions} versions were found");
}

#[test]
fn the_guide_s_table_of_page_sizes_is_what_the_format_allows() {
    let guide = fs::read_to_string(repository().join("host/examples/README.md"))
        .expect("the guide can be read");
    let engine = pagebox::Engine::new().expect("the component runs here");
    let mut sizes = 0;
    for row in guide.lines().filter(|line| line.contains(" KiB")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let Some((size, pages)) = cells
            .get(1)
            .and_then(|cell| cell.split(' ').next())
            .and_then(|size| size.parse::<u32>().ok())
            .zip(
                cells
                    .get(2)
                    .and_then(|pages| pages.replace(',', "").parse::<u64>().ok()),
            )
        else {
            continue;
        };
        let size = pagebox::PageSize::from_bytes(size << 10).expect("it is a page size");
        let pager = engine
            .create_store(
                pagebox::MemoryStore::new(size),
                pagebox::NewFile {
                    format: pagebox::Format::Zero,
                    page_count: 0,
                },
            )
            .expect("there is memory");
        let limit = pager.stats().expect("it answers").page_limit;
        assert_eq!(pages, limit, "{row}");
        let mib = (limit * u64::from(size.bytes_u32())) >> 20;
        let said = match cells[3].split_once(' ').expect("a size has a unit") {
            (mib, "MiB") => mib.parse::<u64>().expect("a number"),
            (gib, "GiB") => gib.parse::<u64>().expect("a number") << 10,
            (_, unit) => panic!("{unit} is no unit"),
        };
        assert!(said.abs_diff(mib) <= mib / 100, "{row}: {mib} MiB");
        sizes += 1;
    }
    assert_eq!(sizes, 5);
}

#[test]
fn the_table_of_languages_has_the_sizes_that_programs_have() {
    let Some(tools) = built() else { return };
    let rows = rows();
    assert_eq!(rows.len(), LANGUAGES.len());
    for (row, (language, program)) in rows.iter().zip(LANGUAGES) {
        assert_eq!(row[1], language);
        let (number, unit) = row[5].split_once(' ').expect("a size has a unit");
        let unit = match unit {
            "KB" => 1e3,
            "MB" => 1e6,
            _ => panic!("{unit} is no unit"),
        };
        let said = number.parse::<f64>().expect("a size is a number") * unit;
        let metadata = fs::metadata(tools.examples().join(program)).expect("it was built");
        #[expect(clippy::cast_precision_loss, reason = "no program is that large")]
        let is = metadata.len() as f64;
        assert!(
            (said / is - 1.0).abs() < 0.1,
            "{language}: {is} bytes, and the table says {}",
            row[5]
        );
    }
}
