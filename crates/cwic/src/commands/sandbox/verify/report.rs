//! How a truth table looks to people and to programs.

use std::num::NonZeroUsize;

use palisade_init_protocol::probe::Probe;
use serde_json::{Value, json};

use super::outside::OUTSIDE;
use super::table::{Judgement, Omission, Row, Table};
use crate::out::Out;
use crate::present::printable;

/// Writes a table for each egress mode, what was not measured, and the sum.
pub(super) fn print(table: &Table, out: &mut Out) {
    let mut modes: Vec<&str> = table.rows.iter().map(|row| row.mode.as_str()).collect();
    modes.dedup();
    for mode in modes {
        if mode == OUTSIDE {
            out.line("from outside, where this program runs");
        } else {
            out.line(format_args!("egress mode {mode}"));
        }
        let rows = table.rows.iter().filter(|row| row.mode == mode);
        let rows: Vec<[String; 5]> = rows.map(cells).collect();
        let heading = ["TARGET", "PROBE", "PREDICTED", "MEASURED", "RESULT"];
        out.table(heading, &rows);
        out.line("");
    }
    for Omission { what, why } in &table.omissions {
        let (what, why) = (printable(what), printable(why));
        out.line(format_args!("not measured: {what}: {why}"));
    }
    out.line(sum(table));
}

/// The last line.
pub(super) fn sum(table: &Table) -> String {
    let count = table.rows.len();
    let unproven = match table.unproven() {
        0 => String::new(),
        unproven => format!(" ({unproven} unproven)"),
    };
    match NonZeroUsize::new(table.mismatches()) {
        None => format!("{count} probes, all equal to the model{unproven}"),
        Some(mismatches) => {
            format!("{count} probes, {mismatches} NOT equal to the model{unproven}")
        }
    }
}

fn cells(row: &Row) -> [String; 5] {
    let Row {
        mode: _,
        question,
        outcome,
        detail,
        judgement,
    } = row;
    let expected = question.expected;
    let measured = match detail.as_str() {
        "" => outcome.to_string(),
        detail => format!("{outcome}: {detail}"),
    };
    [
        printable(&question.target),
        question.probe.to_string(),
        format!("{}: {}", expected.word(), expected.why()),
        printable(&measured),
        match judgement {
            Judgement::Equal => "ok".to_owned(),
            Judgement::Mismatch => "MISMATCH".to_owned(),
            Judgement::Unproven(why) => format!("unproven: {why}"),
        },
    ]
}

/// Everything for programs; the shape is part of the manual.
pub(super) fn json(profile: &str, runner: &str, table: &Table) -> Value {
    let omissions = table.omissions.iter();
    let omissions = omissions.map(|Omission { what, why }| json!({ "what": what, "why": why }));
    json!({
        "profile": profile,
        "runner": runner,
        "probes": table.rows.len(),
        "mismatches": table.mismatches(),
        "unproven": table.unproven(),
        "rows": table.rows.iter().map(row_json).collect::<Value>(),
        "notMeasured": omissions.collect::<Value>(),
    })
}

fn row_json(row: &Row) -> Value {
    let Row {
        mode,
        question,
        outcome,
        detail,
        judgement,
    } = row;
    let (result, reason) = match judgement {
        Judgement::Equal => ("equal", ""),
        Judgement::Mismatch => ("mismatch", ""),
        Judgement::Unproven(why) => ("unproven", *why),
    };
    let protocol = match question.probe {
        Probe::Tcp(..) => "tcp",
        Probe::Udp(..) => "udp",
        Probe::Icmp(_) => "icmp",
        Probe::Dns(..) => "dns",
    };
    json!({
        "egressMode": mode,
        "target": question.target,
        "protocol": protocol,
        "probe": question.probe.to_string(),
        "predicted": question.expected.word(),
        "why": question.expected.why(),
        "measured": outcome.as_str(),
        "detail": detail,
        "result": result,
        "reason": reason,
    })
}

#[cfg(test)]
mod tests {
    use palisade_init_protocol::probe::{Outcome, Reading};
    use palisade_model::policy::{Refused, Verdict};

    use super::super::table::{Expected, Question};
    use super::*;

    fn table(judgements: &[Judgement]) -> Table {
        let row = |judgement: &Judgement| {
            let probe: Probe = "tcp/192.0.2.1/80".parse().unwrap();
            let question = Question {
                target: "host".to_owned(),
                probe: probe.clone(),
                expected: Expected::Address(Verdict::Refused(Refused::NotListed)),
            };
            let reading = Reading::new(probe, Outcome::Blocked, "");
            Row::new("deny-all", question, reading, *judgement)
        };
        Table {
            rows: judgements.iter().map(row).collect(),
            omissions: Vec::new(),
        }
    }

    #[test]
    fn the_sum_says_how_much_was_proved() {
        let equal = [Judgement::Equal; 3];
        assert_eq!(sum(&table(&equal)), "3 probes, all equal to the model");
        let unproven = [Judgement::Equal, Judgement::Unproven("why")];
        let said = sum(&table(&unproven));
        assert_eq!(said, "2 probes, all equal to the model (1 unproven)");
        let mismatch = [Judgement::Equal, Judgement::Mismatch];
        let said = sum(&table(&mismatch));
        assert_eq!(said, "2 probes, 1 NOT equal to the model");
    }

    #[test]
    fn programs_get_a_shape_that_stays() {
        let mut table = table(&[Judgement::Unproven("nothing was heard")]);
        table.omit("other organization", "give a token");
        let said = json("agents", "r1", &table);
        let expected = json!({
            "profile": "agents",
            "runner": "r1",
            "probes": 1,
            "mismatches": 0,
            "unproven": 1,
            "rows": [{
                "egressMode": "deny-all",
                "target": "host",
                "protocol": "tcp",
                "probe": "tcp/192.0.2.1/80",
                "predicted": "refused",
                "why": "the egress mode opens no range with this address",
                "measured": "blocked",
                "detail": "",
                "result": "unproven",
                "reason": "nothing was heard",
            }],
            "notMeasured": [{ "what": "other organization", "why": "give a token" }],
        });
        assert_eq!(said, expected);
    }

    /// The schema of the manual, with the objects of this output closed.
    fn schema() -> Value {
        let text = include_str!("../../../../../../docs/cwic.schema.json");
        let mut schema: Value = serde_json::from_str(text).unwrap();
        let output = &mut schema["$defs"]["Verification"];
        output["additionalProperties"] = json!(false);
        for list in ["rows", "notMeasured"] {
            output["properties"][list]["items"]["additionalProperties"] = json!(false);
        }
        schema
    }

    #[test]
    fn what_programs_get_is_as_the_manual_says() {
        const AT: &str = "https://docs.invalid/schema.json";
        let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
        compiler.add_resource(AT, schema()).unwrap();
        let output = format!("{AT}#/$defs/Verification");
        let output = compiler.compile(&output, &mut schemas).unwrap();
        let judgements = [
            Judgement::Equal,
            Judgement::Mismatch,
            Judgement::Unproven("nothing was heard"),
        ];
        let mut table = table(&judgements);
        table.omit("other organization", "give a token");
        for outcome in Outcome::ALL {
            table.rows[0].outcome = outcome;
            let told = json("agents", "r1", &table);
            let checked = schemas.validate(&told, output);
            let wrong = checked.err().map(|error| error.to_string());
            assert_eq!(wrong, None, "{told:#}");
        }
    }
}
