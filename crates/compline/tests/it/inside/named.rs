//! The dashboard and the alerts name what is there, and each alert has its page.

use std::collections::BTreeSet;

use super::{metrics::described, process::read};

/// By what a name of ours begins with.
const ROOMS: [&str; 9] = [
    "compline_",
    "broker_",
    "ingress_",
    "log_",
    "command",
    "grpc_",
    "http_",
    "server_",
    "health_",
];

/// Every word of `text` that may be a metric's name.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        // `broker_…` means all of them.
        .filter(|word| word.contains('_') && !word.ends_with('_'))
        .filter(|word| ROOMS.iter().any(|room| word.starts_with(room)))
        // Values of the label `outcome`.
        .filter(|word| !["log_unavailable", "log_failed"].contains(word))
        .map(|word| {
            let parts = ["_bucket", "_sum", "_count"].iter();
            let whole = parts.fold(word, |word, part| word.strip_suffix(part).unwrap_or(word));
            whole.to_owned()
        })
        .collect()
}

#[test]
fn dashboard_alerts_and_pages_name_only_metrics_that_are_there() {
    let described = described();
    for (file, at_least) in [
        ("docs/observability/dashboard.json", 30),
        ("docs/observability/alerts.yml", 14),
        ("docs/operations.md", 7),
    ] {
        let named = named(&read(file));
        assert!(named.len() >= at_least, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&described).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

#[test]
fn every_alert_leads_to_its_page() {
    let rules = read("docs/observability/alerts.yml");
    let pages: BTreeSet<String> = read("docs/operations.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 16, "{}", alerts.len());
    for alert in alerts {
        let (name, rule) = alert.split_once('\n').unwrap();
        let link = "runbook_url: docs/operations.md#";
        let page = rule.lines().find_map(|line| line.trim().strip_prefix(link));
        let page = page.unwrap_or_else(|| panic!("{name} leads nowhere"));
        assert!(pages.contains(page), "{name}: there is no page {page}");
        let tests = read("docs/observability/alerts.test.yml");
        assert!(
            tests.contains(&format!("alertname: {name}\n")),
            "{name} is never tried"
        );
    }
}

/// The table that leads to pages leads to pages.
#[test]
fn every_link_within_the_operators_pages_leads_somewhere() {
    let text = read("docs/operations.md");
    let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    let pages: BTreeSet<String> = headings
        .map(|heading| {
            heading
                .to_lowercase()
                .replace(['\'', ','], "")
                .replace(' ', "-")
        })
        .collect();
    let links: Vec<&str> = text
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(anchor, _)| anchor))
        .collect();
    assert!(links.len() > 20, "{links:?}");
    for link in links {
        assert!(pages.contains(link), "nothing is called {link}");
    }
}
