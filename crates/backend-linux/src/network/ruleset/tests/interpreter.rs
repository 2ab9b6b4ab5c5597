//! Just enough of nftables to follow one packet through the router's table.
//!
//! It reads the very text that `nft` is given, and knows no more than the table
//! uses: what it does not know is a panic, so that no rule is passed over.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// A packet that opens a flow.
#[derive(Clone, Debug)]
pub(super) struct Packet<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) port: u16,
}

/// A table, read.
#[derive(Debug)]
pub(super) struct Table {
    sets: HashMap<String, Vec<Element>>,
    chains: HashMap<String, Vec<Vec<String>>>,
}

#[derive(Debug)]
struct Element {
    key: Vec<String>,
    value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
}

/// What is known of a packet while it is followed.
struct Journey<'a, 'p> {
    table: &'a Table,
    packet: Packet<'p>,
    mark: String,
    is_translated: bool,
}

impl Table {
    pub(super) fn read(text: &str) -> Self {
        let mut table = Self {
            sets: HashMap::new(),
            chains: HashMap::new(),
        };
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let words = words(line);
            let (Some(kind), Some(name)) = (words.first(), words.get(1)) else {
                continue;
            };
            let name = name.clone();
            match kind.as_str() {
                "table" | "delete" => {}
                "set" | "map" => {
                    // Ends at the first bracket, which is that of the elements.
                    let body = lines.by_ref().take_while(|line| *line != "}");
                    table.sets.insert(name, elements(body));
                }
                "chain" => {
                    let rules = lines.by_ref().take_while(|line| *line != "}");
                    let rules = rules.filter(|line| !line.starts_with("type "));
                    table.chains.insert(name, rules.map(self::words).collect());
                }
                other => panic!("what is {other}?"),
            }
        }
        table
    }

    /// Whether the packet passes the router.
    pub(super) fn passes(&self, packet: &Packet<'_>) -> bool {
        self.journey(packet, &|_| "uplink").is_some()
    }

    /// Where the packet is for when it has passed the router; `None` if it does
    /// not. `way` says through which interface an address is reached.
    pub(super) fn journey<'a>(
        &self,
        packet: &Packet<'a>,
        way: &dyn Fn(IpAddr) -> &'a str,
    ) -> Option<SocketAddr> {
        let mut journey = Journey {
            table: self,
            packet: packet.clone(),
            mark: "0".to_owned(),
            is_translated: false,
        };
        if journey.walk("identify") == Verdict::Drop {
            return None;
        }
        // Its policy lets pass what no rule is about.
        journey.walk("translate");
        if journey.is_translated {
            journey.packet.to = way(journey.packet.destination);
        }
        let passed = journey.walk("forward") == Verdict::Accept;
        let Packet {
            destination, port, ..
        } = journey.packet;
        passed.then_some(SocketAddr::new(destination, port))
    }
}

fn words(line: &str) -> Vec<String> {
    let words = line.split_whitespace();
    words.map(|word| word.replace('"', "")).collect()
}

fn elements<'a>(body: impl Iterator<Item = &'a str>) -> Vec<Element> {
    let lines = body.filter(|line| {
        !line.is_empty() && !line.starts_with("type ") && !line.starts_with("elements")
    });
    lines
        .map(|line| {
            let line = line.trim_end_matches(',').replace('"', "");
            let line = line.split(" counter ").next().unwrap();
            let (key, value) = match line.split_once(" : ") {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (line, None),
            };
            let key = key.split(" . ").map(str::to_owned).collect();
            Element { key, value }
        })
        .collect()
}

impl Journey<'_, '_> {
    fn walk(&mut self, chain: &str) -> Verdict {
        let table = self.table;
        for rule in &table.chains[chain] {
            if let Some(verdict) = self.judge(rule) {
                return verdict;
            }
        }
        // The policy of every chain of the kernel's; the others do not end so.
        Verdict::Drop
    }

    /// Goes through a rule for as long as it matches.
    fn judge(&mut self, rule: &[String]) -> Option<Verdict> {
        let mut rest = rule;
        loop {
            let words = rest.iter().map(String::as_str).collect::<Vec<_>>();
            let used = match words.as_slice() {
                ["accept", ..] => return Some(Verdict::Accept),
                ["drop" | "reject", ..] => return Some(Verdict::Drop),
                ["goto", chain, ..] => return Some(self.walk(chain)),
                // Its end; a limit that is not reached; what is only shown; and
                // what no first packet of a flow is.
                []
                | ["add", "@shown" | "@shown_in", ..]
                | ["ct", "state", "new", "add", ..]
                | ["ct", "state", "established,related", ..]
                | ["ct", "state", "!=", "new", ..]
                | ["icmpv6", "type", ..] => return None,
                ["meta", "mark", "set", number, ..]
                    if !number.contains(char::is_alphabetic) || number.starts_with("0x") =>
                {
                    self.mark = (*number).to_owned();
                    4
                }
                ["ct", "status", "dnat", ..] => self.is_translated.then_some(3)?,
                ["dnat", ..] => {
                    self.translate(&words)?;
                    return Some(Verdict::Accept);
                }
                ["meta", "mark", "set", lookup @ ..] => {
                    let (key, used) = self.fields(lookup)?;
                    assert_eq!(lookup[used], "map", "what is {rule:?}?");
                    let set = lookup[used + 1];
                    self.mark = self.find(set, &key)?.value.clone().unwrap();
                    3 + used + 2
                }
                [..] => self.matches(&words)?,
            };
            rest = &rest[used..];
        }
    }

