//! What screens say of damaged files where they could say too much: of pages that
//! are not in the file, of copies that have other fields, of what is wrong.

use scraper::Selector;
use serde_json::{Value, json};

use crate::facts::{Demo, SAMPLES, texts};

const SOUND: &str = "sound.pages";
const TRUNCATED: &str = "truncated.pages";

/// Each sample that is not sound has an answer, whatever it is called by then.
#[test]
fn samples_have_answers() {
    let demo = Demo::start();
    let view = demo.program.get("/files.json");
    let view: Value = serde_json::from_slice(&view.body).unwrap();
    for sample in &SAMPLES {
        let mut lines = view["files"].as_array().unwrap().iter();
        let line = lines.find(|line| line["file"]["name"] == sample.name);
        let answer = line.unwrap()["answer"].as_str().unwrap();
        let is_sound = [SOUND, "format 0.pages"].contains(&sample.name);
        assert_eq!(answer.is_empty(), is_sound, "{}", sample.name);
    }
}

#[test]
fn pages_that_are_not_in_the_file_are_neither_compared_nor_searched() {
    let demo = Demo::start();
    let pages = &demo.json(TRUNCATED, "overview")["info"]["file_pages"];
    let other = demo.id(TRUNCATED);
    let view = demo.json(SOUND, &format!("compare?other={other}"));
    assert_eq!((&view["compared"], &view["differing"]), (pages, &json!(0)));
    assert_eq!(&view["other_pages"], pages);
    let view = demo.json(TRUNCATED, "find?bytes=nowhere");
    assert_eq!((&view["searched"], &view["next"]), (pages, &Value::Null));
    let missing = demo.html(TRUNCATED, &format!("page?n={pages}"));
    let facts = texts(&missing, "dl.facts").join(" ");
    assert!(facts.contains("not there: it would begin at"), "{facts}");
    let download = Selector::parse("a[download]").unwrap();
    assert_eq!(missing.select(&download).count(), 0);
}

/// Fields that only one of two roots has stand beside nothing, not beside others.
#[test]
fn fields_of_copies_are_paired_by_their_bytes() {
    let demo = Demo::start();
    let view = demo.json("torn root.pages", "metadata");
    let mut lines = view["copies"][0]["lines"].as_array().unwrap().iter();
    let mut stamps = 0;
    let mut alone = 0;
    assert!(lines.clone().any(|line| line["name"] == "id 0"));
    assert!(lines.all(|line| {
        let name = line["name"].as_str().unwrap();
        let [a, b] = [0, 1].map(|place| line["cells"][place]["meaning"].as_str().unwrap());
        stamps += usize::from(name.starts_with("stamp"));
        alone += usize::from(line["cells"][1]["value"] == "");
        name.starts_with("stamp") == b.contains("at the end of every sector")
            && name.starts_with("stamp") == a.contains("at the end of every sector")
    }));
    assert!(stamps == 8 && alone > 5, "{stamps}, {alone}");
}

#[test]
fn finding_leads_to_every_page_that_it_names() {
    let demo = Demo::start();
    let health = demo.json("unfinished commit.pages", "health");
    let message = health["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("page 15: "), "{message}");
    let html = demo.html("unfinished commit.pages", "health");
    let link = Selector::parse(".finding a[href*='page?n=15']").unwrap();
    assert_eq!(html.select(&link).count(), 1);
}

#[test]
fn tree_says_what_the_check_says_of_a_page() {
    let demo = Demo::start();
    for name in ["rotten page.pages", "rotten node.pages"] {
        let found = &demo.json(name, "health")["findings"][0];
        let tree = demo.json(name, &format!("tree?root={}", found["page"]));
        assert_eq!(tree["pages"][0]["problems"][0], found["message"], "{name}");
    }
}

#[test]
fn byte_that_no_page_has_is_an_error() {
    let demo = Demo::start();
    let id = demo.id(SOUND);
    let answer = demo.program.get(&format!("/f/{id}/page?n=1&at=4096"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("There is no byte 4,096"));
}
