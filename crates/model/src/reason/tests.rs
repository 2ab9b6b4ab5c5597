//! The pages in `docs/errors/` and the reasons say the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::placement::Constraint;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors"))
}

fn page(reason: Reason) -> String {
    let path = folder().join(format!("{reason}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_reason_has_a_page_and_every_page_a_reason() {
    let pages = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect::<BTreeSet<_>>();
    let reasons = Reason::ALL.iter().map(|reason| format!("{reason}.md"));
    assert_eq!(pages, reasons.collect());
}

#[test]
fn a_page_tells_the_status_of_its_reason_first() {
    for &reason in Reason::ALL {
        let code = reason.code();
        let retry = if reason.may_retry() { "yes" } else { "no" };
        let row = format!(
            "|---|---|---|\n| {} ({}) | {} | {retry} |\n",
            code.as_str(),
            code.number(),
            code.http_status(),
        );
        assert!(page(reason).contains(&row), "{reason} needs the row{row}");
    }
}

#[test]
fn a_page_has_all_its_parts() {
    for &reason in Reason::ALL {
        let page = page(reason);
        assert!(page.starts_with(&format!("# {reason}\n")), "{reason}");
        for part in ["\n## When\n", "\n## Metadata\n", "\n## What to do\n"] {
            assert!(page.contains(part), "{reason} lacks {part:?}");
        }
    }
}

#[test]
fn the_index_lists_every_page() {
    let index = fs::read_to_string(folder().join("README.md")).unwrap();
    for &reason in Reason::ALL {
        let link = format!("[{reason}]({reason}.md)");
        assert!(index.contains(&link), "{reason} is not in the index");
    }
}

#[test]
fn the_page_of_placement_lists_every_constraint_in_the_order_of_judging() {
    let all = Constraint::ALL.iter().map(|c| format!("`{c}`"));
    let list = all.collect::<Vec<_>>().join(", ");
    assert!(page(Reason::NoSuitableRunner).contains(&list), "{list}");
}
