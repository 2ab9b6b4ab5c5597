use proptest::prelude::*;

use super::*;

#[test]
fn a_label_holds_lower_case_letters_digits_and_inner_hyphens() {
    for good in ["a", "0", "a-b", "a--b", &"x".repeat(63)] {
        assert!(DnsLabel::new(good).is_ok(), "{good}");
    }
}

#[test]
fn each_broken_rule_has_its_own_error() {
    assert_eq!(DnsLabel::new(""), Err(NameError::Empty));
    assert_eq!(
        DnsLabel::new("x".repeat(64)),
        Err(NameError::TooLong { len: 64, max: 63 })
    );
    assert!(matches!(
        DnsLabel::new("Team"),
        Err(NameError::BadChar { found: 'T', .. })
    ));
    assert!(matches!(
        DnsLabel::new("-a"),
        Err(NameError::BadEdge { .. })
    ));
    assert!(matches!(
        DnsLabel::new("a-"),
        Err(NameError::BadEdge { .. })
    ));
}

#[test]
fn a_display_name_may_hold_spaces_and_letters_of_any_script() {
    assert!(DisplayName::new("Données — équipe 1").is_ok());
}

#[test]
fn a_display_name_cannot_hide_characters() {
    for bad in ["a\nb", "a\u{200b}b", "a\u{202e}b", " a", "a ", "a\u{0}"] {
        assert!(DisplayName::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn length_is_counted_in_characters() {
    assert!(DisplayName::new("é".repeat(63)).is_ok());
    assert!(DisplayName::new("é".repeat(64)).is_err());
}

proptest! {
    #[test]
    fn a_name_prints_as_it_was_parsed(text in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
        prop_assert_eq!(DnsLabel::new(text.clone()).unwrap().to_string(), text);
    }

    #[test]
    fn no_text_makes_a_constructor_panic(text in any::<String>()) {
        let _ = DnsLabel::new(text.clone());
        let _ = DisplayName::new(text.clone());
        let _ = OrganizationId::new(text);
    }
}
