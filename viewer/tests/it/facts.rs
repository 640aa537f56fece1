//! What is said of the demo's files, sample by sample and fact by fact: each
//! screen, each twin and the command line say the same, or that it is not
//! known. On damaged files several said noughts.

use std::path::PathBuf;

use pagebox::report::Info;
use scraper::{Html, Selector};
use serde_json::Value;

use crate::program::Program;

/// What is true of a sample; none is what its bytes do not say.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    generation: Option<u64>,
    pages: Option<u64>,
    free: Option<u64>,
    regular: Option<u64>,
    protected: Option<u64>,
    /// Pages that the last commit allocated.
    allocated: Option<u64>,
    /// Whether a program can change the file as it is.
    can_be_changed: bool,
    /// Whether the check finds errors in it.
    has_errors: bool,
}

impl Sample {
    pub(crate) fn is_of_format_1(&self) -> bool {
        !self.name.starts_with("format 0") && self.name != "not a page file.pages"
    }
}

const SOUND: Sample = Sample {
    name: "sound.pages",
    generation: Some(4),
    pages: Some(444),
    free: Some(248),
    regular: Some(40),
    protected: Some(140),
    // The format does not tell.
    allocated: None,
    can_be_changed: true,
    has_errors: false,
};

const SOUND_OF_FORMAT_0: Sample = Sample {
    name: "format 0.pages",
    generation: Some(3),
    pages: Some(128),
    free: Some(31),
    regular: Some(44),
    protected: Some(24),
    allocated: Some(3),
    can_be_changed: true,
    has_errors: false,
};

/// The state before its last commit.
const BEFORE: Sample = Sample {
    generation: Some(3),
    free: Some(248),
    regular: Some(40),
    ..SOUND
};

pub(crate) const SAMPLES: [Sample; 15] = [
    SOUND,
    Sample {
        name: "rotten page.pages",
        has_errors: true,
        ..SOUND
    },
    Sample {
        name: "finished commit.pages",
        ..SOUND
    },
    Sample {
        name: "torn root.pages",
        ..BEFORE
    },
    Sample {
        name: "unfinished commit.pages",
        ..BEFORE
    },
    Sample {
        name: "rotten header.pages",
        ..SOUND
    },
    Sample {
        name: "rotten node.pages",
        has_errors: true,
        ..SOUND
    },
    Sample {
        name: "truncated.pages",
        can_be_changed: false,
        has_errors: true,
        ..SOUND
    },
    SOUND_OF_FORMAT_0,
    Sample {
        name: "format 0 rotten page.pages",
        has_errors: true,
        ..SOUND_OF_FORMAT_0
    },
    Sample {
        name: "format 0 torn page 0.pages",
        ..SOUND_OF_FORMAT_0
    },
    Sample {
        name: "format 0 unfinished commit.pages",
        generation: Some(2),
        free: Some(34),
        regular: Some(41),
        // The other copy of the metadata is newer, and not the state before.
        allocated: None,
        ..SOUND_OF_FORMAT_0
    },
    Sample {
        name: "format 0 stale side.pages",
        generation: None,
        pages: None,
        free: None,
        regular: None,
        allocated: None,
        can_be_changed: false,
        has_errors: true,
        ..SOUND_OF_FORMAT_0
    },
    Sample {
        name: "format 0 truncated.pages",
        // Which of the allocated pages are protected was in the lost part.
        regular: None,
        protected: None,
        can_be_changed: false,
        has_errors: true,
        ..SOUND_OF_FORMAT_0
    },
    Sample {
        name: "not a page file.pages",
        generation: None,
        pages: None,
        free: None,
        regular: None,
        protected: None,
        allocated: None,
        can_be_changed: false,
        has_errors: true,
    },
];

/// What a place says of a fact.
#[derive(Debug, PartialEq)]
enum Said {
    Is(u64),
    Unknown,
    /// The place does not speak of it.
    Nothing,
}

