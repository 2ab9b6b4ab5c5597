use serde_json::{Value, json};

use super::*;

fn value() -> Value {
    json!({
        "items": [
            {"id": "a", "revision": 1, "labels": {"app.io/name": "x"}, "modes": {"deny-all": true}},
            {"id": "b", "revision": 2, "labels": {}},
        ],
    })
}

#[track_caller]
fn rendered(template: &str) -> String {
    let template: Template = template.parse().unwrap();
    template.render(&value())
}

#[test]
fn paths_are_written_as_people_know_them() {
    assert_eq!(rendered("{.items[*].id}"), "a b");
    assert_eq!(rendered("{$.items[0].id}"), "a");
    assert_eq!(rendered(".items[-1:].id"), "b");
    assert_eq!(rendered("items[1].revision"), "2");
    assert_eq!(rendered("{..id}"), "a b");
    assert_eq!(rendered(r"{.items[0].labels.app\.io/name}"), "x");
    assert_eq!(rendered("{.items[0].modes.deny-all}"), "true");
    assert_eq!(rendered("{.items[0]['id','revision']}"), "a 1");
    assert_eq!(rendered(r#"{.items[?(@.id=="b")].revision}"#), "2");
}

#[test]
fn text_and_ranges_surround_paths() {
    assert_eq!(rendered("ids: {.items[*].id}."), "ids: a b.");
    let template = r#"{range .items[*]}{.id}{"\t"}{.revision}{"\n"}{end}"#;
    assert_eq!(rendered(template), "a\t1\nb\t2\n");
    assert_eq!(rendered("{range .items[*]}{@.id}{'}'}{end}"), "a}b}");
    let template = "{range .items[*]}{$.items[0].id}{.id} {end}";
    assert_eq!(rendered(template), "aa ab ");
}

#[test]
fn what_is_not_there_is_empty() {
    assert_eq!(rendered("<{.items[7].id}{.nothing.at.all}>"), "<>");
}

#[test]
fn a_list_or_map_is_written_as_json() {
    assert_eq!(rendered("{.items[1].labels}"), "{}");
}

#[test]
fn what_is_no_template_is_refused() {
    for text in [
        "",
        "{.items",
        "{end}",
        "{range .items[*]}",
        "{.items[}",
        "{.items[*]id}",
        "{.}{..}",
        "{\"a}",
        "{.items[?(@.id=)]}",
        "\\",
    ] {
        assert!(text.parse::<Template>().is_err(), "{text:?}");
    }
}
