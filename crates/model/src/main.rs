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
    #[arg(long, value_parser = rule)]
    without: Option<&'static Rule>,
    /// The only part to check.
    #[arg(long, value_parser = part)]
    part: Option<&'static Case>,
    /// How often fate may strike; each more takes some ten times as long.
    #[arg(long)]
    strikes: Option<u8>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rule = arguments.without;
    let part = arguments
        .part
        .map(|part| part.name)
        .or(rule.map(|rule| rule.case));
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

fn rule(name: &str) -> Result<&'static Rule, String> {
    let names = || RULES.iter().map(Rule::name).collect::<Vec<_>>().join(", ");
    Rule::named(name).ok_or_else(|| format!("the rules are {}", names()))
}

fn part(name: &str) -> Result<&'static Case, String> {
    let names = || {
        CASES
            .iter()
            .map(|case| case.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    Case::named(name).ok_or_else(|| format!("the parts are {}", names()))
}
