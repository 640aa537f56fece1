//! Looking at files, and mending copies of them.

use std::fs;

use pagebox::Error;
use pagebox::inspect::Severity;

use crate::{P, engine, folder, sample};

#[test]
fn inspector_looks_at_anything_from_any_thread() {
    let (folder, path) = folder();
    let (regular, _) = sample(&path);
    let mut inspector = engine().inspect(&path).unwrap();
    let summary = std::thread::spawn(move || inspector.summary().unwrap())
        .join()
        .unwrap();
    assert_eq!(
        (summary.format.as_str(), summary.recovery.verdict.as_str()),
        ("1.0", "clean")
    );
    assert_eq!(
        (summary.regular_pages, summary.protected_pages),
        (Some(1), Some(1))
    );
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["page_size"], 4096);

    let mut inspector = engine().inspect(&path).unwrap();
    let kinds = inspector.page_kinds().unwrap();
    let total: u64 = kinds.iter().map(|kind| kind.count).sum();
    assert_eq!(Some(total), summary.page_count);
    let codes = inspector.kinds(0, u32::MAX).unwrap();
    assert_eq!(codes.len() as u64, total);
    let info = inspector.page(regular.get()).unwrap().unwrap();
    let named = |code| {
        kinds
            .iter()
            .find(|kind| kind.code == code)
            .unwrap()
            .name
            .clone()
    };
    assert_eq!(named(info.kind), "regular");
    assert!(inspector.page(total).unwrap().is_none());
    assert_eq!(inspector.directory(0, 10, true).unwrap().len(), 1);
    assert!(inspector.structures(0, 1).unwrap().len() >= 3);
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let part = inspector.findings(at).unwrap();
        assert!(
            part.findings
                .iter()
                .all(|finding| finding.severity == Severity::Info)
        );
        cursor = part.next;
    }
    let mut bytes = [0; 3];
    inspector.read(regular.get(), 0, &mut bytes).unwrap();
    assert_eq!(bytes, [0xAB; 3]);

    let foreign = folder.path().join("foreign");
    fs::write(&foreign, vec![b'x'; 10_000]).unwrap();
    let mut inspector = engine().inspect(&foreign).unwrap();
    assert_eq!(inspector.geometry().tail, 10_000 % 4096);
    assert_eq!(
        inspector.summary().unwrap().recovery.verdict,
        "not-a-page-file"
    );
}

#[test]
fn repair_writes_a_copy_and_leaves_the_file_alone() {
    let (folder, path) = folder();
    let (regular, protected) = sample(&path);
    let output = folder.path().join("mended.pages");
    let page = engine()
        .open(&path)
        .unwrap()
        .protected_pages()
        .next()
        .unwrap()
        .unwrap()
        .page
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(page).unwrap() * P] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let actions = engine().repair(&path, &output).unwrap();
    assert!(
        actions
            .iter()
            .any(|action| action.lost && action.protected == Some(protected))
    );
    assert!(fs::read(&path).unwrap() == bytes);
    let pager = engine().open(&output).unwrap();
    assert_eq!(pager.page(regular).unwrap()[0], 0xAB);
    assert_eq!(pager.protected_pages().count(), 0);
    assert!(matches!(
        engine().repair(&path, &output),
        Err(Error::Exists { .. })
    ));
    let held = engine().open(&path).unwrap();
    let other = folder.path().join("other");
    assert!(matches!(
        engine().repair(&path, &other),
        Err(Error::Locked { .. })
    ));
    drop(held);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