/// The demo, with its files' paths.
pub(crate) struct Demo {
    pub(crate) program: Program,
    files: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

impl Demo {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start(
            |command| {
                command
                    .args(["--demo", "--no-open"])
                    .env("TMPDIR", folder.path())
            },
            1,
        );
        let files: Value = serde_json::from_slice(&program.get("/files.json").body).unwrap();
        let text = |file: &Value, key: &str| file["file"][key].as_str().unwrap().to_owned();
        let files = files["files"].as_array().unwrap().iter();
        Self {
            files: files
                .map(|file| (text(file, "name"), text(file, "id")))
                .collect(),
            program,
            folder,
        }
    }

    pub(crate) fn id(&self, name: &str) -> &str {
        let found = self.files.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("{name} is missing")).1
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let demo = std::fs::read_dir(self.folder.path()).unwrap().next();
        demo.unwrap().unwrap().path().join(name)
    }

    /// The twin of a screen, which may have a query.
    pub(crate) fn json(&self, name: &str, screen: &str) -> Value {
        let (screen, query) = screen.split_once('?').unwrap_or((screen, ""));
        let answer = self
            .program
            .get(&format!("/f/{}/{screen}.json?{query}", self.id(name)));
        assert_eq!(answer.status, 200, "{name} {screen}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    pub(crate) fn html(&self, name: &str, screen: &str) -> Html {
        let answer = self.program.get(&format!("/f/{}/{screen}", self.id(name)));
        assert_eq!(answer.status, 200, "{name} {screen}: {}", answer.text());
        Html::parse_document(&answer.text())
    }
}

pub(crate) fn texts(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap())
        .map(|element| element.text().collect::<String>())
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// A number at the start of a text, or that it is not known.
fn said(text: &str) -> Said {
    let digits: String = text
        .chars()
        .take_while(|letter| letter.is_ascii_digit() || *letter == ',')
        .filter(char::is_ascii_digit)
        .collect();
    if text.starts_with("not known") {
        return Said::Unknown;
    }
    let number = digits.parse();
    Said::Is(number.unwrap_or_else(|_| panic!("{text:?} is neither a number nor unknown")))
}

/// What stands beside a name in a list of names and values.
fn beside(html: &Html, list: &str, name: &str) -> Said {
    let names = texts(html, &format!("{list} dt"));
    let place = names.iter().position(|known| known == name);
    match place {
        Some(place) => said(&texts(html, &format!("{list} dd"))[place]),
        None => Said::Nothing,
    }
}

/// What a gauge says is used.
fn gauge(html: &Html, name: &str) -> Said {
    let gauges = texts(html, ".gauge p");
    let found = gauges.iter().find_map(|text| text.strip_prefix(name));
    found.map_or(Said::Nothing, |text| said(text.trim_start()))
}

/// How many pages of a kind a legend counts.
fn legend(html: &Html, kind: &str) -> Said {
    let kinds = texts(html, ".legend tbody th");
    let place = kinds.iter().position(|known| known == kind);
    place.map_or(Said::Nothing, |place| {
        said(&texts(html, ".legend tbody td.num:nth-child(2)")[place])
    })
}

fn number(value: &Value) -> Said {
    match value {
        Value::Null => Said::Unknown,
        value => Said::Is(value.as_u64().unwrap_or_else(|| panic!("{value}"))),
    }
}

/// The pages of a list of runs.
fn pages(value: &Value) -> Said {
    match value.as_array() {
        None => Said::Unknown,
        Some(runs) => Said::Is(runs.iter().map(|run| run["count"].as_u64().unwrap()).sum()),
    }
}

fn kind(view: &Value, name: &str) -> Said {
    let kinds = view["kinds"].as_array().unwrap();
    let found = kinds.iter().find(|kind| kind["name"] == name).unwrap();
    number(&found["count"])
}

/// Every place that speaks of a sample.
struct Places {
    overview: Html,
    health: Html,
    live: Html,
    map: Html,
    overview_json: Value,
    live_json: Value,
    metadata_json: Value,
    map_json: Value,
    directory_json: Value,
    /// What `pagebox info --json` prints.
    program: Value,
}

