use std::collections::HashMap;

use palisade_model::sandbox::Protocol;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::ExternalPools;
use super::*;

const REST: Duration = Duration::from_secs(10);

fn id(number: u128) -> SandboxId {
    SandboxId::new(Uuid::from_u128(number))
}

fn tcp(port: u16) -> Door {
    Door {
        protocol: Protocol::Tcp,
        port,
    }
}

fn services(ports: &str, pools: &[(&str, &str)]) -> Services {
    let pools = pools
        .iter()
        .map(|(name, range)| (name.parse().unwrap(), range.parse().unwrap()));
    Services {
        node_ports: Some(ports.parse().unwrap()),
        node_address: None,
        pools: ExternalPools::new(pools).unwrap(),
    }
}

fn book(services: &Services) -> Book {
    Book::new(services, REST, HashMap::new(), 0)
}

fn node(doors: &[Door]) -> Wish {
    Wish {
        kind: Kind::NodePort,
        doors: doors.to_vec(),
    }
}

fn balanced(pool: Option<&str>) -> Wish {
    Wish {
        kind: Kind::LoadBalancer {
            pool: pool.map(str::to_owned),
        },
        doors: vec![tcp(80)],
    }
}

fn first(booking: &Booking) -> String {
    let node = IpAddr::from([192, 0, 2, 1]);
    booking.address(node).unwrap().to_string()
}

#[test]
fn the_ports_of_a_sandbox_are_side_by_side_in_the_order_of_the_request() {
    let mut book = book(&services("30000-30009", &[]));
    let doors = [
        tcp(443),
        tcp(80),
        Door {
            protocol: Protocol::Udp,
            port: 443,
        },
    ];
    let booking = book
        .enter(id(1), &node(&doors), Instant::now(), |_| true)
        .unwrap();
    assert_eq!(first(&booking), "192.0.2.1:30000");
    let at = booking.node_doors();
    assert_eq!(
        at.iter().map(|door| door.port).collect::<Vec<_>>(),
        [30000, 30001, 30000]
    );
    let again = book.enter(id(1), &node(&doors), Instant::now(), |_| true);
    assert_eq!(again, Ok(booking));
    let next = book.enter(id(2), &node(&[tcp(80)]), Instant::now(), |_| true);
    assert_eq!(first(&next.unwrap()), "192.0.2.1:30002");
}

#[test]
fn a_port_that_the_host_uses_itself_is_passed_over() {
    let mut book = book(&services("30000-30003", &[]));
    let is_free = |doors: &[Door]| doors.iter().all(|door| door.port != 30001);
    let wish = node(&[tcp(80), tcp(443)]);
    let booking = book.enter(id(1), &wish, Instant::now(), is_free).unwrap();
    assert_eq!(first(&booking), "192.0.2.1:30002");
}

#[test]
fn a_range_that_is_taken_up_says_so_and_what_will_be_free() {
    let mut book = book(&services("30000-30002", &[]));
    let now = Instant::now();
    let two = node(&[tcp(80), tcp(443)]);
    book.enter(id(1), &two, now, |_| true).unwrap();
    let refused = book.enter(id(2), &two, now, |_| true).unwrap_err();
    assert!(refused.is_exhaustion());
    assert_eq!(
        refused.to_string(),
        "no 2 of the 3 node ports of this runner 30000-30002 are free side by side; \
         remove sandboxes, or give the runner more with --node-ports"
    );
    book.release(id(1), now);
    let refused = book.enter(id(2), &two, now, |_| true).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("2 of them for some seconds only"),
        "{refused}"
    );
    assert!(book.enter(id(2), &two, now + REST, |_| true).is_ok());
}

#[test]
fn a_sandbox_gets_an_address_of_each_version_of_its_pool() {
    let pools = [
        ("inner", "192.168.9.0/31"),
        ("public", "203.0.113.0/31"),
        ("public", "2001:db8::/127"),
    ];
    let mut book = book(&services("30000-30002", &pools));
    let now = Instant::now();
    let usual = book.enter(id(1), &balanced(None), now, |_| true).unwrap();
    assert_eq!(first(&usual), "192.168.9.0:80");
    let public = balanced(Some("public"));
    let named = book.enter(id(2), &public, now, |_| true).unwrap();
    let Place::External { addresses } = &named.place else {
        panic!("{named:?}");
    };
    let texts = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>();
    assert_eq!(texts, ["203.0.113.0", "2001:db8::"]);
    book.enter(id(3), &public, now, |_| true).unwrap();
    let refused = book.enter(id(4), &public, now, |_| true).unwrap_err();
    assert!(refused.is_exhaustion());
    assert!(
        refused
            .to_string()
            .contains("all 2 addresses of version 4 in the address pool public are taken"),
        "{refused}"
    );
    let unknown = book.enter(id(5), &balanced(Some("blue")), now, |_| true);
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "this runner has no address pool \"blue\"; it has: inner, public"
    );
}

