//! The parts of the commented default file that one role reads, for its help.

use super::DEFAULTS;
use crate::role::RoleName;

/// Of a short help.
pub const MORE: &str = "--help lists the settings too, with defaults and units.";

/// What a role reads, with defaults and units, and how else it is set.
pub fn of_role(role: RoleName) -> String {
    match role {
        RoleName::Broker => text(&["broker", "telemetry", "admin"]),
        RoleName::Ingress => text(&["ingress", "log", "telemetry", "admin"]),
        RoleName::Engine(_) => text(&["engine", "log", "postgres", "telemetry", "admin"]),
        RoleName::Projector(_) => text(&["projector", "log", "postgres", "telemetry", "admin"]),
        RoleName::Query => text(&["query", "postgres", "telemetry", "admin"]),
        RoleName::Command => text(&["command", "log", "postgres", "telemetry", "admin"]),
    }
}

/// As [`of_role`], for `migrate`.
pub fn of_migrate() -> String {
    text(&["postgres", "log"])
}

/// `query.grpc.listen` in the environment.
pub fn variable(key: &str) -> String {
    format!("COMPLINE_{}", key.replace('.', "__").to_uppercase())
}

fn text(sections: &[&str]) -> String {
    let example = variable(&first_key(sections[0]));
    let listed: Vec<String> = sections.iter().map(|section| of(section)).collect();
    format!(
        "Settings that it reads, with their defaults. --config names a file with others, and the\n\
         environment wins over the file: {example}=…\n\n{}",
        listed.join("\n\n")
    )
}

fn of(wanted_section: &str) -> String {
    let mut text = String::new();
    let mut wanted = false;
    for line in DEFAULTS.lines() {
        // A heading stands over sections and is no part of one.
        if line.starts_with("# ---") {
            wanted = false;
        }
        if let Some(section) = section(line) {
            wanted = section == wanted_section;
        }
        if wanted {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// `[ingress.http]` is of `ingress`.
fn section(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    name.split('.').next()
}

/// `query.connections`
fn first_key(section: &str) -> String {
    let heading = format!("[{section}]");
    let mut lines = DEFAULTS.lines().skip_while(|line| *line != heading).skip(1);
    let line = lines
        .find(|line| !line.starts_with('#'))
        .unwrap_or_default();
    let key = line.split(' ').next().unwrap_or_default();
    format!("{section}.{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_told_all_that_it_reads_and_nothing_else() {
        let help = of_role(RoleName::Query);
        for part in [
            "COMPLINE_QUERY__CONNECTIONS=",
            "\n[query.grpc]\nlisten = \"127.0.0.1:7401\"\n",
            "\n# Connections to Postgres for each read model.\nconnections = 16\n",
            "query_password = \"\"",
        ] {
            assert!(help.contains(part), "{part} is not in: {help}");
        }
        for part in ["app_secrets", "[log", "[command", "# ---"] {
            assert!(!help.contains(part), "{part} is in: {help}");
        }
    }
}
