use proptest::prelude::*;

use super::*;

#[test]
fn what_is_printed_is_read_as_it_was() {
    for text in [
        "tcp/192.0.2.1/80",
        "udp/2001:db8::1/53",
        "tcp/fe80::1%2/65535",
        "icmp/127.0.0.1",
        "icmp/::1",
        "dns/8.8.8.8/example.com",
        "dns/fd00::53/_a-b.c",
    ] {
        assert_eq!(text.parse::<Probe>().unwrap().to_string(), text);
    }
    for text in ["address 10.0.0.1", "gateway fe80::1%2", "resolver ::1"] {
        assert_eq!(text.parse::<Sight>().unwrap().to_string(), text);
    }
    for text in ["tcp/80", "udp/1"] {
        assert_eq!(text.parse::<Door>().unwrap().to_string(), text);
    }
    for text in [
        "icmp/::1 open",
        "tcp/192.0.2.1/80 answered",
        "dns/8.8.8.8/example.com open 192.0.2.1, 2001:db8::1",
    ] {
        assert_eq!(text.parse::<Reading>().unwrap().to_string(), text);
    }
    for outcome in Outcome::ALL {
        let line = format!("icmp/::1 {outcome}");
        assert_eq!(line.parse::<Reading>().unwrap().outcome, outcome);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let said = |text: &str| text.parse::<Probe>().unwrap_err().to_string();
    assert!(said("").contains("tcp/ADDR/PORT"));
    assert!(said("sctp/192.0.2.1/80").contains("tcp/ADDR/PORT"));
    assert!(said("icmp/192.0.2.1/8").contains("tcp/ADDR/PORT"));
    assert!(said("tcp/192.0.2/80").contains("no address"));
    assert!(said("tcp/192.0.2.1%2/80").contains("no address"));
    assert!(said("tcp/192.0.2.1/0").contains("1 to 65535"));
    assert!(said("tcp/192.0.2.1/65536").contains("1 to 65535"));
    assert!(said("udp/192.0.2.1/").contains("1 to 65535"));
    for name in ["", "a..b", "a b", "-/x", &"a".repeat(64), &"a.".repeat(127)] {
        assert!(
            said(&format!("dns/::1/{name}")).contains("no name"),
            "{name}"
        );
    }
    let long = said(&"x".repeat(10_000));
    assert!(long.len() < 300, "{long}");
    assert!("tcp".parse::<Door>().is_err());
    assert!("icmp/1".parse::<Door>().is_err());
}

#[test]
fn what_a_sandbox_prints_reaches_no_terminal_raw() {
    let reading: Reading = "icmp/::1 open \u{1b}[31mred\u{7}".parse().unwrap();
    assert_eq!(reading.detail, "[31mred");
    let long = format!("icmp/::1 open {}", "é".repeat(2_000));
    let reading: Reading = long.parse().unwrap();
    assert!(reading.detail.len() <= Reading::DETAIL_LEN_MAX);
    assert!("icmp/::1 maybe".parse::<Reading>().is_err());
    assert!("icmp/::1".parse::<Reading>().is_err());
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_read_or_refused(text in "\\PC{0,300}") {
        if let Ok(probe) = text.parse::<Probe>() {
            prop_assert_eq!(probe.to_string().parse::<Probe>().unwrap(), probe);
        }
        if let Ok(reading) = text.parse::<Reading>() {
            prop_assert_eq!(reading.to_string().parse::<Reading>().unwrap(), reading);
        }
        let _ = text.parse::<Sight>();
        let _ = text.parse::<Door>();
    }
}
