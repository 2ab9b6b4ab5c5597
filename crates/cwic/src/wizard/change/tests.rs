use super::*;

fn profile() -> Change<ProfileTemplate> {
    let base = ProfileTemplate {
        id: "1".to_owned(),
        display_name: "agents".to_owned(),
        description: "old".to_owned(),
        labels: [("team".to_owned(), "ml".to_owned())].into(),
        ..ProfileTemplate::default()
    };
    Change::of(base, Vec::new())
}

fn typed(text: &str) -> Typed {
    Typed::read(text, Kind::ProfileChange).expect("it is right")
}

#[test]
fn only_what_differs_is_sent_and_named() {
    let change = profile();
    let typed = typed(
        "display_name: agents\ndescription: new\nlabels: {team: ml}\nspec: {runtime_class: x}\n",
    );
    assert_eq!(change.mask(&typed), ["description", "spec"]);
    let difference = Value::Object(change.difference(&typed));
    let sent = typed.to_wire(&difference);
    assert_eq!(
        sent,
        json!({"description": "new", "spec": {"runtimeClass": "x"}})
    );
}

#[test]
fn what_is_taken_out_is_named_and_not_sent() {
    let change = profile();
    let typed = typed("display_name: agents\nspec: {}\n");
    assert_eq!(change.mask(&typed), ["description", "labels"]);
    assert!(change.difference(&typed).values().all(Value::is_null));
}

#[test]
fn what_is_empty_on_both_sides_does_not_differ() {
    let mut change = profile();
    change.base.description = String::new();
    change = Change::of(change.base, Vec::new());
    let typed = typed("display_name: agents\ndescription: ''\nlabels: {team: ml}\nspec: {}\n");
    assert!(change.is_unchanged(&typed));
    assert_eq!(change.mask(&typed), Vec::<&str>::new());
}

#[test]
fn another_name_is_sent_for_the_server_to_refuse() {
    let change = profile();
    let typed = typed("display_name: other\ndescription: old\nlabels: {team: ml}\nspec: {}\n");
    assert!(!change.is_unchanged(&typed));
    assert_eq!(change.mask(&typed), Vec::<&str>::new());
    assert!(change.difference(&typed).contains_key("display_name"));
}

#[test]
fn a_document_without_a_spec_is_refused_here() {
    let findings = profile().check(&typed("display_name: agents\n"));
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings[0].violation.to_string(),
        "spec must not be taken out as a whole"
    );
}