#[test]
fn without_the_second_version_the_first_is_not_taken_either() {
    let pools = [("public", "203.0.113.0/30"), ("public", "2001:db8::/128")];
    let mut book = book(&services("30000-30002", &pools));
    let now = Instant::now();
    for place in 1..=5 {
        let booked = book.enter(id(place), &balanced(None), now, |_| true);
        assert_eq!(booked.is_ok(), place == 1, "{booked:?}");
        if let Err(error) = booked {
            assert!(error.to_string().contains("version 6"), "{error}");
        }
    }
    // Had the first version been kept each time, none would be left of it.
    book.release(id(1), now);
    assert!(
        book.enter(id(9), &balanced(None), now + REST, |_| true)
            .is_ok()
    );
}

#[test]
fn what_sandboxes_have_from_an_earlier_run_is_not_given_to_others() {
    let services = services("30000-30001", &[("a", "203.0.113.0/31")]);
    let now = Instant::now();
    let mut before = book(&services);
    let port = before.enter(id(1), &node(&[tcp(80)]), now, |_| true);
    let address = before.enter(id(2), &balanced(None), now, |_| true);
    let (port, address) = (port.unwrap(), address.unwrap());
    let entries = HashMap::from([(id(1), port.clone()), (id(2), address.clone())]);
    let mut after = Book::new(&services, REST, entries, 0);
    let others = [
        after
            .enter(id(3), &node(&[tcp(80)]), now, |_| true)
            .unwrap(),
        after.enter(id(4), &balanced(None), now, |_| true).unwrap(),
    ];
    assert_ne!(first(&others[0]), first(&port));
    assert_ne!(first(&others[1]), first(&address));
    for (taken, wish) in [(5, node(&[tcp(80)])), (6, balanced(None))] {
        let refused = after.enter(id(taken), &wish, now, |_| true);
        assert!(refused.unwrap_err().is_exhaustion());
    }
}

proptest! {
    #[test]
    fn nothing_is_booked_twice_and_nothing_is_lost(
        start in any::<u32>(),
        steps in prop::collection::vec((0u8..3, 1u16..4, 0u64..12), 0..80),
    ) {
        let services = services("40000-40006", &[("a", "203.0.113.0/30"), ("a", "2001:db8::/126")]);
        let mut book = Book::new(&services, REST, HashMap::new(), start);
        let mut now = Instant::now();
        let mut held = Vec::<(SandboxId, Vec<String>)>::new();
        for (step, (what, ports, pause)) in steps.into_iter().enumerate() {
            now += Duration::from_secs(pause);
            let doors = (0..ports).map(|port| tcp(80 + port)).collect::<Vec<_>>();
            let wish = if what == 0 { node(&doors) } else { balanced(None) };
            if what == 2 && !held.is_empty() {
                let (id, _) = held.remove(0);
                book.release(id, now);
            } else if let Ok(booking) = book.enter(id(step as u128), &wish, now, |_| true) {
                let own = match &booking.place {
                    Place::Node { .. } => booking.node_doors().iter().map(|door| door.port.to_string()).collect(),
                    Place::External { addresses } => addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
                };
                for (_, others) in &held {
                    prop_assert!(own.iter().all(|one| !others.contains(one)), "{:?} {:?}", own, others);
                }
                held.push((id(step as u128), own));
            }
        }
        for (id, _) in held {
            book.release(id, now);
        }
        let later = now + REST;
        let all = node(&(0..7).map(|port| tcp(80 + port)).collect::<Vec<_>>());
        prop_assert!(book.enter(id(900), &all, later, |_| true).is_ok());
        for place in 0..4 {
            prop_assert!(book.enter(id(1000 + place), &balanced(None), later, |_| true).is_ok());
        }
    }
}