    /// Follows the map of a translation; `None` if the packet is not in it.
    fn translate(&mut self, words: &[&str]) -> Option<()> {
        let to = words.iter().position(|word| *word == "to").unwrap() + 1;
        let (key, used) = self.fields(&words[to..])?;
        assert_eq!(words[to + used], "map", "what is {words:?}?");
        let found = self.find(words[to + used + 1], &key)?.value.clone();
        let found = found.unwrap();
        let mut parts = found.split(" . ");
        self.packet.destination = parts.next().unwrap().parse().unwrap();
        if let Some(port) = parts.next() {
            self.packet.port = port.parse().unwrap();
        }
        self.is_translated = true;
        Some(())
    }

    /// How many words a match takes; `None` if it does not match.
    fn matches(&self, words: &[&str]) -> Option<usize> {
        let (key, used) = self.fields(words)?;
        let [own] = key.as_slice() else {
            let set = words[used];
            self.find(set, &key)?;
            return Some(used + 1);
        };
        match words[used] {
            "!=" => (own != words[used + 1]).then_some(used + 2),
            "{" => {
                let end = words.iter().position(|word| *word == "}").unwrap();
                let listed = &words[used + 1..end];
                let is_listed = |word: &&str| number(word.trim_end_matches(',')) == *own;
                listed.iter().any(is_listed).then_some(end + 1)
            }
            set if set.starts_with('@') => {
                self.find(set, &key)?;
                Some(used + 1)
            }
            value => (number(value) == *own).then_some(used + 1),
        }
    }

    /// The values of fields that are joined, and how many words they take.
    fn fields(&self, words: &[&str]) -> Option<(Vec<String>, usize)> {
        let mut values = Vec::new();
        let mut used = 0;
        loop {
            let (value, len) = self.field(&words[used..])?;
            values.push(value);
            used += len;
            if words.get(used) != Some(&".") {
                return Some((values, used));
            }
            used += 1;
        }
    }

    fn field(&self, words: &[&str]) -> Option<(String, usize)> {
        let packet = &self.packet;
        let version = |wanted: bool, address: IpAddr| {
            (address.is_ipv4() == wanted).then(|| address.to_string())
        };
        let found = match words {
            ["iifname", ..] => (packet.from.to_owned(), 1),
            ["oifname", ..] => (packet.to.to_owned(), 1),
            ["meta", "mark", ..] => (self.mark.clone(), 2),
            ["meta", "l4proto", ..] => (packet.protocol.to_string(), 2),
            ["meta", "nfproto", ..] => {
                let name = if packet.source.is_ipv4() {
                    "ipv4"
                } else {
                    "ipv6"
                };
                (name.to_owned(), 2)
            }
            ["ip", "saddr", ..] => (version(true, packet.source)?, 2),
            ["ip", "daddr", ..] => (version(true, packet.destination)?, 2),
            ["ip6", "saddr", ..] => (version(false, packet.source)?, 2),
            ["ip6", "daddr", ..] => (version(false, packet.destination)?, 2),
            ["th", "dport", ..] => (packet.port.to_string(), 2),
            other => panic!("what is {other:?}?"),
        };
        Some(found)
    }

    fn find(&self, set: &str, key: &[String]) -> Option<&Element> {
        let elements = &self.table.sets[set.trim_start_matches('@')];
        elements.iter().find(|element| {
            let mut parts = element.key.iter().zip(key);
            element.key.len() == key.len() && parts.all(|(part, own)| holds(part, own))
        })
    }
}

/// Whether a part of an element is this value, or a range around it.
fn holds(part: &str, own: &str) -> bool {
    let range = part.split_once('-').and_then(|(first, last)| {
        let first: IpAddr = first.parse().ok()?;
        let last: IpAddr = last.parse().ok()?;
        let own: IpAddr = own.parse().ok()?;
        Some(first <= own && own <= last)
    });
    range.unwrap_or(part == own)
}

/// Protocols by number, as elements spell them.
fn number(word: &str) -> String {
    match word {
        "tcp" => "6".to_owned(),
        "udp" => "17".to_owned(),
        other => other.to_owned(),
    }
}
