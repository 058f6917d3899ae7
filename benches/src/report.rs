//! What was found, for people and for machines.

use std::io::{self, Write as _};

use anyhow::Result;
use serde::Serialize;

use crate::{
    machine::{Machine, load},
    measure::median,
};

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// Too short to be quoted.
    short: bool,
    rows: Vec<Row>,
    load_after: Option<f64>,
}

/// One row of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) path: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) findings: Vec<Finding>,
    /// What is worth knowing beside the goals.
    pub(crate) notes: Vec<String>,
}

/// One goal and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    what: &'static str,
    ours: f64,
    limit: Option<f64>,
    /// Medians of the rounds' own ratios, and the ratios that lie farthest apart.
    ratio: Option<f64>,
    ratios: Option<(f64, f64)>,
    goal: Goal,
    met: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
}

impl Finding {
    /// From rounds of (ours, limit), each measured side by side.
    pub(crate) fn ratio(what: &'static str, rounds: &[(f64, f64)], goal: Goal) -> Self {
        let ratios = || rounds.iter().map(|(ours, limit)| ours / limit);
        let ratio = median(ratios());
        let met = match goal {
            Goal::RatioAtLeast(goal) => ratio >= goal,
            Goal::RatioAtMost(goal) => ratio <= goal,
            Goal::AtMost(_) => unreachable!("that goal is about ours alone"),
        };
        Self {
            what,
            ours: median(rounds.iter().map(|round| round.0)),
            limit: Some(median(rounds.iter().map(|round| round.1))),
            ratio: Some(ratio),
            ratios: Some((
                ratios().fold(f64::INFINITY, f64::min),
                ratios().fold(0.0, f64::max),
            )),
            goal,
            met,
        }
    }

    /// From ours alone.
    pub(crate) fn at_most(what: &'static str, ours: f64, goal: f64) -> Self {
        Self {
            what,
            ours,
            limit: None,
            ratio: None,
            ratios: None,
            goal: Goal::AtMost(goal),
            met: ours <= goal,
        }
    }
}

impl Report {
    pub(crate) fn new(machine: Machine, short: bool) -> Self {
        eprintln!("{machine}");
        Self {
            machine,
            short,
            rows: Vec::new(),
            load_after: None,
        }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
        self.load_after = load();
    }

    pub(crate) fn print(&self, json: bool) -> Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            return Ok(writeln!(out)?);
        }
        writeln!(out, "{}", self.machine)?;
        if let Some(load) = self.load_after {
            writeln!(out, "load after {load:.1}")?;
        }
        if self.short {
            writeln!(out, "short rounds: a look, not a result")?;
        }
        for row in &self.rows {
            row.print(&mut out)?;
        }
        Ok(())
    }
}

impl Row {
    fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        writeln!(out, "\n{}\n  limit: {}", self.path, self.limit)?;
        for finding in &self.findings {
            let met = if finding.met { "met" } else { "MISSED" };
            write!(out, "  {:<28}", finding.what)?;
            write!(out, " ours {:>10}", number(finding.ours))?;
            if let Some(limit) = finding.limit {
                write!(out, "  limit {:>10}", number(limit))?;
            }
            if let (Some(ratio), Some((low, high))) = (finding.ratio, finding.ratios) {
                write!(out, "  ratio {ratio:.2} ({low:.2}–{high:.2})")?;
            }
            let goal = match finding.goal {
                Goal::RatioAtLeast(goal) => format!("≥ {goal:.2}"),
                Goal::RatioAtMost(goal) => format!("≤ {goal:.2}"),
                Goal::AtMost(goal) => format!("≤ {goal:.0}"),
            };
            writeln!(out, "  goal {goal}  {met}")?;
        }
        for note in &self.notes {
            writeln!(out, "  · {note}")?;
        }
        Ok(())
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