/// A fact, what is true, and what each place says of it.
type Fact<'a> = (&'a str, Option<u64>, Vec<(&'a str, Said)>);

impl Places {
    fn of(demo: &Demo, name: &str) -> Self {
        let engine = pagebox::Engine::new().unwrap();
        let mut inspector = engine.inspect(demo.path(name)).unwrap();
        Self {
            overview: demo.html(name, "overview"),
            health: demo.html(name, "health"),
            live: demo.html(name, "live"),
            map: demo.html(name, "map"),
            overview_json: demo.json(name, "overview"),
            live_json: demo.json(name, "live"),
            metadata_json: demo.json(name, "metadata"),
            map_json: demo.json(name, "map"),
            directory_json: demo.json(name, "directory"),
            program: serde_json::to_value(Info::of(&mut inspector).unwrap()).unwrap(),
        }
    }

    /// What the command line says.
    fn program(&self, key: &str) -> Said {
        number(&self.program[key])
    }

    fn info(&self, key: &str) -> Said {
        number(&self.overview_json["info"][key])
    }

    fn last(&self, key: &str) -> Said {
        number(&self.live_json["last"][key])
    }

    fn figure(&self, name: &str) -> Said {
        beside(&self.live, ".figures", name)
    }

    fn header(&self) -> Said {
        let status = Selector::parse("live-status").unwrap();
        let status = self.overview.select(&status).next().unwrap();
        status.attr("generation").map_or(Said::Nothing, said)
    }

    fn facts(&self, is: &Sample) -> [Fact<'static>; 6] {
        let (overview, health) = (&self.overview, &self.health);
        let generation = vec![
            ("the header", self.header()),
            ("overview", beside(overview, ".facts", "Generation")),
            ("overview.json", self.info("generation")),
            (
                "state.json",
                number(&self.overview_json["state"]["generation"]),
            ),
            ("live", self.figure("Generation")),
            (
                "live.json",
                number(&self.live_json["last"]["state"]["generation"]),
            ),
            (
                "metadata.json",
                number(&self.metadata_json["state"]["generation"]),
            ),
            ("the command line", self.program("generation")),
        ];
        let pages_of_it = vec![
            ("overview", gauge(overview, "Pages")),
            ("health", gauge(health, "Pages")),
            ("overview.json", self.info("page_count")),
            ("live", self.figure("Pages")),
            ("live.json", self.last("page_count")),
            ("the command line", self.program("page_count")),
        ];
        let free = vec![
            ("overview.json", self.info("free_pages")),
            ("live", self.figure("Free")),
            ("live.json", self.last("free_pages")),
            ("the command line", self.program("free_pages")),
        ];
        // Where they are not known the legend has no line of them.
        let regular = vec![
            ("the legend", legend(overview, "regular")),
            ("the legend", legend(&self.map, "regular")),
            ("overview.json", self.info("regular_pages")),
            ("live", self.figure("Regular")),
            ("live.json", self.last("regular_pages")),
            ("the command line", self.program("regular_pages")),
        ];
        let protected = vec![
            ("overview", gauge(overview, "Protected pages")),
            ("health", gauge(health, "Protected pages")),
            ("overview.json", self.info("protected_pages")),
            (
                "directory.json",
                number(&self.directory_json["protected_pages"]),
            ),
            ("live", self.figure("Protected")),
            ("live.json", self.last("protected_pages")),
            ("the command line", self.program("protected_pages")),
        ];
        let allocated = vec![
            (
                "overview.json",
                pages(&self.overview_json["info"]["last_allocated"]),
            ),
            (
                "metadata.json",
                pages(&self.metadata_json["last_allocated"]),
            ),
            ("the command line", pages(&self.program["last_allocated"])),
        ];
        [
            ("generation", is.generation, generation),
            ("pages", is.pages, pages_of_it),
            ("free", is.free, free),
            ("regular", is.regular, regular),
            ("protected", is.protected, protected),
            ("allocated", is.allocated, allocated),
        ]
    }
}

/// Places that may say nothing of a fact that is not known.
const MAY_BE_SILENT: [&str; 2] = ["the header", "the legend"];

#[test]
fn fact_is_the_same_everywhere_or_said_to_be_unknown() {
    let demo = Demo::start();
    let mut wrong = Vec::new();
    for sample in &SAMPLES {
        let name = sample.name;
        let is_page_file = name != "not a page file.pages";
        let places = Places::of(&demo, name);
        for (fact, is, places) in places.facts(sample) {
            let expected = is.map_or(Said::Unknown, Said::Is);
            for (place, said) in places {
                let is_silent = said == Said::Nothing;
                // The screens of what is no page file are about its bytes.
                let may_be_silent = is.is_none() && MAY_BE_SILENT.contains(&place) || !is_page_file;
                if is_silent && !may_be_silent || !is_silent && said != expected {
                    wrong.push(format!(
                        "{name}: {fact} is {expected:?}, {place} says {said:?}"
                    ));
                }
            }
        }
        // A page that may be protected is not called regular.
        let regular = Said::Is(sample.regular.unwrap_or(0));
        for view in [&places.overview_json, &places.map_json] {
            let said = kind(view, "regular");
            if said != regular {
                wrong.push(format!("{name}: a legend says {said:?} pages are regular"));
            }
        }
        let runs = &places.overview_json["free_space"]["runs"];
        if runs.is_null() != sample.free.is_none() {
            wrong.push(format!("{name}: overview.json says {runs} of free runs"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Words that would be a promise, or a fact, on a file that is damaged.
#[test]
fn damaged_file_is_promised_nothing() {
    let demo = Demo::start();
    let mut wrong = Vec::new();
    for sample in &SAMPLES {
        let mut banned = vec!["`"];
        if !sample.can_be_changed {
            banned.extend([
                "written next",
                "writes here",
                "next change goes here",
                "makes the file grow",
                "there is room for",
                " counts, ",
            ]);
        }
        if sample.generation.is_none() {
            banned.extend(["generation 0", "Generation 0"]);
        }
        if sample.pages.is_none() {
            banned.extend(["0 of 32,544", "No page is free"]);
        }
        if sample.protected.is_none() {
            banned.extend([
                "has no protected pages",
                "No directory blocks.",
                "0 of 32,504",
            ]);
        }
        if sample.regular.is_none() {
            banned.push("regular pages");
        }
        if sample.allocated.is_none() {
            banned.extend(["Allocated none", "Freed none"]);
        }
        // A window that is out of sight says it by its title.
        let title = texts(&demo.html(sample.name, "overview"), "title").concat();
        if title.starts_with("Overview") == sample.has_errors {
            wrong.push(format!("{}: the title is {title}", sample.name));
        }
        for screen in ["overview", "map", "metadata", "directory", "health", "live"] {
            let text = texts(&demo.html(sample.name, screen), "main").concat();
            for words in &banned {
                if let Some(at) = text.find(words) {
                    let from = text[..at].char_indices().rev().take(40).last();
                    let near = &text[from.map_or(0, |(at, _)| at)..at + words.len()];
                    wrong.push(format!("{}, {screen}: {near}", sample.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The start page says the same as the files do.
#[test]
fn start_page_says_what_the_files_say() {
    let demo = Demo::start();
    let files: Value = serde_json::from_slice(&demo.program.get("/files.json").body).unwrap();
    let html = Html::parse_document(&demo.program.get("/").text());
    for sample in &SAMPLES {
        let files = files["files"].as_array().unwrap();
        let file = files
            .iter()
            .find(|file| file["file"]["name"] == sample.name)
            .unwrap();
        let generation = &file["state"]["generation"];
        assert_eq!(generation.as_u64(), sample.generation, "{}", sample.name);
        let cards = texts(&html, ".cards .card");
        let card = cards
            .iter()
            .find(|card| card.contains(sample.name))
            .unwrap();
        match sample.generation {
            Some(generation) => {
                assert!(card.contains(&format!("generation {generation}")), "{card}");
            }
            None => assert!(!card.contains("generation "), "{card}"),
        }
    }
}

/// "None needed" stood beside "What would mend it", and signs of another language
/// round a command.
#[test]
fn remedy_is_a_sentence_of_its_own() {
    let demo = Demo::start();
    let mut seen = 0;
    for sample in &SAMPLES {
        let health = demo.json(sample.name, "health");
        for finding in health["findings"].as_array().unwrap() {
            let remedy = finding["remedy"].as_str().unwrap();
            assert!(
                !remedy.starts_with("None") && !remedy.contains('`'),
                "{remedy}"
            );
            seen += usize::from(remedy.starts_with("Nothing needs mending; "));
        }
    }
    assert!(seen > 3, "{seen}");
}

/// Who debugs a damaged file finds the command that mends it, with its path.
#[test]
fn command_that_mends_stands_where_something_is_to_be_mended() {
    let demo = Demo::start();
    for sample in &SAMPLES {
        let health = demo.json(sample.name, "health");
        let errors = health["errors"].as_u64().unwrap();
        let command = health["repair_command"].as_str();
        assert_eq!(errors > 0, sample.has_errors, "{}", sample.name);
        let warnings = health["warnings"].as_u64().unwrap();
        let is_expected = errors + warnings > 0 && sample.name != "not a page file.pages";
        assert_eq!(command.is_some(), is_expected, "{}", sample.name);
        if let Some(command) = command {
            let path = demo.path(sample.name);
            let path = path.display();
            assert_eq!(
                command,
                format!("pagebox repair '{path}' --output '{path}.mended'")
            );
            assert_eq!(
                texts(&demo.html(sample.name, "health"), ".command"),
                [command]
            );
        }
    }
}

/// Each damaged sample names its cause, with the place that shows it; and the page
/// that is named has the finding, too.
#[test]
fn damage_of_each_sample_is_named_with_its_place_and_on_its_page() {
    let demo = Demo::start();
    let node = "those of the protected pages 128 to 255 that it names cannot be found";
    let torn = "bytes 512 to 1023 have stamp 0, the others 4";
    let cut = "111 pages are missing, from page 333 on, all of them free";
    for (name, id, offset, words) in [
        (
            "rotten page.pages",
            "protected-checksum",
            2048,
            "byte 2048, bit 6",
        ),
        (
            "finished commit.pages",
            "finished-commit",
            0,
            "root slot B only",
        ),
        ("torn root.pages", "root-other", 1016, torn),
        (
            "unfinished commit.pages",
            "unfinished-commit",
            0,
            "its checksum is wrong",
        ),
        ("rotten header.pages", "header", 20, "byte 20, bit 6"),
        ("rotten node.pages", "node", 40, node),
        ("truncated.pages", "file-too-short", 0, cut),
        (
            "format 0 rotten page.pages",
            "protected-checksum",
            2048,
            "byte 2048, bit 6",
        ),
        (
            "format 0 torn page 0.pages",
            "finished-commit",
            4092,
            "are the old ones",
        ),
        (
            "format 0 truncated.pages",
            "file-too-short",
            0,
            "after page 95 of 128",
        ),
    ] {
        let view = demo.json(name, "health");
        let mut found = view["findings"].as_array().unwrap().iter();
        let found = found.find(|found| found["id"] == id).expect(name);
        let message = found["message"].as_str().unwrap();
        assert!(message.contains(words), "{name}: {message}");
        assert_eq!(found["offset"], offset, "{name}: {found}");
        let of_page = demo.html(name, &format!("page?n={}", found["page"]));
        // There the numbers have their thousands apart.
        let text = texts(&of_page, "main").join(" ").replace(',', "");
        assert!(text.contains(&words.replace(',', "")), "{name}: {text}");
    }
    let told = texts(&demo.html("not a page file.pages", "health"), "main").join(" ");
    assert!(!told.contains("too few to tell"), "{told}");
}

/// The longest run of free pages is the same one everywhere: of pages that are in
/// the file.
#[test]
fn longest_free_run_is_the_same_in_every_place() {
    let demo = Demo::start();
    for sample in SAMPLES {
        let places = Places::of(&demo, sample.name);
        let overview = number(&places.overview_json["free_space"]["longest"]);
        assert_eq!(
            places.program("longest_free_run"),
            overview,
            "{}",
            sample.name
        );
    }
}
