//! Checks the protocol, or tells what happens without one of its rules.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use compline_model::{CASES, Case, Guards, RULES, Rule, Verdict};

/// Checks the protocol's parts with all their rules, or tells the shortest story of what goes
/// wrong without one.
#[derive(Debug, Parser)]
struct Arguments {
    /// The rule to take away.
    #[arg(long, value_parser = RULES.iter().map(|rule| rule.name).collect::<Vec<_>>())]
    without: Option<String>,
    /// The only part to check.
    #[arg(long, value_parser = CASES.iter().map(|case| case.name).collect::<Vec<_>>())]
    part: Option<String>,
    /// How often fate may strike; each more takes some ten times as long.
    #[arg(long)]
    strikes: Option<u8>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rule = arguments.without.as_deref().and_then(Rule::named);
    let part = arguments.part.as_deref().or(rule.map(|rule| rule.case));
    let guards = rule.map_or(Guards::ALL, |rule| Guards::ALL.without(rule.guard));
    let mut as_expected = true;
    for case in CASES
        .iter()
        .filter(|case| part.is_none_or(|name| name == case.name))
    {
        let verdict = case.check(guards, arguments.strikes);
        tell(case, &verdict);
        as_expected &= verdict.broken.is_some() == rule.is_some();
    }
    match as_expected {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn tell(case: &Case, verdict: &Verdict) {
    let Verdict {
        states,
        took,
        broken,
    } = verdict;
    let seconds = took.as_secs_f64();
    println!("{}: {}", case.name, case.about);
    match broken {
        None => println!("      all {states} states in {seconds:.1} s, every promise holds\n"),
        Some(broken) => println!("      broken: {}\n{}", broken.promise, broken.story),
    }
}
