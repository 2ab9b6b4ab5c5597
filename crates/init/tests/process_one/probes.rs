//! Asking the network, and answering it. These modes need no process 1.

use std::net::UdpSocket;
use std::process::{Command, Output, Stdio};
use std::thread;

use palisade_init_protocol::probe::{Outcome, PROBE_LIMIT, Reading, Sight};

const INIT: &str = env!("CARGO_BIN_EXE_palisade-init");

/// A network of its own, in which some things are let through and others not.
///
/// Port 7000 answers, 7001 is closed, 7002 is refused, 7003 is dropped.
const NETWORK: &str = r#"
sysctl -qw net.ipv4.ping_group_range='0 2147483647'
sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
ip link set lo up
nft -f - <<RULES
table inet t {
    chain input {
        type filter hook input priority 0;
        th dport 7002 meta l4proto { tcp, udp } reject with icmpx admin-prohibited
        th dport 7003 meta l4proto { tcp, udp } drop
        ip daddr 127.0.0.9 icmp type echo-request reject with icmpx admin-prohibited
        ip daddr 127.0.0.8 udp dport 1-6999 reject with icmpx host-unreachable
    }
}
RULES
folder=$(mktemp -d)
"$INIT" listen tcp/7000 udp/7000 >$folder/out &
until grep -qx listening $folder/out; do kill -0 $!; sleep 0.02; done
rm -r $folder
"#;

fn inside(script: &str) -> Output {
    let script = format!("{NETWORK}\n{script}");
    let arguments = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    Command::new("unshare")
        .args(arguments)
        .args(["sh", "-e", "-c", &script])
        .env("INIT", INIT)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap()
}

fn readings(output: &Output) -> Vec<(String, Outcome)> {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let read = text.lines().map(|line| {
        let reading: Reading = line.parse().unwrap();
        (reading.probe.to_string(), reading.outcome)
    });
    read.collect()
}

#[test]
fn each_probe_says_what_it_met() {
    let probes = [
        ("tcp/127.0.0.1/7000", Outcome::Open),
        ("tcp/::1/7000", Outcome::Open),
        ("udp/127.0.0.1/7000", Outcome::Open),
        ("udp/::1/7000", Outcome::Open),
        ("icmp/127.0.0.1", Outcome::Open),
        ("icmp/::1", Outcome::Open),
        ("tcp/127.0.0.1/7001", Outcome::Reset),
        ("tcp/::1/7001", Outcome::Reset),
        ("udp/127.0.0.1/7001", Outcome::Answered),
        ("udp/::1/7001", Outcome::Answered),
        ("tcp/127.0.0.1/7002", Outcome::Blocked),
        ("udp/127.0.0.1/7002", Outcome::Refused),
        ("udp/::1/7002", Outcome::Refused),
        ("icmp/127.0.0.9", Outcome::Refused),
        ("udp/127.0.0.8/7", Outcome::Unreachable),
        ("dns/127.0.0.8/example.com", Outcome::Unreachable),
        ("tcp/127.0.0.1/7003", Outcome::Silent),
        ("udp/::1/7003", Outcome::Silent),
        ("tcp/192.0.2.1/80", Outcome::Unreachable),
        ("icmp/2001:db8::1", Outcome::Unreachable),
    ];
    let asked = probes.map(|(probe, _)| probe).join(" ");
    let output = inside(&format!("\"$INIT\" probe {asked}"));
    let expected = probes.map(|(probe, outcome)| (probe.to_owned(), outcome));
    assert_eq!(readings(&output), expected);
}

#[test]
fn probes_wait_together_and_not_one_after_the_other() {
    let silent = "udp/127.0.0.1/7003 ".repeat(200);
    let limit = PROBE_LIMIT.as_secs() * 10;
    let output = inside(&format!("timeout {limit} \"$INIT\" probe {silent}"));
    let read = readings(&output);
    assert_eq!(read.len(), 200);
    assert!(read.iter().all(|(_, outcome)| *outcome == Outcome::Silent));
}

#[test]
fn a_sandbox_sees_its_own_network() {
    let output = inside(
        "ip link add eth9 type veth peer name eth8; ip link set eth8 up; ip link set eth9 up
        ip addr add 10.9.8.7/32 dev eth9; ip addr add fd99::7/128 dev eth9
        ip route add 169.254.1.1 dev eth9; ip route add default via 169.254.1.1
        ip -6 route add default via fe80::1 dev eth9
        echo 'nameserver 169.254.1.1' >/tmp/palisade-resolv.$$
        mount --bind /tmp/palisade-resolv.$$ /etc/resolv.conf
        rm /tmp/palisade-resolv.$$
        \"$INIT\" around",
    );
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let seen: Vec<Sight> = text.lines().map(|line| line.parse().unwrap()).collect();
    for wanted in [
        "address 10.9.8.7",
        "address fd99::7",
        "gateway 169.254.1.1",
        "resolver 169.254.1.1",
    ] {
        assert!(seen.contains(&wanted.parse().unwrap()), "{wanted}: {text}");
    }
    let scoped = |sight: &Sight| match sight {
        Sight::Gateway(host) => host.address.is_ipv6() && host.scope != 0,
        Sight::Address(_) | Sight::Resolver(_) => false,
    };
    assert!(seen.iter().any(scoped), "{text}");
}

/// Answers one question with an address, and one with «no such name».
#[test]
fn a_server_of_names_is_asked_directly() {
    let server = UdpSocket::bind("127.83.70.65:53").unwrap();
    let serving = thread::spawn(move || {
        for code in [0, 3, 5] {
            let mut packet = [0; 512];
            let (len, from) = server.recv_from(&mut packet).unwrap();
            packet[2] |= 0x80;
            packet[3] = code;
            packet[7] = u8::from(code == 0);
            let mut answer = packet[..len].to_vec();
            if code == 0 {
                answer.extend_from_slice(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x09\x00\x04");
                answer.extend_from_slice(&[203, 0, 113, 9]);
            }
            server.send_to(&answer, from).unwrap();
        }
    });
    let ask = || {
        let mut command = Command::new(INIT);
        command.args(["probe", "dns/127.83.70.65/example.com"]);
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask(), "dns/127.83.70.65/example.com open 203.0.113.9\n");
    assert_eq!(ask(), "dns/127.83.70.65/example.com no-such-name\n");
    assert_eq!(ask(), "dns/127.83.70.65/example.com declined\n");
    serving.join().unwrap();
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_reason() {
    for (arguments, why) in [
        (vec!["probe"], "0 probes, say from 1 to 256"),
        (vec!["probe", "tcp/localhost/80"], "no address"),
        (vec!["probe", "tcp/127.0.0.1/0"], "from 1 to 65535"),
        (vec!["listen"], "0 ports, say from 1 to 64"),
        (vec!["listen", "sctp/7"], "say tcp/PORT or udp/PORT"),
    ] {
        let output = Command::new(INIT).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
    let many = vec!["icmp/127.0.0.1"; 257];
    let output = Command::new(INIT).arg("probe").args(many).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let taken = UdpSocket::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut listen = Command::new(INIT);
    let output = listen.args(["listen", &format!("udp/{port}")]).output();
    assert_eq!(output.unwrap().status.code(), Some(1), "the port is taken");
}
