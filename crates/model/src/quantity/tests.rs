use proptest::prelude::*;

use super::*;

fn nanos(text: &str) -> Result<u128, QuantityError> {
    text.parse::<Quantity>().map(|quantity| quantity.nanos)
}

#[test]
fn every_suffix_has_its_value() {
    let one = NANOS_PER_UNIT;
    for (text, expected) in [
        ("1n", 1),
        ("1u", 1_000),
        ("1m", 1_000_000),
        ("1", one),
        ("1k", one * 1_000),
        ("1M", one * 1_000_000),
        ("1G", one * 1_000_000_000),
        ("1T", one * 1_000_000_000_000),
        ("1P", one * 1_000_000_000_000_000),
        ("1E", one * 1_000_000_000_000_000_000),
        ("1Ki", one << 10),
        ("1Mi", one << 20),
        ("1Gi", one << 30),
        ("1Ti", one << 40),
        ("1Pi", one << 50),
        ("1Ei", one << 60),
        ("1e3", one * 1_000),
        ("1E3", one * 1_000),
        ("1500e-3", one * 3 / 2),
        ("1.5", one * 3 / 2),
        (".5", one / 2),
        ("5.", one * 5),
        ("+1", one),
        ("0", 0),
        ("0e99", 0),
        ("1.5Gi", (one << 30) * 3 / 2),
    ] {
        assert_eq!(nanos(text), Ok(expected), "{text}");
    }
}

#[test]
fn each_broken_rule_has_its_own_error() {
    for (text, expected) in [
        ("", QuantityError::Empty),
        ("-1", QuantityError::Negative),
        (".", QuantityError::BadNumber),
        ("m", QuantityError::BadNumber),
        ("1..5", QuantityError::BadNumber),
        ("1 Gi", QuantityError::BadSuffix),
        ("1gb", QuantityError::BadSuffix),
        ("1e", QuantityError::BadSuffix),
        ("1e+", QuantityError::BadSuffix),
        ("1ki", QuantityError::BadSuffix),
        ("0.1n", QuantityError::TooFine),
        ("1e40", QuantityError::TooLarge),
        ("1e99999999999", QuantityError::TooLarge),
        (
            "999999999999999999999999999999999999999999",
            QuantityError::TooLarge,
        ),
    ] {
        assert_eq!(nanos(text), Err(expected), "{text}");
    }
    let long = "1".repeat(49);
    assert_eq!(nanos(&long), Err(QuantityError::TooLong { len: 49 }));
}

#[test]
fn amounts_are_rounded_up_to_whole_steps() {
    let quantity: Quantity = "1500u".parse().unwrap();
    assert_eq!(quantity.to_millis(), Some(2));
    assert_eq!(quantity.to_units(), Some(1));
}

#[test]
fn an_amount_beyond_63_bits_has_no_whole_units() {
    let quantity: Quantity = "8Ei".parse().unwrap();
    assert_eq!(quantity.to_units(), None);
}

proptest! {
    #[test]
    fn a_quantity_prints_as_it_was_written(
        text in r"[0-9]{1,9}(\.[0-9]{1,3})?(m|k|M|G|Ki|Mi|Gi)?"
    ) {
        if let Ok(quantity) = text.parse::<Quantity>() {
            prop_assert_eq!(quantity.to_string(), text);
        }
    }

    #[test]
    fn order_follows_the_amount(a in 0u64..1 << 40, b in 0u64..1 << 40) {
        let (left, right): (Quantity, Quantity) =
            (format!("{a}m").parse().unwrap(), format!("{b}m").parse().unwrap());
        prop_assert_eq!(left.cmp(&right), a.cmp(&b));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = text.parse::<Quantity>();
    }
}

#[test]
fn parts_of_a_unit_are_told_from_fractions_of_a_thousand() {
    let is_fraction = |text: &str| text.parse::<Quantity>().unwrap().is_fraction_of_unit();
    for text in ["400m", "1.5", "0.5", "15e-1", "1n"] {
        assert!(is_fraction(text), "{text}");
    }
    for text in ["0.1Gi", "1.5Mi", "0.3M", "400", "2000m", "0"] {
        assert!(!is_fraction(text), "{text}");
    }
}
