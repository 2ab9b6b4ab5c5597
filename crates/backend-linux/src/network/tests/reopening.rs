//! A runner that dies and starts again.

use palisade_model::profile::EgressMode;

use super::super::{Config, OpenError, Pool4, PoolChoice};
use super::probe::{Outcome, Protocol, probe};
use super::world::{Sandbox, World, allowlist};

const PUBLIC: [u8; 4] = [140, 82, 112, 10];
const LISTED: [u8; 4] = [140, 82, 113, 10];

fn reach(sandbox: &Sandbox) -> [Outcome; 2] {
    [PUBLIC, LISTED].map(|address| probe(&sandbox.namespace, Protocol::Tcp, address.into()))
}

#[test]
fn sandboxes_keep_their_policy_while_nobody_watches_and_are_found_again() {
    use Outcome::{Answered, Refused};
    let world = World::new();
    let network = world.open();
    let (none, none_as) = Sandbox::attached_to(EgressMode::None, &network);
    let (listed, listed_as) = Sandbox::attached_to(allowlist(&["140.82.113.0/24"]), &network);
    let (open, open_as) = Sandbox::attached_to(EgressMode::Internet, &network);
    let cases = [
        (&none, [Refused, Refused]),
        (&listed, [Refused, Answered]),
        (&open, [Answered, Answered]),
    ];
    let assert_all = |when: &str| {
        for (sandbox, expected) in &cases {
            assert_eq!(
                reach(sandbox),
                *expected,
                "{when}: {:?}",
                sandbox.standing.egress
            );
        }
    };
    assert_all("before");
    let denied = network.denials(none.id).unwrap();
    drop(network);
    assert_all("with no runner");
    let opening = world.open_knowing(&[&none, &listed, &open]);
    assert_eq!(opening.adopted[&none.id], none_as);
    assert_eq!(opening.adopted[&listed.id], listed_as);
    assert_eq!(opening.adopted[&open.id], open_as);
    assert_all("after");
    let network = opening.network;
    assert!(network.denials(none.id).unwrap() > denied);
    let (fresh, fresh_as) = Sandbox::attached_to(EgressMode::Internet, &network);
    assert_eq!(reach(&fresh), [Answered, Answered]);
    for other in [&none_as, &listed_as, &open_as] {
        assert_ne!(fresh_as.addresses, other.addresses);
    }
    for sandbox in [&none, &listed, &open, &fresh] {
        network.detach(sandbox.id).unwrap();
    }
}

#[test]
fn who_is_not_known_any_more_is_disconnected() {
    let world = World::new();
    let network = world.open();
    let (kept, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    let (forgotten, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    drop(network);
    let opening = world.open_knowing(&[&kept]);
    assert_eq!(opening.adopted.len(), 1);
    assert_eq!(reach(&kept), [Outcome::Answered; 2]);
    assert_ne!(reach(&forgotten), [Outcome::Answered; 2]);
    // Its place and its name are free.
    forgotten.attach(&opening.network).unwrap();
    assert_eq!(reach(&forgotten), [Outcome::Answered; 2]);
}

#[test]
fn a_policy_that_changed_meanwhile_is_in_force_after() {
    let world = World::new();
    let network = world.open();
    let (mut sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    drop(network);
    sandbox.standing.egress = EgressMode::None;
    let _network = world.open_knowing(&[&sandbox]).network;
    assert_eq!(reach(&sandbox), [Outcome::Refused; 2]);
}

#[test]
fn a_network_has_one_runner_at_a_time() {
    let world = World::new();
    let network = world.open();
    let again = world.try_open(&world.config(), &[]);
    assert!(matches!(again, Err(OpenError::InUse { .. })), "{again:?}");
    drop(network);
    world.open();
}

#[test]
fn pools_are_not_changed_under_running_sandboxes() {
    let world = World::new();
    let network = world.open();
    let (sandbox, _) = Sandbox::attached_to(EgressMode::Internet, &network);
    drop(network);
    let pool = Pool4::new("10.99.0.0/16".parse().unwrap()).unwrap();
    let config = Config {
        pool4: PoolChoice::Fixed(pool),
        ..world.config()
    };
    let refused = world.try_open(&config, &[&sandbox]);
    assert!(
        matches!(refused, Err(OpenError::PoolChanged { count: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(reach(&sandbox), [Outcome::Answered; 2]);
    drop(refused);
    // Once it is gone the new pool is taken.
    let network = world.open_knowing(&[&sandbox]).network;
    network.detach(sandbox.id).unwrap();
    drop(network);
    let network = world.open_with(&config);
    let (_fresh, attached) = Sandbox::attached_to(EgressMode::Internet, &network);
    assert!(attached.addresses.v4.to_string().starts_with("10.99."));
}

#[test]
fn pools_that_the_host_uses_are_not_taken() {
    let world = World::new();
    super::world::run(
        &world.host,
        "ip route add 10.99.4.0/24 dev wan0; ip route add 10.201.0.0/24 dev wan0",
    );
    let pool = Pool4::new("10.99.0.0/16".parse().unwrap()).unwrap();
    let config = Config {
        pool4: PoolChoice::Fixed(pool),
        ..world.config()
    };
    let refused = world.try_open(&config, &[]);
    assert!(matches!(refused, Err(OpenError::Pool(_))), "{refused:?}");
    let network = world.open();
    let (_sandbox, attached) = Sandbox::attached_to(EgressMode::None, &network);
    assert!(!attached.addresses.v4.to_string().starts_with("10.201."));
}
